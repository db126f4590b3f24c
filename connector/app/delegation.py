"""Delegates a run to the process that holds the run lock, and shows its progress."""

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import tenacity

from connector.core.clock import Clock
from connector.core.crm_api import CrmApi
from connector.core.errors import ConfigurationError, ConnectorError, LockedError
from connector.core.run_figures import CrmCalls
from connector.core.states import JobState
from connector.engine.context import Progress
from connector.store.jobs import Job
from connector.store.ledger import Ledger
from connector.store.run_progress import RunStart, RunWatch

POLL_INTERVAL_S = 0.3
TURN_WITHIN_S = 600.0  # so long a command waits for the ledger
SILENT_FOR_S = 60.0  # so long another worker may take to go on with a run whose process died


@dataclass(frozen=True, slots=True)
class Backfill:
    """The records of a run: chosen by a condition or ids; without either, the flagged ones.

    Attributes:
        override_guards: go on where a guard would stop the run.
        api: the CRM's API for many records.
    """

    where: str | None = None
    ids: tuple[str, ...] | None = None
    limit: int | None = None
    override_guards: bool = False
    api: CrmApi = CrmApi.AUTO

    @property
    def is_flagged(self) -> bool:
        """Whether the run takes the flagged records."""
        return self.where is None and self.ids is None and self.limit is None


def chosen_of(chosen: Mapping[str, Any]) -> Backfill:
    """Parse the selection of a delegated run."""
    ids = chosen.get("ids")
    guards = chosen.get("override_guards") is True
    api = CrmApi(chosen.get("api", CrmApi.AUTO))
    return Backfill(chosen.get("where"), None if ids is None else tuple(ids), chosen.get("limit"), guards, api)


@dataclass(frozen=True, slots=True)
class DelegatedRun:
    """The report of a run in another process."""

    document: Mapping[str, Any]
    exit_code: int

    @property
    def selected(self) -> int:
        """The number of records in the run."""
        return int(self.document["selected"])

    def to_json(self) -> dict[str, Any]:
        """The report as JSON, as docs describe it."""
        return dict(self.document)


@contextlib.contextmanager
def turn(
    ledger: Ledger, progress: Progress, mappings: Collection[str] | None = None, *, within_s: float | None = None
) -> Iterator[None]:
    """Hold the run lock of these mappings, or of the ledger, while the block runs; servers and workers yield it.

    Args:
        ledger: the ledger.
        progress: shows that the command waits.
        mappings: the mappings to lock; None locks the whole ledger.
        within_s: how long to wait, in seconds; without it, ten minutes.

    Raises:
        LockedError: another single run holds the run lock, or a server or worker does not yield it in time.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(ledger.hold_run_lock(mappings))
        except LockedError:
            if not ledger.workers(ledger.database.clock()):
                raise
            progress.note(
                "Waiting until 'connector serve' or the workers have finished their current work (Ctrl-C: give up)"
            )
            held.enter_context(ledger.locks.request_yield())
            _wait_for_turn(ledger, held, mappings, TURN_WITHIN_S if within_s is None else within_s)
        yield


def _wait_for_turn(
    ledger: Ledger, held: contextlib.ExitStack, mappings: Collection[str] | None, within_s: float
) -> None:
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(LockedError),
        wait=tenacity.wait_fixed(POLL_INTERVAL_S),
        stop=tenacity.stop_after_delay(within_s),
        reraise=True,
    )
    try:
        retrying(lambda: held.enter_context(ledger.hold_run_lock(mappings)))
    except LockedError as error:
        raise LockedError(
            "'connector serve' or a worker is busy with a long run: run this command again later, or stop "
            "that process (SIGTERM, or Ctrl-C), run this command, and start it again"
        ) from error


class _RemoteError(ConnectorError):
    """An error of the other process, with its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def has_worker(ledger: Ledger, digests: Mapping[str, str], now: datetime) -> bool:
    """Whether a server or worker with these mapping files is alive.

    Raises:
        ConfigurationError: there is, but with other mapping files than these.
    """
    workers = ledger.workers(now)
    if not workers:
        return False
    if any(digests.items() <= one.mappings.items() for one in workers):
        return True
    raise ConfigurationError(
        f"the {workers[0].kind} process that drives this ledger does not work with these mapping files "
        f"({', '.join(digests)}): start it again with -m for each of them, or stop it"
    )


def delegate(
    ledger: Ledger,
    command: str,
    digests: Mapping[str, str],
    chosen: Backfill | None,
    progress: Progress,
    clock: Clock,
) -> DelegatedRun | None:
    """Delegate a run, show its progress, and return its report; None if no live process can begin it.

    Raises:
        ConnectorError: what the other process said, with its exit code.
        LockedError: the process that began it died, and no other goes on.
    """
    jobs = ledger.jobs
    job_id = jobs.delegate(command, digests, None if chosen is None else asdict(chosen), clock.now())
    progress.note("Delegated to the running 'connector serve' or worker")
    shown, alive_at = _Shown(progress, ledger, clock), time.monotonic()
    try:
        while True:
            found = jobs.find(job_id)
            if found is None:
                raise LockedError("the delegated run was withdrawn")
            shown.show(found)
            if found.state == JobState.DONE:
                return _result(found)
            if any(digests.items() <= one.mappings.items() for one in ledger.workers(clock.now())):
                alive_at = time.monotonic()
            elif jobs.withdraw(job_id):
                return None
            elif time.monotonic() - alive_at > SILENT_FOR_S:
                raise LockedError(
                    "the process that made this run has died; it goes on when that process is started again: see "
                    "connector runs, or run this command once more"
                )
            time.sleep(POLL_INTERVAL_S)
    except KeyboardInterrupt:
        if not jobs.withdraw(job_id):
            progress.note("The run goes on in the other process; see: connector runs")
        raise


def _result(job: Job) -> DelegatedRun:
    result = job.result or {}
    if "error" in result:
        raise _RemoteError(str(result["error"]), int(result["exit_code"]))
    return DelegatedRun(result["report"], int(result["exit_code"]))


class _Shown:
    """Shows the progress of another process."""

    def __init__(self, progress: Progress, ledger: Ledger, clock: Clock) -> None:
        self._progress = progress
        self._ledger = ledger
        self._clock = clock
        self._run_id = ""
        self._crm: CrmCalls | None = None
        self._stage: tuple[object, object] = ("", None)
        self._done = 0
        self._notes = 0

    def show(self, job: Job) -> None:
        """Show the changes since the last call."""
        told = job.progress or {}
        self._watch(told)
        stage = (told.get("stage", ""), told.get("total"))
        if stage != self._stage:
            self._progress.stage(str(stage[0]), told.get("total"))
            self._stage, self._done = stage, 0
        done = int(told.get("done", 0))
        if done > self._done:
            self._progress.step(done - self._done)
            self._done = done
        for note in told.get("notes", [])[self._notes :]:
            self._progress.note(str(note))
            self._notes += 1

    def _watch(self, told: Mapping[str, Any]) -> None:
        """Let the display read the figures of the run from the ledger; the CRM's are in the progress."""
        crm, run = told.get("crm"), told.get("run")
        self._crm = self._crm if crm is None else CrmCalls(**crm)
        if run is not None and run["run_id"] != self._run_id:
            self._run_id = run["run_id"]
            start = RunStart.from_json(run)
            self._progress.watch(RunWatch(self._ledger.database, start, self._clock, lambda: self._crm))
