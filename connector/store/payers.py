"""The mappings whose budget may pay for a purchase: all mappings of the run with records that wait for it.

Records of several mappings may represent one person. The mapping that planned the purchase, or attached to it last,
pays only if no record waits, as for an event that a command buys.
"""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from connector.core.states import ChannelState, RecordState, RunState
from connector.store import tables as t
from connector.store.record_sql import unindexed

_P, _R, _RC = t.purchase.c, t.record.c, t.record_channel.c


def _waits(run_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions that a channel belongs to an open record of the run and has no result."""
    return (_RC.state == ChannelState.OPEN, _R.state == RecordState.OPEN, unindexed(_R.run_id) == run_id)


def _waiting(run_id: str, *which: sa.ColumnElement[bool]) -> sa.Select[int]:
    """A subquery for the records of the run that wait for the purchase of the outer query."""
    return (
        sa.select(sa.literal(1))
        .select_from(t.record_channel.join(t.record, _R.id == _RC.record_id))
        .where(_RC.purchase_id == _P.id, *_waits(run_id), *which)
        .correlate(t.purchase)
    )


_MAPPINGS = (
    sa.select(_RC.purchase_id, _R.mapping)
    .join(t.record, _R.id == _RC.record_id)
    .where(
        _RC.purchase_id.in_(sa.bindparam("ids", expanding=True)),
        _RC.state == ChannelState.OPEN,
        _R.state == RecordState.OPEN,
        unindexed(_R.run_id) == sa.bindparam("run_id"),
    )
    .distinct()
)


def may_be_paid(run_id: str, capped: Collection[str]) -> sa.ColumnElement[bool]:
    """The condition that a mapping other than the capped ones can pay for a planned purchase."""
    without_record = sa.and_(_P.mapping.not_in(capped), ~sa.exists(_waiting(run_id)))
    return sa.or_(sa.exists(_waiting(run_id, _R.mapping.not_in(capped))), without_record)


def mappings_of(connection: sa.Connection, run_id: str, purchase_ids: Sequence[int]) -> dict[int, set[str]]:
    """By purchase, the mappings of the run whose records wait for it; for at most one batch of purchases."""
    found: dict[int, set[str]] = {}
    for purchase_id, mapping in connection.execute(_MAPPINGS, {"run_id": run_id, "ids": list(purchase_ids)}).all():
        found.setdefault(purchase_id, set()).add(mapping)
    return found


def waiting_mappings(
    connection: sa.Connection, run_id: str, planned: Sequence[sa.ColumnElement[bool]], values: Mapping[str, object]
) -> set[str]:
    """Every mapping that could pay for one of these purchases if its caps allowed it.

    Args:
        connection: in a transaction.
        run_id: the run that would buy.
        planned: the conditions that select the purchases.
        values: the parameters of `planned`.
    """
    joined = t.purchase.join(t.record_channel, _RC.purchase_id == _P.id).join(t.record, _R.id == _RC.record_id)
    with_record = sa.select(_R.mapping).select_from(joined).where(*planned, *_waits(run_id)).distinct()
    without_record = sa.select(_P.mapping).where(*planned, ~sa.exists(_waiting(run_id))).distinct()
    return {*connection.scalars(with_record, values), *connection.scalars(without_record, values)}


def leave_to_others(
    connection: sa.Connection, run_id: str, planned: Sequence[sa.ColumnElement[bool]], values: Mapping[str, object]
) -> None:
    """Assign to another current run the purchases that it also waits for."""
    other = (
        sa.select(sa.func.min(_R.run_id))
        .select_from(t.record_channel.join(t.record, _R.id == _RC.record_id).join(t.run, t.run.c.id == _R.run_id))
        .where(
            _RC.purchase_id == _P.id, _RC.state == ChannelState.OPEN, _R.state == RecordState.OPEN, _R.run_id != run_id
        )
        .where(t.run.c.state == RunState.RUNNING)
        .correlate(t.purchase)
        .scalar_subquery()
    )
    connection.execute(sa.update(t.purchase).where(*planned, other.is_not(None)).values(run_id=other), values)
