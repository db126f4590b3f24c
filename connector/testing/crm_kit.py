"""The kit of the CRM suite: an adapter's simulated org, and the actions of the people who work in it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from connector.core.model import FieldValue
from connector.crm.interface import Crm, ErrorClass


class CrmKit(ABC):
    """One CRM adapter with a fresh simulated org.

    Attributes:
        kind: the CRM's object of the kit's records.
        follows: the object that records are converted to; None if the CRM has no conversion.
        email, phone, flag, word: fields of a record: an email, a phone, a checkbox, and a picklist.
        good: a condition that new records meet.
        bad: conditions that the CRM does not understand.
        escapes: conditions that would inject other query text; refused without a request.
        troubles: an error code of a refused row for each error class.
        slept: the waits between attempts, in seconds.
    """

    kind: ClassVar[str]
    follows: ClassVar[str | None]
    email: ClassVar[str]
    phone: ClassVar[str]
    flag: ClassVar[str]
    word: ClassVar[str]
    good: ClassVar[str]
    bad: ClassVar[tuple[str, ...]]
    escapes: ClassVar[tuple[str, ...]]
    troubles: ClassVar[Mapping[ErrorClass, str]]

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._opened: list[Crm] = []

    @abstractmethod
    def new_crm(self) -> Crm:
        """Build a client that is not logged in."""

    @abstractmethod
    def add(self, **values: object) -> str:
        """Create a record and return its full id."""

    @abstractmethod
    def edit(self, record_id: str, **values: object) -> None:
        """Change a record as a person."""

    @abstractmethod
    def delete(self, record_id: str) -> None:
        """Delete a record."""

    @abstractmethod
    def merge(self, winner: str, loser: str) -> None:
        """Merge one record into another."""

    @abstractmethod
    def convert(self, record_id: str) -> str:
        """Convert a record and return the new one's full id; called only if `follows` names an object."""

    @abstractmethod
    def value(self, record_id: str, field: str) -> FieldValue:
        """The stored value of a record's field."""

    @abstractmethod
    def writes(self, record_id: str) -> int:
        """The number of times that the API changed a record."""

    @abstractmethod
    def requests(self) -> int:
        """The number of requests that cost quota since the last call of this method."""

    @abstractmethod
    def reject(self, record_id: str, code: str, *fields: str) -> None:
        """Refuse the next write of a record, with a person's address in the message."""

    def settle(self) -> None:
        """Let the org finish its jobs for many records; needed only if the CRM has them."""
        raise NotImplementedError

    def reject_in_jobs(self, record_id: str, code: str, *fields: str) -> None:
        """As `reject`, for the rows of jobs; needed only if the CRM has them."""
        raise NotImplementedError

    @abstractmethod
    def restrict(self, field: str, *words: str) -> None:
        """Let a field accept only these values."""

    @abstractmethod
    def small(self, *, page: int | None = None, ids: int | None = None) -> AbstractContextManager[None]:
        """Limit the records per page and the ids per query inside the context."""

    @abstractmethod
    def equals(self, field: str, value: str) -> str:
        """A condition that a field equals a value."""

    def crm(self) -> Crm:
        """Build a client and log it in."""
        crm = self.new_crm()
        crm.login()
        self._opened.append(crm)
        self.requests()
        return crm

    def close(self) -> None:
        """Close all clients."""
        for crm in self._opened:
            crm.close()
