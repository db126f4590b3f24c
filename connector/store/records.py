"""Records during a run: adopted, ready to be written, finished."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.model import Outcome, Result
from connector.core.states import ChannelState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.batches import execute_many
from connector.store.database import Database
from connector.store.monitoring import records_closed
from connector.store.record_sql import (
    IS_DUE,
    IS_INCOMPLETE,
    MARK_READY,
    NOTE_RECORD,
    PARK_CHANNEL,
    UNUSED_VALUE,
    UPDATE_CHANNEL,
    UPDATE_RECORD,
    begun,
    in_plans,
    may_be_repeated,
    save_shown,
    unindexed,
)
from connector.store.record_views import Finish, PurchaseView, Unwritten
from connector.store.rows import (
    CHANNEL_COLUMNS,
    RecordChannelRow,
    RecordRow,
    chunks,
    record_channel_of,
    records_with_channels,
)
from connector.store.seal import Seal

_P, _R, _RC, _N = t.purchase.c, t.record.c, t.record_channel.c, t.unusable_value.c
_OPEN = (_R.run_id == sa.bindparam("of_run"), _R.state == RecordState.OPEN)
_UNTRIED = sa.func.coalesce(_R.tried_by, "") != sa.bindparam("of_run")
_READY = (
    sa.select(_R.id)
    .where(_R.run_id == sa.bindparam("of_run"), unindexed(_R.state) == RecordState.OPEN, IS_DUE, ~IS_INCOMPLETE)
    .order_by(_R.mapping, _R.id)
    .limit(sa.bindparam("most"))
)
_PAGE_OF_MAPPING = (
    sa.select(_R.id)
    .where(*_OPEN, _UNTRIED, _R.mapping == sa.bindparam("mapping"), _R.id > sa.bindparam("after"))
    .order_by(_R.id)
    .limit(sa.bindparam("most"))
)
_STILL_INCOMPLETE = _PAGE_OF_MAPPING.where(IS_INCOMPLETE)
_MARK_ALL_READY = (
    sa.update(t.record)
    .where(*_OPEN, _UNTRIED, sa.not_(_R.due), _R.bulk_job_id.is_(None), ~IS_INCOMPLETE)
    .values(due=True)
)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_STATES = {one.value: one for one in PurchaseState}
_RESULTS: dict[str | None, Result | None] = {None: None, "": None, **{one.value: one for one in Result}}
_VIEWS = sa.select(_P.id, _P.provider, _P.state, _P.result, _P.reason, _P.value).where(_P.id.in_(_IDS))


class Records:
    """Reads and updates the records of a run."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._db = database
        self._seal = seal

    def adopt(self, run_id: str, mappings: Sequence[str], now: datetime) -> int:
        """Assign to this run every open record with a sent purchase, a value to write, or a status of in progress.

        Returns:
            The number of records.
        """
        with self._db.write() as connection:
            moved = connection.execute(
                sa.update(t.record).where(_R.mapping.in_(mappings), begun()).values(run_id=run_id)
            )
            theirs = (
                sa.select(_RC.purchase_id)
                .join(t.record, _R.id == _RC.record_id)
                .where(_R.run_id == run_id, _R.state == RecordState.OPEN, may_be_repeated())
            )
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id.in_(theirs), _P.state == PurchaseState.PLANNED.value, _P.prior_attempt_id.is_not(None))
                .values(check_at=now)  # the person is read again before the repeat is sent
            )
        return moved.rowcount

    def waiting_for(self, run_id: str, purchase_id: int) -> list[RecordRow]:
        """List the open records of this run that wait for a purchase."""
        query = (
            sa.select(_R.id)
            .join(t.record_channel, _RC.record_id == _R.id)
            .where(
                _R.run_id == run_id,
                _R.state == RecordState.OPEN,
                _RC.purchase_id == purchase_id,
                _RC.state == ChannelState.OPEN,
            )
        )
        with self._db.read() as connection:
            return records_with_channels(connection, sorted(set(connection.scalars(query))))

    def drop_unselected(
        self, run_id: str, mappings: Sequence[str], now: datetime, keep_plans_since: datetime
    ) -> dict[str, int]:
        """Close open records that this run has neither adopted nor selected.

        Args:
            run_id: records of this run stay.
            mappings: the mappings of the records.
            now: the ledger's time.
            keep_plans_since: records of a plan that was applied at this time or later stay.

        Returns:
            The number of closed records, by plan.
        """
        mine = (
            _R.state == RecordState.OPEN,
            _R.mapping.in_(mappings),
            _R.run_id != run_id,
            ~in_plans(keep_plans_since),
        )
        released = sa.select(_R.plan_id, sa.func.count()).where(*mine, _R.plan_id.is_not(None)).group_by(_R.plan_id)
        with self._db.write() as connection:
            counts = {str(row[0]): int(row[1]) for row in connection.execute(released)}
            connection.execute(sa.update(t.record).where(*mine).values(state=RecordState.CLOSED, closed_at=now))
        return counts

    def pending_matches(
        self, run_id: str, waiting: Collection[tuple[str, str, int]], most: int
    ) -> list[tuple[RecordChannelRow, RecordRow]]:
        """List the channels of this run that need a lookup of the person, oldest first.

        Args:
            run_id: the run.
            waiting: only channels of these mappings, channels and positions of the source.
            most: the most channels.
        """
        if not waiting:
            return []
        places = [sa.and_(_R.mapping == m, _RC.channel == c, _RC.position == p) for m, c, p in sorted(waiting)]
        query = (
            sa.select(*CHANNEL_COLUMNS)
            .join(t.record, _R.id == _RC.record_id)
            .where(unindexed(_R.run_id) == run_id, _R.state == RecordState.OPEN)
            .where(_RC.state == ChannelState.RESOLVING, sa.or_(*places))
            .order_by(_RC.id)
            .limit(most)
        )
        with self._db.read() as connection:
            rows = connection.execute(query).all()
            records = {r.id: r for r in records_with_channels(connection, list({row.record_id for row in rows}))}
        return [(record_channel_of(row), records[row.record_id]) for row in rows]

    def defer_lookups(self, record_channel_ids: Sequence[int], reason: str) -> None:
        """Defer channels that wait for a lookup, because nothing can be bought for them now."""
        if not record_channel_ids:
            return
        with self._db.write() as connection:
            for part in chunks(record_channel_ids):
                connection.execute(
                    sa.update(t.record_channel)
                    .where(_RC.id.in_(part), _RC.state == ChannelState.RESOLVING)
                    .values(
                        state=ChannelState.DEFERRED, outcome=Outcome.DEFERRED.value, reason=reason, keep_status=True
                    )
                )

    def by_ids(self, record_ids: Sequence[int]) -> dict[int, RecordRow]:
        """Read records with their channels, by ledger id."""
        with self._db.read() as connection:
            return {row.id: row for row in records_with_channels(connection, sorted(set(record_ids)))}

    def mark_all_ready(self, run_id: str) -> None:
        """Mark every open record of this run as ready that has no unfinished channel and was not tried by this run.

        Records that an open job carries stay as they are.
        """
        with self._db.write() as connection:
            connection.execute(_MARK_ALL_READY, {"of_run": run_id})

    def fail_channel_of(self, purchase_id: int, reason: str) -> None:
        """End the open channels of a purchase as failed: it is paid, but the vendor does not show the value any more.

        The channels are detached from the purchase.
        """
        mine = (_RC.purchase_id == purchase_id, _RC.state == ChannelState.OPEN)
        with self._db.write() as connection:
            records = list(connection.scalars(sa.select(_RC.record_id).where(*mine)))
            connection.execute(
                sa.update(t.record_channel)
                .where(*mine)
                .values(state=ChannelState.READY, purchase_id=None, outcome=Outcome.FAILED.value, reason=reason)
            )
            for part in chunks(records):
                connection.execute(MARK_READY, {"ids": list(part)})

    def complete(self, run_id: str, limit: int, least: int = 1) -> list[RecordRow]:
        """List the records of this run that are ready to be written, ordered by mapping.

        Args:
            run_id: the run.
            limit: the most records.
            least: if fewer are ready, none are listed.
        """
        return self._rows(_READY, {"of_run": run_id, "most": limit}, least)

    def due_of(self, run_id: str, mapping: str, crm_ids: Sequence[str]) -> list[RecordRow]:
        """List those of these CRM records that are ready to be written in this run."""
        mine = (_R.mapping == mapping, _R.state == RecordState.OPEN, unindexed(_R.run_id) == run_id, _R.due.is_(True))
        with self._db.read() as connection:
            ids = [
                found
                for part in chunks(crm_ids)
                for found in connection.scalars(sa.select(_R.id).where(*mine, _R.crm_id.in_(part)))
            ]
            return records_with_channels(connection, ids)

    def incomplete(self, run_id: str, mapping: str, limit: int, after: int = 0) -> list[RecordRow]:
        """List the open records of this run that still wait for a vendor, a lookup or a later run.

        Args:
            run_id: the run, which has not tried to write them.
            mapping: their mapping.
            limit: the most records.
            after: only records with a larger ledger id.
        """
        return self._rows(_STILL_INCOMPLETE, {"of_run": run_id, "mapping": mapping, "most": limit, "after": after})

    def untried(self, run_id: str, mapping: str, limit: int, after: int = 0) -> list[RecordRow]:
        """List the open records that this run has not tried to write; the arguments are those of `incomplete`."""
        return self._rows(_PAGE_OF_MAPPING, {"of_run": run_id, "mapping": mapping, "most": limit, "after": after})

    def _rows(self, query: sa.Select[int], values: Mapping[str, object], least: int = 1) -> list[RecordRow]:
        with self._db.read() as connection:
            ids = list(connection.scalars(query, values))
            return records_with_channels(connection, ids) if len(ids) >= least else []

    def purchase_views(self, purchase_ids: Iterable[int]) -> dict[int, PurchaseView]:
        """Read purchases with their values, by id."""
        views: dict[int, PurchaseView] = {}
        with self._db.read() as connection:
            for part in chunks(sorted(set(purchase_ids))):
                rows = connection.execute(_VIEWS, {"ids": list(part)}).all()
                for key, provider, state, result, reason, sealed in rows:
                    value = None if sealed is None else str(self._seal.open(sealed)["value"])
                    views[key] = PurchaseView(provider, _STATES[state], _RESULTS[result], reason, value)
        return views

    def finish(self, run_id: str, finishes: Sequence[Finish], now: datetime) -> None:
        """Store the results of a run's writes, and erase values that no record waits for any more."""
        if not finishes:
            return
        records = [
            {
                "key": f.record_id,
                "new_state": RecordState.CLOSED if f.closes else RecordState.OPEN,
                "new_outcome": f.outcome.value,
                "new_reason": f.reason,
                "new_progress": f.in_progress,
                "new_stamps": f.stamps_due,
                "new_parked": f.parked_version,
                "new_attention": f.attention,
                "new_closed": now if f.closes else None,
                "new_ready": f.again,
                "new_tried": None if f.again else run_id,
                "new_refused": f.refused,
            }
            for f in finishes
        ]
        channels = [
            {"key": record_channel_id, "new_outcome": outcome.value, "new_reason": reason}
            for f in finishes
            for record_channel_id, (outcome, reason) in f.channels.items()
        ]
        parked = [{"key": key, "new_reason": reason} for f in finishes for key, reason in (f.parked or {}).items()]
        with self._db.write() as connection:
            execute_many(connection, UPDATE_RECORD, records)
            for part in chunks([f.record_id for f in finishes if f.parked is not None]):
                connection.execute(
                    sa.update(t.record_channel).where(_RC.record_id.in_(part), _RC.parked).values(parked=False)
                )
            execute_many(connection, PARK_CHANNEL, parked)
            execute_many(connection, UPDATE_CHANNEL, channels)
            save_shown(connection, [f.shown for f in finishes])
            records_closed(self._db, connection, [f.record_id for f in finishes if f.closes], now)
            self._erase_values(connection, [record_channel["key"] for record_channel in channels])

    def _erase_values(self, connection: sa.Connection, record_channel_ids: Sequence[object]) -> None:
        for part in chunks(record_channel_ids):
            theirs = sa.select(_RC.purchase_id).where(_RC.id.in_(part), _RC.purchase_id.is_not(None))
            connection.execute(sa.update(t.purchase).where(_P.id.in_(theirs), UNUSED_VALUE).values(value=None))

    def erase_unused(self) -> int:
        """Erase values that arrived after all their records were closed; returns the number of values."""
        with self._db.write() as connection:
            erased = connection.execute(sa.update(t.purchase).where(UNUSED_VALUE).values(value=None))
        return erased.rowcount

    def move(self, record_id: int, mapping: str, object_name: str, crm_id: str) -> bool:
        """Move a converted or merged record to its new id; False if the ledger has an open record there already."""
        with self._db.write() as connection:
            other = sa.select(_R.id).where(_R.mapping == mapping, _R.crm_id == crm_id, _R.state == RecordState.OPEN)
            if connection.scalar(other) is not None:
                return False
            connection.execute(
                sa.update(t.record)
                .where(_R.id == record_id)
                .values(
                    mapping=mapping,
                    object=object_name,
                    crm_id=crm_id,
                    former_ids=_R.former_ids + " " + _R.crm_id,
                    parked_version=None,
                    # The new record was neither selected nor chosen, and belongs to no plan.
                    selected_by=None,
                    chosen=False,
                    plan_id=None,
                )
            )
        return True

    def note(self, run_id: str, unwritten: Sequence[Unwritten]) -> None:
        """Store the outcomes of records that stay open without a write in this run."""
        if not unwritten:
            return
        rows = [
            {
                "key": one.record_id,
                "new_outcome": one.outcome.value,
                "new_reason": one.reason,
                "new_tried": run_id,
            }
            for one in unwritten
        ]
        with self._db.write() as connection:
            execute_many(connection, NOTE_RECORD, rows)
            save_shown(connection, [one.shown for one in unwritten])

    def reopen_delivered(self, object_name: str, crm_ids: Sequence[str]) -> None:
        """Reopen the delivered channels of open records before an undo, so that a later run compares them again."""
        with self._db.write() as connection:
            for part in chunks(crm_ids):
                ids = sa.select(_R.id).where(
                    _R.object == object_name, _R.crm_id.in_(part), _R.state == RecordState.OPEN
                )
                delivered = sa.and_(_RC.state == ChannelState.DONE, _RC.outcome == Outcome.DELIVERED.value)
                connection.execute(
                    sa.update(t.record_channel)
                    .where(_RC.record_id.in_(ids), delivered, _RC.purchase_id.is_not(None))
                    .values(state=ChannelState.OPEN, outcome=None, reason="")
                )

    def refuse_values(self, refused: Mapping[int, str]) -> None:
        """Mark values as unusable for their records, because the CRM can never accept them; the next source is due.

        Args:
            refused: the reason by id of the channel.
        """
        with self._db.write() as connection:
            for part in chunks(sorted(refused)):
                rows = connection.execute(
                    sa.select(_RC.id, _RC.purchase_id, _R.mapping, _R.crm_id)
                    .join(t.record, _R.id == _RC.record_id)
                    .where(_RC.id.in_(part), _RC.purchase_id.is_not(None), _R.state == RecordState.OPEN)
                ).all()
                values = [
                    {"mapping": r.mapping, "crm_id": r.crm_id, "purchase_id": r.purchase_id, "reason": refused[r.id]}
                    for r in rows
                ]
                if values:
                    connection.execute(self._db.insert(t.unusable_value).on_conflict_do_nothing(), values)
                connection.execute(
                    sa.update(t.record)
                    .where(_R.id.in_(sa.select(_RC.record_id).where(_RC.id.in_(part))))
                    .values(due=False)
                )
                reopened = sa.update(t.record_channel).where(_RC.id.in_(part), _RC.purchase_id.is_not(None))
                connection.execute(reopened.values(state=ChannelState.OPEN, outcome=None, reason="", parked=False))
