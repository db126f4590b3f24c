"""Delivers the value of a late answer to newer generations of the purchase: none waits, fails or is bought again.

A newer generation is a repeat that an operator allowed after the first request was given up. When the first request's
value arrives late, the repeat may be planned, at the vendor, lost, or ended without a value. In each of these states it
gets the value. A repeat that is being sent gets it later, when its request is given back, answered or lost.

The repeat's own request counts as charged, unless it was certainly not sent or the vendor reported that it is free. If
its own answer still arrives, it corrects the charge; `reason` marks the purchase until then.
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Result
from connector.core.recover import EARLIER_REQUEST
from connector.core.states import PurchaseState
from connector.store import tables as t
from connector.store.rows import AnyRow, chunks
from connector.store.shares import MONEY, NO_PRIOR, Sums, append_sums, end_shares

_A, _P = t.attempt.c, t.purchase.c
KEY = ("provider", "account", "channel", "person_kind", "person")
_WITHOUT_VALUE = (
    sa.select(*MONEY, _P.state, _P.task_id, *(_P[name] for name in KEY))
    .where(
        _P.id.in_(sa.bindparam("ids", expanding=True)),
        _P.generation > 1,
        _P.state != PurchaseState.SUBMITTING.value,
        sa.or_(_P.state != PurchaseState.FINAL.value, _P.result != Result.DELIVERED.value),
    )
    .order_by(_P.id)
    .with_for_update()
)


def newer_of(older: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
    """The condition that a purchase is a newer generation of `older`."""
    return (*(older.c[name] == _P[name] for name in KEY), older.c.generation < _P.generation)


_OLDER, _NEWER = t.purchase.alias(), t.purchase.alias()
_IS_NEWER = sa.and_(*(_OLDER.c[name] == _NEWER.c[name] for name in KEY), _OLDER.c.generation < _NEWER.c.generation)
_NEWER_IDS = sa.select(_NEWER.c.id).select_from(_OLDER.join(_NEWER, _IS_NEWER))


def newer_ids(purchase_id: int) -> sa.Select[tuple[int]]:
    """A query for the newer generations of a purchase; it uses the unique key."""
    return _NEWER_IDS.where(_OLDER.c.id == purchase_id)


def from_earlier() -> sa.ColumnElement[bool]:
    """The condition that a purchase has the value of an older generation, and no answer to its own request."""
    return sa.and_(_P.result == Result.DELIVERED.value, _P.reason == EARLIER_REQUEST)


def take_older_values(
    connection: sa.Connection, purchase_ids: Collection[int], now: datetime, since: datetime | None = None
) -> None:
    """Deliver to purchases the value that an older generation has got meanwhile.

    Purchases that are delivered or being sent stay as they are.

    Args:
        connection: in a transaction.
        purchase_ids: the purchases.
        now: the ledger's time.
        since: the earliest arrival of a value that counts; None means when the purchase was first sent.
    """
    sums: Sums = Sums()
    for part in chunks(sorted(purchase_ids)):
        for row in connection.execute(_WITHOUT_VALUE, {"ids": part}).all():
            began = since or _first_sent(connection, row)
            older = None if began is None else _newest_value(connection, row, began)
            if older is not None:
                _deliver(connection, row, older, sums, now)
    append_sums(connection, sums, now)


def take_late_value(connection: sa.Connection, purchase_id: int, now: datetime) -> None:
    """Deliver to every newer generation the value that this purchase has just got."""
    take_older_values(connection, list(connection.scalars(newer_ids(purchase_id))), now, now)


def leave_own_task(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    """Point purchases with an older value to the task of that value, because their own task has none."""
    older = t.purchase.alias()
    source = (
        sa.select(older.c.task_id)
        .where(*newer_of(older), older.c.result == Result.DELIVERED.value, older.c.value_hash == _P.value_hash)
        .order_by(older.c.generation.desc())
        .limit(1)
        .correlate(t.purchase)
        .scalar_subquery()
    )
    connection.execute(sa.update(t.purchase).where(from_earlier(), *which).values(task_id=source))


def _first_sent(connection: sa.Connection, row: AnyRow) -> datetime | None:
    """When the first request for a purchase took its hold; None if none did, or all were refused."""
    attempts = [one for one in (row.prior_attempt_id, row.attempt_id) if one is not None]
    times = list(connection.scalars(sa.select(_A.created_at).where(_A.id.in_(attempts))))
    return min(times, default=None)


def _newest_value(connection: sa.Connection, row: AnyRow, since: datetime) -> AnyRow | None:
    """The newest value of older generations, stored or readable through its task; None if there is none since then."""
    query = sa.select(_P.value, _P.value_hash, _P.task_id).where(
        *(_P[name] == getattr(row, name) for name in KEY),
        _P.generation < row.generation,
        _P.result == Result.DELIVERED.value,
        _P.final_at >= since,
        _P.value_hash.is_not(None),
        sa.or_(_P.value.is_not(None), _P.task_id.is_not(None)),
    )
    return connection.execute(query.order_by(_P.generation.desc()).limit(1)).one_or_none()


def _deliver(connection: sa.Connection, row: AnyRow, older: AnyRow, sums: Sums, now: datetime) -> None:
    values: dict[str, object] = {
        "state": PurchaseState.FINAL.value,
        "result": Result.DELIVERED.value,
        "reason": EARLIER_REQUEST,
        "value": older.value,
        "value_hash": older.value_hash,
        "task_id": older.task_id,
        "repeat_allowed": False,
        "check_at": None,
        "state_at": now,
        "final_at": now,
    }
    if row.state == PurchaseState.SUBMITTED.value and row.task_id is not None:
        values["task_id"] = row.task_id  # the result of its own task still decides the charge
    if row.state != PurchaseState.FINAL.value:
        ended = end_shares(sums, row, charged=True)
        values |= {"hold": ended.hold.value, "charged_credits": ended.cost_credits, **NO_PRIOR}
    connection.execute(sa.update(t.purchase).where(_P.id == row.id).values(**values))
