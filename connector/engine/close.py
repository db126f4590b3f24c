"""Closes the accounting of a run: every selected record has one outcome, and every hold has ended or is open."""

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
ATTENTION_SHOWN = 200  # in the report; the export has every entry
REASONS_SHOWN = 50  # of one channel and outcome


def classify_rest(run: Run) -> None:
    """Give an outcome to records that no write reached: the run was stopped, or their vendor is still at work."""
    records = run.services.ledger.records
    unwritten: list[Unwritten] = []
    for rows in (
        records.complete(run.id, run.attempted_writes, 1_000_000),
        records.incomplete(run.id, run.attempted_writes, 1_000_000),
    ):
        words = records.purchase_views(w.purchase_id for row in rows for w in row.channels if w.purchase_id)
        for row in rows:
            shown = {
                record_channel.id: _unwritten_channel(run, row, record_channel, words)
                for record_channel in row.channels
            }
            outcome = outcome_of_record([found for found, _ in shown.values()])
            reason = next((text for found, text in shown.values() if found is outcome), "")
            unwritten.append(Unwritten(row.id, outcome, run.crm_stopped or reason, shown))
            run.attempted_writes.add(row.id)
    records.note(unwritten)


def _unwritten_channel(
    run: Run, row: RecordRow, record_channel: RecordChannelRow, words: Mapping[int, PurchaseView]
) -> tuple[Outcome, str]:
    """A result that could not be written yet is not final: the record keeps its flag, and the next run writes it."""
    result = channel_result(run, row.mapping, record_channel, words.get(record_channel.purchase_id or 0))
    if record_channel.state == ChannelState.DONE:  # written by an earlier run
        return result.outcome, result.reason
    if result.outcome in OPEN_OUTCOMES:
        return result.outcome, result.reason
    return Outcome.DEFERRED, run.crm_stopped or result.reason or NOT_WRITTEN


NOT_WRITTEN = "it is not written yet; the next run writes it"


def close_run(run: Run, command: str, state: str, trouble: str = "") -> Report:
    """Keep the outcome of each record in this run, check the sums, and make the report.

    Raises:
        BooksError: outcomes do not sum to the selected records, or entries are not consistent with the purchases.
    """
    ledger = run.services.ledger
    ledger.run_outcomes.keep_outcomes(run.id)
    words = ledger.run_outcomes.outcomes(run.id)
    selected = ledger.run_outcomes.selected(run.id)
    now = run.now()
    ledger.inbox.record_outcomes(run.id, list(run.mappings), run.started_at, run.later(AGAIN_AFTER_S))
    shown = _shown(run, words)
    attention = _attention(run, words)
    report = Report(
        run_id=run.id,
        command=command,
        mappings=tuple(run.mappings),
        state=state,
        selected=selected,
        outcomes=Counter(word.outcome for word in words),
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
                    *filter(None, [run.crm_stopped, trouble]),
                ]
            )
        ),
    )
    wrong = ledger.credits.imbalance()
    if not trouble and len(words) != selected:
        wrong = f"{selected} records were selected, {len(words)} have an outcome; {wrong}"
    if wrong:
        ledger.runs.finish(run.id, RunState.FAILED, report.to_json(), now)
        raise AccountingError(
            f"the accounting of run {run.id} does not close: {wrong}. Please report this; nothing is bought twice"
        )
    ledger.runs.finish(run.id, state, report.to_json(), now)
    return report


ChannelOutcomes = list[tuple[Channel, Outcome, str, int]]


def _shown(run: Run, words: list[RunRecordOutcome]) -> ChannelOutcomes:
    """What each channel of each record has come to: one outcome for every channel that the record's mapping has.

    Records that are open from earlier runs may have begun under a mapping with other channels.
    """
    found: Counter[tuple[Channel, Outcome, str]] = Counter()
    missing = Counter(
        {
            (name, channel): count
            for name, count in Counter(word.mapping for word in words).items()
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


NOT_BEGUN = "this channel was mapped after the work on the record had begun; flag it again"


def _channels(run: Run, shown: ChannelOutcomes) -> dict[str, Counter[Outcome]]:
    """Records by channel and outcome; a channel of which the run had no record is there with zeros."""
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
    """Requests and records by CRM."""
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


def _attention(run: Run, words: list[RunRecordOutcome]) -> list[Attention]:
    found = {(a.record_id, a.reason): a for a in run.attention}
    unknown_at = run.services.ledger.run_outcomes.unknown_at(run.id)
    for word in words:
        if any(key[0] == word.crm_id for key in found):
            continue
        if word.outcome is Outcome.UNKNOWN:
            found[word.crm_id, word.reason] = Attention(
                word.reason, _unknown_next(run, unknown_at.get(word.crm_id)), word.crm_id
            )
        elif word.outcome is Outcome.PARKED:
            found[word.crm_id, word.reason] = Attention(word.reason, word.attention or PARKED_NEXT, word.crm_id)
        elif word.attention:
            found[word.crm_id, word.reason] = Attention(word.reason, word.attention, word.crm_id)
    since = run.now() - LOOP_WINDOW
    for crm_id, times in run.services.ledger.run_outcomes.often_flagged(run.id, since, LOOP_TIMES):
        reason = f"flagged {times} times within a day"
        found[crm_id, reason] = Attention(reason, "find the automation that sets the flag again", crm_id)
    return [*found.values(), *still_waiting(run, run.now())]


def _unknown_next(run: Run, name: str | None) -> str:
    provider = run.services.providers.get(name or "")
    if provider is None or provider.keeps_records:
        return "the vendor is asked on later runs; see: connector status"
    return "only a callback or you can tell: connector status names the purchase for connector resolve"


PARKED_NEXT = "it is offered again on the next run"


def _reasons(shown: ChannelOutcomes) -> dict[str, dict[str, dict[str, int]]]:
    """Number of records by channel, outcome and reason, the most frequent first."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for channel, outcome, reason, count in shown:
        reasons = found.setdefault(channel.value, {}).setdefault(outcome.value, {}) if reason else {}
        if reason and len(reasons) < REASONS_SHOWN:
            reasons[reason] = count
    return found
