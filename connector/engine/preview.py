"""A dry run: it reads, decides and counts, without any effect, not even in the ledger."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.core.crm_calls import calls_for, records_for
from connector.core.errors import DownError, NotThereError, RefusedError
from connector.core.frozen import FrozenRecord
from connector.core.mapping import MappingFile
from connector.core.model import Channel, PurchaseKey
from connector.core.person import Source
from connector.core.plan import (
    AttachToPending,
    Buy,
    Decision,
    Defer,
    ResolveIdentity,
    Reuse,
    Skip,
    SourcesExhausted,
    may_cost,
)
from connector.core.preview import CallForecast, CapInForce, CreditForecast, Preview
from connector.core.spend import Cap
from connector.crm.interface import Selection
from connector.engine.context import Run
from connector.engine.guards import (
    ANSWERS,
    MANY_TIMES,
    SameReason,
    call_sizes,
    has_no_values,
    is_unusual,
    usual_number,
)
from connector.engine.prices import why_too_dear
from connector.engine.select import flagged, plan_pages, within
from connector.store.credits import BALANCE, CapRules
from connector.store.planned import PlannedRecord
from connector.store.spool import Spool


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of people whose purchases may share a request."""

    mapping: str
    channel: Channel
    grouping_key: str | None = None
    after_lookup: bool = False


class _Count:
    """Counts decisions; a person with several records counts once."""

    def __init__(self, run: Run, spool: Spool) -> None:
        self._run = run
        self._spool = spool
        self.selected = 0
        self.joins = 0
        self.buys: dict[str, Counter[str]] = {}
        self.next_sources: Counter[str] = Counter()
        self.worst: Counter[str] = Counter()
        self.expected: Counter[str] = Counter()
        self.writes: Counter[tuple[str, str, str, str]] = Counter()
        self.skips: dict[str, Counter[str]] = {}
        self.people: Counter[tuple[str, _Group]] = Counter()  # by provider
        self.selected_of: Counter[str] = Counter()
        self.rates = run.services.ledger.run_outcomes.hit_rates(run.services.sources.values())

    def add(self, mapping: MappingFile, records: list[PlannedRecord]) -> None:
        """Count a page."""
        self.selected += len(records)
        self.selected_of[mapping.name] += len(records)
        self._spool.add(mapping.name, map(_freeze, records))
        for record in records:
            for record_channel in record.channels:
                self._decision(mapping, record, record_channel.channel, record_channel.decision)

    def _decision(self, mapping: MappingFile, record: PlannedRecord, channel: Channel, decision: Decision) -> None:
        match decision:
            case Skip() | Defer() | SourcesExhausted():
                self.skips.setdefault(channel.value, Counter())[decision.reason] += 1
            case Buy():
                self._write(mapping, channel)
                self._once(mapping, record, channel, decision.key, decision.position, decision.grouping_key)
            case AttachToPending() if may_cost(decision):  # planned by an earlier run, and bought by this one
                self._write(mapping, channel)
                source = self._run.services.sources[decision.purchase.key.provider]
                key = source.grouping_key(record.person)
                self._once(mapping, record, channel, decision.purchase.key, decision.position, key)
            case AttachToPending() | Reuse():
                self.joins += 1
                self._write(mapping, channel)
            case ResolveIdentity():
                self._write(mapping, channel)
                if self._spool.is_new("lookup", decision.source, channel, *decision.identifier):
                    group = _Group(mapping.name, channel, after_lookup=True)
                    self._purchase(mapping, record, group, decision.source, decision.position)
                else:
                    self.joins += 1

    def _once(
        self,
        mapping: MappingFile,
        record: PlannedRecord,
        channel: Channel,
        key: PurchaseKey,
        position: int,
        grouping_key: str | None,
    ) -> None:
        if not self._spool.is_new(key.provider, key.account, key.channel, *key.person):
            self.joins += 1
            return
        self._purchase(mapping, record, _Group(mapping.name, channel, grouping_key), key.provider, position)

    def _purchase(self, mapping: MappingFile, record: PlannedRecord, group: "_Group", name: str, position: int) -> None:
        channel = group.channel
        rules = mapping.channels.get(channel)
        if rules is None:
            return
        sources = self._run.services.sources
        self.buys.setdefault(name, Counter())[f"{channel}{' after lookup' if group.after_lookup else ''}"] += 1
        self.people[name, group] += 1
        price = sources[name].prices.of(channel)
        self.worst[name] += price
        chance = 1.0
        self.expected[name] += price
        for earlier, later in zip(rules.sources[position:], rules.sources[position + 1 :], strict=False):
            if not sources[later].can_know(record.person):
                break
            chance *= 1 - (self.rates[earlier, channel].share if (earlier, channel) in self.rates else 0.0)
            self.next_sources[later] += 1
            self.worst[later] += sources[later].prices.of(channel)
            self.expected[later] += round(sources[later].prices.of(channel) * chance)

    def _write(self, mapping: MappingFile, channel: Channel) -> None:
        rules = mapping.channels.get(channel)
        if rules is not None:
            self.writes[mapping.object, rules.field, " then ".join(rules.sources), rules.write.value] += 1


