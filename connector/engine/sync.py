"""One pass over the stages: recover, finish open work, select records, buy and wait, write, close the accounting.

If a pass ends early for any reason, the next one continues from the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.ages import PLAN_KEPT
from connector.core.crm_api import CrmApi
from connector.core.errors import ConnectorError, LockedError, StopError
from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.report import Report
from connector.core.states import RunState
from connector.crm.interface import Selection
from connector.engine import bulk, collect, prices, recovery, write
from connector.engine.apply import drop_unselected, take_up
from connector.engine.close import classify_rest, close_run
from connector.engine.context import Run, Services
from connector.engine.observing import RunObserver, observe_run, stage
from connector.engine.scheduler import Scheduler
from connector.engine.select import flagged, select, within
from connector.engine.watching import watch_run

_GUARDED = {"sync", "backfill"}  # requests name their records, so they need no guard
MOST_SOURCES = 10  # the most rounds: after each, a refused value may send a record to the next source


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The specification of a run.

    Attributes:
        command: the command's name in reports, such as sync or backfill.
        selections: the records by mapping name; a mapping without a selection takes its flagged records.
        plan: the frozen plan to apply instead of selections.
        budget_id: runs with the same id share the budget of one run, such as a command that continues after a crash.
        override_guards: the operator overrides all guards.
        requests: the number of HTTP requests that the run serves, each with a budget that none of its records exceeds.
        api: the CRM's API for many records.
    """

    command: str
    mappings: Mapping[str, MappingFile]
    selections: Mapping[str, Selection]
    plan: FrozenPlan | None = None
    budget_id: str | None = None
    override_guards: bool = False
    requests: int = 1
    api: CrmApi = CrmApi.REST


def run_pass(services: Services, spec: RunSpec) -> Report:
    """Make one run; if it ends early, the next run continues.

    Raises:
        ConfigurationError: an admin must correct a setting, mapping or permission.
        AccountingError: the accounting of the ledger does not close.
        LockedError: another process has taken the run over.
    """
    run = _begin(services, spec)
    with observe_run(run.id, spec.command, list(spec.mappings), run.monotonic) as seen:
        return _pass(run, spec, seen)


def _pass(run: Run, spec: RunSpec, seen: RunObserver) -> Report:
    try:
        with stage("recover", run.monotonic):
            recovery.recover(run)
            bulk.resume(run)
            if run.override_guards:
                prices.forget_suspicions(run)
            recovery.observe_balances(run, "before")
        with stage("select", run.monotonic):
            _take_up(run, spec)
        run.read_all = True
        _work(run)
    except StopError as error:
        run.crm_stopped = str(error)
        classify_rest(run)
    except LockedError:
        raise  # the new owner of the run stores the outcomes
    except ConnectorError as error:
        classify_rest(run)
        seen.report = close_run(run, spec.command, RunState.FAILED, str(error))
        raise
    with stage("close", run.monotonic):
        if not run.crm_stopped:
            recovery.observe_balances(run, "after")
        ended_early = run.stopped or run.closed or run.crm_stopped or run.guarded or run.left_for_later
        state = RunState.STOPPED if ended_early else RunState.FINISHED
        seen.report = close_run(run, spec.command, state)
    return seen.report


def _begin(services: Services, spec: RunSpec) -> Run:
    now = services.clock.now()
    first_entry, last_write = services.ledger.credits.newest_entry(), services.ledger.restored.last_write()
    services.ledger.runs.mark_crashed(now, list(spec.mappings) if services.shared else None)
    plan_id = spec.plan.terms.plan_id if spec.plan else spec.budget_id
    run_id = services.ledger.runs.start(spec.command, list(spec.mappings), now, plan_id)
    watch_run(services, run_id, spec.mappings)
    open_providers = services.ledger.runs.open_providers(services.providers)
    return Run(
        services,
        run_id,
        spec.mappings,
        now,
        first_entry,
        open_providers=open_providers,
        override_guards=spec.override_guards,
        plan=spec.plan,
        live_plans=services.ledger.plans.live(now - PLAN_KEPT),
        budget_id=plan_id,
        last_write=last_write,
        requests=spec.requests,
        api=spec.api,
    )


def _take_up(run: Run, spec: RunSpec) -> None:
    """Adopt the open records of earlier runs, then select records."""
    ledger, names = run.services.ledger, list(spec.mappings)
    run.services.progress.stage("Reading records")
    if spec.plan is not None:
        take_up(run, spec.plan)
        return
    ledger.records.adopt(run.id, names, run.now())
    for name, mapping in spec.mappings.items():
        usual = not spec.selections and spec.command == "sync"
        selection = within(spec.selections.get(name) or flagged(mapping), run.selected)
        select(run, mapping, selection, usual=usual, guarded=spec.command in _GUARDED)
    if not spec.selections:
        drop_unselected(run, [name for name in names if name not in run.guarded])


def _work(run: Run) -> None:
    """Buy and wait, then write; after a value that the CRM can never accept, the record's next source is due."""
    until_s: float | None = None
    for _ in range(MOST_SOURCES):
        with stage("buy", run.monotonic):
            scheduler = Scheduler(run, until_s)
            scheduler.work()
        until_s = scheduler.until_s
        run.writing_last, run.reopened = True, False
        with stage("write", run.monotonic):
            run.services.progress.stage(
                f"Writing to {run.services.crm.label}", run.services.ledger.run_outcomes.open_records(run.id)
            )
            write.write_all_complete(run)
        if not run.reopened or run.out_of_time:
            break
        run.writing_last = False
    with stage("classify", run.monotonic):
        collect.report_unknown_states(run)
        write.write_incomplete(run)
        classify_rest(run)
