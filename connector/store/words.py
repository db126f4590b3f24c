"""Each run's word on its records, and what can be counted from them; nothing here changes a record."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Channel, Outcome, Result, UnlockState
from connector.store import tables as t
from connector.store.database import Database

_U, _R, _W = t.unlock.c, t.record.c, t.want.c


@dataclass(frozen=True, slots=True)
class RunWord:
    """One run's word on one record, for reports and exports."""

    record_id: int
    mapping: str
    object: str
    crm_id: str
    outcome: Outcome
    reason: str
    attention: str


class Words:
    """The ledger's side of reports about records."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def snapshot(self, run_id: str) -> None:
        """Keep this run's word on each record it selected."""
        source = sa.select(_R.run_id, _R.id, _R.outcome, _R.reason, _R.attention).where(
            _R.run_id == run_id, _R.outcome.is_not(None)
        )
        columns = ["run_id", "record_id", "outcome", "reason", "attention"]
        with self._db.write() as connection:
            connection.execute(
                self._db.insert(t.run_record).from_select(columns, source.where(sa.true())).on_conflict_do_nothing()
            )

    def open_wants(self, run_id: str) -> int:
        """How many channels of this run's records wait for a vendor."""
        query = sa.select(sa.func.count()).join(t.record, _R.id == _W.record_id).select_from(t.want)
        with self._db.read() as connection:
            return int(
                connection.scalar(
                    query.where(_R.run_id == run_id, _R.state == "open", _W.state.in_(("lookup", "open")))
                )
                or 0
            )

    def open_records(self, run_id: str) -> int:
        """How many of this run's records are not finished."""
        with self._db.read() as connection:
            query = sa.select(sa.func.count()).where(_R.run_id == run_id, _R.state == "open")
            return int(connection.scalar(query) or 0)

    def selected(self, run_id: str) -> int:
        """How many records this run has taken up."""
        with self._db.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).where(_R.run_id == run_id)) or 0)

    def words(self, run_id: str) -> list[RunWord]:
        """Each record's outcome in that run, by mapping and CRM id."""
        w = t.run_record.c
        query = (
            sa.select(_R.id, _R.mapping, _R.object, _R.crm_id, w.outcome, w.reason, w.attention)
            .join(t.run_record, w.record_id == _R.id)
            .where(w.run_id == run_id)
            .order_by(_R.mapping, _R.crm_id)
        )
        with self._db.read() as connection:
            return [
                RunWord(r.id, r.mapping, r.object, r.crm_id, Outcome(r.outcome), r.reason, r.attention)
                for r in connection.execute(query)
            ]

    def unknown_at(self, run_id: str) -> dict[str, str]:
        """By CRM id, the provider whose answer for a record of this run was lost."""
        query = (
            sa.select(_R.crm_id, _U.provider)
            .join(t.want, _W.record_id == _R.id)
            .join(t.unlock, _U.id == _W.unlock_id)
            .where(_R.run_id == run_id, _R.state == "open", _W.state == "open")
            .where(_U.state == UnlockState.UNKNOWN.value)
        )
        with self._db.read() as connection:
            return {crm_id: provider for crm_id, provider in connection.execute(query)}  # noqa: C416 rows are not pairs

    def often_flagged(self, crm_ids_of_run: str, since: datetime, times: int) -> list[tuple[str, int]]:
        """(CRM id, times) of this run's records that were taken up again and again since a time."""
        mine = sa.select(_R.crm_id).where(_R.run_id == crm_ids_of_run)
        query = (
            sa.select(_R.crm_id, sa.func.count())
            .where(_R.crm_id.in_(mine), _R.opened_at >= since)
            .group_by(_R.mapping, _R.crm_id)
            .having(sa.func.count() > times)
        )
        with self._db.read() as connection:
            return [(crm_id, count) for crm_id, count in connection.execute(query)]

    def success_rates(self) -> dict[tuple[str, Channel], float]:
        """Share of final unlocks that delivered, by provider and channel, over the ledger's whole history."""
        delivered = sa.func.sum(sa.case((_U.result == Result.DELIVERED.value, 1), else_=0))
        query = (
            sa.select(_U.provider, _U.channel, delivered, sa.func.count())
            .where(_U.state == UnlockState.FINAL.value)
            .group_by(_U.provider, _U.channel)
        )
        with self._db.read() as connection:
            return {(p, Channel(c)): int(good) / int(total) for p, c, good, total in connection.execute(query)}

    def channel_counts(self, since: datetime) -> list[tuple[Channel, Result, int]]:
        """Unlocks that became final since a time, by channel and result."""
        query = (
            sa.select(_U.channel, _U.result, sa.func.count())
            .where(_U.state == UnlockState.FINAL.value, _U.final_at >= since)
            .group_by(_U.channel, _U.result)
        )
        with self._db.read() as connection:
            return [(Channel(c), Result(r), n) for c, r, n in connection.execute(query)]
