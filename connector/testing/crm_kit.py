"""What the CRM suite must know to try an adapter: its simulated org, and the hands of the people who work in it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from connector.core.model import FieldValue
from connector.crm.interface import Crm, ErrorClass


class CrmKit(ABC):
    """One CRM before its simulated org, with a fresh world.

    Attributes:
        kind: what the CRM calls the records of the kit.
        follows: what it calls the records that others are converted to; None where there is no such thing.
        email, phone, flag, word: fields of a record: an email, a phone, a checkbox, and a choice that may request.
        good: a condition that is true for records that were just made.
        bad: conditions that the CRM does not understand.
        escapes: conditions that would reach beyond what they stand for; refused without a request.
        troubles: by what they call for, error codes that a row may be refused with.
        slept: the waits between tries, in seconds.
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
        """A new client, not logged in."""

    @abstractmethod
    def add(self, **values: object) -> str:
        """A new record, by its full id."""

    @abstractmethod
    def edit(self, record_id: str, **values: object) -> None:
        """Change a record as a person does."""

    @abstractmethod
    def delete(self, record_id: str) -> None:
        """Delete a record."""

    @abstractmethod
    def merge(self, winner: str, loser: str) -> None:
        """Merge one record into another."""

    @abstractmethod
    def convert(self, record_id: str) -> str:
        """Convert a record; gives the new one's full id. Called only where `follows` names a kind."""

    @abstractmethod
    def value(self, record_id: str, field: str) -> FieldValue:
        """What a record's field holds."""

    @abstractmethod
    def writes(self, record_id: str) -> int:
        """How often the API changed a record."""

    @abstractmethod
    def requests(self) -> int:
        """How many requests cost quota since the last call of this."""

    @abstractmethod
    def reject(self, record_id: str, code: str, *fields: str) -> None:
        """Let the next write of a record be refused, with an address of a person in the message."""

    @abstractmethod
    def restrict(self, field: str, *words: str) -> None:
        """Let a field take these words only."""

    @abstractmethod
    def small(self, *, page: int | None = None, ids: int | None = None) -> AbstractContextManager[None]:
        """So many records in a page, and so many ids in a query, while the block runs."""

    @abstractmethod
    def equals(self, field: str, value: str) -> str:
        """A condition that a field has a value."""

    def crm(self) -> Crm:
        """A new client that has logged in."""
        crm = self.new_crm()
        crm.login()
        self._opened.append(crm)
        self.requests()
        return crm

    def close(self) -> None:
        """Close every client."""
        for crm in self._opened:
            crm.close()
