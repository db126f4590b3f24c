"""Repeats of lost requests: none is sent after the first request's own answer, or a callback receipt, has arrived.

A repeat is either the one resubmission that the vendor's record permits (the same purchase, with its first attempt in
`prior_attempt_id`), or a repeat that an operator allowed after the first request was given up (a newer generation).
When the answer to the first request arrives, the repeat is in one of three states:

- planned: the repeat adopts the answer and waits for the first request's task; nothing is sent.
- taken, but perhaps not sent: its attempt is recalled. The sender checks this right before it sends, and gives the
  purchase back, which is then planned, as above. The recall of a request that is already sent has no effect.
- sent: both answers count, each for its own request. The repeat gets a value of the first too (`older_values`).
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.model import Result
from connector.core.spend import EntryKind, Hold
from connector.core.states import AttemptState, PurchaseState, ReceiptState, TaskState
from connector.store import tables as t
from connector.store.credits import NewEntry, Payer, append
from connector.store.older_values import from_earlier, newer_ids, newer_of, take_older_values
from connector.store.rows import chunks
from connector.store.shares import NO_PRIOR

_A, _H, _K, _P = t.attempt.c, t.callback_receipt.c, t.task.c, t.purchase.c
SUBMITTING, RECALLED = AttemptState.SUBMITTING, AttemptState.RECALLED
# How long an unconfirmed receipt blocks a repeat: otherwise anyone who knows the address could block it for ever. The
# vendor documents at most three tries with backoff.
RECEIPT_BLOCKS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """A late answer to a paid request; the attributes are those of `RequestAnswer`."""

    task_id: int | None
    check: Mapping[int, bool]
    gone: Mapping[int, str]
    back: Collection[int]


def never_sent() -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions that a purchase is planned and no request for it was sent."""
    return _P.state == PurchaseState.PLANNED.value, _P.attempt_id.is_(None), _P.prior_attempt_id.is_(None)


@functools.cache
def receipt_waits() -> sa.ColumnElement[bool]:
    """The condition that the request which this purchase repeats has an unconfirmed callback receipt.

    A statement with this condition needs the parameters from `receipts_at`.
    """
    older = t.purchase.alias()
    firsts = sa.select(older.c.attempt_id).where(*newer_of(older)).correlate(t.purchase)
    waiting = (
        sa.select(_H.id)
        .join(t.attempt, _A.id == _H.attempt_id)
        .where(
            _H.state == ReceiptState.WAITING,
            _A.state == AttemptState.LOST,
            _H.received_at > sa.bindparam("receipts_since"),
            sa.or_(_H.attempt_id == _P.prior_attempt_id, _H.attempt_id.in_(firsts)),
        )
        .correlate(t.purchase)
    )
    return sa.and_(sa.or_(_P.prior_attempt_id.is_not(None), _P.generation > 1), sa.exists(waiting))


def receipts_at(now: datetime) -> dict[str, datetime]:
    """The parameters of `receipt_waits`."""
    return {"receipts_since": now - RECEIPT_BLOCKS}


def resume_unsent(connection: sa.Connection, attempt_id: str, now: datetime) -> None:
    """Return unsent resubmissions to their first request, which is answered now."""
    connection.execute(
        sa.update(t.purchase)
        .where(_P.prior_attempt_id == attempt_id, _P.state == PurchaseState.PLANNED.value)
        .values(
            state=PurchaseState.UNKNOWN.value,
            attempt_id=attempt_id,
            hold=_P.prior_hold,
            mapping=_P.prior_mapping,
            check_at=now,
            **NO_PRIOR,
        )
    )
    being_sent = sa.select(_P.attempt_id).where(
        _P.prior_attempt_id == attempt_id, _P.state == PurchaseState.SUBMITTING.value
    )
    _recall(connection, being_sent)


def _recall(connection: sa.Connection, attempt_ids: sa.Select[tuple[str | None]]) -> None:
    connection.execute(
        sa.update(t.attempt).where(_A.id.in_(attempt_ids), _A.state == SUBMITTING).values(state=RECALLED)
    )


def take_over(connection: sa.Connection, attempt_id: str, answer: LateAnswer, now: datetime) -> None:
    """Apply a late answer to unsent newer generations of the purchases that were given up; correct presumed charges.

    Args:
        connection: the transaction that adopts the answer.
        attempt_id: the request.
        answer: the late answer.
        now: the ledger's time.
    """
    given_up = connection.execute(
        sa.select(t.purchase).where(
            _P.attempt_id == attempt_id,
            _P.state == PurchaseState.FINAL.value,
            sa.or_(_P.result != Result.DELIVERED.value, from_earlier()),
        )
    ).all()
    for row in given_up:
        if row.id in answer.gone or row.id in answer.back or answer.check.get(row.id):
            _uncharge(connection, row.id, attempt_id, now)
        if row.id in answer.back or row.result == Result.DELIVERED.value:
            continue  # refused, so that only the repeat counts; or both have an older value
        recall_newer(connection, row.id)
        newer = (*never_sent(), _P.id.in_(newer_ids(row.id)))
        if row.id in answer.gone:
            connection.execute(sa.update(t.purchase).where(_P.id == row.id).values(repeat_allowed=False))
            failed = {"state": PurchaseState.FINAL.value, "result": Result.FAILED.value, "final_at": now}
            values: dict[str, object] = {**failed, "reason": answer.gone[row.id], "check_at": None}
        elif row.id in answer.check or answer.task_id is None:
            values = {"state": PurchaseState.SUBMITTED.value, "free": True, "check_at": now, "checks": 0}
        else:
            values = _in_task(answer.task_id)
        connection.execute(sa.update(t.purchase).where(*newer).values(**values, state_at=now))


