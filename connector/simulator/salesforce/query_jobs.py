"""The routes and the work of query jobs (`jobs/query`), operations `query` and `queryAll`.

The result is as of the time at which the job is processed. It is read in pages of `maxRecords`; `Sforce-Locator` leads
to the next one and is the text `null` on the last. A locator belongs to the job, not to the access token, and may be
used again ("As long as the associated job exists, the locator string for a set of results does not change"). Results
must be read with the API version that created the job. Sources: Bulk API 2.0 guide, "Get Results for a Query Job" and
"Understanding Bulk API 2.0 Query"; of the refusals only JOB_NOT_COMPLETE and that of compound fields are documented or
reported.
"""

import base64
from dataclasses import dataclass

from connector.simulator.faults import Faults
from connector.simulator.salesforce.csv_files import cell, query_file
from connector.simulator.salesforce.errors import ApiError
from connector.simulator.salesforce.exchange import Answer, Call, Operation
from connector.simulator.salesforce.ids import IdSequence
from connector.simulator.salesforce.jobs import (
    ENDED,
    Board,
    Job,
    Pace,
    choice,
    file_settings,
    invalid_state,
    listing,
    wanted_state,
)
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.query import Found, run

MOST_RECORDS = 50_000
"""The rows of a page without `maxRecords`; Salesforce chooses a number of its own."""


@dataclass
class QueryJob(Job):
    """One query job; its result is None until it is processed."""

    text: str = ""
    found: Found | None = None


class QueryJobs:
    """The query jobs of one org.

    Args:
        org: the org.
        faults: the armed faults.
        ids: the ids of new jobs.
        pace: the time that jobs take.
    """

    def __init__(self, org: Org, faults: Faults, ids: IdSequence, pace: Pace) -> None:
        self._org = org
        self._pace = pace
        self._board: Board[QueryJob] = Board(org.clock.now, ids, faults, "query_job")

    def operations(self) -> list[Operation]:
        """All routes of query jobs."""
        job = "/jobs/query/{job}"
        return [
            Operation("query_job_create", "POST", "/jobs/query", self.create),
            Operation("query_job_list", "GET", "/jobs/query", self.list_all),
            Operation("query_job_state", "PATCH", job, self.change_state),
            Operation("query_job_info", "GET", job, self.info),
            Operation("query_job_delete", "DELETE", job, self.delete),
            Operation("query_job_results", "GET", f"{job}/results", self.results),
        ]

    def create(self, call: Call) -> Answer:
        """Create a job; an invalid query is refused at once."""
        body = call.json_object()
        operation = choice(body, "operation", ("query", "queryAll"), "")
        text = body.get("query")
        if not isinstance(text, str):
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        found = self._run(text, operation)
        now = self._org.clock.now()
        made: dict[str, object] = {"operation": operation, "object": found.kind.name, "createdById": self._org.user_id}
        made |= {"apiVersion": float(call.version), **file_settings(body)}
        job = QueryJob(self._board.ids.take(), made, now, "UploadComplete", now, text=text)
        self._board.jobs[job.id] = job
        self._board.close(job)
        line_ending, delimiter = job.shape
        return Answer(job.brief() | {"lineEnding": line_ending, "columnDelimiter": delimiter})

    def list_all(self, _call: Call) -> Answer:
        """All jobs."""
        return Answer(listing([job.info("V2Query") for job in self._board.jobs.values()]))

    def change_state(self, call: Call) -> Answer:
        """Abort a job."""
        job = self._board.find(call)
        if wanted_state(call) != "Aborted":
            raise invalid_state("A query job can only be aborted")
        self._board.abort(job)
        return Answer(job.brief())

    def info(self, call: Call) -> Answer:
        """One job."""
        return Answer(self._board.find(call).info("V2Query"))

    def delete(self, call: Call) -> Answer:
        """Delete a job with its result."""
        self._board.delete(self._board.find(call))
        return Answer(None, 204)

    def results(self, call: Call) -> Answer:
        """One page of the result."""
        job = self._board.find(call)
        if job.made["apiVersion"] != float(call.version):
            raise ApiError(409, "VERSION_MISMATCH", "Use the API version that created the query job")
        if job.found is None or job.state != "JobComplete":
            words = "can only download query results of successfully completed bulk job with status: JOB_COMPLETE."
            raise ApiError(412, "JOB_NOT_COMPLETE", f"{words} Current status: {job.state}")
        start, size = _start(call.params.get("locator", "")), _size(call.params.get("maxRecords", ""))
        found = job.found
        if start > found.total:
            raise _bad_locator()
        rows = found.rows[start : start + size]
        cells = [[cell(column.field, column.get(row)) for column in found.columns] for row in rows]
        end = start + len(rows)
        locator = _locator(end) if end < found.total else "null"
        headers = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": str(len(rows))}
        read = tuple((found.kind.name, str(row["Id"])) for row in rows)
        text = query_file([column.path for column in found.columns], cells, job.shape)
        return Answer(text=text, headers=headers, rows=len(rows), read=read)

    def settle(self) -> None:
        """Bring all jobs up to the present time."""
        now = self._org.clock.now()
        self._board.forget_old()
        for job in list(self._board.jobs.values()):
            if job.closed is None or job.state in ENDED:
                continue
            began = job.closed + self._pace.queued_s
            if job.state == "UploadComplete" and now >= began:
                self._begin(job, began)
            work_s = self._pace.work_s(len(job.found.rows)) if job.found else 0.0
            if job.state == "InProgress" and now >= began + work_s:
                self._end(job, began + work_s, work_s)

    def _begin(self, job: QueryJob, at: float) -> None:
        """Run the query; it fails if the user has lost access to a field since it was accepted."""
        job.move("InProgress", at)
        try:
            job.found = self._run(job.text, str(job.made["operation"]))
        except ApiError as error:
            job.move("Failed", at, f"InvalidBatch : Failed to process query: {error.problem.message}")

    def _end(self, job: QueryJob, at: float, work_s: float) -> None:
        action = job.fault.action if job.fault else ""
        if action == "job_failed":
            words = job.fault.params.get("message", "") if job.fault else ""
            job.move("Failed", at, str(words) or "InternalServerError : Retried more than fifteen times")
        elif action == "job_aborted":
            job.move("Aborted", at)
        elif action != "job_stuck":
            job.processed, job.active_s = len(job.found.rows) if job.found else 0, work_s
            job.move("JobComplete", at)

    def _run(self, text: str, operation: str) -> Found:
        found = run(self._org, text, include_deleted=operation == "queryAll")
        if not found.columns:
            raise ApiError(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
        if any(column.field.type == "address" for column in found.columns):
            raise ApiError(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")
        return found


def _locator(start: int) -> str:
    return base64.b64encode(str(start).encode()).decode().rstrip("=")


def _start(locator: str) -> int:
    if not locator:
        return 0
    try:
        text = base64.b64decode(locator + "=" * (-len(locator) % 4), validate=True).decode()
        return int(text)
    except ValueError as error:
        raise _bad_locator() from error


def _size(text: str) -> int:
    if not text:
        return MOST_RECORDS
    if not text.isdigit() or int(text) < 1:
        raise ApiError(400, "INVALID_ARGUMENT", f"maxRecords is not a number of records: {text}")
    return int(text)


def _bad_locator() -> ApiError:
    return ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
