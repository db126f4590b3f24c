"""The routes and the work of ingest jobs (`jobs/ingest`), operation `update`.

The rows of a job are saved in chunks of 200 with the same checks as those of a Collections call. A cell that is empty
leaves its field unchanged, `#N/A` empties it. A column that the user cannot see fails the whole job, and nothing is
saved. A value that does not fit the type of its field fails its row (recorded: `INVALID_FIELD:Failed to deserialize
field at col 3. ...`). Assignment rules run only if the job names one, which the simulator does not support.
Sources: Bulk API 2.0 guide, "Create a Job" to "Delete a Job"; recorded answers of amp-labs/connectors.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.simulator.faults import Faults
from connector.simulator.salesforce.csv_files import NULL, FileError, Upload, parse, result_file
from connector.simulator.salesforce.errors import ApiError, Problem, RecordError, simulator_limit
from connector.simulator.salesforce.exchange import Answer, Call, Operation
from connector.simulator.salesforce.ids import IdSequence, both_forms
from connector.simulator.salesforce.jobs import (
    ENDED,
    SITE,
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
from connector.simulator.salesforce.row_checks import Outcome, RowChecks, repeated_ids
from connector.simulator.salesforce.rules import StandingFaults, problems_of
from connector.simulator.salesforce.saving import Pending, save
from connector.simulator.salesforce.schema import NUMBER_TYPES, Field, ObjectType
from connector.simulator.salesforce.values import store

CHUNK = 200
MOST_BYTES = 100 * 10**6  # the guide's advice for 150 MB after encoding
ROWS = "ingest_rows"
_UNSUPPORTED = ("insert", "upsert", "delete", "hardDelete")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_SCHEMA_TYPES = {"boolean": "boolean", "date": "date", "datetime": "dateTime", "int": "int"}


@dataclass
class IngestJob(Job):
    """One ingest job.

    Attributes:
        content: the uploaded file; None before it arrives, and after it was read.
        upload: its header and the rows that are not processed yet.
        done: (id, created, cells) of each saved row.
        refused: (id, error, cells) of each refused row.
        files: the compressed result files of a job that has ended, by name; its rows are then dropped.
    """

    content: bytes | None = None
    upload: Upload = field(default_factory=lambda: Upload((), ()))
    done: list[tuple[str, ...]] = field(default_factory=list)
    refused: list[tuple[str, ...]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def end(self) -> None:
        """Keep the results in a small form: a benchmark may make a hundred jobs of 10,000 rows."""
        made = {
            "successfulResults": (("sf__Id", "sf__Created"), self.done),
            "failedResults": (("sf__Id", "sf__Error"), self.refused),
            "unprocessedRecords": ((), self.upload.rows),
        }
        for name, (own, rows) in made.items():
            self.files[name] = zlib.compress(result_file(own, self.upload.header, rows, self.shape).encode(), 1)
        self.done, self.refused, self.upload, self.content = [], [], Upload(self.upload.header, ()), None


class Ingest:
    """The ingest jobs of one org.

    Args:
        org: the org.
        faults: the armed faults.
        ids: the ids of new jobs.
        pace: the time that jobs take.

    Attributes:
        most_bytes: the largest file that is accepted.
    """

    def __init__(self, org: Org, faults: Faults, ids: IdSequence, pace: Pace) -> None:
        self.most_bytes = MOST_BYTES
        self._org = org
        self._faults = faults
        self._pace = pace
        self._board: Board[IngestJob] = Board(org.clock.now, ids, faults, "ingest_job")
        self._rows = RowChecks(org)
        self._notices: list[tuple[str, str]] = []

    def operations(self) -> list[Operation]:
        """All routes of ingest jobs."""
        job = "/jobs/ingest/{job}"
        return [
            Operation("ingest_create", "POST", "/jobs/ingest", self.create),
            Operation("ingest_list", "GET", "/jobs/ingest", self.list_all),
            Operation("ingest_upload", "PUT", f"{job}/batches", self.upload),
            Operation("ingest_state", "PATCH", job, self.change_state),
            Operation("ingest_info", "GET", job, self.info),
            Operation("ingest_delete", "DELETE", job, self.delete),
            Operation("ingest_successful", "GET", f"{job}/successfulResults", self.successful),
            Operation("ingest_failed", "GET", f"{job}/failedResults", self.failed),
            Operation("ingest_unprocessed", "GET", f"{job}/unprocessedRecords", self.unprocessed),
        ]

    def create(self, call: Call) -> Answer:
        """Create a job, which is Open for its upload."""
        body = call.json_object()
        if body.get("operation") in _UNSUPPORTED or body.get("assignmentRuleId"):
            raise simulator_limit("ingest jobs other than update without an assignment rule")
        operation = choice(body, "operation", ("update",), "")
        name = body.get("object")
        kind = self._org.find_kind(name) if isinstance(name, str) else None
        if kind is None:
            raise ApiError(400, "INVALIDENTITY", f"Unable to find object: {name}")
        now = self._org.clock.now()
        made: dict[str, object] = {"operation": operation, "object": kind.name, "createdById": self._org.user_id}
        made |= {"apiVersion": float(call.version), **file_settings(body)}
        job = IngestJob(self._board.ids.take(), made, now, "Open", now)
        self._board.jobs[job.id] = job
        url = f"services/data/v{call.version}/jobs/ingest/{job.id}/batches"
        line_ending, delimiter = job.shape
        return Answer(job.brief() | {"contentUrl": url, "lineEnding": line_ending, "columnDelimiter": delimiter})

    def list_all(self, _call: Call) -> Answer:
        """All jobs."""
        return Answer(listing([job.info("V2Ingest") for job in self._board.jobs.values()]))

    def upload(self, call: Call) -> Answer:
        """Take the file of an open job, once."""
        job = self._board.find(call)
        if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/csv":
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type not supported: text/csv is required")
        if job.state != "Open":
            raise invalid_state(f"Job is not open for uploads. Current state: {job.state}")
        if job.content is not None:
            words = "please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job"
            once = f"{words} and make sure you only do 'PUT' once on a given Job."
            raise ApiError(400, "CLIENTINPUTERROR", f"Found multiple contents for job: <{job.id}>, {once}")
        if len(call.body) > self.most_bytes:
            raise ApiError(413, "EXCEEDED_MAX_SIZE_REQUEST", "The size of the request exceeds the limit")
        job.content = call.body
        return Answer(None, 201)

    def change_state(self, call: Call) -> Answer:
        """Close or abort a job."""
        job = self._board.find(call)
        if wanted_state(call) == "Aborted":
            self._board.abort(job)
            job.end()
        elif job.state != "Open":
            raise invalid_state(f"Closing already {job.state} Job not allowed")
        else:
            self._board.close(job)
        return Answer(job.brief())

    def info(self, call: Call) -> Answer:
        """One job."""
        return Answer(self._board.find(call).info("V2Ingest"))

    def delete(self, call: Call) -> Answer:
        """Delete a job."""
        self._board.delete(self._board.find(call))
        return Answer(None, 204)

    def successful(self, call: Call) -> Answer:
        """The saved rows."""
        return self._file(call, "successfulResults")

    def failed(self, call: Call) -> Answer:
        """The refused rows."""
        return self._file(call, "failedResults")

    def unprocessed(self, call: Call) -> Answer:
        """The rows that a failed or aborted job left, without further columns."""
        return self._file(call, "unprocessedRecords")

    def _file(self, call: Call, name: str) -> Answer:
        job = self._board.find(call)
        if job.state not in ENDED:
            raise invalid_state(f"Results are not available. Current state: {job.state}")
        return Answer(text=zlib.decompress(job.files[name]).decode())

    # -- the work

    def notices(self) -> list[tuple[str, str]]:
        """(object, id) of each record saved since the last call."""
        found, self._notices = self._notices, []
        return found

    def settle(self) -> None:
        """Bring all jobs up to the present time."""
        now = self._org.clock.now()
        self._board.forget_old()
        for job in list(self._board.jobs.values()):
            if job.closed is not None and job.state not in ENDED:
                self._advance(job, job.closed, now)
                if job.state in ENDED:
                    job.end()

    def _advance(self, job: IngestJob, closed: float, now: float) -> None:
        began = closed + self._pace.queued_s
        if job.state == "UploadComplete" and now >= began:
            job.move("InProgress", began)
            self._open(job, began)
        total = job.processed + len(job.upload.rows)
        work_s = self._pace.work_s(total)
        if job.state == "InProgress" and now >= began + work_s / 2 and job.processed < total // 2:
            self._save(job, total // 2 - job.processed)
            job.active_s, job.modified = work_s / 2, began + work_s / 2
        if job.state == "InProgress" and now >= began + work_s and not self._ends_early(job, began + work_s):
            self._save(job, len(job.upload.rows))
            job.active_s = work_s
            job.move("JobComplete", began + work_s)

    def _open(self, job: IngestJob, now: float) -> None:
        """Read the file; an unusable one ends the job before any row."""
        try:
            job.upload = parse(job.content or b"", *job.shape)
            job.content = None
            self._refuse_columns(job)
        except FileError as error:
            job.move("Failed", now, str(error))

    def _refuse_columns(self, job: IngestJob) -> None:
        kind, names = self._kind(job), [name.lower() for name in job.upload.header]
        for name in job.upload.header:
            if "." in name:
                raise FileError(f"SIMULATOR_LIMIT : the simulator does not support the relationship column {name}")
            if kind.readable(name) is None:
                raise FileError(f"InvalidBatch : Field name not found : {name}")
            if names.count(name.lower()) > 1:
                raise FileError(f"InvalidBatch : Field name duplicated : {name}")

    def _ends_early(self, job: IngestJob, at: float) -> bool:
        """Apply the fault of the job's course, after the first half of its rows."""
        if job.fault is None:
            return False
        if job.fault.action == "job_aborted":
            job.move("Aborted", at)
        elif job.fault.action == "job_failed":
            words = job.fault.params.get("message", "InternalServerError : Job failed after too many retries")
            job.move("Failed", at, str(words))
        return True

    def _save(self, job: IngestJob, count: int) -> None:
        """Process the next rows in chunks."""
        rows = job.upload.rows
        for chunk in _chunks(rows[:count]):
            self._save_chunk(job, chunk)
        job.upload = Upload(job.upload.header, rows[count:])

    def _save_chunk(self, job: IngestJob, rows: Sequence[tuple[str, ...]]) -> None:
        kind = self._kind(job)
        ids = [self._id_of(job, row) for row in rows]
        call = Call("", {}, {}, {}, b"", standing=StandingFaults(self._faults, SITE, ROWS))
        overload, repeated = self._rows.overload(call, kind, len(rows)), repeated_ids(ids)
        checked: list[Outcome] = []
        for record_id, row in zip(ids, rows, strict=True):
            one = replace(call, row_errors=self._row_errors(record_id))
            try:
                sent = _sent(kind, job.upload.header, row)
            except RecordError as error:
                checked.append(error)
                continue
            checked.append(
                self._rows.check(one, kind, record_id, sent, assign=False, repeated=repeated, overload=overload)
            )
        for record_id, row, outcome in zip(ids, rows, checked, strict=True):
            if isinstance(outcome, Pending):
                save(self._org, outcome)
                job.done.append((outcome.record_id, "false", *row))
                self._notices.append((kind.name, outcome.record_id))
            else:
                job.refused.append((record_id or "", _error(outcome.problems), *row))
        job.processed, job.failed = len(job.done) + len(job.refused), len(job.refused)

    def _row_errors(self, record_id: str | None) -> Mapping[str, tuple[Problem, ...]]:
        subjects = both_forms(record_id) if record_id else frozenset()
        fault = self._faults.take_of(frozenset({"row_error"}), SITE, ROWS, subjects)
        return {} if fault is None else {"*": problems_of(fault)}

    def _kind(self, job: IngestJob) -> ObjectType:
        return self._org.kind(str(job.made["object"]))

    def _id_of(self, job: IngestJob, row: Sequence[str]) -> str | None:
        pairs = zip(job.upload.header, row, strict=True)
        return next((value or None for name, value in pairs if name.lower() == "id"), None)


