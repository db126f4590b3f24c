"""Closes a run: each selected record gets one outcome, the accounting is checked, and the report is made."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from connector.core.errors import AccountingError
from connector.core.model import OPEN_OUTCOMES, Attention, Channel, Outcome, Result, outcome_of_record
from connector.core.report import CrmFigures, ProviderCredits, PurchaseFigures, Report
from connector.core.states import ChannelState, PurchaseState, RunState
from connector.engine.context import Run
from connector.engine.outcome import channel_result
from connector.engine.overdue import still_waiting
from connector.store.inbox import AGAIN_AFTER_S
from connector.store.record_views import PurchaseView, Unwritten
from connector.store.rows import RecordChannelRow, RecordRow
from connector.store.run_outcomes import EndedPurchases, RunRecordOutcome

LOOP_WINDOW = timedelta(days=1)
LOOP_TIMES = 4  # a record that is flagged more often than this in a day is reported
ATTENTION_SHOWN = 200  # entries in the report; the export has all
REASONS_SHOWN = 50  # for one channel and outcome


def classify_rest(run: Run) -> None:
    """Give an outcome to records that were not written: the run was stopped, or the vendor has not finished."""
    records = run.services.ledger.records
    unwritten: list[Unwritten] = []
    for rows in (
        records.complete(run.id, run.attempted_writes, 1_000_000),
        records.incomplete(run.id, run.attempted_writes, 1_000_000),
    ):
        views = records.purchase_views(c.purchase_id for row in rows for c in row.channels if c.purchase_id)
        for row in rows:
            shown = {
                record_channel.id: _unwritten_channel(run, row, record_channel, views)
                for record_channel in row.channels
            }
            outcome = outcome_of_record([found for found, _ in shown.values()])
            reason = next((text for found, text in shown.values() if found is outcome), "")
            unwritten.append(Unwritten(row.id, outcome, run.crm_stopped or reason, shown))
            run.attempted_writes.add(row.id)
    records.note(unwritten)


def _unwritten_channel(
    run: Run, row: RecordRow, record_channel: RecordChannelRow, views: Mapping[int, PurchaseView]
) -> tuple[Outcome, str]:
    """Compute the outcome of a channel; an unwritten result is deferred: the flag stays, and the next run writes it."""
    result = channel_result(run, row.mapping, record_channel, views.get(record_channel.purchase_id or 0))
    if record_channel.state == ChannelState.DONE:  # written by an earlier run
        return result.outcome, result.reason
    if result.outcome in OPEN_OUTCOMES:
        return result.outcome, result.reason
    return Outcome.DEFERRED, run.crm_stopped or result.reason or NOT_WRITTEN


NOT_WRITTEN = "it is not written yet; the next run writes it"


def close_run(run: Run, command: str, state: str, error: str = "") -> Report:
    """Store the outcome of each record in this run, check the sums, and store the report.

    Args:
        run: the run.
        command: the command's name in the report.
        state: the final state of the run.
        error: the error that ended the run early.

    Raises:
        AccountingError: outcomes do not sum to the selected records, or entries contradict the purchases.
    """
    ledger = run.services.ledger
    ledger.run_outcomes.keep_outcomes(run.id)
    outcomes = ledger.run_outcomes.outcomes(run.id)
    selected = ledger.run_outcomes.selected(run.id)
    now = run.now()
    ledger.inbox.record_outcomes(run.id, list(run.mappings), run.started_at, run.later(AGAIN_AFTER_S))
    shown = _shown(run, outcomes)
    attention = _attention(run, outcomes)
    report = Report(
        run_id=run.id,
        command=command,
        mappings=tuple(run.mappings),
        state=state,
        selected=selected,
        outcomes=Counter(one.outcome for one in outcomes),
        channels=_channels(run, shown),
        purchases=_purchases(run),
        credits=_credits(run),
        crm=_crm(run),
        started_at=run.started_at,
        finished_at=now,
        attention=tuple(attention[:ATTENTION_SHOWN]),
        attention_total=len(attention),
        reasons=_reasons(shown),
        read_all=run.read_all,
        stopped=tuple(
            dict.fromkeys(
                [
                    *run.stopped.values(),
                    *run.closed.values(),
                    *run.left_for_later,
                    *filter(None, [run.crm_stopped, error]),
                ]
            )
        ),
    )
    wrong = ledger.credits.imbalance()
    if not error and len(outcomes) != selected:
        wrong = f"{selected} records were selected, {len(outcomes)} have an outcome; {wrong}"
    if wrong:
        ledger.runs.finish(run.id, RunState.FAILED, report.to_json(), now)
        raise AccountingError(
            f"the accounting of run {run.id} does not close: {wrong}. Please report this; nothing is bought twice"
        )
    ledger.runs.finish(run.id, state, report.to_json(), now)
    return report


ChannelOutcomes = list[tuple[Channel, Outcome, str, int]]


def _shown(run: Run, outcomes: list[RunRecordOutcome]) -> ChannelOutcomes:
    """Count records by channel, outcome and reason, with one outcome for every channel of a record's mapping.

    Records that are open from earlier runs may lack a channel, because their mapping had other channels then.
    """
    found: Counter[tuple[Channel, Outcome, str]] = Counter()
    missing = Counter(
        {
            (name, channel): count
            for name, count in Counter(one.mapping for one in outcomes).items()
            if name in run.mappings
            for channel, _ in run.mappings[name].channels.items()
        }
    )
    for name, channel, outcome, reason, count in run.services.ledger.run_outcomes.channel_outcomes(run.id):
        if (name, channel) in missing:
            missing[name, channel] -= count
            found[channel, outcome, reason] += count
    for (_, channel), count in missing.items():
        if count > 0:
            found[channel, Outcome.SKIPPED, NOT_BEGUN] += count
    return [(*key, count) for key, count in found.most_common()]


NOT_BEGUN = "this channel was mapped after the record was selected; flag it again"


def _channels(run: Run, shown: ChannelOutcomes) -> dict[str, Counter[Outcome]]:
    """Records by channel and outcome; channels without any record have zeros."""
    counts = {
        channel.value: Counter[Outcome]()
        for mapping in run.mappings.values()
        for channel, _ in mapping.channels.items()
    }
    for channel, outcome, _, count in shown:
        counts.setdefault(channel.value, Counter())[outcome] += count
    return counts


def _purchases(run: Run) -> dict[str, dict[str, PurchaseFigures]]:
    run_outcomes, found = run.services.ledger.run_outcomes, dict[tuple[str, Channel], PurchaseFigures]()
    for ended in run_outcomes.ended_purchases(run.started_at, list(run.mappings) if run.services.shared else None):
        key = ended.provider, ended.channel
        found[key] = _add(found.get(key, PurchaseFigures()), ended)
    for provider, channel, state, count in run_outcomes.open_purchases(run.id):
        before = found.get((provider, channel), PurchaseFigures())
        unknown = state is PurchaseState.UNKNOWN
        found[provider, channel] = replace(
            before,
            waiting=before.waiting + (0 if unknown else count),
            unknown=before.unknown + (count if unknown else 0),
        )
    by_provider: dict[str, dict[str, PurchaseFigures]] = {}
    for (provider, channel), figures in sorted(found.items()):
        by_provider.setdefault(provider, {})[channel.value] = figures
    return by_provider


def _add(before: PurchaseFigures, ended: EndedPurchases) -> PurchaseFigures:
    delivered = ended.result is Result.DELIVERED
    credits_ = before.credits + ended.credits
    wasted = before.credits_without_value + (0 if delivered else ended.credits)
    if ended.free and not ended.credits:
        return replace(before, free=before.free + (ended.count if delivered else 0))
    return replace(
        before,
        bought=before.bought + ended.count,
        delivered=before.delivered + (ended.count if delivered else 0),
        without_value=before.without_value + (ended.count if ended.result is Result.NOT_FOUND else 0),
        failed=before.failed + (ended.count if ended.result is Result.FAILED else 0),
        credits=credits_,
        credits_without_value=wasted,
    )


def _credits(run: Run) -> dict[str, ProviderCredits]:
    credits_now = run.services.ledger.credits
    charged = credits_now.charged_since(run.first_entry, list(run.mappings) if run.services.shared else None)
    totals = credits_now.totals()
    names = dict.fromkeys([*run.balances, *charged])
    return {
        name: ProviderCredits(
            held=totals[name].open if name in totals else 0,
            charged=charged.get(name, 0),
            balance_before=run.balances.get(name, {}).get("before"),
            balance_after=run.balances.get(name, {}).get("after"),
        )
        for name in names
    }


def _crm(run: Run) -> dict[str, CrmFigures]:
    """The requests and records of the run, by CRM."""
    usage, before = run.services.crm.usage(), run.services.usage_before
    figures = CrmFigures(
        usage.read_calls - before.read_calls,
        usage.write_calls - before.write_calls,
        usage.other_calls - before.other_calls,
        len(run.updated),
        run.unchanged,
        len(run.refused),
    )
    return {run.services.crm.name: figures}


def _attention(run: Run, outcomes: list[RunRecordOutcome]) -> list[Attention]:
    found = {(a.record_id, a.reason): a for a in run.attention}
    noted = {record_id for record_id, _ in found}
    unknown_at = run.services.ledger.run_outcomes.unknown_at(run.id)
    for one in outcomes:
        entry = None if one.crm_id in noted else _attention_of(run, one, unknown_at)
        if entry is not None:
            found[one.crm_id, one.reason] = entry
            noted.add(one.crm_id)
    since = run.now() - LOOP_WINDOW
    for crm_id, times in run.services.ledger.run_outcomes.often_flagged(run.id, since, LOOP_TIMES):
        reason = f"flagged {times} times within a day"
        found[crm_id, reason] = Attention(reason, "find the automation that sets the flag again", crm_id)
    return [*found.values(), *still_waiting(run, run.now())]


def _attention_of(run: Run, one: RunRecordOutcome, unknown_at: Mapping[str, str]) -> Attention | None:
    """What a person should do about a record; None if there is nothing to do."""
    if one.outcome is Outcome.UNKNOWN:
        return Attention(one.reason, _unknown_next(run, unknown_at.get(one.crm_id)), one.crm_id)
    if one.outcome is Outcome.PARKED:
        return Attention(one.reason, one.attention or PARKED_NEXT, one.crm_id)
    return Attention(one.reason, one.attention, one.crm_id) if one.attention else None


def _unknown_next(run: Run, name: str | None) -> str:
    provider = run.services.providers.get(name or "")
    if provider is None or provider.keeps_records:
        return "later runs read it at the vendor; see: connector status"
    return "needs a callback or a manual decision: see connector status, then run connector resolve"


PARKED_NEXT = "the next run tries again"


def _reasons(shown: ChannelOutcomes) -> dict[str, dict[str, dict[str, int]]]:
    """The number of records by channel, outcome and reason, the most frequent first."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for channel, outcome, reason, count in shown:
        reasons = found.setdefault(channel.value, {}).setdefault(outcome.value, {}) if reason else {}
        if reason and len(reasons) < REASONS_SHOWN:
            reasons[reason] = count
    return found
