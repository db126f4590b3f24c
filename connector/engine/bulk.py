"""Updates by a job: the CRM gets many rows at once, and processes them while the run goes on.

The job and the intended changes are committed before the job exists, and its id before its rows are sent, so that a
crash at any step leaves a state from which the next run continues. While a job is open, no run writes its records.
When it has ended, its answers are stored and its records are due again: the usual write reads them a second time, and
finishes those that hold the values. Everything else, such as a refused row, goes the way of single calls.

A person's edit between the read before the upload and the moment at which the CRM processes the row can be lost: this
window is wider than that of single calls, so jobs serve backfills only.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from connector.core.crm_api import CrmApi
from connector.core.errors import CrmRefusedError, DownError, PassingError
from connector.core.mapping import MappingFile
from connector.crm.bulk import BulkApi, BulkJob, JobState, UnfitRowsError
from connector.engine import send
from connector.engine.context import BulkJobInProgress, Run, Services
from connector.engine.send import Decided
from connector.store.bulk_jobs import BulkJobRow

FRESH_S = 60.0  # the rows of a job were read at most this long before they are sent
FIRST_LOOK_S, ROWS_PER_S = 2.0, 500  # each look is a request: none is made before a job of this speed can have ended
LOOKS_S = (5.0, 10.0, 20.0, 30.0)  # the waits between two later looks; the last one repeats
LONGEST_WAIT_S = 1800.0  # how long a run waits for its last job
LONGEST_JOB = timedelta(hours=24)  # an older job is stopped
ANSWERS_AT_ONCE = 500


def is_worth_a_job(run: Run, rows: int) -> bool:
    """Whether so many updates go by a job."""
    bulk = run.bulk
    return bulk is not None and (rows > bulk.write_from or run.api is CrmApi.BULK)


def start(run: Run, mapping: MappingFile, decided: Sequence[Decided], read_s: float) -> bool:
    """Send updates as one job; returns whether they were sent. If not, the records are due as before.

    Args:
        run: a run that has no job in progress.
        mapping: the mapping of all updates.
        decided: the updates, each of which a job can express.
        read_s: the monotonic time before the first of their records was read.
    """
    bulk = _bulk_of(run)
    parent = bulk.parent_field(mapping.object)
    decided = sorted(decided, key=lambda one: one.record.text(parent)) if parent is not None else decided
    updates = [send.to_update(one) for one in decided]
    jobs = run.services.ledger.bulk_jobs
    intents = [send.intent(mapping, one) for one in decided]
    row = jobs.plan(run.id, mapping.name, mapping.object, intents, run.now())
    fields = sorted({name for update in updates for name in update.values})
    try:
        crm_job_id = bulk.create(mapping.object, fields)
    except CrmRefusedError as error:
        jobs.end(row.id)
        run.use_single_calls(str(error))
        return False
    jobs.created(row.id, crm_job_id)
    first_look_s = FIRST_LOOK_S + len(decided) / ROWS_PER_S
    run.bulk_job = BulkJobInProgress(row, crm_job_id, next_look_s=_later(run, first_look_s))
    try:
        bulk.upload(crm_job_id, mapping.object, updates, lambda: run.monotonic() - read_s <= FRESH_S)
    except UnfitRowsError as error:
        _give_up(run, bulk, run.bulk_job)
        run.use_single_calls(str(error))
        return False
    except PassingError as error:  # `look` finds whether it has started
        run.services.progress.note(str(error))
        run.bulk_job.next_look_s = run.monotonic()
    return True


def look(run: Run) -> bool:
    """Look at the job in progress if it is time; returns whether no job is in progress any more."""
    job = run.bulk_job
    if job is None:
        return True
    if run.monotonic() < job.next_look_s:
        return False
    bulk = _bulk_of(run)
    found = bulk.find(job.crm_job_id)
    if found.state is JobState.OPEN:  # its rows never arrived as a whole
        _give_up(run, bulk, job)
        return True
    if found.state is JobState.RUNNING:
        job.next_look_s = _later(run, LOOKS_S[min(job.looks, len(LOOKS_S) - 1)])
        job.looks += 1
        return False
    _store(run.services, bulk, job.row, found)
    run.bulk_job = None
    return True


def wait(run: Run) -> bool:
    """Wait for the job in progress, for a bounded time; returns whether it has ended."""
    until_s = _later(run, LONGEST_WAIT_S)
    while not look(run):
        if run.bulk_job is None or run.monotonic() >= until_s:
            break
        pause_s = run.bulk_job.next_look_s - run.monotonic()
        run.services.clock.explain(pause_s, f"{run.services.crm.label} processes a job")
        run.services.clock.pause(timedelta(seconds=max(pause_s, 0.001)))
    if run.bulk_job is not None:
        run.leave_for_later(
            f"{run.services.crm.label} has not finished a job of updates; the next run reads its answers"
        )
    return run.bulk_job is None


def resume(run: Run) -> None:
    """Store the answers of jobs that earlier runs have sent; a job that still runs keeps its records."""
    for row in run.services.ledger.bulk_jobs.open(list(run.mappings)):
        if not settle(run.services, row):
            run.leave_for_later(f"{run.services.crm.label} still processes a job of run {row.run_id}")


def settle(services: Services, row: BulkJobRow) -> bool:
    """Store the answers of a job, if it has ended; returns whether it has.

    Raises:
        DownError: the CRM does not show the job, or its answers, at present.
    """
    jobs, bulk = services.ledger.bulk_jobs, services.crm.bulk
    if row.crm_job_id is None or bulk is None:  # its rows were never sent
        jobs.end(row.id)
        return True
    found, is_old = bulk.find(row.crm_job_id), services.clock.now() - row.at > LONGEST_JOB
    if found.state is JobState.OPEN:  # its rows never arrived as a whole, so it has no answers
        bulk.abort(row.crm_job_id)
        jobs.end(row.id)
        return True
    if found.state is JobState.RUNNING and is_old:
        bulk.abort(row.crm_job_id)
        found = bulk.find(row.crm_job_id)
    if found.state is JobState.RUNNING:
        return False
    try:
        _store(services, bulk, row, found)
    except DownError as error:
        if not is_old:
            raise
        # Without the answers, every record is compared again: nothing is written twice or lost.
        services.progress.note(f"the answers of a job of run {row.run_id} cannot be read: {error}")
        jobs.end(row.id)
    return True


def _store(services: Services, bulk: BulkApi, row: BulkJobRow, found: BulkJob) -> None:
    """Store the answers of a job that has ended; its records are compared once more."""
    jobs = services.ledger.bulk_jobs
    if found.message:
        services.progress.note(f"a job of {services.crm.label} ended early: {found.message}")
    if found.state is JobState.COMPLETE and not found.failed and found.processed == row.size:
        jobs.all_accepted(row)
    elif found.state is not JobState.GONE and found.processed:
        for part in _parts(bulk, found.id):
            jobs.answer(row, part)
    jobs.end(row.id)


def _parts(bulk: BulkApi, crm_job_id: str) -> Iterator[list[tuple[str, bool]]]:
    """The answers of a job in parts: the CRM id, and whether the update was accepted."""
    part: list[tuple[str, bool]] = []
    for crm_id, rejection in bulk.outcome_of(crm_job_id):
        part.append((crm_id, rejection is None))
        if len(part) == ANSWERS_AT_ONCE:
            yield part
            part = []
    yield part


def _give_up(run: Run, bulk: BulkApi, job: BulkJobInProgress) -> None:
    """Stop a job whose rows were not sent; its records are written by single calls."""
    bulk.abort(job.crm_job_id)
    run.services.ledger.bulk_jobs.end(job.row.id)
    run.bulk_job = None


def _bulk_of(run: Run) -> BulkApi:
    bulk = run.services.crm.bulk
    if bulk is None:
        raise CrmRefusedError(f"{run.services.crm.label} has no jobs of updates")
    return bulk


def _later(run: Run, seconds: float) -> float:
    return run.monotonic() + seconds * run.services.clock.scale


def split(bulk: BulkApi, decided: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
    """The updates that a job can express, and the others."""
    carried: list[Decided] = []
    others: list[Decided] = []
    for one in decided:
        (carried if bulk.can_carry(send.to_update(one)) else others).append(one)
    return carried, others
