"""The jobs of Bulk API 2.0 behind the interface for many records.

Not used of simple-salesforce: `sf.bulk2`, which keeps an old token, aborts a job after any error in polling, and reads
and writes CSV wrongly (docs/salesforce.md). A job of 10,000 changed rows is one creation, one upload, one close, and
the looks at it; its files are fetched only if rows were refused or not reached.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from connector.core.errors import (
    ConfigurationError,
    ConnectorError,
    CrmRefusedError,
    DownError,
    PassingError,
)
from connector.core.model import CrmRecord
from connector.crm.bulk import ENDED, BulkApi, BulkJob, JobState, UnfitRowsError, unprocessed
from connector.crm.interface import ObjectInfo, Rejection, Selection, Update, always
from connector.crm.salesforce import bulk_query
from connector.crm.salesforce.bodies import JobChange, JobInfo, JobWord, NewIngestJob
from connector.crm.salesforce.bulk_files import can_carry, rows_of, upload_of
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.errors import is_own_error
from connector.crm.salesforce.ids import to_18
from connector.crm.salesforce.library import SalesforceError
from connector.crm.salesforce.reasons import reason_of
from connector.crm.salesforce.rejections import rejection_of_text
from connector.crm.salesforce.request import File, Request
from connector.net import UnreadableError

T = TypeVar("T")
MOST_BYTES = 100 * 10**6  # Salesforce takes 150 MB after encoding
_STATES: dict[str, JobState] = {
    JobWord.OPEN: JobState.OPEN,
    JobWord.COMPLETE: JobState.COMPLETE,
    JobWord.FAILED: JobState.FAILED,
    JobWord.ABORTED: JobState.ABORTED,
}  # every other state is one of a job under way
_PARENTS = {"contact": "AccountId"}
_WRONG_STATE = frozenset({"INVALIDJOBSTATE", "CLIENTINPUTERROR"})


class SalesforceBulk(BulkApi):
    """The jobs of one org.

    Args:
        client: the org's client.
        describe: gives an object with its fields.
    """

    read_from = 10_000
    write_from = 2_000
    most_rows = 10_000

    def __init__(self, client: Client, describe: Callable[[str], ObjectInfo]) -> None:
        self._client = client
        self._describe = describe
        self._last_ended: BulkJob | None = None

    def select(
        self, selection: Selection, pause: Callable[[float], None], expected: int = 0
    ) -> Iterator[list[CrmRecord]]:
        """By a query job, in pages of at most 2,000 records."""
        return bulk_query.select(self._client, self._describe(selection.object), selection, pause, expected)

    def parent_field(self, object_name: str) -> str | None:
        """A write of a Contact locks its account ("Record locks", Bulk API 2.0 guide, November 2026)."""
        field = _PARENTS.get(object_name.lower())
        return field if field is not None and self._describe(object_name).get(field) is not None else None

    def can_carry(self, update: Update) -> bool:
        """Not the text `#N/A`, a line break, or what UTF-8 does not have."""
        return all(map(can_carry, update.values.values()))

    def create(self, object_name: str, fields: Sequence[str]) -> str:
        """One request; a job whose creation is repeated after a lost answer stays empty, and is removed in time."""
        info = self._describe(object_name)
        missing = [name for name in fields if info.get(name) is None]
        if missing:
            raise ConfigurationError(
                f"{object_name} has no field {', '.join(missing)} that the connector's user may see; check the "
                "mapping and the user's permission set"
            )
        request = Request("write", "jobs/ingest", "POST", body=NewIngestJob(object=object_name))
        job_id = to_18(JobInfo.read(self._client.repeated("creating a job of updates", request)).id)
        if job_id is None:
            raise DownError("Salesforce's answer to a new job of updates cannot be read; run again later")
        return job_id

    def upload(
        self, job_id: str, object_name: str, updates: Sequence[Update], may_leave: Callable[[], bool] = always
    ) -> None:
        """Two requests: the file, and the close that starts the job."""
        content = self._content(object_name, updates)
        path = f"jobs/ingest/{job_id}"
        file = Request("write", f"{path}/batches", "PUT", body=content)
        close = Request("write", path, "PATCH", body=JobChange(state=JobWord.UPLOADED))
        try:
            self._client.send_once("uploading a job of updates", file, may_leave)
            self._client.send_once("starting a job of updates", close, may_leave)
        except ConnectorError as error:
            if _is_gone(error) or (isinstance(error, CrmRefusedError) and error.code in _WRONG_STATE):
                raise PassingError(f"Salesforce's job {job_id} is not open; run again later") from error
            raise

    def _content(self, object_name: str, updates: Sequence[Update]) -> bytes:
        if not 0 < len(updates) <= self.most_rows:
            raise UnfitRowsError(f"a job takes 1 to {self.most_rows} rows, not {len(updates)}")
        if len({update.id for update in updates}) < len(updates):
            raise UnfitRowsError("a job takes each record once")
        unfit = [update.id for update in updates if not self.can_carry(update)]
        if unfit:
            raise UnfitRowsError(f"{len(unfit)} rows have values that a job cannot express, such as {unfit[0]}")
        content = upload_of(self._describe(object_name), updates)
        if len(content) > MOST_BYTES:
            raise UnfitRowsError(f"a job takes {MOST_BYTES // 10**6} MB, not {len(content) // 10**6}")
        return content

    def find(self, job_id: str) -> BulkJob:
        """One request."""
        try:
            answer = self._client.repeated("looking at a job of updates", Request("write", f"jobs/ingest/{job_id}"))
        except ConnectorError as error:
            if _is_gone(error):
                return BulkJob(job_id, JobState.GONE)
            raise
        found = JobInfo.read(answer)
        state = _STATES.get(found.state, JobState.RUNNING)
        counts = (found.number_records_processed, found.number_records_failed)
        if not found.state or to_18(found.id) != to_18(job_id) or (state in ENDED and None in counts):
            raise DownError(f"Salesforce's description of the job {job_id} cannot be read; run again later")
        job = BulkJob(job_id, state, counts[0] or 0, counts[1] or 0, reason_of(found.error_message))
        if state in ENDED:
            self._last_ended = job
        return job

    def answers(self, job_id: str, updates: Sequence[Update]) -> list[Rejection | None]:
        """No request if the job was just found complete without a refused row."""
        job = self._ended(job_id)
        is_whole = job.state is JobState.COMPLETE and job.processed == len(updates)
        ids = [to_18(update.id) or update.id for update in updates]
        found: dict[str, Rejection | None] = dict.fromkeys(ids, None)
        if not is_whole:
            found = dict.fromkeys(found, unprocessed(job.message)) | dict.fromkeys(self._successes(job), None)
        found |= dict(self._failures(job))
        return [found[record_id] for record_id in ids]

    def outcome_of(self, job_id: str) -> Iterator[tuple[str, Rejection | None]]:
        """Up to three files, one at a time."""
        job = self._ended(job_id)
        for record_id in self._successes(job):
            yield record_id, None
        yield from self._failures(job)
        if job.state is not JobState.COMPLETE:
            for record_id in self._ids_of(job, "unprocessedRecords"):
                yield record_id, unprocessed(job.message)

    def abort(self, job_id: str) -> None:
        """One request."""
        request = Request("write", f"jobs/ingest/{job_id}", "PATCH", body=JobChange(state=JobWord.ABORTED))
        try:
            self._client.repeated("aborting a job of updates", request)
        except CrmRefusedError as error:
            if error.code not in _WRONG_STATE:
                raise
        except ConnectorError as error:
            if not _is_gone(error):
                raise

    def _ended(self, job_id: str) -> BulkJob:
        last = self._last_ended
        job = last if last is not None and last.id == job_id else self.find(job_id)
        if job.state not in ENDED:
            raise PassingError(f"Salesforce's job {job_id} has no answers (its state: {job.state}); run again later")
        return job

    def _successes(self, job: BulkJob) -> list[str]:
        count = job.processed - job.failed
        return self._ids_of(job, "successfulResults", count) if count > 0 else []

    def _failures(self, job: BulkJob) -> list[tuple[str, Rejection]]:
        if job.failed == 0:
            return []

        def read(file: File) -> list[tuple[str, Rejection]]:
            rows = list(rows_of(file.text, "sf__Error", "Id"))
            _check_count(len(rows), job.failed)
            return [(_id_of(row), rejection_of_text(_cell(row, "sf__error"))) for row in rows]

        return self._file(job, "failedResults", read)

    def _ids_of(self, job: BulkJob, name: str, count: int | None = None) -> list[str]:
        def read(file: File) -> list[str]:
            found = [_id_of(row) for row in rows_of(file.text, "Id")]
            if count is not None:
                _check_count(len(found), count)
            return found

        return self._file(job, name, read)

    def _file(self, job: BulkJob, name: str, read: Callable[[File], T]) -> T:
        request = Request("write", f"jobs/ingest/{job.id}/{name}")
        return self._client.file("reading the answers of a job of updates", request, read)


def _check_count(found: int, expected: int) -> None:
    if found != expected:
        raise UnreadableError("sent an incomplete file of answers")


def _cell(row: dict[str, str], name: str) -> str:
    return next((text for column, text in row.items() if column.lower() == name), "")


def _id_of(row: dict[str, str]) -> str:
    """The record's id in its full form: a refused row may lack `sf__Id`, and has what was sent."""
    return to_18(_cell(row, "id")) or to_18(_cell(row, "sf__id")) or ""


def _is_gone(error: ConnectorError) -> bool:
    cause = error.__cause__
    return isinstance(cause, SalesforceError) and cause.status == 404 and is_own_error(cause)