def _freeze(record: PlannedRecord) -> FrozenRecord:
    buy = {
        record_channel.channel: record_channel.decision.position
        for record_channel in record.channels
        if isinstance(record_channel.decision, Buy | ResolveIdentity | AttachToPending)
        and may_cost(record_channel.decision)
    }
    return FrozenRecord(id=record.crm_id, version=record.version, buy=buy)


def preview(run: Run, selections: Mapping[str, Selection], spool: Spool) -> Preview:
    """Forecast a run.

    Args:
        run: a run with the mappings; it is not stored.
        selections: by mapping name; a mapping without a selection takes its flagged records.
        spool: receives the records of a frozen plan.
    """
    count, guards = _Count(run, spool), {name: SameReason() for name in run.mappings}
    for name, mapping in run.mappings.items():
        selection = within(selections.get(name) or flagged(mapping), count.selected)
        for page in plan_pages(run, mapping, selection):
            count.add(mapping, page)
            guards[name].add(page)
            run.services.progress.step(len(page))
    names = [name for name in run.services.providers if name in count.worst or name in count.buys]
    return Preview(
        mappings=tuple(run.mappings),
        selected=count.selected,
        credits={name: _forecast(run, name, count) for name in names},
        would_buy={name: dict(found) for name, found in count.buys.items()},
        would_write=tuple((*key, number) for key, number in sorted(count.writes.items())),
        skips={channel: dict(reasons.most_common()) for channel, reasons in count.skips.items()},
        joins=count.joins,
        fallbacks=dict(count.next_sources),
        notes=tuple(_notes(run, selections, count, guards)),
        crm_calls={run.services.crm.name: _crm_calls(run, count.selected)},
    )


def _crm_calls(run: Run, records: int) -> CallForecast:
    return CallForecast(calls_for(records, call_sizes(run)), run.services.crm.usage().daily_left)


def _notes(
    run: Run, selections: Mapping[str, Selection], count: _Count, guards: Mapping[str, SameReason]
) -> Iterator[str]:
    """Describe the guards that would stop a run of these records."""
    for reason in run.closed.values():
        yield f"{reason}; a run buys nothing there"
    calls = _crm_calls(run, count.selected)
    if calls.left_today is not None and calls.most_calls > calls.left_today:
        most = records_for(calls.left_today, call_sizes(run))
        yield f"{run.services.crm.label} allows {calls.left_today:,} more requests today: a run takes {most:,} records"
    for name, guard in guards.items():
        if guard.reason():
            yield (
                f"mapping {name}: the first {guard.seen} records would all be skipped for one reason "
                f"({guard.reason()}); a run stops there and clears no flag"
            )
        yield from _without_value(run, name, count)
        yield from _too_dear(run, name, count)
        usual = usual_number(run, name)
        if name in selections or usual is None:
            continue
        if is_unusual(count.selected_of[name], usual):
            yield (
                f"mapping {name}: {count.selected_of[name]:,} records are flagged, the usual number is {usual:,}; a "
                f"sync takes {MANY_TIMES * usual:,} of them and leaves the others flagged, unless it has --all"
            )


