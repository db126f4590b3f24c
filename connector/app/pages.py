"""Builds the pages of one run and of a period, from reports and bounded queries."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.app.configuring import DEFAULT_CRM, Configured
from connector.app.past_runs import PastRun
from connector.core.errors import ConfigurationError
from connector.core.exit_codes import MEANINGS
from connector.core.pages import (
    AttentionLine,
    BalanceLine,
    FieldLine,
    Moment,
    MoneyLine,
    PeriodLine,
    PeriodPage,
    ReasonLine,
    RunPage,
    SlowTask,
)
from connector.core.states import RunState
from connector.store.ledger import Ledger

MOMENTS = 40  # parts of a timeline
SLOW_TASKS = 10
SHOWN_ATTENTION = 200
SHOWN_REASONS = 30
Document = Mapping[str, Any]
_MONEY = ("bought", "delivered", "without_value", "failed", "credits", "credits_without_value")


def run_page(ledger: Ledger, configured: Configured, run: PastRun) -> RunPage:
    """The page of one run.

    Raises:
        ConfigurationError: the run has no report.
    """
    if run.report is None:
        raise ConfigurationError(f"run {run.id} has no report ({run.state}); its open work: connector status")
    report = run.report
    began, ended = (datetime.fromisoformat(report[name]) for name in ("started_at", "finished_at"))
    code = exit_code_of(report)
    details = not run.condensed
    return RunPage(
        run_id=run.id,
        command=run.command,
        mappings=run.mappings,
        state=run.state,
        exit_code=code,
        meaning=MEANINGS[code] if run.state != RunState.FAILED else "an error ended it; see why below",
        started_at=began,
        finished_at=ended,
        selected=report["selected"],
        funnel=_funnel(report),
        outcomes=_counted(report["outcomes"]),
        channels={name: _counted(counts) for name, counts in report["channels"].items()},
        money=_money([report]),
        balances=_balances(report),
        reasons=_reasons([report]),
        attention=tuple(attention_lines(configured, report)),
        attention_total=report.get("attention_total", len(report["attention"])),
        timeline=_timeline(ledger, run.id, began, ended) if details else (),
        slowest=tuple(
            SlowTask(one.provider, one.channel, one.people, one.seconds)
            for one in (ledger.run_pages.slowest(run.id, SLOW_TASKS) if details else ())
        ),
        fields=tuple(
            FieldLine(one.object, one.field, one.written, one.restorable)
            for one in (ledger.run_pages.fields(run.id) if details else ())
        ),
        stopped=tuple(report.get("stopped", ())),
        undone_by=run.undone_by,
        condensed=run.condensed,
    )


def exit_code_of(report: Document) -> int:
    """The exit code of the run that wrote a report."""
    if report.get("state") == RunState.FAILED:
        return 2
    if report.get("stopped") or report["outcomes"].get("deferred"):
        return 4
    return 3 if report.get("attention") else 0


def _counted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _funnel(report: Document) -> tuple[tuple[str, int], ...]:
    """From the selected records to the written ones; each step is a part of the one before."""
    outcomes, selected = report["outcomes"], report["selected"]
    reached = selected - outcomes.get("deferred", 0)
    paid = reached - outcomes.get("skipped", 0)
    ended = paid - outcomes.get("waiting", 0) - outcomes.get("unknown", 0)
    return (
        ("selected", selected),
        ("decided", reached),
        ("asked for", paid),
        ("answered", ended),
        ("with a value", outcomes.get("delivered", 0) + outcomes.get("parked", 0)),
        ("delivered", outcomes.get("delivered", 0)),
    )


def _money(reports: Iterable[Document]) -> tuple[MoneyLine, ...]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for report in reports:
        for provider, channels in report.get("purchases", {}).items():
            for channel, figures in channels.items():
                found = sums.setdefault((provider, channel), Counter())
                found.update({name: figures.get(name, 0) for name in _MONEY})
    return tuple(
        MoneyLine(provider, channel, *(found[name] for name in _MONEY))
        for (provider, channel), found in sorted(sums.items())
        if any(found.values())
    )


def _balances(report: Document) -> tuple[BalanceLine, ...]:
    return tuple(
        BalanceLine(name, one["charged"], one["held"], one["balance_before"], one["balance_after"])
        for name, one in report.get("credits", {}).items()
    )


def _reasons(reports: Iterable[Document]) -> tuple[ReasonLine, ...]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for report in reports:
        for channel, by_outcome in report.get("reasons", {}).items():
            for outcome, reasons in by_outcome.items():
                for reason, count in reasons.items():
                    counts[channel, outcome, reason] += count
        if len(counts) > 20 * SHOWN_REASONS:
            counts = Counter(dict(counts.most_common(10 * SHOWN_REASONS)))
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:SHOWN_REASONS]
    return tuple(ReasonLine(*key, count) for key, count in ordered)


def attention_lines(configured: Configured, report: Document) -> Iterable[AttentionLine]:
    """What a run left for a person, each with its record's page in the CRM."""
    crm = configured.crms[DEFAULT_CRM]
    for row in report["attention"][:SHOWN_ATTENTION]:
        record_id = row.get("record_id") or ""
        field = f" ({row['field']})" if row.get("field") else ""
        url = crm.record_url(record_id) if record_id else ""
        yield AttentionLine(record_id, url, f"{row.get('reason', '')}{field}", row.get("next", ""))


