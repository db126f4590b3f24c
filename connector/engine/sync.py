"""One pass over the stages: finish what earlier runs left open, take new records, wait, write, close the accounting.

Whatever ends a pass early, the ledger is left so that the next one goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.ages import PLAN_KEPT
from connector.core.errors import ConnectorError, LockedError, StopError
from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.report import Report
from connector.core.states import RunState
from connector.crm.interface import Selection
from connector.engine import collect, prices, recovery, write
from connector.engine.apply import drop_unselected, take_up
from connector.engine.close import classify_rest, close_run
from connector.engine.context import Run, Services
from connector.engine.scheduler import Scheduler
from connector.engine.select import flagged, select, within

_GUARDED = {"sync", "backfill"}  # a request names its records itself
MOST_SOURCES = 10  # of one channel: after each, a refused value may send a record to the next


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run is asked to do.

    Attributes:
        command: sync, backfill, ... as reports name it.
        selections: by mapping name, which records; a mapping without one takes its flagged records.
        plan: exactly this frozen plan, instead.
        budget_id: runs with the same one share what a run may spend: they are one command, gone on with after a death.
        override_guards: go on where a guard would stop the run.
        requests: HTTP requests that the run serves, each with a budget of its own that no record of it can exceed.
    """

    command: str
    mappings: Mapping[str, MappingFile]
    selections: Mapping[str, Selection]
    plan: FrozenPlan | None = None
    budget_id: str | None = None
    override_guards: bool = False
    requests: int = 1


def run_pass(services: Services, spec: RunSpec) -> Report:
    """Do the job; whatever stops it, the ledger is left so that the next run goes on.

    Raises:
        ConfigurationError: something an admin must correct; before anything was bought, or found while writing.
        BooksError: the ledger does not add up.
    """
    run = _begin(services, spec)
    try:
        recovery.recover(run)
        if run.override_guards:
            prices.forgive(run)
        recovery.observe_balances(run, "before")
        _take_up(run, spec)
        run.read_all = True
        _work(run)
    except StopError as error:
        run.crm_stopped = str(error)
        classify_rest(run)
    except LockedError:
        raise  # what there is to say of the run's records, its new owner says
    except ConnectorError as error:
        classify_rest(run)
        close_run(run, spec.command, RunState.FAILED, str(error))
        raise
    if not run.crm_stopped:
        recovery.observe_balances(run, "after")
    early = run.stopped or run.closed or run.crm_stopped or run.guarded or run.left_for_later
    return close_run(run, spec.command, RunState.STOPPED if early else RunState.FINISHED)


def _begin(services: Services, spec: RunSpec) -> Run:
    now = services.clock.now()
    first_entry, last_write = services.ledger.credits.newest_entry(), services.ledger.restored.last_write()
    services.ledger.runs.mark_crashed(now, list(spec.mappings) if services.shared else None)
    plan_id = spec.plan.plan_id if spec.plan else spec.budget_id
    run_id = services.ledger.runs.start(spec.command, list(spec.mappings), now, plan_id)
    at_work = frozenset(name for name, _ in services.ledger.runs.open_counts().purchases)
    return Run(
        services,
        run_id,
        spec.mappings,
        now,
        first_entry,
        still_at_work=at_work,
        override_guards=spec.override_guards,
        plan=spec.plan,
        live_plans=services.ledger.plans.live(now - PLAN_KEPT),
        budget_id=plan_id,
        last_write=last_write,
        requests=spec.requests,
    )


def _take_up(run: Run, spec: RunSpec) -> None:
    """Open records of earlier runs first, then the selected ones."""
    ledger, names = run.services.ledger, list(spec.mappings)
    run.services.progress.stage("Reading records")
    if spec.plan is not None:
        take_up(run, spec.plan)
        return
    ledger.records.adopt(run.id, names, run.now())
    for name, mapping in spec.mappings.items():
        usual = not spec.selections and spec.command == "sync"
        selection = within(spec.selections.get(name) or flagged(mapping), run.pulled)
        select(run, mapping, selection, usual=usual, guarded=spec.command in _GUARDED)
    if not spec.selections:
        drop_unselected(run, [name for name in names if name not in run.guarded])


def _work(run: Run) -> None:
    """Ask the vendors, then write; a value that the CRM can never take sends its record to the next source."""
    until_s = run.monotonic() + run.services.wait_s * run.services.clock.scale
    for _ in range(MOST_SOURCES):
        Scheduler(run, until_s).work()
        run.writing_last, run.reopened = True, False
        run.services.progress.stage(
            f"Writing to {run.services.crm.label}", run.services.ledger.run_outcomes.open_records(run.id)
        )
        write.write_complete(run)
        if not run.reopened or run.out_of_time:
            break
        run.writing_last = False
    collect.report_unknown_words(run)
    write.write_incomplete(run)
    classify_rest(run)
