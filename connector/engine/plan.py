"""Stage 2: look people up by LinkedIn, and plan the next source after one has ended without a value."""

from collections.abc import Mapping, Sequence

from connector.core.errors import RefusedError
from connector.core.mapping import WritePolicy
from connector.core.model import Channel, CrmRecord, Identifier, Person, Purchase, Result
from connector.core.person import Source
from connector.core.plan import (
    ChannelRequest,
    Decision,
    FailedSource,
    PlanningSnapshot,
    Skip,
    SourcesExhausted,
    counts_as_empty,
    may_cost,
    still_ours_to_write,
)
from connector.core.recover import ProviderState
from connector.core.spend import tightest
from connector.core.states import PurchaseState
from connector.engine.context import Run
from connector.engine.select import resolved_by
from connector.providers.interface import IdentityResult, Provider
from connector.store.credits import BALANCE, RemainingBudget
from connector.store.planned import PlannedChannel, PurchaseTerms
from connector.store.record_views import EndedChannel
from connector.store.rows import FinalResult, RecordChannelRow, RecordRow, chunks

Pending = tuple[RecordChannelRow, RecordRow]


def pending_by_identifier(run: Run, provider: str) -> dict[Identifier, list[Pending]]:
    """The channels that wait for a lookup at this provider, by identifier; unaffordable ones are deferred.

    Channels of records that this run has adopted but not selected are deferred too, because their flag may be cleared.
    """
    source = run.services.providers[provider].source
    waiting: dict[Identifier, list[Pending]] = {}
    unaffordable: list[int] = []
    unrequested: list[int] = []
    pending = run.services.ledger.records.pending_matches(run.id)
    left, is_balance = _credits_left(run, provider) if pending else (None, False)
    closed = run.why_closed(provider)
    may_rise = (
        not closed and provider in run.sent_since_retry
    )  # the balance may count their charges twice: `prices.observe_again`
    for record_channel, record in pending:
        rules = run.mappings[record.mapping].channels.get(record_channel.channel)
        if (
            rules is None
            or (identifier := _unresolved(source, record.person)) is None
            or rules.sources[record_channel.position : record_channel.position + 1] != (provider,)
        ):
            continue
        if (record.mapping, record.crm_id) not in run.requested:
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
    return waiting


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


def resolve_identity(run: Run, provider: Provider, identifier: Identifier, pending: Sequence[Pending]) -> None:
    """Look up an identifier once, and decide again for every channel that waits for the answer.

    A refused lookup is not stored: the source counts as failed for these channels, and the next run may try again.
    """
    ledger = run.services.ledger
    try:
        found = provider.resolve_identity(identifier)
    except RefusedError as error:
        run.services.progress.note(str(error))
        for record_channel, record in pending:
            failed_sources = (*record_channel.failed_sources, FailedSource(provider.name, Result.FAILED, str(error)))
            decide_again(run, record, record_channel, failed_sources)
        return
    ledger.planning.remember(provider.source, identifier, found.match, run.now())
    shown = _shown_values(run, provider, found)
    for purchase, value in shown:
        if purchase.state is PurchaseState.FINAL and purchase.result is not Result.DELIVERED:
            run.improve(purchase.id, value, charged=False)
    for record_channel, record in pending:
        decide_again(run, record, record_channel, record_channel.failed_sources)
    _deliver_shown_values(run, _shown_values(run, provider, found))


def _shown_values(run: Run, provider: Provider, found: IdentityResult) -> list[tuple[Purchase, str]]:
    """The person's purchases for which the vendor already shows a value, with the values."""
    if found.match.identifier is None:
        return []
    snapshot = run.services.ledger.snapshots.purchases_of(provider.source, found.match.identifier)
    values = {
        channel: status.value
        for channel, status in found.statuses.items()
        if status.view is ProviderState.DELIVERED and status.value
    }
    return [(purchase, values[key.channel]) for key, purchase in snapshot.items() if key.channel in values]


