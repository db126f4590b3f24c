"""The outcomes of a run's records, and counts of them for reports."""

import functools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.model import Channel, Outcome, Result
from connector.core.person import Source
from connector.core.preview import HitRate
from connector.core.states import ChangeState, ChannelState, PurchaseState, RecordState, RunState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.rows import AnyRow

_P, _R, _RC, _RR, _C = t.purchase.c, t.record.c, t.record_channel.c, t.run_record.c, t.change.c
PAGE = 2000
RATED_ANSWERS = 2000
SYNCS_READ = 200  # of these syncs, those without any record and with an early end do not count
_LOOK_AT = (Outcome.UNKNOWN.value, Outcome.PARKED.value)
_OUTCOMES = (
    sa.select(_R.id, _R.mapping, _R.object, _R.crm_id, _RR.outcome, _RR.reason, _RR.attention)
    .select_from(t.run_record)
    .join(t.record, _RR.record_id == _R.id)
)


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
        """Store the outcome of each record that this run selected, and their number by mapping."""
        source = sa.select(_R.run_id, _R.id, _R.outcome, _R.reason, _R.attention).where(
            _R.run_id == run_id, _R.outcome.is_not(None)
        )
        columns = ["run_id", "record_id", "outcome", "reason", "attention"]
        with self._db.write() as connection:
            connection.execute(
                self._db.insert(t.run_record).from_select(columns, source.where(sa.true())).on_conflict_do_nothing()
            )
            selected = _by_mapping(connection, run_id)
            connection.execute(sa.update(t.run).where(t.run.c.id == run_id).values(selected=selected))

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

    def outcomes(self, run_id: str) -> Iterator[RunRecordOutcome]:
        """Yield each record's outcome in a run, in the order in which the records entered the ledger."""
        after = 0
        while True:
            query = _OUTCOMES.where(_RR.run_id == run_id, _RR.record_id > after).order_by(_RR.record_id).limit(PAGE)
            with self._db.read() as connection:
                page = [_outcome_of(row) for row in connection.execute(query)]
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].record_id

    def counts(self, run_id: str) -> dict[Outcome, int]:
        """The number of records in a run by outcome."""
        query = sa.select(_RR.outcome, sa.func.count()).where(_RR.run_id == run_id).group_by(_RR.outcome)
        with self._db.read() as connection:
            return {Outcome(outcome): count for outcome, count in connection.execute(query)}

    def counts_by_mapping(self, run_id: str) -> dict[str, int]:
        """The number of records that this run selected or adopted, by mapping."""
        with self._db.read() as connection:
            return _by_mapping(connection, run_id)

    def needing_attention(self, run_id: str, most: int) -> tuple[list[RunRecordOutcome], int]:
        """The first records of a run that a person should look at, and the number of all of them."""
        needs = sa.and_(_RR.run_id == run_id, sa.or_(_RR.outcome.in_(_LOOK_AT), _RR.attention != ""))
        with self._db.read() as connection:
            rows = connection.execute(_OUTCOMES.where(needs).order_by(_RR.record_id).limit(most))
            first = [_outcome_of(row) for row in rows]
            total = int(connection.scalar(sa.select(sa.func.count()).where(needs)) or 0)
        return first, total

    def written(self, run_id: str) -> tuple[int, int]:
        """The number of records that the CRM has updated in a run, and of those with a field that it refused."""
        updated = sa.select(sa.func.count(_C.record_id.distinct())).where(
            _C.run_id == run_id, _C.state == ChangeState.WRITTEN
        )
        refused = sa.select(sa.func.count()).where(_R.run_id == run_id, _R.tried_by == run_id, _R.field_refused)
        with self._db.read() as connection:
            return int(connection.scalar(updated) or 0), int(connection.scalar(refused) or 0)

    def unknown_at(self, record_ids: Collection[int]) -> dict[int, str]:
        """By record, the provider whose answer was lost; for a few records."""
        query = (
            sa.select(_RC.record_id, _P.provider)
            .join(t.purchase, _P.id == _RC.purchase_id)
            .where(_RC.record_id.in_(record_ids), _RC.state == ChannelState.OPEN)
            .where(_P.state == PurchaseState.UNKNOWN.value)
        )
        with self._db.read() as connection:
            return {key: provider for key, provider in connection.execute(query)}  # noqa: C416 rows are not pairs

    def often_flagged(self, run_id: str, since: datetime, times: int, most: int = 200) -> list[tuple[str, int]]:
        """(CRM id, count) of at most `most` records of this run, flagged more than `times` times since a time."""
        of_run = sa.select(_R.crm_id).where(_R.run_id == run_id)
        query = (
            sa.select(_R.crm_id, sa.func.count())
            .where(_R.crm_id.in_(of_run), _R.opened_at >= since)
            .group_by(_R.mapping, _R.crm_id)
            .having(sa.func.count() > times)
            .limit(most)
        )
        with self._db.read() as connection:
            return [(crm_id, count) for crm_id, count in connection.execute(query)]

    def hit_rates(self, sources: Iterable[Source]) -> dict[tuple[str, Channel], HitRate]:
        """The latest paid answers by provider and channel; without those never answered."""
        found: dict[tuple[str, Channel], HitRate] = {}
        for source in sources:
            for channel in source.prices.by_channel:
                answers, with_value = self.latest_results(source, channel, RATED_ANSWERS)
                if answers:
                    found[source.name, channel] = HitRate(answers, with_value)
        return found

    def channel_outcomes(self, run_id: str) -> list[tuple[str, Channel, Outcome, int]]:
        """(mapping, channel, outcome, number of records) of this run's records."""
        query = (
            sa.select(_R.mapping, _RC.channel, _RC.shown_outcome, sa.func.count())
            .join(t.record, _R.id == _RC.record_id)
            .where(_R.run_id == run_id, _RC.shown_outcome.is_not(None))
            .group_by(_R.mapping, _RC.channel, _RC.shown_outcome)
        )
        with self._db.read() as connection:
            return [(name, Channel(c), Outcome(o), n) for name, c, o, n in connection.execute(query)]

    def channel_reasons(self, run_id: str, most: int) -> list[tuple[str, Channel, Outcome, str, int]]:
        """(mapping, channel, outcome, reason, number of records), the most frequent first.

        Args:
            run_id: the run.
            most: the most reasons of one mapping, channel and outcome.
        """
        group = (_R.mapping, _RC.channel, _RC.shown_outcome)
        count = sa.func.count()
        rank = sa.func.row_number().over(partition_by=group, order_by=(count.desc(), _RC.shown_reason))
        ranked = (
            sa.select(*group, _RC.shown_reason, count.label("records"), rank.label("rank"))
            .join(t.record, _R.id == _RC.record_id)
            .where(_R.run_id == run_id, _RC.shown_outcome.is_not(None), _RC.shown_reason != "")
            .group_by(*group, _RC.shown_reason)
            .subquery()
        )
        c = ranked.c
        query = sa.select(c.mapping, c.channel, c.shown_outcome, c.shown_reason, c.records).where(c.rank <= most)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(c.records.desc(), c.shown_reason))
            return [(name, Channel(ch), Outcome(o), reason, n) for name, ch, o, reason, n in rows]

    def ended_purchases(
        self, sources: Iterable[Source], since: datetime, mappings: Collection[str] | None = None
    ) -> list[EndedPurchases]:
        """Count the purchases that became final since a time; those improved by free evidence count as free.

        Args:
            sources: the providers.
            since: when the run began.
            mappings: only purchases of these mappings, if other runs are possible at the same time.
        """
        improved = _P.state_at < since
        free = sa.or_(_P.attempt_id.is_(None), _P.free, improved).label("free")
        cost = sa.func.sum(sa.case((improved, 0), else_=_P.charged_credits))
        mine = [] if mappings is None else [_P.mapping.in_(mappings)]
        channels = [channel.value for channel in Channel]
        query = (
            sa.select(_P.channel, _P.result, free, sa.func.count(), cost)
            .where(_P.channel.in_(channels), _P.state == PurchaseState.FINAL.value, _P.final_at >= since, *mine)
            .group_by(_P.channel, _P.result, free)
        )
        with self._db.read() as connection:
            return [
                EndedPurchases(source.name, Channel(channel), Result(result), bool(is_free), int(count), int(credits_))
                for source in sources
                for channel, result, is_free, count, credits_ in connection.execute(
                    query.where(_P.provider == source.name, _P.account == source.account)
                )
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

        A sync that ended early without any record of the mapping does not count, nor does one whose details were
        condensed.
        """
        run = t.run.c
        newest = (
            sa.select(run.state, run.selected)
            .where(run.command == "sync", run.condensed_at.is_(None))
            .where(sa.cast(run.mappings, sa.Text).contains(f'"{mapping}"', autoescape=True))
            .order_by(run.started_at.desc(), run.id.desc())
            .limit(SYNCS_READ)
        )
        with self._db.read() as connection:
            rows = connection.execute(newest).all()
        counts = [(row.state, int(row.selected.get(mapping, 0))) for row in rows]
        return [count for state, count in counts if count or state == RunState.FINISHED][:last]

    def latest_results(
        self, source: Source, channel: Channel, last: int, since: datetime | None = None
    ) -> tuple[int, int]:
        """Count the latest results of paid requests to a provider for a channel, and those of them with a value."""
        values: dict[str, object] = {
            "provider": source.name,
            "account": source.account,
            "channel": channel.value,
            "since": since,
            "last": last,
        }
        with self._db.read() as connection:
            answers, with_value = connection.execute(_latest_results(recent=since is not None), values).one()
        return int(answers), int(with_value or 0)


@functools.cache
def _latest_results(*, recent: bool) -> sa.Select[Any]:
    """The number of the latest answers, and of those with a value; it runs for every request, so it is built once."""
    # In the form of a search by time: otherwise purchases that are not final would be read before each answer.
    newer = _P.final_at >= sa.bindparam("since") if recent else _P.final_at.is_not(None)
    latest = (
        sa.select(_P.result)
        .where(_P.provider == sa.bindparam("provider"), _P.account == sa.bindparam("account"))
        .where(_P.channel == sa.bindparam("channel"), _P.state == PurchaseState.FINAL.value)
        .where(_P.attempt_id.is_not(None), newer)
        .order_by(_P.final_at.desc(), _P.id.desc())
        .limit(sa.bindparam("last", type_=sa.Integer))
        .subquery()
    )
    delivered = sa.func.sum(sa.case((latest.c.result == Result.DELIVERED.value, 1), else_=0))
    columns: list[sa.ColumnElement[Any]] = [sa.func.count(), delivered]
    return sa.select(*columns).select_from(latest)


def _by_mapping(connection: sa.Connection, run_id: str) -> dict[str, int]:
    query = sa.select(_R.mapping, sa.func.count()).where(_R.run_id == run_id).group_by(_R.mapping)
    return {mapping: count for mapping, count in connection.execute(query)}  # noqa: C416 rows are not pairs


def _outcome_of(row: AnyRow) -> RunRecordOutcome:
    return RunRecordOutcome(
        row.id, row.mapping, row.object, row.crm_id, Outcome(row.outcome), row.reason, row.attention
    )