def recall_newer(connection: sa.Connection, purchase_id: int) -> None:
    """Recall the request of a newer generation that is about to be sent."""
    being_sent = sa.select(_P.attempt_id).where(
        _P.id.in_(newer_ids(purchase_id)), _P.state == PurchaseState.SUBMITTING.value
    )
    _recall(connection, being_sent)


def _in_task(task_id: object) -> dict[str, object]:
    """The column values of a purchase that waits for the task of another request."""
    return {
        "state": PurchaseState.SUBMITTED.value,
        "task_id": task_id,
        "free": True,
        "check_at": None,
        "checks": 0,
        "not_before": None,
        "reason": "",
    }


def attach_to_late_tasks(connection: sa.Connection, purchase_ids: Sequence[int], now: datetime) -> None:
    """Let planned purchases wait for the open task of their first request, if it was answered late."""
    for part in chunks(purchase_ids):
        connection.execute(_attach_to_late_tasks(), {"ids": list(part), "now": now})


@functools.cache
def _attach_to_late_tasks() -> sa.Update:
    older = t.purchase.alias()
    task_id = (
        sa.select(_K.id)
        .join(older, older.c.task_id == _K.id)
        .where(
            *newer_of(older),
            older.c.state == PurchaseState.FINAL.value,
            older.c.result != Result.DELIVERED.value,
            _K.state == TaskState.OPEN,
            _K.submitted_at > older.c.final_at,
        )
        .order_by(_K.id.desc())
        .limit(1)
        .correlate(t.purchase)
        .scalar_subquery()
    )
    return (
        sa.update(t.purchase)
        .where(_P.id.in_(sa.bindparam("ids", expanding=True)), *never_sent(), task_id.is_not(None))
        .values(**_in_task(task_id), state_at=sa.bindparam("now"))
    )


def _open_task_of_first() -> sa.ScalarSelect[int]:
    """A subquery for the open task of a resubmission's first request."""
    of_first = (_K.attempt_id == _P.prior_attempt_id, _K.state == TaskState.OPEN)
    return sa.select(_K.id).where(*of_first).limit(1).correlate(t.purchase).scalar_subquery()


def follow_first(connection: sa.Connection, purchase_ids: Sequence[int], now: datetime) -> None:
    """Let resubmissions whose answer was lost wait for the open task of their first request."""
    task_id = _open_task_of_first()
    for part in chunks(purchase_ids):
        connection.execute(
            sa.update(t.purchase)
            .where(_P.id.in_(part), _P.state == PurchaseState.UNKNOWN.value, task_id.is_not(None))
            .values(
                state=PurchaseState.SUBMITTED.value, task_id=task_id, free=True, check_at=None, checks=0, state_at=now
            )
        )


def after_return(connection: sa.Connection, purchase_ids: Sequence[int], taken_at: datetime, now: datetime) -> None:
    """Apply the first request's answer, if it has arrived, to repeats that were given back unsent or refused.

    Args:
        connection: the transaction that gives them back.
        purchase_ids: the purchases that were given back.
        taken_at: when the attempt took them; a value that an older generation has got since then is theirs.
        now: the ledger's time.
    """
    for part in chunks(purchase_ids):
        connection.execute(_return_to_first(), {"ids": list(part), "now": now})
    take_older_values(connection, purchase_ids, now, taken_at)
    attach_to_late_tasks(connection, purchase_ids, now)


@functools.cache
def _return_to_first() -> sa.Update:
    first = t.attempt.alias()
    answered = sa.exists(
        sa.select(first.c.id).where(first.c.id == _P.prior_attempt_id, first.c.state == AttemptState.SUBMITTED)
    )
    task_id = _open_task_of_first()
    now = sa.bindparam("now", type_=_P.check_at.type)
    return (
        sa.update(t.purchase)
        .where(_P.id.in_(sa.bindparam("ids", expanding=True)), _P.state == PurchaseState.PLANNED.value, answered)
        .values(
            state=sa.case((task_id.is_not(None), PurchaseState.SUBMITTED.value), else_=PurchaseState.UNKNOWN.value),
            task_id=task_id,
            attempt_id=_P.prior_attempt_id,
            hold=_P.prior_hold,
            mapping=_P.prior_mapping,
            check_at=sa.case((task_id.is_not(None), sa.null()), else_=now),
            **NO_PRIOR,
        )
    )


def uncharge(connection: sa.Connection, purchase_ids: Sequence[int], attempt_id: str, now: datetime) -> None:
    """Reverse the charge of purchases that were given up: the answer shows that they cost nothing."""
    for purchase_id in purchase_ids:
        _uncharge(connection, purchase_id, attempt_id, now)


def _uncharge(connection: sa.Connection, purchase_id: int, attempt_id: str, now: datetime) -> None:
    charged = (
        _P.id == purchase_id,
        _P.attempt_id == attempt_id,
        _P.state == PurchaseState.FINAL.value,
        sa.or_(_P.result != Result.DELIVERED.value, from_earlier()),
        _P.hold == Hold.CHARGED.value,
    )
    query = sa.select(_P.mapping, _P.price_credits, t.attempt).join(t.attempt, _A.id == _P.attempt_id)
    for row in connection.execute(query.where(*charged)).all():
        entries = [
            NewEntry(row.id, row.mapping, EntryKind.CHARGE, -row.price_credits),
            NewEntry(row.id, row.mapping, EntryKind.RELEASE, row.price_credits),
        ]
        append(connection, Payer.of(row), entries, now)
        connection.execute(
            sa.update(t.purchase)
            .where(*charged)
            .values(hold=Hold.RELEASED.value, charged_credits=_P.charged_credits - row.price_credits)
        )
