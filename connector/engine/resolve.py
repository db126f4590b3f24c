"""Stage 2: find people by LinkedIn, and go on to the next source when one has ended without a value."""

from collections.abc import Mapping, Sequence

from connector.core.errors import RefusedError
from connector.core.mapping import WritePolicy
from connector.core.model import Channel, CrmRecord, Result, Unlock, UnlockState
from connector.core.plan import (
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
from connector.engine.context import Run
from connector.engine.select import resolved_id
from connector.providers.interface import IdentityResult, Provider
from connector.store.credits import RemainingBudget
from connector.store.records import EndedWant
from connector.store.rows import RecordRow, Settlement, WantRow, chunks

Pending = tuple[WantRow, RecordRow]


def pending_by_name(run: Run, provider: str) -> dict[str, list[Pending]]:
    """Wants that wait for this provider's answer, by LinkedIn name; those it can't pay for are deferred.

    So are those of records that this run was not asked for: they came along for what was bought, and their flag may
    have been taken back.
    """
    waiting: dict[str, list[Pending]] = {}
    unaffordable: list[int] = []
    unasked: list[int] = []
    pending = run.services.ledger.records.pending_lookups(run.id)
    left = _credits_left(run, provider) if pending else None
    for want, record in pending:
        rules = run.mappings[record.mapping].channels.get(want.channel)
        if (
            rules is None
            or not record.person.linkedin
            or rules.sources[want.position : want.position + 1] != (provider,)
        ):
            continue
        if (record.mapping, record.crm_id) not in run.asked:
            unasked.append(want.id)
            continue
        price = run.services.providers[provider].source.prices.of(want.channel)
        stopped = (provider, want.channel.value, record.mapping) in run.full
        if run.why_closed(provider) or stopped or (left is not None and left < price):
            unaffordable.append(want.id)
            continue
        left = None if left is None else left - price
        waiting.setdefault(record.person.linkedin, []).append((want, record))
    if unaffordable:
        reason = run.why_closed(provider) or f"the budget for {provider} cannot pay for more people"
        run.services.ledger.records.hold(unaffordable, reason)
    run.services.ledger.records.hold(unasked, "the person was not looked up yet")
    return waiting


def _credits_left(run: Run, provider: str) -> int | None:
    """What the caps may still pay for, less what is planned already; None without any cap."""
    source = run.services.providers[provider].source
    ledger = run.services.ledger
    remaining_budget: RemainingBudget = ledger.credits.remaining_budget(
        source.name, source.account, run.id, run.caps(provider), run.now()
    )
    shared = [cap.left for cap in remaining_budget.shared]
    # A mapping without a cap of its own is bounded by the shared caps alone.
    own = [min(cap.left for cap in caps) for caps in remaining_budget.by_mapping.values() if caps]
    bounds = shared + ([sum(own)] if own and len(own) == len(run.mappings) else [])
    if not bounds:
        return None
    groups = ledger.attempts.groups(source, run.id, run.now())
    return min(bounds) - sum(group.size * source.prices.of(group.channel) for group in groups)


def look_up(run: Run, provider: Provider, linkedin: str, pending: Sequence[Pending]) -> None:
    """Ask once for a LinkedIn name and decide anew for every want that waits for the answer.

    An answer that is neither a person nor "nobody" is not remembered: this source failed, for this time.
    """
    ledger = run.services.ledger
    try:
        found = provider.look_up(linkedin)
    except RefusedError as error:
        run.services.progress.note(str(error))
        for want, record in pending:
            tried = (*want.tried, FailedSource(provider.name, Result.FAILED, str(error)))
            decide_anew(run, record, want, tried)
        return
    ledger.planning.remember(provider.source, linkedin, found.lookup, run.now())
    shown = _shown_values(run, provider, found)
    for unlock, value in shown:
        if unlock.state is UnlockState.FINAL and unlock.result is not Result.DELIVERED:
            run.improve(unlock.id, value, charged=False)
    for want, record in pending:
        decide_anew(run, record, want, want.tried)
    _take_what_is_shown(run, _shown_values(run, provider, found))


def _shown_values(run: Run, provider: Provider, found: IdentityResult) -> list[tuple[Unlock, str]]:
    """What the vendor shows already of a person, with the unlocks that it answers."""
    if found.lookup.personnel_id is None:
        return []
    snapshot = run.services.ledger.planning.unlocks_of(provider.source, found.lookup.personnel_id)
    values = {
        channel: status.value
        for channel, status in found.statuses.items()
        if status.view is ProviderState.DELIVERED and status.value
    }
    return [(unlock, values[key.channel]) for key, unlock in snapshot.items() if key.channel in values]


def _take_what_is_shown(run: Run, shown: Sequence[tuple[Unlock, str]]) -> None:
    """A value that the vendor already shows is taken for nothing, unless it is what a lost request has brought."""
    planned = [(unlock, value) for unlock, value in shown if unlock.state is UnlockState.PLANNED]
    if planned:
        run.settle(
            Settlement(unlock.id, Result.DELIVERED, value=value, charged=unlock.lost_before)
            for unlock, value in planned
        )


def advance(run: Run, unlock_ids: Sequence[int] | None) -> int:
    """Take ended unlocks further: a value makes its wants ready, none asks the next source; how many wants moved.

    The next source is asked only by the look at everything, when nothing else is to be done: the records are read once
    more before anything further is bought for them, many in one call.

    Args:
        run: the run.
        unlock_ids: those that were just settled; None looks at all.
    """
    ended = run.services.ledger.records.ended(run.id, unlock_ids)
    delivered = [e.want.id for e in ended if e.result is Result.DELIVERED and e.has_value]
    run.services.ledger.records.mark_ready(delivered)
    run.services.progress.step(len(delivered))
    if unlock_ids is not None:
        return len(delivered)
    without = [e for e in ended if e.result is not Result.DELIVERED]
    _ask_next(run, without, run.services.ledger.records.by_ids([e.record_id for e in without]))
    return len(ended)


def _ask_next(run: Run, ended: Sequence[EndedWant], records: Mapping[int, RecordRow]) -> None:
    """Decide anew for wants whose source ended without a value; only what is still wanted is bought elsewhere."""
    decided = [(one, records[one.record_id], _next_decision(run, one, records[one.record_id])) for one in ended]
    buying = [row for _, row, decision in decided if may_cost(decision)]
    there = _read_again(run, buying)
    for one, row, decision in decided:
        why_not = _why_not(run, one.want, row, there.get(row.id)) if may_cost(decision) else ""
        _put(run, row, one.want, Skip(why_not, tried=decision.tried) if why_not else decision)


def _next_decision(run: Run, ended: EndedWant, record: RecordRow) -> Decision:
    reason = ended.reason or f"{ended.provider} {_RESULT_WORDS[ended.result]}"
    tried = (*ended.want.tried, FailedSource(ended.provider, ended.result, reason))
    return _decide(run, record, ended.want, tried)


def _read_again(run: Run, rows: Sequence[RecordRow]) -> dict[int, CrmRecord | None]:
    """These records as they are now, by ledger id."""
    there: dict[int, CrmRecord | None] = {}
    crm = run.services.crm
    for name in dict.fromkeys(row.mapping for row in rows):
        mapping = run.mappings[name]
        mine = {row.crm_id: row.id for row in rows if row.mapping == name}
        for ids in chunks(list(mine), crm.read_size):
            for crm_id, record in crm.read(mapping.object, ids, sorted(mapping.read_fields())).items():
                there[mine[crm_id]] = record
    return there


def still_wanted(run: Run, unlock_id: int, channel: Channel) -> bool:
    """Whether any record of this run, as it is now, still wants what a lost request was to bring."""
    rows = [row for row in run.services.ledger.records.waiting_for(run.id, unlock_id) if row.mapping in run.mappings]
    there = _read_again(run, rows)
    wants = [(want, row) for row in rows for want in row.wants if want.channel is channel]
    return any(not _why_not(run, want, row, there.get(row.id)) for want, row in wants)


def _why_not(run: Run, want: WantRow, row: RecordRow, record: CrmRecord | None) -> str:
    """Why nothing more is bought for a want, by its record as it is now; empty when it is still wanted."""
    mapping = run.mappings[row.mapping]
    rules = mapping.channels.get(want.channel)
    if rules is None:
        return f"{want.channel} is no longer mapped"
    if record is None or record.moved_to is not None:
        return "the record was deleted, merged or converted before the next source was asked"
    if record.truthy(rules.opt_out):
        return f"opted out ({rules.opt_out}) before the next source was asked"
    filled = not counts_as_empty(record, rules) and rules.write is WritePolicy.IF_EMPTY
    baseline, matches = want.baseline, run.services.ledger.seal.matches
    if filled or (baseline is not None and not still_ours_to_write(record, rules, baseline, matches)):
        return f"{rules.field} was filled or changed before the next source was asked"
    asks = record.values.get(mapping.select.flag_field) == mapping.select.asks
    if not asks and not row.chosen:
        return "its flag was taken back before the next source was asked"
    return ""


_RESULT_WORDS = {Result.NOT_FOUND: "did not find it", Result.FAILED: "failed", Result.DELIVERED: "delivered"}


def decide_anew(run: Run, record: RecordRow, want: WantRow, tried: tuple[FailedSource, ...]) -> None:
    """Ask the planner for the next source that was not tried, and put its decision into the ledger."""
    _put(run, record, want, _decide(run, record, want, tried))


def _decide(run: Run, record: RecordRow, want: WantRow, tried: tuple[FailedSource, ...]) -> Decision:
    mapping = run.mappings[record.mapping]
    rules = mapping.channels.get(want.channel)
    if rules is None:
        return Skip(f"{want.channel} is no longer mapped", tried=tried)
    sources = [run.services.sources[name] for name in rules.sources]
    snapshot: PlanningSnapshot = run.services.ledger.planning.snapshot(
        mapping.name, {record.crm_id: record.person}, sources
    )
    decision = run.planner(mapping).next_source(record.person, want.channel, rules, snapshot, tried, record.crm_id)
    if run.plan is None:
        return decision
    return run.plan.hold(mapping.name, record.crm_id, None, want.channel, decision)


def _put(run: Run, record: RecordRow, want: WantRow, decision: Decision) -> None:
    found = resolved_id(run, record.person, decision)
    planning = run.services.ledger.planning
    planning.redecide(want.id, run.id, record.mapping, want.channel, decision, run.now(), found, run.read_first)
    if isinstance(decision, SourcesExhausted | Skip):
        run.services.progress.step()
