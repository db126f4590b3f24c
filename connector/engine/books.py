"""Stage 6: close the books. Every selected record has exactly one outcome; every hold ended or is still open."""

from collections import Counter
from datetime import timedelta

from connector.core.errors import BooksError
from connector.core.model import Attention, Outcome, Result, worst
from connector.core.report import CrmFigures, ProviderCredits, Report
from connector.engine.context import Run
from connector.engine.outcome import channel_result
from connector.store.inbox import AGAIN_AFTER_S
from connector.store.words import RunWord

LOOP_WINDOW = timedelta(days=1)
LOOP_TIMES = 4  # a record that is flagged more often than this in a day is reported
ATTENTION_PER_REASON = 50


def classify_rest(run: Run) -> None:
    """Give an outcome to records that no write reached: the run was stopped, or their vendor is still at work."""
    records = run.parts.ledger.records
    notes: list[tuple[int, Outcome, str, str]] = []
    for rows in (records.complete(run.id, run.tried, 1_000_000), records.incomplete(run.id, run.tried, 1_000_000)):
        words = records.words_of(w.unlock_id for row in rows for w in row.wants if w.unlock_id)
        for row in rows:
            results = [channel_result(run, row.mapping, want, words.get(want.unlock_id or 0)) for want in row.wants]
            outcomes = [Outcome.PARKED if r.value is not None else r.outcome for r in results]
            outcome = worst([_not_final(o) for o in outcomes])
            reason = next((r.reason for r, o in zip(results, outcomes, strict=True) if _not_final(o) is outcome), "")
            notes.append((row.id, outcome, run.crm_stopped or reason, ""))
            run.tried.add(row.id)
    records.note(notes)


def _not_final(outcome: Outcome) -> Outcome:
    """A result that could not be written yet is not final: the record keeps its flag and comes again."""
    return Outcome.DEFERRED if outcome in _NEEDS_WRITE else outcome


_NEEDS_WRITE = frozenset({Outcome.DELIVERED, Outcome.NOT_FOUND, Outcome.FAILED, Outcome.SKIPPED})


def close(run: Run, command: str, state: str, trouble: str = "") -> Report:
    """Keep this run's word on each record, check the sums, and make the report.

    Raises:
        BooksError: outcomes do not sum to the selected records, or entries are not consistent with the unlocks.
    """
    ledger = run.parts.ledger
    ledger.records.snapshot(run.id)
    words = ledger.records.words(run.id)
    selected = ledger.records.selected(run.id)
    now = run.now()
    ledger.inbox.follow(run.id, list(run.mappings), run.started_at, run.later(AGAIN_AFTER_S))
    report = Report(
        run_id=run.id,
        command=command,
        mappings=tuple(run.mappings),
        state=state,
        selected=selected,
        outcomes=Counter(word.outcome for word in words),
        channels=_channels(run),
        credits=_credits(run),
        crm=_crm(run),
        started_at=run.started_at,
        finished_at=now,
        attention=tuple(_attention(run, words)),
        reasons=_reasons(words),
        read_all=run.read_all,
        stopped=tuple(
            dict.fromkeys([*run.stopped.values(), *run.closed.values(), *filter(None, [run.crm_stopped, trouble])])
        ),
    )
    wrong = ledger.credits.imbalance()
    if not trouble and len(words) != selected:
        wrong = f"{selected} records were selected, {len(words)} have an outcome; {wrong}"
    if wrong:
        ledger.runs.finish(run.id, "failed", report.to_json(), now)
        raise BooksError(
            f"the books of run {run.id} do not close: {wrong}. Please report this; nothing is bought twice"
        )
    ledger.runs.finish(run.id, state, report.to_json(), now)
    return report


def _channels(run: Run) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {
        channel.value: {} for mapping in run.mappings.values() for channel, _ in mapping.channels.items()
    }
    for channel, result, count in run.parts.ledger.records.channel_counts(run.started_at):
        counts.setdefault(channel.value, {})[result.value] = count
    return {name: {r.value: found[r.value] for r in Result if r.value in found} for name, found in counts.items()}


def _credits(run: Run) -> dict[str, ProviderCredits]:
    credits_now = run.parts.ledger.credits
    charged = credits_now.charged_since(run.first_entry, list(run.mappings) if run.parts.shared else None)
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


def _crm(run: Run) -> CrmFigures:
    usage, before = run.parts.crm.usage(), run.parts.usage_before
    return CrmFigures(
        usage.read_calls - before.read_calls,
        usage.write_calls - before.write_calls,
        usage.other_calls - before.other_calls,
        run.writes["written"],
        run.writes["unchanged"],
        run.writes["failed"],
    )


def _attention(run: Run, words: list[RunWord]) -> list[Attention]:
    found = {(a.record_id, a.reason): a for a in run.attention}
    unknown_at = run.parts.ledger.records.unknown_at(run.id)
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
    for crm_id, times in run.parts.ledger.records.often_flagged(run.id, since, LOOP_TIMES):
        reason = f"flagged {times} times within a day"
        found[crm_id, reason] = Attention(reason, "find the automation that sets the flag again", crm_id)
    return list(found.values())


def _unknown_next(run: Run, name: str | None) -> str:
    provider = run.parts.providers.get(name or "")
    if provider is None or provider.keeps_records:
        return "the vendor is asked on later runs; see: connector status"
    return "only a callback or you can tell: connector status names the unlock for connector resolve"


PARKED_NEXT = "it is offered again on the next run"


def _reasons(words: list[RunWord]) -> dict[str, dict[str, int]]:
    told: dict[str, Counter[str]] = {}
    for word in words:
        if word.reason:
            told.setdefault(word.outcome.value, Counter())[word.reason] += 1
    return {outcome: dict(counts.most_common(ATTENTION_PER_REASON)) for outcome, counts in told.items()}
