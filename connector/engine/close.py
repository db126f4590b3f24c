"""Closes a run: each selected record gets one outcome, the accounting is checked, and the report is made."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.core.errors import AccountingError
from connector.core.model import OPEN_OUTCOMES, Attention, Channel, Outcome, Result, outcome_of_record
from connector.core.report import CrmFigures, ProviderCredits, PurchaseFigures, Report
from connector.core.states import ChannelState, PurchaseState, RunState
from connector.engine.context import ATTENTION_SHOWN, Run
from connector.engine.outcome import channel_result
from connector.engine.overdue import still_waiting
from connector.store.inbox import AGAIN_AFTER_S
from connector.store.record_views import PurchaseView, Unwritten
from connector.store.rows import RecordChannelRow, RecordRow
from connector.store.run_outcomes import EndedPurchases, RunRecordOutcome

LOOP_WINDOW = timedelta(days=1)
LOOP_TIMES = 4  # a record that is flagged more often than this in a day is reported
PAGE = 2000  # records that are classified at once
REASONS_SHOWN = 50  # for one channel and outcome


def classify_rest(run: Run) -> None:
    """Give an outcome to records that were not written: the run was stopped, or the vendor has not finished."""
    for name in run.mappings:
        after = 0
        while rows := run.services.ledger.records.untried(run.id, name, PAGE, after):
            _classify(run, rows)
            after = rows[-1].id


def _classify(run: Run, rows: Sequence[RecordRow]) -> None:
    records, unwritten = run.services.ledger.records, list[Unwritten]()
    views = records.purchase_views(c.purchase_id for row in rows for c in row.channels if c.purchase_id)
    for row in rows:
        shown = {
            record_channel.id: _unwritten_channel(run, row, record_channel, views) for record_channel in row.channels
        }
        outcome = outcome_of_record([found for found, _ in shown.values()])
        reason = next((text for found, text in shown.values() if found is outcome), "")
        unwritten.append(Unwritten(row.id, outcome, run.crm_stopped or reason, shown))
    records.note(run.id, unwritten)


def _unwritten_channel(
    run: Run, row: RecordRow, record_channel: RecordChannelRow, views: Mapping[int, PurchaseView]
) -> tuple[Outcome, str]:
    """Compute the outcome of a channel; an unwritten result is deferred: the flag stays, and the next run writes it."""
    result = channel_result(run, row.mapping, record_channel, views.get(record_channel.purchase_id or 0))
    if record_channel.state == ChannelState.DONE:  # written by an earlier run
        return result.outcome, result.reason
    if row.in_job:
        return Outcome.DEFERRED, run.crm_stopped or f"{run.services.crm.label} {IN_JOB}"
    if result.outcome in OPEN_OUTCOMES:
        return result.outcome, result.reason
    return Outcome.DEFERRED, run.crm_stopped or result.reason or NOT_WRITTEN


IN_JOB = "has not finished the job that writes it; the next run reads the answer"
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
    counts = ledger.run_outcomes.counts(run.id)
    selected = ledger.run_outcomes.selected(run.id)
    now = run.now()
    ledger.inbox.record_outcomes(run.id, list(run.mappings), run.started_at, run.later(AGAIN_AFTER_S))
    attention, attention_total = _attention(run)
    figures = _channel_figures(run)
    report = Report(
        run_id=run.id,
        command=command,
        mappings=tuple(run.mappings),
        state=state,
        selected=selected,
        outcomes=Counter(counts),
        channels=_channels(figures),
        purchases=_purchases(run),
        credits=_credits(run),
        crm=_crm(run),
        started_at=run.started_at,
        finished_at=now,
        attention=tuple(attention),
        attention_total=attention_total,
        reasons=_reasons(run, figures),
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
    wrong = ledger.credits.check(run.first_entry)
    with_outcome = sum(counts.values())
    if not error and with_outcome != selected:
        wrong = f"{selected} records were selected, {with_outcome} have an outcome; {wrong}"
    if wrong:
        ledger.runs.finish(run.id, RunState.FAILED, report.to_json(), now)
        raise AccountingError(
            f"the accounting of run {run.id} does not close: {wrong}. Please report this; nothing is bought twice"
        )
    ledger.runs.finish(run.id, state, report.to_json(), now, success=not error and report.is_success)
    return report


@dataclass(frozen=True, slots=True)
class _ChannelFigures:
    """The records of a run by mapping and channel.

    Records that are open from earlier runs may lack a channel, because their mapping had other channels then.

    Attributes:
        counts: by outcome, for every channel of every mapping.
        lacking: those without the channel.
    """

    counts: Mapping[tuple[str, Channel], Counter[Outcome]]
    lacking: Mapping[tuple[str, Channel], int]


def _channel_figures(run: Run) -> _ChannelFigures:
    run_outcomes = run.services.ledger.run_outcomes
    counts = {
        (name, channel): Counter[Outcome]()
        for name, mapping in run.mappings.items()
        for channel, _ in mapping.channels.items()
    }
    for name, channel, outcome, count in run_outcomes.channel_outcomes(run.id):
        if (name, channel) in counts:
            counts[name, channel][outcome] += count
    records = run_outcomes.counts_by_mapping(run.id)
    return _ChannelFigures(counts, {key: records.get(key[0], 0) - found.total() for key, found in counts.items()})


def _channels(figures: _ChannelFigures) -> dict[str, Counter[Outcome]]:
    """Records by channel and outcome; channels without any record have zeros."""
    counts: dict[str, Counter[Outcome]] = {}
    for (name, channel), by_outcome in figures.counts.items():
        of_channel = counts.setdefault(channel.value, Counter())
        of_channel.update(by_outcome)
        if lacking := figures.lacking[name, channel]:
            of_channel[Outcome.SKIPPED] += lacking
    return counts


NOT_BEGUN = "this channel was mapped after the record was selected; flag it again"


def _purchases(run: Run) -> dict[str, dict[str, PurchaseFigures]]:
    run_outcomes, found = run.services.ledger.run_outcomes, dict[tuple[str, Channel], PurchaseFigures]()
    sources = [provider.source for provider in run.services.providers.values()]
    mappings = list(run.mappings) if run.services.shared else None
    for ended in run_outcomes.ended_purchases(sources, run.started_at, mappings):
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
    held = credits_now.held()
    names = dict.fromkeys([*run.balances, *charged])
    return {
        name: ProviderCredits(
            held=held.get(name, 0),
            charged=charged.get(name, 0),
            balance_before=run.balances.get(name, {}).get("before"),
            balance_after=run.balances.get(name, {}).get("after"),
        )
        for name in names
    }


def _crm(run: Run) -> dict[str, CrmFigures]:
    """The requests and records of the run, by CRM."""
    usage, before = run.services.crm.usage(), run.services.usage_before
    written, refused = run.services.ledger.run_outcomes.written(run.id)
    figures = CrmFigures(
        usage.read_calls - before.read_calls,
        usage.write_calls - before.write_calls,
        usage.other_calls - before.other_calls,
        written,
        run.unchanged,
        refused,
    )
    return {run.services.crm.name: figures}


def _attention(run: Run) -> tuple[list[Attention], int]:
    """The first entries, and the number of all."""
    run_outcomes = run.services.ledger.run_outcomes
    records = run.record_attention
    first, total = run_outcomes.needing_attention(run.id, ATTENTION_SHOWN)
    unknown_at = run_outcomes.unknown_at([one.record_id for one in first if one.outcome is Outcome.UNKNOWN])
    noted = {record_id for record_id, _ in records}
    listed = [_attention_of(run, one, unknown_at) for one in first if one.crm_id not in noted]
    since = run.now() - LOOP_WINDOW
    often = [
        Attention(f"flagged {times} times within a day", "find the automation that sets the flag again", crm_id)
        for crm_id, times in run_outcomes.often_flagged(run.id, since, LOOP_TIMES)
    ]
    others = [*run.attention, *often, *still_waiting(run, run.now())]
    shown = list(dict.fromkeys([*run.attention, *records.values(), *listed, *often, *others]))
    counted = max(total, len(records) + len(listed))  # a record may have several entries, or none in the ledger
    return shown[:ATTENTION_SHOWN], counted + len(others) + run.unlisted


def _attention_of(run: Run, one: RunRecordOutcome, unknown_at: Mapping[int, str]) -> Attention:
    """What a person should do about a record."""
    if one.outcome is Outcome.UNKNOWN:
        return Attention(one.reason, _unknown_next(run, unknown_at.get(one.record_id)), one.crm_id)
    return Attention(one.reason, one.attention or PARKED_NEXT, one.crm_id)


def _unknown_next(run: Run, name: str | None) -> str:
    provider = run.services.providers.get(name or "")
    if provider is None or provider.keeps_records:
        return "later runs read it at the vendor; see: connector status"
    return "needs a callback or a manual decision: see connector status, then run connector resolve"


PARKED_NEXT = "the next run tries again"


def _reasons(run: Run, figures: _ChannelFigures) -> dict[str, dict[str, dict[str, int]]]:
    """The number of records by channel, outcome and reason, the most frequent first."""
    counts: Counter[tuple[Channel, Outcome, str]] = Counter()
    for name, channel, outcome, reason, count in run.services.ledger.run_outcomes.channel_reasons(
        run.id, REASONS_SHOWN
    ):
        if (name, channel) in figures.counts:
            counts[channel, outcome, reason] += count
    for (_, channel), count in figures.lacking.items():
        counts[channel, Outcome.SKIPPED, NOT_BEGUN] += count
    found: dict[str, dict[str, dict[str, int]]] = {}
    for (channel, outcome, reason), count in counts.most_common():
        reasons = found.setdefault(channel.value, {}).setdefault(outcome.value, {}) if count > 0 else {}
        if count > 0 and len(reasons) < REASONS_SHOWN:
            reasons[reason] = count
    return found
