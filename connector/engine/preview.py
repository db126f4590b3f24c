"""A dry run: read, decide, count; no effect anywhere, not even in the ledger."""

from collections import Counter
from collections.abc import Mapping

from connector.core.errors import DownError, NotThereError, RefusedError
from connector.core.frozen import FrozenRecord
from connector.core.mapping import MappingFile
from connector.core.model import Channel, UnlockKey
from connector.core.person import IdentifiedBy
from connector.core.plan import Buy, Decision, Defer, Exhausted, Join, LookUp, Skip, Take, may_cost
from connector.core.preview import CreditForecast, Preview
from connector.crm.interface import Selection
from connector.engine.context import Run
from connector.engine.pull import flagged, plan_pages
from connector.store.planning import PlannedRecord


class _Count:
    """Adds up decisions; a person who stands behind several records is counted once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.selected = 0
        self.joins = 0
        self.buys: dict[str, Counter[str]] = {}
        self.next_sources: Counter[str] = Counter()
        self.worst: Counter[str] = Counter()
        self.expected: Counter[str] = Counter()
        self.writes: Counter[tuple[str, str, str, str]] = Counter()
        self.skips: Counter[str] = Counter()
        self.frozen: dict[str, list[FrozenRecord]] = {}
        self._seen: set[UnlockKey | tuple[str, Channel, str]] = set()
        self._rates = run.parts.ledger.records.success_rates()

    def add(self, mapping: MappingFile, records: list[PlannedRecord]) -> None:
        """Count a page."""
        self.selected += len(records)
        self.frozen.setdefault(mapping.name, []).extend(_freeze(record) for record in records)
        for record in records:
            for want in record.wants:
                self._decision(mapping, record, want.channel, want.decision)

    def _decision(self, mapping: MappingFile, record: PlannedRecord, channel: Channel, decision: Decision) -> None:
        match decision:
            case Skip() | Defer() | Exhausted():
                self.skips[decision.reason] += 1
            case Buy():
                self._write(mapping, channel)
                self._once(mapping, record, channel, decision.key, decision.position)
            case Join() if may_cost(decision):  # planned by an earlier run, and to be bought by this one
                self._write(mapping, channel)
                self._once(mapping, record, channel, decision.unlock.key, decision.position)
            case Join() | Take():
                self.joins += 1
                self._write(mapping, channel)
            case LookUp():
                self._write(mapping, channel)
                key = (decision.source, channel, decision.linkedin)
                if key in self._seen:
                    self.joins += 1
                else:
                    self._seen.add(key)
                    suffix = " after lookup"
                    self._purchase(mapping, record, channel, decision.source, decision.position, suffix)

    def _once(
        self, mapping: MappingFile, record: PlannedRecord, channel: Channel, key: UnlockKey, position: int
    ) -> None:
        if key in self._seen:
            self.joins += 1
            return
        self._seen.add(key)
        self._purchase(mapping, record, channel, key.provider, position, "")

    def _purchase(
        self, mapping: MappingFile, record: PlannedRecord, channel: Channel, name: str, position: int, suffix: str
    ) -> None:
        rules = mapping.channels.get(channel)
        if rules is None:
            return
        sources = self._run.parts.sources
        self.buys.setdefault(name, Counter())[f"{channel}{suffix}"] += 1
        price = sources[name].prices.of(channel)
        self.worst[name] += price
        chance = 1.0
        self.expected[name] += price
        for earlier, later in zip(rules.sources[position:], rules.sources[position + 1 :], strict=False):
            if sources[later].identified_by is IdentifiedBy.LINKEDIN and not record.person.linkedin:
                break
            chance *= 1 - self._rates.get((earlier, channel), 0.0)
            self.next_sources[later] += 1
            self.worst[later] += sources[later].prices.of(channel)
            self.expected[later] += round(sources[later].prices.of(channel) * chance)

    def _write(self, mapping: MappingFile, channel: Channel) -> None:
        rules = mapping.channels.get(channel)
        if rules is not None:
            self.writes[mapping.object, rules.field, " then ".join(rules.sources), rules.write.value] += 1


def _freeze(record: PlannedRecord) -> FrozenRecord:
    buy = {
        want.channel: want.decision.position
        for want in record.wants
        if isinstance(want.decision, Buy | LookUp | Join) and may_cost(want.decision)
    }
    return FrozenRecord(id=record.crm_id, version=record.version, buy=buy)


def preview(run: Run, selections: Mapping[str, Selection]) -> tuple[Preview, dict[str, list[FrozenRecord]]]:
    """What a run would do now, and the same record by record, for a frozen plan.

    Args:
        run: with its mappings; nothing of it is kept.
        selections: by mapping name; a mapping without one takes its flagged records.
    """
    count = _Count(run)
    for name, mapping in run.mappings.items():
        for page in plan_pages(run, mapping, selections.get(name) or flagged(mapping)):
            count.add(mapping, page)
            run.parts.progress.step(len(page))
    names = [name for name in run.parts.providers if name in count.worst or name in count.buys]
    found = Preview(
        mappings=tuple(run.mappings),
        selected=count.selected,
        credits={name: _forecast(run, name, count) for name in names},
        would_buy={name: dict(found) for name, found in count.buys.items()},
        would_write=tuple((*key, number) for key, number in sorted(count.writes.items())),
        skips=dict(count.skips.most_common()),
        joins=count.joins,
        fallbacks=dict(count.next_sources),
    )
    return found, count.frozen


def _forecast(run: Run, name: str, count: _Count) -> CreditForecast:
    provider = run.parts.providers[name]
    source = provider.source
    try:
        with run.alone(provider):
            balance: int | None = provider.balance()
    except (DownError, RefusedError, NotThereError):
        balance = None
    room = run.parts.ledger.credits.room(source.name, source.account, run.id, run.caps(name), run.now())
    lefts = [cap.left for cap in room.shared if cap.name != "balance at the vendor"]
    own = [min(cap.left for cap in caps) for caps in room.by_mapping.values() if caps]
    if own and len(own) == len(run.mappings):
        lefts.append(sum(own))
    return CreditForecast(count.worst[name], count.expected[name], balance, min(lefts, default=None))
