"""Executes the jobs of the ledger's queue: delegated runs, scheduled syncs, requests and next polls.

Both drivers use the same dispatcher. The embedded driver asks it for the mappings with due jobs; the distributed driver
gets a mapping's name from Procrastinate. A job stays in the ledger until it is done.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from connector.core.alerts import RunEnd
from connector.core.crm_api import CrmApi
from connector.core.errors import ConfigurationError, ConnectorError, JournalError, LockedError
from connector.core.mapping import MappingFile
from connector.core.report import Report
from connector.core.states import JobKind, RunState
from connector.crm.interface import Crm, Selection
from connector.engine import older_copy
from connector.engine.context import Progress, Run, Services, Silent, WaitPolicy
from connector.engine.helper_run import HelperRun
from connector.engine.select import flagged
from connector.engine.sync import RunSpec, run_pass
from connector.jobs.schedule import next_sync, sync_began
from connector.jobs.stored_progress import StoredProgress
from connector.store.inbox import AGAIN_AFTER_S, POSTPONED_S, RequestedRecord
from connector.store.jobs import Job
from connector.store.poll_backoff import LAST_BACKOFF_S
from connector.store.workers import WorkerRow

LOG = logging.getLogger("connector.work")
CHECKED_FOR_S = 600.0  # how long the check of a login and the mapped fields is valid
Claim = Callable[[Collection[str]], AbstractContextManager[None]]


@dataclass(frozen=True)
class Dependencies:
    """The functions of the application that the dispatcher calls.

    Attributes:
        connect: opens a connection to the CRM; each thread has its own.
        check: logs in and checks every mapped field.
        select: returns the selections of a delegated run by mapping, from its condition, ids and limit.
        claim: holds the run lock of mappings while a block runs, or raises `LockedError`.
        stopping: whether the process should stop.
        ended: is called at the end of each run.
        look: is called from time to time, also without a run.
    """

    connect: Callable[[], Crm]
    check: Callable[[Crm], None]
    select: Callable[[Crm, Mapping[str, MappingFile], Mapping[str, Any]], Mapping[str, Selection]]
    claim: Claim
    stopping: Callable[[], bool]
    ended: Callable[[RunEnd], None] = lambda _end: None
    look: Callable[[], None] = lambda: None


class Dispatcher:
    """Executes the jobs of this process's mappings.

    Args:
        services: the services of the application.
        mappings: the mappings of this process, by name.
        dependencies: functions of the application.
    """

    def __init__(self, services: Services, mappings: Mapping[str, MappingFile], dependencies: Dependencies) -> None:
        self._services = services
        self._mappings = mappings
        self._dependencies = dependencies
        self._thread = threading.local()
        self._connections: set[Crm] = set()  # of all threads
        self._locked: set[str] = set()  # the mappings whose run lock this process holds
        self._helping: set[str] = set()  # the runs of other processes that this one helps with

    @contextmanager
    def _claim(self, mappings: Collection[str]) -> Iterator[None]:
        if self._services.ledger.locks.yield_requested():
            raise LockedError("another command waits for the run lock")
        with self._dependencies.claim(mappings):
            self._locked |= set(mappings)
            try:
                yield
            finally:
                self._locked -= set(mappings)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each mapping, by name."""
        return {name: mapping.digest() for name, mapping in self._mappings.items()}

    def report_alive(self, kind: str) -> None:
        """Send a heartbeat, and detect an older copy of the ledger."""
        self._services.ledger.locks.renew(self._services.owner)
        with suppress(JournalError):  # each run reports an unreadable mark, and sends no paid request
            older_copy.detect(self._services.ledger, self._now())
        worker = WorkerRow(self._services.owner, kind, self.digests)
        self._services.ledger.worker_list.report_alive(worker, self._now())

    def deregister(self) -> None:
        """Remove this process from the list of workers."""
        self._services.ledger.worker_list.deregister(self._services.owner)

    def purge(self) -> None:
        """Delete old requests, jobs, workers and callback receipts, and look for causes of alerts."""
        now, ledger = self._now(), self._services.ledger
        given_up = ledger.inbox.purge(now)
        if given_up:
            LOG.warning("requested records were given up: nothing was bought within a week", extra={"count": given_up})
        for part in (ledger.jobs, ledger.worker_list, ledger.callback_receipts):
            part.purge(now)
        self._dependencies.look()

    def due(self) -> list[str]:
        """List the mappings with a due job."""
        now, jobs = self._now(), self._services.ledger.jobs
        for name, mapping in self._mappings.items():
            if mapping.schedule is not None:
                next_sync(jobs, name, mapping.schedule, now)
        found = {job.home for job in self._due()}
        return [name for name in self._mappings if name in found]

    def work(self, name: str) -> bool:
        """Do the next job of a mapping; False if none is due.

        Raises:
            LockedError: another process holds the run lock of the mapping.
        """
        job = next((one for one in self._due() if one.home == name), None)
        if job is None:
            return False
        with self._claim(job.mappings):
            if job in self._due():  # unless another process has done it meanwhile
                self._do(job)
        return True

    def _due(self) -> list[Job]:
        longest_s = max((max(one.poll_schedule_s) for one in self._services.providers.values()), default=0.0)
        horizon_s = max(longest_s, LAST_BACKOFF_S, AGAIN_AFTER_S)
        found = self._services.ledger.jobs.due(self._mappings, self._now(), horizon_s)
        return [one for one in found if one.kind is not JobKind.SCHEDULE or self._mappings[one.home].schedule]

    def _do(self, job: Job) -> None:
        match job.kind:
            case JobKind.RUN:
                self._delegated(job)
            case JobKind.SCHEDULE:
                self._scheduled(job.home)
            case JobKind.REQUESTS:
                self._requested(job.home)
            case JobKind.POLL:
                self._poll(job.home)
            case _:
                assert_never(job.kind)

    def assist(self, run_id: str) -> None:
        """Help with the run of another process until it ends."""
        found = self._services.ledger.runs.find(run_id)
        if found is None or found.state != RunState.RUNNING or not set(found.mappings) <= self._mappings.keys():
            return
        mappings = {name: self._mappings[name] for name in found.mappings}
        if found.command == "apply" or not self._has_same_versions(mappings):
            return  # the plan's ceiling, or the caps of another version of a mapping, are not known here
        if self._locked & mappings.keys() or run_id in self._helping:
            return  # it is a run of this process, or another thread helps already
        self._helping.add(run_id)
        try:
            self._connect()
            open_providers = self._services.ledger.runs.open_providers(self._services.providers)
            services = self._services_for(mappings, Silent())
            run = Run(
                services,
                run_id,
                mappings,
                found.started_at,
                open_providers=open_providers,
                budget_id=found.plan_id,
            )
            older_copy.apply_restrictions(run)
            HelperRun(run, self._dependencies.stopping).work()
        except ConnectorError as error:
            self._disconnect()
            LOG.warning("could not help with a run", extra={"run": run_id, "error": str(error)})
        finally:
            self._helping.discard(run_id)

    def _has_same_versions(self, mappings: Collection[str]) -> bool:
        """Whether all workers with these mappings have the same version of them as this process."""
        mine = {name: found for name, found in self.digests.items() if name in mappings}
        workers = self._services.ledger.workers(self._now())
        return all(one.mappings.get(name, digest) == digest for one in workers for name, digest in mine.items())

    # -- schedules -------------------------------------------------------------------------------------------

    def _scheduled(self, name: str) -> None:
        """Make a scheduled sync; if the process stops or dies before its end, the job stays due."""
        mapping, began_at = self._mappings[name], self._now()
        found = self._run("sync", [name], lambda: RunSpec("sync", {name: mapping}, {}))
        if isinstance(found, ConnectorError):
            LOG.warning("a scheduled sync ended early", extra={"mapping": name, "error": str(found)})
        if mapping.schedule is not None and not self._dependencies.stopping():
            sync_began(self._services.ledger.jobs, name, mapping.schedule, began_at)

    # -- delegated runs ------------------------------------------------------------------------------------

    def _delegated(self, job: Job) -> None:
        jobs = self._services.ledger.jobs
        if not jobs.begin(job.id):
            return
        meant = {name: self._mappings[name] for name in job.mappings}
        other = [name for name, mapping in meant.items() if job.mappings[name] != mapping.digest()]
        if other:
            message = f"the worker has another version of mapping {', '.join(other)}: restart it with the same file"
            jobs.end(job.id, {"error": message, "exit_code": ConfigurationError.exit_code})
            return

        def spec() -> RunSpec:
            override = bool((job.chosen or {}).get("override_guards"))
            selections = self._selections(job, meant)
            api = CrmApi((job.chosen or {}).get("api", CrmApi.REST)) if selections else CrmApi.REST
            return RunSpec(job.command, meant, selections, budget_id=job.id, override_guards=override, api=api)

        found = self._run(job.command, list(meant), spec, StoredProgress(self._services.ledger.jobs, job.id))
        if isinstance(found, ConnectorError):
            jobs.end(job.id, {"error": str(found), "exit_code": found.exit_code})
            LOG.warning("a delegated run ended early", extra={"job": job.id, "error": str(found)})
        elif not self._dependencies.stopping():  # otherwise the job stays open, and the next process continues it
            jobs.end(job.id, {"report": found.to_json(), "exit_code": found.exit_code})

    def _selections(self, job: Job, meant: Mapping[str, MappingFile]) -> Mapping[str, Selection]:
        """Build the selections of a delegated run; with a limit, store the ids so that a repeat takes the same ones."""
        if job.chosen is None:
            return {}
        found = self._dependencies.select(self._thread.crm, meant, job.chosen)
        if job.chosen.get("limit") is None:
            return found
        crm: Crm = self._thread.crm
        ids = [record.id for one in found.values() for page in crm.select(replace(one, fields=())) for record in page]
        self._services.ledger.jobs.name_records(job.id, ids)
        return {name: replace(one, ids=tuple(ids), limit=None) for name, one in found.items()}

    # -- requests --------------------------------------------------------------------------------------------

    def _requested(self, name: str) -> None:
        """Make a run of the requested records that are due, and set the time of the next ones."""
        inbox = self._services.ledger.inbox
        offered = inbox.due(self._now(), name)
        if offered:
            self._run_requested(name, offered)
        inbox.set_next(name, self._now())

    def _run_requested(self, name: str, offered: list[RequestedRecord]) -> None:
        inbox = self._services.ledger.inbox
        offered, budget_id, requests = self._with_one_budget(self._mappings[name], offered)
        ids = tuple(dict.fromkeys(one.crm_id for one in offered))
        selection = replace(flagged(self._mappings[name]), flag=None, ids=ids)
        spec = replace(self._spec("trigger", name, selection), budget_id=budget_id, requests=requests)
        found = self._run("trigger", [name], lambda: spec)
        if isinstance(found, ConnectorError):
            inbox.postpone(offered, str(found), self._services.clock.later(POSTPONED_S))
            LOG.warning("requested records wait", extra={"mapping": name, "error": str(found)})
        elif found.read_all:
            inbox.skip_unanswered(offered, found.run_id)
        else:  # the CRM failed before all records were read, so some have no outcome yet
            rest = inbox.unanswered(offered, found.run_id)
            inbox.postpone(rest, "; ".join(found.stopped), self._services.clock.later(POSTPONED_S))

    def _with_one_budget(
        self, mapping: MappingFile, offered: list[RequestedRecord]
    ) -> tuple[list[RequestedRecord], str | None, int]:
        """Choose the records of one run; returns them, the budget that it shares, and the number of budgets it has.

        An HTTP request has one budget, shared by all runs that serve it, so it gets its own runs. One run serves many
        requests for a single record, if the budget of a request covers everything that a record can cost.
        """
        if not mapping.limits.max_credits:
            return offered, None, 1
        first = offered[0]
        if first.is_single and self._covers_any_record(mapping):
            single = [one for one in offered if one.is_single]
            return single, None, len({one.budget_id for one in single})
        return [one for one in offered if one.budget_id == first.budget_id], first.budget_id, 1

    def _covers_any_record(self, mapping: MappingFile) -> bool:
        """Whether no record of the mapping can cost more than one run may spend."""
        worst: Counter[str] = Counter()
        for channel, rules in mapping.channels.items():
            for name in rules.sources:
                worst[name] += self._services.sources[name].prices.of(channel)
        return all(worst[name] <= cap for name, cap in mapping.limits.max_credits.items())

    # -- next polls ------------------------------------------------------------------------------------------

    def _poll(self, name: str) -> None:
        """Continue the open records of earlier runs, without new records."""
        no_records = replace(flagged(self._mappings[name]), flag=None, ids=())
        moved = False
        found = self._run("finish", [name], lambda: self._spec("finish", name, no_records))
        if isinstance(found, ConnectorError):
            LOG.warning("open records wait", extra={"mapping": name, "error": str(found)})
        else:
            moved = any(count for one, count in found.outcomes.items() if one.value in {"delivered", "not_found"})
        self._services.ledger.poll_backoff.polled(name, self._now(), self._services.clock.scale, moved=moved)

    # -- runs ------------------------------------------------------------------------------------------------

    def _spec(self, command: str, name: str, selection: Selection) -> RunSpec:
        return RunSpec(command, {name: self._mappings[name]}, {name: selection})

    def _run(
        self, command: str, mappings: Collection[str], make: Callable[[], RunSpec], progress: Progress | None = None
    ) -> Report | ConnectorError:
        """Connect to the CRM, build the run and make it; returns the report, or the error that ended it.

        Args:
            command: of the run, for alerts.
            mappings: of the run, for alerts.
            make: builds the run.
            progress: by default none is shown.

        Raises:
            LockedError: another process has taken the run over.
        """
        try:
            self._connect()
            spec = make()
            report = run_pass(self._services_for(spec.mappings, progress or Silent()), spec)
        except LockedError:
            raise
        except ConnectorError as error:
            self._disconnect()
            self._dependencies.ended(RunEnd.failed(command, mappings, error))
            return error
        self._dependencies.ended(RunEnd.of(report))
        return report

    def _services_for(self, mappings: Collection[str], progress: Progress) -> Services:
        began_at = self._now()
        LOG.info("work begins", extra={"mappings": sorted(mappings)})

        def wait_policy() -> WaitPolicy:
            if self._dependencies.stopping():
                return WaitPolicy.NONE
            ledger = self._services.ledger
            others_wait = ledger.inbox.has_due(mappings, self._now(), began_at) or ledger.locks.yield_requested()
            return WaitPolicy.SHORT if others_wait else WaitPolicy.FULL

        crm: Crm = self._thread.crm
        return replace(self._services, crm=crm, progress=progress, wait_policy=wait_policy, usage_before=crm.usage())

    def _connect(self) -> None:
        """Connect this thread to the CRM, and check the login and the fields, unless this was done recently."""
        checked_at = getattr(self._thread, "checked_at", None)
        if checked_at is not None and time.monotonic() - checked_at < CHECKED_FOR_S:
            return
        self._disconnect()
        crm = self._thread.crm = self._dependencies.connect()
        self._connections.add(crm)
        self._dependencies.check(crm)
        self._thread.checked_at = time.monotonic()

    def _disconnect(self) -> None:
        crm: Crm | None = getattr(self._thread, "crm", None)
        if crm is not None:
            self._connections.discard(crm)
            crm.close()
        self._thread.crm = self._thread.checked_at = None

    def close(self) -> None:
        """Close the connections of all threads, which must have ended."""
        for crm in self._connections:
            crm.close()

    def _now(self) -> datetime:
        return self._services.clock.now()
