"""Receipts of callbacks: they prove nothing about a paid request, and only cause a read at the provider."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import sqlalchemy as sa

from connector.core.model import Identifier
from connector.core.person import Source
from connector.core.states import AttemptState, ChannelState, JobKind, ReceiptState, RecordState, TaskState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.jobs import Jobs
from connector.store.rows import person_of

KEPT = timedelta(days=30)
# A vendor calls back once, and up to three times if it gets no answer. The limit also bounds forged callbacks, because
# each receipt costs a read at the vendor, within a run's time and after everything else.
MOST_RECEIPTS = 5  # for one attempt
_A, _H, _K, _P = t.attempt.c, t.callback_receipt.c, t.task.c, t.purchase.c
_WAITING = (
    sa.select(_H.id, _H.attempt_id, _H.provider_task_id, _P.person_kind, _P.person)
    .join(t.attempt, _A.id == _H.attempt_id)
    .join(t.purchase, sa.or_(_P.attempt_id == _H.attempt_id, _P.prior_attempt_id == _H.attempt_id))
    .where(
        _H.state == ReceiptState.WAITING,
        _A.state == AttemptState.LOST,
        _A.provider == sa.bindparam("provider"),
        _A.account == sa.bindparam("account"),
    )
    .order_by(_H.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


class ReceiptOutcome(Enum):
    """The result of receiving a callback."""

    UNKNOWN = "there is no such request"
    STORED = "it is stored; if the task is known, it is due now"
    WITHOUT_EFFECT = "it repeats an earlier one, or names another task than the known one"
    CROWDED = "the request has too many receipts; the callback may be sent again later"


@dataclass(frozen=True, slots=True)
class CallbackReceipt:
    """A receipt for a request whose answer was lost, with the vendor's task id."""

    id: int
    attempt_id: str
    provider_task_id: str
    person: Identifier


class CallbackReceipts:
    """Stores callbacks and lists the receipts to confirm.

    Args:
        database: the ledger's database.
        jobs: the queue; the transaction that stores a receipt makes the next poll due.
    """

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._db = database
        self._jobs = jobs

    def receive(self, provider: str, attempt_id: str, provider_task_id: str, now: datetime) -> ReceiptOutcome:
        """Store a callback, unless it repeats an earlier one or the request has too many receipts.

        If the task of the request is known, the first callback with its id makes it due at once; a callback with
        another id has no effect.
        """
        with self._db.write(exclusive=False) as connection:
            # Locked: simultaneous callbacks must count each other.
            mine = sa.select(_A.provider).where(_A.id == attempt_id, _A.provider == provider).with_for_update()
            if connection.execute(mine).one_or_none() is None:
                return ReceiptOutcome.UNKNOWN
            task = connection.execute(
                sa.select(_K.id, _K.provider_task_id).where(_K.attempt_id == attempt_id).limit(1)
            ).one_or_none()
            if task is not None and task.provider_task_id != provider_task_id:
                return ReceiptOutcome.WITHOUT_EFFECT
            refusal = self._make_room(connection, attempt_id, provider_task_id)
            if refusal is not None:
                return refusal
            state = ReceiptState.WAITING if task is None else ReceiptState.USED
            connection.execute(
                sa.insert(t.callback_receipt).values(
                    attempt_id=attempt_id, provider_task_id=provider_task_id, state=state, received_at=now
                )
            )
            if task is not None:
                connection.execute(
                    sa.update(t.task).where(_K.id == task.id, _K.state == TaskState.OPEN).values(next_poll_at=now)
                )
            theirs = sa.or_(_P.attempt_id == attempt_id, _P.prior_attempt_id == attempt_id)
            waiting = _who_waits(connection, theirs)
            self._jobs.bring_forward(connection, JobKind.POLL, waiting, now, not_before=None, backoff_s=None)
        return ReceiptOutcome.STORED

    def _make_room(self, connection: sa.Connection, attempt_id: str, provider_task_id: str) -> ReceiptOutcome | None:
        """The reason to store no further receipt, or None; a receipt that the vendor refused is replaced."""
        query = sa.select(_H.id, _H.provider_task_id, _H.state).where(_H.attempt_id == attempt_id).order_by(_H.id)
        stored = connection.execute(query).all()
        if any(row.provider_task_id == provider_task_id for row in stored):
            return ReceiptOutcome.WITHOUT_EFFECT
        if len(stored) < MOST_RECEIPTS:
            return None
        refused = next((row.id for row in stored if row.state == ReceiptState.REFUSED), None)
        if refused is None:
            return ReceiptOutcome.CROWDED
        connection.execute(sa.delete(t.callback_receipt).where(_H.id == refused))
        return None

    def waiting(self, source: Source, limit: int = 20) -> list[CallbackReceipt]:
        """List the receipts of requests whose answer was lost, oldest first; others may still get their answer."""
        values = {"provider": source.name, "account": source.account, "most": limit}
        with self._db.read() as connection:
            rows = connection.execute(_WAITING, values)
            return [CallbackReceipt(row.id, row.attempt_id, row.provider_task_id, person_of(row)) for row in rows]

    def purge(self, now: datetime) -> None:
        """Delete receipts that are older than 30 days."""
        with self._db.write(exclusive=False) as connection:
            connection.execute(sa.delete(t.callback_receipt).where(_H.received_at < now - KEPT))

    def done(self, receipt: CallbackReceipt, *, used: bool) -> None:
        """Close a receipt: the vendor's own answer confirmed it or not."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.callback_receipt)
                .where(_H.id == receipt.id)
                .values(state=ReceiptState.USED if used else ReceiptState.REFUSED)
            )


def _who_waits(connection: sa.Connection, theirs: sa.ColumnElement[bool]) -> set[str]:
    """The mappings that pay for these purchases, and those whose open records wait for them."""
    payers = sa.select(_P.mapping).where(theirs)
    records = (
        sa.select(t.record.c.mapping)
        .join(t.record_channel, t.record_channel.c.record_id == t.record.c.id)
        .join(t.purchase, t.record_channel.c.purchase_id == _P.id)
        .where(theirs, t.record.c.state == RecordState.OPEN, t.record_channel.c.state == ChannelState.OPEN)
    )
    return {*connection.scalars(payers), *connection.scalars(records)}
