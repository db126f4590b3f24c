"""Bulk jobs: their description, their course over the simulated time, and the faults that end them.

A job waits for `queued_s` after its upload, then it is InProgress. Half of its work is done in the middle of that time
and the rest at its end, so that people may edit records before, between and after. Jobs are kept for seven days.
The fields are those of recorded answers (amp-labs/connectors, September 2024); the times in them are made up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from connector.simulator.faults import JOB_ACTIONS, Fault, Faults
from connector.simulator.salesforce.csv_files import DELIMITERS, LINE_ENDINGS
from connector.simulator.salesforce.errors import ApiError, not_found
from connector.simulator.salesforce.exchange import Call
from connector.simulator.salesforce.ids import IdSequence, parse_id
from connector.simulator.salesforce.values import stamp

KEPT_S = 7 * 86_400
ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
SITE = "salesforce"


@dataclass
class Job:
    """One job.

    Attributes:
        id: its id, with the prefix 750.
        made: the members of its description that never change, with the version that it was created under.
        created: simulated Unix seconds.
        state: as Salesforce spells it.
        modified: the time of its last change.
        closed: the time at which its upload was complete; None before.
        processed: the rows that were processed, refused ones included.
        failed: the refused rows.
        message: `errorMessage`.
        fault: the armed fault that ends it.
        active_s: the seconds of processing so far.
    """

    id: str
    made: Mapping[str, object]
    created: float
    state: str
    modified: float
    closed: float | None = None
    processed: int = 0
    failed: int = 0
    message: str = ""
    fault: Fault | None = None
    active_s: float = 0.0

    @property
    def shape(self) -> tuple[str, str]:
        """The names of its line ending and its delimiter."""
        return str(self.made["lineEnding"]), str(self.made["columnDelimiter"])

    def move(self, state: str, now: float, message: str = "") -> None:
        """Change the state."""
        self.state, self.modified, self.message = state, now, message

    def brief(self) -> dict[str, object]:
        """The description without counts, as in the answer to a change of state."""
        order = ("operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode")
        known = dict(self.made) | {
            "createdDate": stamp(self.created),
            "systemModstamp": stamp(self.modified),
            "state": self.state,
            "concurrencyMode": "Parallel",
        }
        found = {"id": self.id} | {name: known[name] for name in order}
        return found | {"contentType": "CSV", "apiVersion": self.made["apiVersion"]}

    def info(self, job_type: str) -> dict[str, object]:
        """The whole description."""
        line_ending, delimiter = self.shape
        found = self.brief() | {"jobType": job_type, "lineEnding": line_ending, "columnDelimiter": delimiter}
        found |= {"numberRecordsProcessed": self.processed, "numberRecordsFailed": self.failed, "retries": 0}
        milliseconds = int(self.active_s * 1000)
        total = milliseconds if self.state in ENDED else 0
        found |= {"totalProcessingTime": total, "apiActiveProcessingTime": milliseconds, "apexProcessingTime": 0}
        return found | ({"errorMessage": self.message} if self.message else {})


@dataclass
class Pace:
    """The time that jobs take, in simulated seconds.

    Attributes:
        queued_s: from the end of the upload to the begin of the work.
        least_s: the shortest time of the work.
        per_row_s: the time of each row.
    """

    queued_s: float = 2.0
    least_s: float = 2.0
    per_row_s: float = 0.0015

    def work_s(self, rows: int) -> float:
        """The time of the work on this number of rows."""
        return max(self.least_s, rows * self.per_row_s)


J = TypeVar("J", bound=Job)


@dataclass
class Board(Generic[J]):
    """The jobs of one kind.

    Attributes:
        now: gives simulated Unix seconds.
        ids: the ids of new jobs, shared by all kinds.
        faults: the armed faults.
        fault_operation: the operation that faults of a job's course name: `ingest_job` or `query_job`.
    """

    now: Callable[[], float]
    ids: IdSequence
    faults: Faults
    fault_operation: str
    jobs: dict[str, J] = field(default_factory=dict)

    def find(self, call: Call) -> J:
        """The job that a path names.

        Raises:
            ApiError: 404; there is none, or it was deleted.
        """
        job = self.jobs.get(parse_id(call.path["job"]) or "")
        if job is None:
            raise not_found()
        return job

    def forget_old(self) -> None:
        """Drop the jobs that are no longer kept."""
        limit = self.now() - KEPT_S
        for job in [job for job in self.jobs.values() if job.created < limit]:
            del self.jobs[job.id]

    def close(self, job: J) -> None:
        """The upload is complete: the job waits for its turn, with the fault that is armed for its course."""
        job.closed = self.now()
        job.move("UploadComplete", job.closed)
        job.fault = self.faults.take_of(JOB_ACTIONS, SITE, self.fault_operation)

    def abort(self, job: J) -> None:
        """Abort a job that has not ended; the rows that were saved stay saved."""
        if job.state in ENDED:
            raise invalid_state("Aborting already Completed Job not allowed")
        job.move("Aborted", self.now())

    def delete(self, job: J) -> None:
        """Delete a job that is not being processed, with its results."""
        if job.state in {"Open", "InProgress"}:
            raise invalid_state("Deleting Job not allowed: abort it first")
        del self.jobs[job.id]


def invalid_state(message: str) -> ApiError:
    """The refusal of a request that does not fit the job's state; the code is reported, most texts are unrecorded."""
    return ApiError(400, "INVALIDJOBSTATE", message)


def wanted_state(call: Call) -> str:
    """The state that a PATCH asks for."""
    return choice(call.json_object(), "state", ("UploadComplete", "Aborted"), "")


def file_settings(body: Mapping[str, object]) -> dict[str, object]:
    """The line ending and delimiter of a new job."""
    choice(body, "contentType", ("CSV",), "CSV")
    return {
        "lineEnding": choice(body, "lineEnding", tuple(LINE_ENDINGS), "LF"),
        "columnDelimiter": choice(body, "columnDelimiter", tuple(DELIMITERS), "COMMA"),
    }


def choice(body: Mapping[str, object], name: str, known: tuple[str, ...], default: str) -> str:
    """One of the known words; refused like any value that the JSON reader does not know."""
    value = body.get(name, default)
    if not isinstance(value, str) or value not in known:
        words = f"Cannot deserialize value of {name} from {value!r}: not one of {', '.join(known)}"
        raise ApiError(400, "JSON_PARSER_ERROR", f"{words} at [line:1, column:1]")
    return value


def listing(infos: list[dict[str, object]]) -> dict[str, object]:
    """The answer to a request for all jobs, in one page."""
    return {"done": True, "records": infos, "nextRecordsUrl": None}
