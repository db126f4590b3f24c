"""The outcomes of a run's records, and counts of them for reports."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Channel, Outcome, Result
from connector.core.person import Source
from connector.core.states import ChannelState, PurchaseState, RecordState, RunState
from connector.store import tables as t
from connector.store.database import Database

_P, _R, _RC = t.purchase.c, t.record.c, t.record_channel.c


@dataclass(frozen=True, slots=True)
class RunRecordOutcome:
    """The outcome of one record in one run, for reports and exports."""

    record_id: int
    mapping: str
    object: str
    crm_id: str
    outcome: Outcome
    reason: str
    attention: str


@dataclass(frozen=True, slots=True)
class EndedPurchases:
    """The number and cost of purchases of one provider and channel with the same result.

    Attributes:
        free: the vendor showed the value at no cost, or refused at no cost.
        credits: their total cost.
    """

    provider: str
    channel: Channel
    result: Result
    free: bool
    count: int
    credits: int


class RunOutcomes:
    """Stores the outcomes of a run, and counts records and purchases for reports."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def keep_outcomes(self, run_id: str) -> None:
        """Store the outcome of each record that this run selected."""
        source = sa.select(_R.run_id, _R.id, _R.outcome, _R.reason, _R.attention).where(
            _R.run_id == run_id, _R.outcome.is_not(None)
        )
        columns = ["run_id", "record_id", "outcome", "reason", "attention"]
        with self._db.write() as connection:
            connection.execute(
                self._db.insert(t.run_record).from_select(columns, source.where(sa.true())).on_conflict_do_nothing()
            )

    def open_channels(self, run_id: str) -> int:
        """The number of channels of this run's records that wait for a vendor."""
        query = sa.select(sa.func.count()).join(t.record, _R.id == _RC.record_id).select_from(t.record_channel)
        with self._db.read() as connection:
            return int(
                connection.scalar(
                    query.where(
                        _R.run_id == run_id,
                        _R.state == RecordState.OPEN,
                        _RC.state.in_((ChannelState.RESOLVING, ChannelState.OPEN)),
                    )
                )
                or 0
            )

    def open_records(self, run_id: str) -> int:
        """The number of this run's open records."""
        with self._db.read() as connection:
            query = sa.select(sa.func.count()).where(_R.run_id == run_id, _R.state == RecordState.OPEN)
            return int(connection.scalar(query) or 0)

    def selected(self, run_id: str) -> int:
        """The number of records that this run selected or adopted."""
        with self._db.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).where(_R.run_id == run_id)) or 0)

    def outcomes(self, run_id: str) -> list[RunRecordOutcome]:
        """List each record's outcome in a run, ordered by mapping and CRM id."""
        rr = t.run_record.c
        query = (
            sa.select(_R.id, _R.mapping, _R.object, _R.crm_id, rr.outcome, rr.reason, rr.attention)
            .join(t.run_record, rr.record_id == _R.id)
            .where(rr.run_id == run_id)
            .order_by(_R.mapping, _R.crm_id)
        )
        with self._db.read() as connection:
            return [
                RunRecordOutcome(r.id, r.mapping, r.object, r.crm_id, Outcome(r.outcome), r.reason, r.attention)
                for r in connection.execute(query)
            ]

    def unknown_at(self, run_id: str) -> dict[str, str]:
        """By CRM id, the provider whose answer about a record of this run was lost."""
        query = (
            sa.select(_R.crm_id, _P.provider)
            .join(t.record_channel, _RC.record_id == _R.id)
            .join(t.purchase, _P.id == _RC.purchase_id)
            .where(_R.run_id == run_id, _R.state == RecordState.OPEN, _RC.state == ChannelState.OPEN)
            .where(_P.state == PurchaseState.UNKNOWN.value)
        )
        with self._db.read() as connection:
            return {crm_id: provider for crm_id, provider in connection.execute(query)}  # noqa: C416 rows are not pairs

    def often_flagged(self, run_id: str, since: datetime, times: int) -> list[tuple[str, int]]:
        """(CRM id, count) of this run's records that were flagged more than `times` times since a time."""
        of_run = sa.select(_R.crm_id).where(_R.run_id == run_id)
        query = (
            sa.select(_R.crm_id, sa.func.count())
            .where(_R.crm_id.in_(of_run), _R.opened_at >= since)
            .group_by(_R.mapping, _R.crm_id)
            .having(sa.func.count() > times)
        )
        with self._db.read() as connection:
            return [(crm_id, count) for crm_id, count in connection.execute(query)]

    def success_rates(self) -> dict[tuple[str, Channel], float]:
        """The share of final purchases with a value, by provider and channel, over the whole history."""
        delivered = sa.func.sum(sa.case((_P.result == Result.DELIVERED.value, 1), else_=0))
        query = (
            sa.select(_P.provider, _P.channel, delivered, sa.func.count())
            .where(_P.state == PurchaseState.FINAL.value)
            .group_by(_P.provider, _P.channel)
        )
        with self._db.read() as connection:
            return {(p, Channel(c)): int(good) / int(total) for p, c, good, total in connection.execute(query)}

    def channel_outcomes(self, run_id: str) -> list[tuple[str, Channel, Outcome, str, int]]:
        """(mapping, channel, outcome, reason, number of records) of this run's records."""
        query = (
            sa.select(_R.mapping, _RC.channel, _RC.shown_outcome, _RC.shown_reason, sa.func.count())
            .join(t.record, _R.id == _RC.record_id)
            .where(_R.run_id == run_id, _RC.shown_outcome.is_not(None))
            .group_by(_R.mapping, _RC.channel, _RC.shown_outcome, _RC.shown_reason)
            .order_by(sa.func.count().desc(), _RC.shown_reason)
        )
        with self._db.read() as connection:
            return [(name, Channel(c), Outcome(o), reason, n) for name, c, o, reason, n in connection.execute(query)]

    def ended_purchases(self, since: datetime, mappings: Collection[str] | None = None) -> list[EndedPurchases]:
        """Count the purchases that became final since a time; those improved by free evidence count as free.

        Args:
            since: when the run began.
            mappings: only purchases of these mappings, if other runs are possible at the same time.
        """
        improved = _P.state_at < since
        free = sa.or_(_P.attempt_id.is_(None), _P.free, improved).label("free")
        cost = sa.func.sum(sa.case((improved, 0), else_=_P.charged_credits))
        mine = [] if mappings is None else [_P.mapping.in_(mappings)]
        query = (
            sa.select(_P.provider, _P.channel, _P.result, free, sa.func.count(), cost)
            .where(_P.state == PurchaseState.FINAL.value, _P.final_at >= since, *mine)
            .group_by(_P.provider, _P.channel, _P.result, free)
        )
        with self._db.read() as connection:
            return [
                EndedPurchases(provider, Channel(channel), Result(result), bool(is_free), int(count), int(credits_))
                for provider, channel, result, is_free, count, credits_ in connection.execute(query)
            ]

    def open_purchases(self, run_id: str) -> list[tuple[str, Channel, PurchaseState, int]]:
        """(provider, channel, state, people) of sent purchases without a result that records of this run wait for."""
        query = (
            sa.select(_P.provider, _P.channel, _P.state, sa.func.count(_P.id.distinct()))
            .join(t.record_channel, _RC.purchase_id == _P.id)
            .join(t.record, _R.id == _RC.record_id)
            .where(_R.run_id == run_id, _R.state == RecordState.OPEN, _RC.state == ChannelState.OPEN)
            .where(_P.state.not_in((PurchaseState.PLANNED.value, PurchaseState.FINAL.value)))
            .group_by(_P.provider, _P.channel, _P.state)
        )
        with self._db.read() as connection:
            return [(p, Channel(c), PurchaseState(state), n) for p, c, state, n in connection.execute(query)]

    def usual_selection(self, mapping: str, last: int) -> list[int]:
        """The numbers of a mapping's records in its latest syncs, for at most `last` runs.

        A sync that ended early without any record of the mapping does not count.
        """
        run, rr = t.run.c, t.run_record.c
        with_records = sa.select(rr.run_id).join(t.record, _R.id == rr.record_id).where(_R.mapping == mapping)
        newest = (
            sa.select(run.id)
            .where(run.command == "sync", sa.or_(run.state == RunState.FINISHED, run.id.in_(with_records)))
            .where(sa.cast(run.mappings, sa.Text).contains(f'"{mapping}"', autoescape=True))
            .order_by(run.started_at.desc(), run.id.desc())
            .limit(last)
        )
        counts = (
            sa.select(rr.run_id, sa.func.count())
            .join(t.record, _R.id == rr.record_id)
            .where(rr.run_id.in_(newest), _R.mapping == mapping)
            .group_by(rr.run_id)
        )
        with self._db.read() as connection:
            ids = list(connection.scalars(newest))
            found = {run_id: int(count) for run_id, count in connection.execute(counts)}
        return [found.get(run_id, 0) for run_id in ids]

    def latest_results(
        self, source: Source, channel: Channel, last: int, since: datetime | None = None
    ) -> tuple[int, int]:
        """Count the latest results of paid requests to a provider for a channel, and those of them with a value."""
        newer = [] if since is None else [_P.final_at >= since]
        latest = (
            sa.select(_P.result)
            .where(_P.provider == source.name, _P.account == source.account, _P.channel == channel.value)
            .where(_P.state == PurchaseState.FINAL.value, _P.attempt_id.is_not(None), *newer)
            .order_by(_P.final_at.desc(), _P.id.desc())
            .limit(last)
            .subquery()
        )
        delivered = sa.func.sum(sa.case((latest.c.result == Result.DELIVERED.value, 1), else_=0))
        with self._db.read() as connection:
            answers, with_value = connection.execute(sa.select(sa.func.count(), delivered).select_from(latest)).one()
        return int(answers), int(with_value or 0)
