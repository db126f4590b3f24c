"""What the engine may ask of a CRM: the values that pass, and one abstract class.

Errors are those of `core/errors.py`: `ConfigurationError` for a refused login or a condition the CRM does not
understand, `QuotaError` when the reserve of the daily quota is reached, `DownError` when no answer can be had.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from connector.core.mapping import KeyPath, MappingFile
from connector.core.model import CrmRecord, FieldValue
from connector.core.values import stored_form


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field as this user sees it.

    Attributes:
        length: most characters of a text; 0 for other types.
        allowed: the only values of a restricted picklist; None for everything else.
        label: what the user interface calls it.
        createable: a new record may have a value for it.
        custom: the org's admin made it.
        nillable: it may be empty.
        calculated: a formula or roll-up summary.
        auto_number: the CRM numbers it.
        compound: it is made of other fields, as a full name is.
        permissionable: a permission set can grant access to it; system and required fields are not.
        precision, scale: digits of a number in all, and after the point; 0 where unknown.
        digits: digits of a whole number; 0 for other types.
        options: the values that a picklist offers now.
    """

    name: str
    type: str
    length: int
    updateable: bool
    filterable: bool
    allowed: frozenset[str] | None = None
    label: str = ""
    createable: bool = True
    custom: bool = True
    nillable: bool = True
    calculated: bool = False
    auto_number: bool = False
    compound: bool = False
    permissionable: bool = True
    precision: int = 0
    scale: int = 0
    digits: int = 0
    options: frozenset[str] = frozenset()


_FIXED_LENGTH = {"email", "phone", "url"}


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object with the fields that this user may see, by lower-case name.

    Attributes:
        key_prefix: the characters with which every id of the object begins; empty where the CRM's ids have none.
        updateable: this user may edit some of its records.
    """

    name: str
    fields: Mapping[str, FieldInfo]
    key_prefix: str = ""
    updateable: bool = True

    def get(self, name: str) -> FieldInfo | None:
        """A field, whatever the case of its name."""
        return self.fields.get(name.lower())

    def lengths(self) -> dict[str, int]:
        """The maximum length of each text field."""
        return {field.name: field.length for field in self.fields.values() if field.length}

    def fixed_lengths(self) -> frozenset[str]:
        """Text fields whose length no admin can change."""
        return frozenset(field.name for field in self.fields.values() if field.type in _FIXED_LENGTH)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one mapped field, and the fix.

    Attributes:
        path: the key in the mapping file.
        fatal: nothing may be bought before it is corrected; else it is a warning.
    """

    path: KeyPath
    message: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of an object to read.

    Attributes:
        fields: what to read of each.
        flag: (field, value) that asks for enrichment; None when a condition or ids choose instead.
        where: a further condition in the CRM's own query language.
        ids: only these; None for all.
        newest_first: the order in which pages come.
        limit: at most so many; None for all.
    """

    object: str
    fields: tuple[str, ...]
    flag: tuple[str, str | bool] | None = None
    where: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    newest_first: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Fields to set on one record."""

    id: str
    values: Mapping[str, FieldValue]


class ErrorClass(StrEnum):
    """Whose fault a refused row is, which decides what happens next.

    Listed from the widest cause to the narrowest: a row with several errors takes the first that any of them has.
    """

    ORG = "org"  # the org's state: stop, park nothing
    LIMIT = "limit"  # a governor limit, which fewer rows in a call may not reach
    AUTOMATION = "automation"  # automation failed the whole call, perhaps because of another row in it
    LOCKED = "locked"  # another process holds the row for a moment
    MOVED = "moved"  # deleted, merged or converted
    MAPPING = "mapping"  # no permission on a field, if every row that sends the field is refused
    ROW = "row"  # the row's own: field, validation, duplicate


