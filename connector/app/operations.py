"""What the operations pages show and do, for a process that serves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.app.configuring import DEFAULT_CRM, Configured
from connector.app.delegation import turn
from connector.app.pages import SHOWN_ATTENTION, attention_lines, run_page
from connector.app.past_runs import find_run, past_run
from connector.app.status import decision_view, status_of
from connector.core.ages import TASK_AGE
from connector.core.clock import Clock
from connector.core.mapping import MappingFile
from connector.core.operations import (
    AttentionList,
    AttentionOfRun,
    BalanceSeen,
    CapLine,
    DecisionLine,
    OpenLine,
    OverdueLine,
    Overview,
    RecordLink,
    RequestLine,
    RunLine,
    RunList,
    ScheduleLine,
)
from connector.core.pages import RunPage
from connector.core.spend import Cap, Totals
from connector.engine.context import AccountLimits, Services, Silent
from connector.engine.overdue import attention_of
from connector.engine.resolve import OperatorDecision, options_of, resolve
from connector.jobs.schedule import next_sync
from connector.store.credits import BALANCE, CapRules
from connector.store.ledger import Ledger
from connector.store.runs import RunRow

RUNS_OF_OVERVIEW = 8
RUNS_OF_PAGE = 50
REQUESTS_SHOWN = 100
DECISIONS_SHOWN = 100
RECORDS_OF_DECISION = 5
LOOKED_BACK = 50  # at most so many runs are read for the last one of each mapping
WITHIN_S = 20.0  # so long a button waits for a run to yield the ledger


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations pages' view of a deployment.

    Attributes:
        configured: the settings.
        services: the services of this process.
        mappings: the mappings that it serves, by name.
    """

    configured: Configured
    services: Services
    mappings: Mapping[str, MappingFile]

    @property
    def _ledger(self) -> Ledger:
        return self.services.ledger

    @property
    def _clock(self) -> Clock:
        return self.services.clock

    def overview(self) -> Overview:
        """The state of the deployment, from the ledger alone: nothing is asked of the CRM or of a vendor."""
        now = self._clock.now()
        status = status_of(self._ledger, self.configured.ledger_place(), now)
        caps, balances = self._budgets()
        return Overview(
            now=now,
            ledger=status.ledger,
            records=status.open_records,
            parked=status.parked_records,
            tasks=status.open_tasks,
            decisions=len(status.needs_a_look),
            requests=status.requested_records,
            open=tuple(OpenLine(one.provider, one.state, one.count, one.next) for one in status.purchases),
            caps=tuple(caps),
            balances=tuple(balances),
            runs=tuple(self._run_line(row) for row in self._ledger.overview.runs_before("", RUNS_OF_OVERVIEW)),
            schedules=tuple(self._schedules()),
            workers=tuple((one.kind, ", ".join(one.mappings)) for one in status.workers),
            accounting=status.accounting,
            notes=() if status.older_copy is None else (f"{status.older_copy.sign}; {status.older_copy.next}",),
        )

    def _budgets(self) -> tuple[list[CapLine], list[BalanceSeen]]:
        now, totals = self._clock.now(), self._ledger.credits.totals()
        lines: list[CapLine] = []
        balances: list[BalanceSeen] = []
        for name in sorted({one for mapping in self.mappings.values() for one in mapping.providers()}):
            source = self.services.providers[name].source
            rules = self._rules(name)
            budget = self._ledger.credits.remaining_budget(source.name, source.account, "", rules, now)
            caps = [*budget.shared, *(cap for found in budget.by_mapping.values() for cap in found)]
            lines += [_cap_line(name, cap) for cap in caps if cap.name != BALANCE]
            seen = next((cap.limit + rules.reserve for cap in budget.shared if cap.name == BALANCE), None)
            total = totals.get(name, Totals())
            balances.append(BalanceSeen(name, seen, total.open, total.charged))
            if rules.day is None and not rules.mapping_day:
                spent = self._ledger.credits.used_on(source, now)
                lines.append(CapLine(name, "no daily cap; spent and held today", None, spent, None))
        return lines, balances

    def _rules(self, provider: str) -> CapRules:
        """The caps of the day and the month; those of a run say nothing between runs."""
        limits = self.services.limits.get(provider, AccountLimits())
        return CapRules(
            mapping_day={
                name: cap
                for name, mapping in self.mappings.items()
                if (cap := mapping.limits.max_credits_per_day.get(provider)) is not None
            },
            day=limits.day,
            month=limits.month,
            reserve=limits.reserve,
        )

    def _schedules(self) -> Iterator[ScheduleLine]:
        for name, mapping in self.mappings.items():
            cron = mapping.schedule or ""
            due = next_sync(self._ledger.jobs, name, cron, self._clock.now()) if cron else None
            yield ScheduleLine(name, cron, due)

    def _run_line(self, row: RunRow) -> RunLine:
        report = row.report or {}
        return RunLine(
            run_id=row.id,
            command=row.command,
            mappings=row.mappings,
            state=past_run(self._ledger, row).state,
            started_at=row.started_at,
            selected=report.get("selected"),
            delivered=report.get("outcomes", {}).get("delivered", 0),
            attention=report.get("attention_total", len(report.get("attention", ()))),
            credits=sum(one["charged"] for one in report.get("credits", {}).values()),
        )

    def runs(self, before: str = "") -> RunList:
        """A part of the list of runs, newest first; `before` is the last run of the part before."""
        rows = self._ledger.overview.runs_before(before, RUNS_OF_PAGE + 1)
        shown = rows[:RUNS_OF_PAGE]
        older = shown[-1].id if len(rows) > RUNS_OF_PAGE else ""
        return RunList(tuple(self._run_line(row) for row in shown), older)

    def run(self, run_id: str) -> RunPage:
        """The page of one run.

        Raises:
            ConfigurationError: there is no such run, or it has no report yet.
        """
        return run_page(self._ledger, self.configured, find_run(self._ledger, run_id))

    def attention(self) -> AttentionList:
        """Overdue work, and what the last run of each mapping left for a person."""
        overdue = []
        for one in self._ledger.overdue.all(self._clock.now()):
            text = attention_of(one)
            overdue.append(
                OverdueLine(one.what.value, one.subject, one.count, f"{one.since:%Y-%m-%d}", text.reason, text.next)
            )
        return AttentionList(tuple(overdue), tuple(self._last_attention()))

    def _last_attention(self) -> Iterator[AttentionOfRun]:
        seen: set[str] = set()
        for row in self._ledger.overview.newest_finished(LOOKED_BACK):
            if row.command == "undo" or not set(row.mappings) - seen or row.report is None or row.finished_at is None:
                continue
            seen |= set(row.mappings)
            rows = tuple(attention_lines(self.configured, row.report))
            if rows:
                total = row.report.get("attention_total", len(rows))
                yield AttentionOfRun(row.id, row.mappings, row.finished_at, rows[:SHOWN_ATTENTION], total)

    def decisions(self) -> Sequence[DecisionLine]:
        """The purchases that an operator may have to resolve, oldest first."""
        now = self._clock.now()
        rows = self._ledger.operator.needs_a_look(DECISIONS_SHOWN, sent_before=now - TASK_AGE)
        records = self._ledger.overview.records_of([row.id for row in rows], RECORDS_OF_DECISION)
        link = self.configured.crms[DEFAULT_CRM].record_url
        found = []
        for row in rows:
            view = decision_view(row)
            found.append(
                DecisionLine(
                    purchase_id=row.id,
                    provider=row.provider,
                    channel=view.channel,
                    state=view.state,
                    reason=view.reason,
                    since=row.since,
                    next=view.next,
                    options=tuple(one.value for one in options_of(row)),
                    records=tuple(RecordLink(one, link(one)) for one in records.get(row.id, ())),
                )
            )
        return found

    def requests(self) -> Sequence[RequestLine]:
        """The newest requests, newest first."""
        return [
            RequestLine(one.request_id, one.mapping, one.accepted_at, one.records, one.open, one.outcomes)
            for one in self._ledger.overview.requests(REQUESTS_SHOWN)
        ]

    def resolve(self, purchase_id: int, decision: str) -> str:
        """Record an operator's decision; returns a sentence about its effect.

        Raises:
            ConfigurationError: there is no such purchase, or its state does not allow the decision.
            LockedError: a run did not yield the ledger in time.
        """
        with turn(self._ledger, Silent(), within_s=WITHIN_S):
            done = resolve(self._ledger, purchase_id, OperatorDecision(decision), self._clock.now())
            self._ledger.poll_backoff.refresh(self._clock.now())
            return done


def _cap_line(provider: str, cap: Cap) -> CapLine:
    return CapLine(provider, cap.name, cap.limit, cap.used, cap.left)