def _deliver_shown_values(run: Run, shown: Sequence[tuple[Purchase, str]]) -> None:
    """Finalize planned purchases whose value the vendor already shows: free, unless a lost request may have paid."""
    planned = [(purchase, value) for purchase, value in shown if purchase.state is PurchaseState.PLANNED]
    if planned:
        run.finalize(
            FinalResult(purchase.id, Result.DELIVERED, value=value, charged=purchase.lost_before)
            for purchase, value in planned
        )


def advance(run: Run, purchase_ids: Sequence[int] | None) -> int:
    """Advance the channels of final purchases: with a value they are ready, without one the next source is planned.

    The next source is planned only for `purchase_ids=None`, when no other work is left: the records are read again
    before anything more is bought for them, many in one call.

    Args:
        run: the run.
        purchase_ids: the purchases that have just become final; None for all.

    Returns:
        The number of advanced channels.
    """
    ended = run.services.ledger.records.ended(run.id, purchase_ids)
    delivered = [e.record_channel.id for e in ended if e.result is Result.DELIVERED and e.has_value]
    run.services.ledger.records.mark_ready(delivered)
    run.services.progress.step(len(delivered))
    if purchase_ids is not None:
        return len(delivered)
    without_value = [e for e in ended if e.result is not Result.DELIVERED]
    _plan_next_sources(run, without_value, run.services.ledger.records.by_ids([e.record_id for e in without_value]))
    return len(ended)


def _plan_next_sources(run: Run, ended: Sequence[EndedChannel], records: Mapping[int, RecordRow]) -> None:
    """Decide again for channels whose source ended without a value; skip those that are no longer requested."""
    decided = [(one, records[one.record_id], _next_decision(run, one, records[one.record_id])) for one in ended]
    buying = [row for _, row, decision in decided if may_cost(decision)]
    found = _read_again(run, buying)
    for one, row, decision in decided:
        reason = _skip_reason(run, one.record_channel, row, found.get(row.id)) if may_cost(decision) else ""
        _save(
            run, row, one.record_channel, Skip(reason, failed_sources=decision.failed_sources) if reason else decision
        )


def _next_decision(run: Run, ended: EndedChannel, record: RecordRow) -> Decision:
    reason = ended.reason or f"{ended.provider} {_RESULT_TEXTS[ended.result]}"
    failed_sources = (*ended.record_channel.failed_sources, FailedSource(ended.provider, ended.result, reason))
    return _decide(run, record, ended.record_channel, failed_sources)


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


def decide_again(
    run: Run, record: RecordRow, record_channel: RecordChannelRow, failed_sources: tuple[FailedSource, ...]
) -> None:
    """Decide on the next source after the failed ones, and store the decision."""
    _save(run, record, record_channel, _decide(run, record, record_channel, failed_sources))


def _decide(
    run: Run, record: RecordRow, record_channel: RecordChannelRow, failed_sources: tuple[FailedSource, ...]
) -> Decision:
    mapping = run.mappings[record.mapping]
    rules = mapping.channels.get(record_channel.channel)
    if rules is None:
        return Skip(f"{record_channel.channel} is no longer mapped", failed_sources=failed_sources)
    sources = [run.services.sources[name] for name in rules.sources]
    snapshot: PlanningSnapshot = run.services.ledger.snapshots.read(
        mapping.name, {record.crm_id: record.person}, sources
    )
    request = ChannelRequest(record.person, record_channel.channel, rules, snapshot, record.crm_id)
    decision = run.planner(mapping).next_source(request, failed_sources)
    if run.plan is None:
        return decision
    return run.plan.hold(mapping.name, record.crm_id, None, record_channel.channel, decision)


def _save(run: Run, record: RecordRow, record_channel: RecordChannelRow, decision: Decision) -> None:
    found = resolved_by(record.person, decision)
    planning = run.services.ledger.planning
    terms = PurchaseTerms(run.id, record.mapping, run.now(), read_first=run.read_first)
    planning.redecide(record_channel.id, PlannedChannel(record_channel.channel, decision), terms, found)
    run.decided_again += 1
    if isinstance(decision, SourcesExhausted | Skip):
        run.services.progress.step()