def _timeline(ledger: Ledger, run_id: str, began: datetime, ended: datetime) -> tuple[Moment, ...]:
    part_s = max(1.0, (ended - began).total_seconds() / MOMENTS)
    found = ledger.run_pages.moments(run_id, began, part_s)
    if not found:
        return ()
    last = max(math.ceil((ended - began).total_seconds() / part_s), *found)
    return tuple(Moment(number * part_s, *found.get(number, (0, 0, 0))) for number in range(last + 1))


def period_page(ledger: Ledger, since: datetime, until: datetime) -> PeriodPage:
    """The page of all runs that started in a period; their reports are added up one by one."""
    total = _Sum()
    by_mapping: dict[str, _Sum] = {}
    by_week: dict[str, _Sum] = {}
    runs = without_report = 0
    for row in ledger.run_pages.runs_between(since, until):
        if row.command == "undo":
            continue
        runs += 1
        if row.report is None:
            without_report += 1
            continue
        week = row.started_at.astimezone(UTC).date() - timedelta(days=row.started_at.astimezone(UTC).weekday())
        name = " and ".join(row.mappings) or "-"
        for one in (total, by_mapping.setdefault(name, _Sum()), by_week.setdefault(week.isoformat(), _Sum())):
            one.add(row.report)
    return PeriodPage(
        since=since,
        until=until,
        runs=runs,
        without_report=without_report,
        selected=total.selected,
        outcomes=_counted(total.outcomes),
        channels={name: _counted(counts) for name, counts in sorted(total.channels.items())},
        money=_money([{"purchases": total.purchases}]),
        mappings=tuple(one.line(name) for name, one in sorted(by_mapping.items())),
        weeks=tuple(one.line(name) for name, one in sorted(by_week.items())),
        reasons=_reasons([{"reasons": total.reasons}]),
    )


class _Sum:
    """The sum of reports; a record that several runs had counts in each."""

    def __init__(self) -> None:
        self.runs = self.selected = 0
        self.outcomes: Counter[str] = Counter()
        self.channels: dict[str, Counter[str]] = {}
        self.credits: Counter[str] = Counter()
        self.purchases: dict[str, dict[str, Counter[str]]] = {}
        self.reasons: dict[str, dict[str, Counter[str]]] = {}

    def add(self, report: Document) -> None:
        self.runs += 1
        self.selected += report["selected"]
        self.outcomes.update(report["outcomes"])
        for channel, counts in report["channels"].items():
            self.channels.setdefault(channel, Counter()).update(counts)
        self.credits.update({name: one["charged"] for name, one in report.get("credits", {}).items()})
        for provider, channels in report.get("purchases", {}).items():
            for channel, figures in channels.items():
                self.purchases.setdefault(provider, {}).setdefault(channel, Counter()).update(figures)
        for channel, by_outcome in report.get("reasons", {}).items():
            for outcome, reasons in by_outcome.items():
                found = self.reasons.setdefault(channel, {}).setdefault(outcome, Counter())
                found.update(reasons)
                if len(found) > 20 * SHOWN_REASONS:
                    self.reasons[channel][outcome] = Counter(dict(found.most_common(10 * SHOWN_REASONS)))

    def line(self, name: str) -> PeriodLine:
        return PeriodLine(name, self.runs, self.selected, self.outcomes["delivered"], dict(self.credits))
