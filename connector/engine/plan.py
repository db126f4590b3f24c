"""Stage 2: plan the next source after a person was looked up, or after a source has ended without a value."""

from collections.abc import Mapping, Sequence

from connector.core.mapping_channels import WritePolicy
from connector.core.model import Channel, CrmRecord, Identifier, Person, Result
from connector.core.person import Source
from connector.core.plan import (
    ChannelRequest,
    Decision,
    FailedSource,
    PlanningSnapshot,
    Reuse,
    Skip,
    SourcesExhausted,
    counts_as_empty,
    may_cost,
    still_ours_to_write,
)
from connector.core.spend import tightest
from connector.engine.context import Run
from connector.engine.select import resolved_by
from connector.store.credits import BALANCE, RemainingBudget
from connector.store.planned import PlannedChannel, PurchaseTerms, Redecision
from connector.store.record_views import EndedChannel
from connector.store.rows import RecordChannelRow, RecordRow, chunks

Pending = tuple[RecordChannelRow, RecordRow]
LOOKUPS_AT_ONCE = 500  # channels that are read at once


def pending_by_identifier(run: Run, provider: str) -> dict[Identifier, list[Pending]]:
    """The next channels that wait for a lookup at this provider, by identifier; unaffordable ones are deferred.

    Channels of records that this run has adopted but not selected are deferred too, because their flag may be cleared.
    """
    records = run.services.ledger.records
    at_provider = _places_of(run, provider)
    while pending := records.pending_matches(run.id, at_provider, LOOKUPS_AT_ONCE):
        waiting, deferred = _affordable(run, provider, pending)
        if waiting or not deferred:
            return waiting
    return {}


def _places_of(run: Run, provider: str) -> set[tuple[str, str, int]]:
    """(mapping, channel, position) of this provider in the order of sources of each channel."""
    return {
        (mapping.name, channel.value, position)
        for mapping in run.mappings.values()
        for channel, rules in mapping.channels.items()
        for position, name in enumerate(rules.sources)
        if name == provider
    }


def _affordable(run: Run, provider: str, pending: Sequence[Pending]) -> tuple[dict[Identifier, list[Pending]], int]:
    """Defer the channels of a page for which nothing can be bought now.

    Returns:
        The others by identifier, and how many were deferred.
    """
    source = run.services.providers[provider].source
    waiting: dict[Identifier, list[Pending]] = {}
    unaffordable: list[int] = []
    unrequested: list[int] = []
    left, is_balance = _credits_left(run, provider)
    closed = run.why_closed(provider)
    may_rise = (
        not closed and provider in run.sent_since_retry
    )  # the balance may count their charges twice: `prices.observe_again`
    for record_channel, record in pending:
        identifier = _unresolved(source, record.person)
        if identifier is None:
            continue
        if record.selected_by != run.id:
            unrequested.append(record_channel.id)
            continue
        price = source.prices.of(record_channel.channel)
        cap = run.capped.get((provider, record_channel.channel.value, record.mapping))
        if closed or cap or (left is not None and left < price):
            if may_rise and (cap.startswith(BALANCE) if cap else is_balance):
                run.refused_by_balance.add(provider)
            else:
                unaffordable.append(record_channel.id)
            continue
        left = None if left is None else left - price
        waiting.setdefault(identifier, []).append((record_channel, record))
    if unaffordable:
        reason = closed or f"the budget for {provider} cannot pay for more people"
        run.services.ledger.records.defer_lookups(unaffordable, reason)
    run.services.ledger.records.defer_lookups(unrequested, "the person was not looked up yet")
    return waiting, len(unaffordable) + len(unrequested)


def _unresolved(source: Source, person: Person) -> Identifier | None:
    """The identifier of a person that the source can look up."""
    kinds = (kind.name for kind in source.resolves if kind.name in person.identifiers)
    return next((Identifier(kind, person.identifiers[kind]) for kind in kinds), None)