def _without_value(run: Run, mapping: str, count: _Count) -> Iterator[str]:
    """Describe channels that a run stops buying, because the latest answers contained no value."""
    planned = {(provider, group.channel) for provider, group in count.people if group.mapping == mapping}
    for name, channel in sorted(planned):
        if has_no_values(run, run.services.providers[name], channel):
            yield (
                f"mapping {mapping}: the last {ANSWERS} answers of {name} for {channel.replace('_', ' ')} contained no "
                "value; a run buys no more of it, unless it has --all"
            )


def _too_dear(run: Run, mapping: str, count: _Count) -> Iterator[str]:
    """Describe channels that a run stops buying, because the vendor seems to have raised the price."""
    for name, channel in sorted({(name, group.channel) for name, group in count.people if group.mapping == mapping}):
        reason = why_too_dear(run, run.services.providers[name], channel)
        if reason:
            yield f"mapping {mapping}: {reason}; a run buys no more of it, unless it has --all"


def _forecast(run: Run, name: str, count: _Count) -> CreditForecast:
    provider = run.services.providers[name]
    source = provider.source
    try:
        with run.exclusive(provider):
            balance: int | None = provider.balance()
    except (DownError, RefusedError, NotThereError):
        balance = None
    rules = run.caps(name)
    remaining_budget = run.services.ledger.credits.remaining_budget(
        source.name, source.account, run.id, rules, run.now()
    )
    shared = [cap for cap in remaining_budget.shared if cap.name != BALANCE]
    if balance is not None:
        shared.append(Cap(BALANCE, balance - rules.reserve, 0))
    own = {mapping: list(remaining_budget.by_mapping.get(mapping, ())) for mapping in run.mappings}
    worst = count.worst[name]
    caps = [*shared, *(cap for found in own.values() for cap in found)]
    return CreditForecast(
        worst,
        count.expected[name],
        balance,
        tuple(CapInForce(cap.name, cap.limit, cap.left, cap.left < worst, cap not in shared) for cap in caps),
        _limits(rules),
        {channel.value: price for channel, price in source.prices.by_channel.items()},
        _covered(source, count, shared, own),
        {channel.value: rate for (provider, channel), rate in count.rates.items() if provider == name},
    )


def _limits(rules: CapRules) -> dict[str, object]:
    """The caps as plain values."""
    return {
        "run": dict(rules.run),
        "mapping_day": dict(rules.mapping_day),
        "day": rules.day,
        "month": rules.month,
        "reserve": rules.reserve,
    }


def _covered(source: Source, count: _Count, shared: Sequence[Cap], own: Mapping[str, Sequence[Cap]]) -> dict[str, int]:
    """Estimate the number of people of each channel that the caps can pay for, if it is not all of them.

    The order is that of a run: one group at a time, the largest first, and people who need a lookup last.
    """
    groups: Counter[tuple[bool, Channel, str | None]] = Counter()
    for (name, group), people in count.people.items():
        if name == source.name:
            groups[group.after_lookup, group.channel, group.grouping_key] += people
    left_shared = min((cap.left for cap in shared), default=None)
    left_own = {mapping: min((cap.left for cap in caps), default=None) for mapping, caps in own.items()}
    planned, paid = Counter[Channel](), Counter[Channel]()
    for (after_lookup, channel, grouping_key), people in sorted(groups.items(), key=lambda one: (one[0][0], -one[1])):
        price = source.prices.of(channel)
        planned[channel] += people
        for mapping, left in left_own.items():
            planned_here = count.people[source.name, _Group(mapping, channel, grouping_key, after_lookup=after_lookup)]
            bounds = [max(0, bound) // price for bound in (left_shared, left) if bound is not None and price]
            taken = min([planned_here, *bounds])
            paid[channel] += taken
            left_shared = None if left_shared is None else left_shared - taken * price
            left_own[mapping] = None if left is None else left - taken * price
    return {channel.value: paid[channel] for channel, people in planned.items() if paid[channel] < people}