def _chunks(rows: Sequence[tuple[str, ...]]) -> list[Sequence[tuple[str, ...]]]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def _sent(kind: ObjectType, header: Sequence[str], row: Sequence[str]) -> dict[str, object]:
    """The JSON values of a row's cells."""
    sent: dict[str, object] = {}
    for place, (name, text) in enumerate(zip(header, row, strict=True)):
        if name.lower() != "id" and text:
            sent[name] = _value(kind.need(name), text, place)
    return sent


def _value(field_: Field, text: str, place: int) -> object:
    if text == NULL and field_.type != "boolean":
        return None
    value: object = _BOOLEANS.get(text.strip().lower(), text) if field_.type == "boolean" else text
    try:
        store(field_, value)
    except ApiError as error:
        xsd = _SCHEMA_TYPES.get(field_.type, "double" if field_.type in NUMBER_TYPES else "string")
        words = (
            f"Failed to deserialize field at col {place}. Due to, '{text}' is not a valid value for the type xsd:{xsd}"
        )
        raise RecordError(Problem("INVALID_FIELD", words, (field_.name,))) from error
    except RecordError:
        return value  # a broken rule is found again in its place among the other checks
    return value


def _error(problems: Sequence[Problem]) -> str:
    """`CODE:message:fields --`; how several errors of one row are joined is unrecorded."""
    return "".join(
        f"{one.code}:{one.message}:{','.join(one.fields or ())}{' ' if one.fields else ''}--" for one in problems
    )