def _credits_left(run: Run, provider: str) -> tuple[int | None, bool]:
    """The credits that the caps allow, minus those of planned purchases, and whether the balance is the tightest cap.

    None without any cap.
    """
    source = run.services.providers[provider].source
    ledger = run.services.ledger
    remaining_budget: RemainingBudget = ledger.credits.remaining_budget(
        source.name, source.account, run.id, run.caps(provider), run.now()
    )
    shared = [cap.left for cap in remaining_budget.shared]
    tight = tightest(list(remaining_budget.shared))
    # A mapping without its own cap is limited by the shared caps only.
    own = [min(cap.left for cap in caps) for caps in remaining_budget.by_mapping.values() if caps]
    bounds = shared + ([sum(own)] if own and len(own) == len(run.mappings) else [])
    if not bounds:
        return None, False
    groups = ledger.attempts.groups(source, run.id, run.now())
    planned = sum(group.size * source.prices.of(group.channel) for group in groups)
    is_balance = tight is not None and tight.name == BALANCE and tight.left == min(bounds)
    return min(bounds) - planned, is_balance


def advance(run: Run, purchase_ids: Sequence[int]) -> int:
    """Advance the channels of purchases that have just become final.

    With a value they are ready. Without one, they wait until the next sources are planned for many at once: the records
    are read again before anything more is bought for them, as many as possible in one call.

    Returns:
        The number of channels that are ready.
    """
    ended = run.services.ledger.ended.of_purchases(run.id, purchase_ids)
    run.without_value += [
        e.record_channel.purchase_id for e in ended if _needs_next(e) and e.record_channel.purchase_id
    ]
    return _mark_ready(run, ended)


def advance_without_value(run: Run) -> int:
    """Plan the next sources for the channels of `run.without_value`; returns the number of channels."""
    ids, run.without_value = list(dict.fromkeys(run.without_value)), []
    ended = run.services.ledger.ended.of_purchases(run.id, ids) if ids else []
    return _mark_ready(run, ended) + _plan_next_sources(run, [e for e in ended if _needs_next(e)])


def advance_all(run: Run) -> int:
    """Advance every channel of this run whose purchase is final; returns the number of channels.

    All open records are searched: other processes, and earlier runs, may have made their purchases final.
    """
    moved = 0
    for name in run.mappings:
        for page in run.services.ledger.ended.all(run.id, name):
            moved += _mark_ready(run, page) + _plan_next_sources(run, [e for e in page if _needs_next(e)])
    run.without_value.clear()
    return moved


def _needs_next(ended: EndedChannel) -> bool:
    return ended.result is not Result.DELIVERED


def _mark_ready(run: Run, ended: Sequence[EndedChannel]) -> int:
    delivered = [e for e in ended if e.result is Result.DELIVERED and e.has_value]
    run.services.ledger.ended.mark_ready(delivered)
    run.services.progress.step(len(delivered))
    return len(delivered)


def _plan_next_sources(run: Run, ended: Sequence[EndedChannel]) -> int:
    """Decide again for channels whose source ended without a value; skip those that are no longer requested."""
    if not ended:
        return 0
    records = run.services.ledger.records.by_ids([e.record_id for e in ended])
    decisions = _decide(run, [(records[e.record_id], e.record_channel, _with_failed(e)) for e in ended])
    buying = [records[e.record_id] for e, decision in zip(ended, decisions, strict=True) if may_cost(decision)]
    found = _read_again(run, buying)
    decided: list[tuple[RecordRow, RecordChannelRow, Decision]] = []
    for one, decision in zip(ended, decisions, strict=True):
        row = records[one.record_id]
        reason = _skip_reason(run, one.record_channel, row, found.get(row.id)) if may_cost(decision) else ""
        skip = Skip(reason, failed_sources=decision.failed_sources)
        decided.append((row, one.record_channel, skip if reason else decision))
    _save(run, decided)
    return len(decided)


def _with_failed(ended: EndedChannel) -> tuple[FailedSource, ...]:
    """The failed sources of a channel, with the one that has just ended."""
    reason = ended.reason or f"{ended.provider} {_RESULT_TEXTS[ended.result]}"
    return (*ended.record_channel.failed_sources, FailedSource(ended.provider, ended.result, reason))


def _read_again(run: Run, rows: Sequence[RecordRow]) -> dict[int, CrmRecord | None]:
    """Read these records again, by ledger id."""
    found: dict[int, CrmRecord | None] = {}
    crm = run.services.crm
    for name in dict.fromkeys(row.mapping for row in rows):
        mapping = run.mappings[name]
        mine = {row.crm_id: row.id for row in rows if row.mapping == name}
        for ids in chunks(list(mine), crm.read_size):
            for crm_id, record in crm.read(mapping.object, ids, sorted(mapping.read_fields())).items():
                found[mine[crm_id]] = record
    return found