@dataclass(frozen=True, slots=True)
class RowError:
    """One error of a refused row.

    Attributes:
        code: the CRM's code; empty where it gave none.
        fields: the fields that it names.
        text: an explanation, whole and unmasked: fit for display once `mask_text` knows the row's own values.
        advice: what a person can do about it; empty where only the general advice applies.
        unusable: the CRM can never accept the value.
    """

    code: str
    fields: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    advice: str = ""
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a row was not written."""

    error_class: ErrorClass
    errors: tuple[RowError, ...] = ()

    @property
    def code(self) -> str:
        """The first error's code."""
        return self.errors[0].code if self.errors else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that any of the errors names."""
        return tuple(dict.fromkeys(name for error in self.errors for name in error.fields))


@dataclass(frozen=True, slots=True)
class Usage:
    """Requests made by this client, and the org's daily quota as last reported."""

    read_calls: int = 0
    write_calls: int = 0
    other_calls: int = 0
    daily_used: int | None = None
    daily_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Notified:
    """A record that a notification names."""

    notification_id: str
    object: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the CRM's automation: its org, and the records that it is about."""

    org_id: str
    notified: tuple[Notified, ...]


@dataclass(frozen=True, slots=True)
class InboundRoute:
    """A route of `connector serve` that the CRM's own automation calls.

    Attributes:
        path: with `{secret}` for the secret that only the CRM knows.
        message_name: what the CRM calls such a message, for errors.
        media_types: that it takes.
        most_bytes: of a body.
        parse: the message of a body; None for anything else.
        acknowledgement: the body of the answer to a message that was stored, and its media type.
    """

    path: str
    message_name: str
    media_types: frozenset[str]
    most_bytes: int
    parse: Callable[[bytes], Message | None]
    acknowledgement: tuple[str, str]


def always() -> bool:
    """Nothing forbids it."""
    return True


class Crm(ABC):
    """One CRM org, as one user; threads that share it wait for each other.

    Attributes:
        name: as mapping files call it.
        label: as people call it, for messages.
        read_size: how many records one read by id may ask for.
        write_size: how many records one update may carry.
    """

    name: str
    label: str
    read_size: int
    write_size: int

    def stored(self, value: FieldValue, *, is_email: bool = False) -> FieldValue:
        """A value in the form in which the CRM keeps it, so that a difference is a real one."""
        return stored_form(value, is_email=is_email)

    @abstractmethod
    def written_time(self, moment: datetime) -> FieldValue:
        """A time as a field for date and time takes it."""

    @abstractmethod
    def check(self, mapping: MappingFile) -> list[Problem]:
        """Everything that is wrong with a mapping's fields and condition, as this user sees the org."""

    @abstractmethod
    def login(self) -> None:
        """Log in and read the quota; called once before anything else."""

    @abstractmethod
    def org_id(self) -> str:
        """The org's own id, which no renaming changes; empty where the CRM does not show it."""

    @abstractmethod
    def describe(self, object_name: str, *, refresh: bool = False) -> ObjectInfo:
        """The object's fields; remembered, unless asked again with `refresh`.

        Raises:
            ConfigurationError: no such object, or not visible.
        """

    @abstractmethod
    def check_condition(self, object_name: str, condition: str) -> None:
        """Refuse a condition that the CRM does not understand, or that would escape its parentheses.

        Raises:
            ConfigurationError: with the CRM's reason.
        """

    @abstractmethod
    def select(self, selection: Selection) -> Iterator[list[CrmRecord]]:
        """Pages of matching records; safe against records that appear or vanish between pages."""

    @abstractmethod
    def count(self, selection: Selection) -> int:
        """How many records match now, at most the selection's limit.

        Raises:
            ConfigurationError: a condition that the CRM does not understand.
        """

    @abstractmethod
    def full_id(self, record_id: str) -> str | None:
        """The id in the CRM's full form; None when it is not an id."""

    @abstractmethod
    def read(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, CrmRecord | None]:
        """Up to `read_size` records by id, as they are now; None for one that is gone and left no trace."""

    @abstractmethod
    def update(
        self, object_name: str, updates: Sequence[Update], may_leave: Callable[[], bool] = always
    ) -> list[Rejection | None]:
        """Up to `write_size` records; one answer each, in the same order, None for success.

        Args:
            object_name: the object.
            updates: at most one for each record.
            may_leave: asked each time the bytes are about to leave, a login renewed on the way included.

        Raises:
            PassingError: it may or may not have taken effect, or `may_leave` said no.
        """

    @abstractmethod
    def usage(self) -> Usage:
        """What this client has asked so far."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections."""
