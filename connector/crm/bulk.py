"""The interface between the engine and a CRM's jobs for many records: reading by a job, and updating by a job.

A job is created, gets its rows, and is processed by the CRM later. Its id must be stored before `upload`: after a
crash or a lost answer, `find` shows the state of the job, and `outcome_of` the answer of each row.

Errors are those of `core/errors.py`, as for single calls, and `UnfitRowsError`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connector.core.errors import ConnectorError
from connector.core.model import CrmRecord
from connector.crm.interface import ErrorClass, Rejection, RowError, Selection, Update, always

UNPROCESSED = "UNPROCESSED"


class JobState(StrEnum):
    """The state of a job of updates."""

    OPEN = "open"  # waits for its rows; nothing happens until `upload` is complete
    RUNNING = "running"
    COMPLETE = "complete"  # every row has an answer; some may be refused
    FAILED = "failed"  # the CRM gave up; some rows may be written
    ABORTED = "aborted"  # an admin or the connector stopped it; some rows may be written
    GONE = "gone"  # the CRM no longer has the job


ENDED = frozenset({JobState.COMPLETE, JobState.FAILED, JobState.ABORTED})


@dataclass(frozen=True, slots=True)
class BulkJob:
    """A job as the CRM describes it.

    Attributes:
        processed: the rows with an answer, refused ones included.
        failed: the refused rows.
        message: the reason of a failed job.
    """

    id: str
    state: JobState
    processed: int = 0
    failed: int = 0
    message: str = ""


class UnfitRowsError(ConnectorError):
    """The rows cannot be sent as one job; nothing was sent."""


def unprocessed(message: str = "") -> Rejection:
    """The answer for a row that the job did not reach: it was not written, and may be sent again."""
    return Rejection(ErrorClass.LOCKED, (RowError(UNPROCESSED, text=message),))


class BulkApi(ABC):
    """The jobs of one org, as one user.

    Attributes:
        read_from: a selection of more records is worth a job.
        write_from: more updates are worth a job.
        most_rows: the most rows of one job of updates.
    """

    read_from: int
    write_from: int
    most_rows: int

    @abstractmethod
    def select(
        self, selection: Selection, pause: Callable[[float], None], expected: int = 0
    ) -> Iterator[list[CrmRecord]]:
        """Read matching records by a job: the records, values and order of `Crm.select`, as of one moment.

        Close the iterator if it is not read to its end, so that the job is removed.

        Args:
            selection: the records.
            pause: waits a number of seconds between two looks at the job.
            expected: the number of records, if it is known; each look is a request, and many records take longer.
        """

    def parent_field(self, object_name: str) -> str | None:
        """The field with the record that a write locks too, if there is one.

        The rows of a job are sent in its order, so that two parts of the job do not wait for the same record.
        """
        del object_name
        return None

    @abstractmethod
    def can_carry(self, update: Update) -> bool:
        """Whether a job can express the update's values; the others must be sent by `Crm.update`."""

    @abstractmethod
    def create(self, object_name: str, fields: Sequence[str]) -> str:
        """Create a job of updates and return its id; it does nothing before `upload`.

        Raises:
            ConfigurationError: this user does not see one of the fields, which would fail the whole job.
        """

    @abstractmethod
    def upload(
        self, job_id: str, object_name: str, updates: Sequence[Update], may_leave: Callable[[], bool] = always
    ) -> None:
        """Send the rows and start the job.

        Args:
            job_id: the job.
            object_name: its object.
            updates: at most one for each record.
            may_leave: is called right before each request is sent.

        Raises:
            UnfitRowsError: too many rows or bytes, or a value that a job cannot express.
            PassingError: the job may or may not have started, or `may_leave` returned False; `find` shows which.
        """

    @abstractmethod
    def find(self, job_id: str) -> BulkJob:
        """Read the state of a job of updates."""

    @abstractmethod
    def answers(self, job_id: str, updates: Sequence[Update]) -> list[Rejection | None]:
        """The answer of each update of a job that has ended, in the same order; None for success.

        A row that the job did not reach has the rejection `unprocessed`.

        Raises:
            PassingError: the job has not ended, or the CRM no longer has it.
        """

    @abstractmethod
    def outcome_of(self, job_id: str) -> Iterator[tuple[str, Rejection | None]]:
        """Each row of a job that has ended, by its record's id, with its answer.

        Raises:
            PassingError: as for `answers`.
        """

    @abstractmethod
    def abort(self, job_id: str) -> None:
        """Stop a job; no error if it has ended or is gone. Rows that were written stay written."""
