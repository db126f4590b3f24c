"""SQL conditions and statements about records that several modules share."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Outcome
from connector.core.states import BOUGHT, UNFINISHED_CHANNEL, ChannelState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.batches import execute_many
from connector.store.older_values import KEY

_P, _R, _RC, _N = t.purchase.c, t.record.c, t.record_channel.c, t.unusable_value.c
# As in the condition of its index: no other form would use the index.
IS_DUE: sa.ColumnElement[bool] = sa.literal_column("record.due")
IS_INCOMPLETE = sa.exists(sa.select(_RC.record_id).where(_RC.record_id == _R.id, _RC.state.in_(UNFINISHED_CHANNEL)))
MARK_READY = (
    sa.update(t.record)
    .where(_R.id.in_(sa.bindparam("ids", expanding=True)), _R.state == RecordState.OPEN, ~IS_INCOMPLETE)
    .values(due=True)
)
UNUSABLE = sa.and_(_N.mapping == _R.mapping, _N.crm_id == _R.crm_id, _N.purchase_id == _RC.purchase_id)


def unindexed(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A column in a condition that the database must not search by, because other conditions are far narrower.

    SQLite keeps no statistics: it would read all open records of a run to find those of a hundred purchases.
    """
    return sa.func.coalesce(column, "")


def save_shown(connection: sa.Connection, shown: Sequence[Mapping[int, tuple[Outcome, str]]]) -> None:
    """Store the outcome and reason that this run shows for each channel, by id of the channel."""
    rows = [
        {"key": record_channel_id, "new_outcome": outcome.value, "new_reason": reason}
        for one in shown
        for record_channel_id, (outcome, reason) in one.items()
    ]
    if rows:
        execute_many(connection, SHOW_CHANNEL, rows)


_CHANNELS_AND_PURCHASES = t.record_channel.outerjoin(t.purchase, _P.id == _RC.purchase_id)


def _has_channel(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The condition that a record has a channel, with its purchase, that satisfies all conditions."""
    channels = sa.select(_RC.id).select_from(_CHANNELS_AND_PURCHASES).where(_RC.record_id == _R.id, *conditions)
    return sa.exists(channels.correlate(t.record))


def begun() -> sa.ColumnElement[bool]:
    """The condition that a record is open and has a sent purchase, a value to write, or a status of in progress."""
    has_value = sa.and_(_RC.state == ChannelState.READY, _RC.purchase_id.is_not(None))
    begun_channel = _has_channel(sa.or_(_P.state.in_(BOUGHT), has_value))
    in_a_job = _R.bulk_job_id.is_not(None)
    return sa.and_(_R.state == RecordState.OPEN, sa.or_(_R.in_progress, in_a_job, begun_channel, may_be_repeated()))


def may_be_repeated() -> sa.ColumnElement[bool]:
    """The condition that a record was chosen without a flag and its lost request may be repeated.

    No selection would find such a record again.
    """
    return sa.and_(
        _R.chosen,
        _has_channel(
            _RC.state == ChannelState.OPEN, _P.state == PurchaseState.PLANNED.value, _P.prior_attempt_id.is_not(None)
        ),
    )


def plan_of(run_id: sa.ColumnElement[str]) -> sa.ScalarSelect[str]:
    """A subquery for the frozen plan that a run applies; NULL for other runs."""
    mine = (t.run.c.id == run_id, t.run.c.command == "apply")
    return sa.select(t.run.c.plan_id).where(*mine).scalar_subquery()


def in_plans(since: datetime) -> sa.ColumnElement[bool]:
    """The condition that a record belongs to a plan that was applied at this time or later."""
    applied = sa.select(t.run.c.plan_id).where(t.run.c.command == "apply", t.run.c.started_at >= since)
    return sa.and_(_R.plan_id.is_not(None), _R.plan_id.in_(applied.where(t.run.c.plan_id.is_not(None))))


def with_purchase() -> sa.ColumnElement[bool]:
    """The condition that a record has a sent purchase, in any state."""
    return _has_channel(_P.state.in_(BOUGHT))


# A channel of a closed record waits for nothing, because it was closed with the record.
_STILL_WAITS = (_RC.state != ChannelState.DONE, _R.state == RecordState.OPEN)


def _unused_value() -> sa.ColumnElement[bool]:
    """The condition that no record waits for a value: neither for its own purchase, nor for an open newer generation.

    The newer generation may end without a value, and then gets this one.
    """
    newer = t.purchase.alias()
    records = t.record_channel.join(t.record, _R.id == _RC.record_id)
    own = sa.select(sa.literal(1)).select_from(records).where(_RC.purchase_id == _P.id, *_STILL_WAITS)
    repeat = (
        sa.select(sa.literal(1))
        .select_from(newer.join(records, _RC.purchase_id == newer.c.id))
        .where(
            *(newer.c[name] == _P[name] for name in KEY),
            newer.c.generation > _P.generation,
            newer.c.state != PurchaseState.FINAL.value,
            *_STILL_WAITS,
        )
    )
    return sa.and_(
        _P.value.is_not(None), ~sa.exists(own.correlate(t.purchase)), ~sa.exists(repeat.correlate(t.purchase))
    )


UNUSED_VALUE = _unused_value()

UPDATE_RECORD = (
    sa.update(t.record)
    .where(_R.id == sa.bindparam("key"))
    .values(
        state=sa.bindparam("new_state"),
        outcome=sa.bindparam("new_outcome"),
        reason=sa.bindparam("new_reason"),
        in_progress=sa.bindparam("new_progress"),
        stamps_due=sa.bindparam("new_stamps"),
        parked_version=sa.bindparam("new_parked"),
        attention=sa.bindparam("new_attention"),
        closed_at=sa.bindparam("new_closed"),
        due=sa.bindparam("new_ready"),
        tried_by=sa.bindparam("new_tried"),
        field_refused=sa.bindparam("new_refused"),
        bulk_job_id=None,
    )
)
NOTE_RECORD = (
    sa.update(t.record)
    .where(_R.id == sa.bindparam("key"), _R.state == RecordState.OPEN)
    .values(
        outcome=sa.bindparam("new_outcome"),
        reason=sa.bindparam("new_reason"),
        attention="",
        field_refused=False,
        tried_by=sa.bindparam("new_tried"),
    )
)
SHOW_CHANNEL = (
    sa.update(t.record_channel)
    .where(_RC.id == sa.bindparam("key"))
    .values(shown_outcome=sa.bindparam("new_outcome"), shown_reason=sa.bindparam("new_reason"))
)
PARK_CHANNEL = (
    sa.update(t.record_channel)
    .where(_RC.id == sa.bindparam("key"))
    .values(parked=True, reason=sa.bindparam("new_reason"))
)
UPDATE_CHANNEL = (
    sa.update(t.record_channel)
    .where(_RC.id == sa.bindparam("key"))
    .values(state=ChannelState.DONE, outcome=sa.bindparam("new_outcome"), reason=sa.bindparam("new_reason"))
)