def still_requested(run: Run, purchase_id: int, channel: Channel) -> bool:
    """Whether any record of this run, as it is now, still requests the channel of a purchase."""
    rows = [row for row in run.services.ledger.records.waiting_for(run.id, purchase_id) if row.mapping in run.mappings]
    found = _read_again(run, rows)
    channels = [
        (record_channel, row) for row in rows for record_channel in row.channels if record_channel.channel is channel
    ]
    return any(not _skip_reason(run, record_channel, row, found.get(row.id)) for record_channel, row in channels)


def _skip_reason(run: Run, record_channel: RecordChannelRow, row: RecordRow, record: CrmRecord | None) -> str:
    """The reason to buy nothing more for a channel, by its current record; empty if it is still requested."""
    mapping = run.mappings[row.mapping]
    rules = mapping.channels.get(record_channel.channel)
    if rules is None:
        return f"{record_channel.channel} is no longer mapped"
    if record is None or record.moved_to is not None:
        return "the record was deleted, merged or converted before the next source was queried"
    if record.truthy(rules.opt_out):
        return f"opted out ({rules.opt_out}) before the next source was queried"
    filled = not counts_as_empty(record, rules) and rules.write is WritePolicy.IF_EMPTY
    baseline, matches = record_channel.baseline, run.services.ledger.seal.matches
    if filled or (baseline is not None and not still_ours_to_write(record, rules, baseline, matches)):
        return f"{rules.field} was filled or changed before the next source was queried"
    asks = record.values.get(mapping.select.flag_field) == mapping.select.asks
    if not asks and not row.chosen:
        return "its flag was cleared before the next source was queried"
    return ""


_RESULT_TEXTS = {Result.NOT_FOUND: "did not find it", Result.FAILED: "failed", Result.DELIVERED: "delivered"}


_Undecided = tuple[RecordRow, RecordChannelRow, tuple[FailedSource, ...]]


def decide_again(run: Run, undecided: Sequence[_Undecided]) -> None:
    """Decide on the next sources after the failed ones, and store the decisions."""
    decisions = _decide(run, undecided)
    _save(run, [(row, channel, one) for (row, channel, _), one in zip(undecided, decisions, strict=True)])


def _decide(run: Run, undecided: Sequence[_Undecided]) -> list[Decision]:
    """Decide for channels of any mappings; the ledger is read once for each mapping."""
    people: dict[str, dict[str, Person]] = {}
    for row, _, _ in undecided:
        people.setdefault(row.mapping, {})[row.crm_id] = row.person
    snapshots = {name: _snapshot(run, name, found) for name, found in people.items()}
    return [_decide_one(run, one, snapshots[one[0].mapping]) for one in undecided]


def _snapshot(run: Run, mapping: str, people: Mapping[str, Person]) -> PlanningSnapshot:
    sources = [source for name, source in run.services.sources.items() if name in run.mappings[mapping].providers()]
    return run.services.ledger.snapshots.read(mapping, people, sources)


def _decide_one(run: Run, undecided: _Undecided, snapshot: PlanningSnapshot) -> Decision:
    record, record_channel, failed_sources = undecided
    mapping = run.mappings[record.mapping]
    rules = mapping.channels.get(record_channel.channel)
    if rules is None:
        return Skip(f"{record_channel.channel} is no longer mapped", failed_sources=failed_sources)
    request = ChannelRequest(record.person, record_channel.channel, rules, snapshot, record.crm_id)
    decision = run.planner(mapping).next_source(request, failed_sources)
    if run.plan is None:
        return decision
    return run.plan.hold(mapping.name, record.crm_id, None, record_channel.channel, decision)


def _save(run: Run, decided: Sequence[tuple[RecordRow, RecordChannelRow, Decision]]) -> None:
    by_mapping: dict[str, list[Redecision]] = {}
    for record, record_channel, decision in decided:
        planned = PlannedChannel(record_channel.channel, decision)
        redecision = Redecision(record_channel.id, record.id, planned, resolved_by(record.person, decision))
        by_mapping.setdefault(record.mapping, []).append(redecision)
    for name, redecisions in by_mapping.items():
        terms = PurchaseTerms(run.id, name, run.now(), read_first=run.read_first)
        run.services.ledger.planning.redecide(redecisions, terms)
    run.reuses += sum(isinstance(decision, Reuse) for _, _, decision in decided)
    run.services.progress.step(sum(isinstance(decision, SourcesExhausted | Skip) for _, _, decision in decided))
