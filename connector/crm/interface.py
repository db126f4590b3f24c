"""The interface between the engine and a CRM: one abstract class, and the values that it exchanges.

Errors are those of `core/errors.py`: `ConfigurationError` for a refused login or an invalid condition, `QuotaError` if
the reserve of the daily quota is reached, `DownError` if the CRM does not answer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from connector.core.mapping import MappingFile
from connector.core.mapping_base import KeyPath
from connector.core.model import CrmRecord, FieldValue
from connector.core.values import stored_form

if TYPE_CHECKING:
    from connector.crm.bulk import BulkApi
    from connector.crm.provisioning import Provisioner


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of an object, with the rights of this user.

    Attributes:
        length: the most characters of a text; 0 for other types.
        allowed: the allowed values of a restricted picklist; None for other fields.
        label: the name in the user interface.
        createable: a new record may have a value for it.
        custom: the org's admin created it.
        nillable: it may be empty.
        calculated: it is a formula or a roll-up summary.
        auto_number: the CRM numbers it.
        compound: it consists of other fields, like a full name.
        permissionable: a permission set can grant access to it; False for system and required fields.
        precision, scale: the total digits of a number, and those after the point; 0 if unknown.
        digits: the digits of a whole number; 0 for other types.
        options: the present options of a picklist.
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
        key_prefix: the prefix of every id of the object; empty if the CRM's ids have no prefix.
        updateable: this user may edit some of its records.
        createable, deletable: this user may create or delete records.
    """

    name: str
    fields: Mapping[str, FieldInfo]
    key_prefix: str = ""
    updateable: bool = True
    createable: bool = False
    deletable: bool = False

    def get(self, name: str) -> FieldInfo | None:
        """Find a field by its name in any case."""
        return self.fields.get(name.lower())

    def lengths(self) -> dict[str, int]:
        """The maximum length of each text field."""
        return {field.name: field.length for field in self.fields.values() if field.length}

    def fixed_lengths(self) -> frozenset[str]:
        """Text fields whose length no admin can change."""
        return frozenset(field.name for field in self.fields.values() if field.type in _FIXED_LENGTH)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with a mapped field, and the fix.

    Attributes:
        path: the key in the mapping file.
        fatal: nothing may be bought before it is corrected; otherwise it is a warning.
    """

    path: KeyPath
    message: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Remark:
    """What an admin should know about the org or the login; it never stops a run.

    Attributes:
        is_odd: it looks like a mistake; the message has the remedy.
    """

    subject: str
    message: str
    is_odd: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of an object's records.

    Attributes:
        fields: the fields to read.
        flag: the (field, value) that requests enrichment; None if a condition or ids select the records.
        where: further conditions in the CRM's own query language.
        ids: only these records; None for all.
        newest_first: the order of the records.
        limit: the most records; None for all.
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
    """The cause of a refused row, which decides the next step.

    The order is from the widest cause to the narrowest: a row with several errors has the first class of any of them.
    """

    ORG = "org"  # the state of the org: stop, and park nothing
    LIMIT = "limit"  # a governor limit, which fewer rows in a call may not reach
    AUTOMATION = "automation"  # automation failed the whole call, perhaps because of another row
    LOCKED = "locked"  # another process locks the row for a short time
    MOVED = "moved"  # the record was deleted, merged or converted
    MAPPING = "mapping"  # no permission on a field, if every row that sends the field is refused
    ROW = "row"  # the row itself: a field, a validation rule, a duplicate


@dataclass(frozen=True, slots=True)
class RowError:
    """One error of a refused row.

    Attributes:
        code: the CRM's code; empty if there is none.
        fields: the fields that the CRM names.
        text: the explanation, unmasked: for display, pass it through `mask_text` with the row's own values.
        advice: the next step for a person; empty if only the general advice applies.
        unusable: the CRM can never accept the value.
    """

    code: str
    fields: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    advice: str = ""
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """The CRM's refusal of a row, with its errors."""

    error_class: ErrorClass
    errors: tuple[RowError, ...] = ()

    @property
    def code(self) -> str:
        """The first error's code."""
        return self.errors[0].code if self.errors else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields that the errors name."""
        return tuple(dict.fromkeys(name for error in self.errors for name in error.fields))


@dataclass(frozen=True, slots=True)
class Usage:
    """The requests of this client, and the org's daily quota as last reported.

    Attributes:
        reserve_percent: the part of the quota that the connector never uses.
    """

    read_calls: int = 0
    write_calls: int = 0
    other_calls: int = 0
    daily_used: int | None = None
    daily_limit: int | None = None
    reserve_percent: int = 0

    @property
    def daily_left(self) -> int | None:
        """The requests that are left today, without the reserve; None if the quota is unknown."""
        if self.daily_used is None or not self.daily_limit:
            return None
        return max(0, self.daily_limit * (100 - self.reserve_percent) // 100 - self.daily_used)


@dataclass(frozen=True, slots=True)
class Notified:
    """A record that a notification names."""

    notification_id: str
    object: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the CRM's automation, with its org and the records that it names."""

    org_id: str
    notified: tuple[Notified, ...]


@dataclass(frozen=True, slots=True)
class InboundRoute:
    """A route of `connector serve` that the CRM's own automation calls.

    Attributes:
        path: the path, with `{secret}` for the secret that only the CRM knows.
        message_name: the CRM's name for such a message, for errors.
        media_types: the accepted media types.
        most_bytes: the most bytes of a body.
        parse: parses a body; returns None for an invalid one.
        acknowledgement: the body and the media type of the answer to a stored message.
    """

    path: str
    message_name: str
    media_types: frozenset[str]
    most_bytes: int
    parse: Callable[[bytes], Message | None]
    acknowledgement: tuple[str, str]


def always() -> bool:
    """The default of `may_leave`: True."""
    return True


class Crm(ABC):
    """One CRM org, as one user; threads that share it wait for each other.

    Attributes:
        name: the name in mapping files.
        label: the name in messages.
        read_size: the most records in one read by id.
        write_size: the most records in one update.
        bulk: the jobs for many records; None if the CRM has none.
    """

    name: str
    label: str
    read_size: int
    write_size: int
    bulk: "BulkApi | None" = None

    def stored(self, value: FieldValue, *, is_email: bool = False) -> FieldValue:
        """Convert a value to the form in which the CRM stores it, so that equal values compare equal."""
        return stored_form(value, is_email=is_email)

    def provisioner(self) -> "Provisioner | None":
        """Creates what mappings need in the CRM; None if the CRM's folder does not offer it."""
        return None

    @abstractmethod
    def written_time(self, moment: datetime) -> FieldValue:
        """Convert a time to the value of a date-and-time field."""

    @abstractmethod
    def check(self, mapping: MappingFile) -> list[Problem]:
        """Check a mapping's fields and condition with this user's rights; returns all problems."""

    def remarks(self, mappings: Sequence[MappingFile]) -> list[Remark]:  # noqa: ARG002 a CRM may have none
        """What an admin should know beyond the checks, in the order of importance; by default nothing."""
        return []

    @abstractmethod
    def login(self) -> None:
        """Log in and read the quota; called once, before any other method."""

    @abstractmethod
    def org_id(self) -> str:
        """The org's id, which does not change when the org is renamed; empty if the CRM does not show it."""

    @abstractmethod
    def describe(self, object_name: str, *, refresh: bool = False) -> ObjectInfo:
        """Read an object's fields; the result is cached until a call with `refresh`.

        Raises:
            ConfigurationError: the object does not exist or is not visible.
        """

    @abstractmethod
    def check_condition(self, object_name: str, condition: str) -> None:
        """Check a condition of the CRM's query language; it must also not close its own parentheses.

        Raises:
            ConfigurationError: the condition is invalid; the message has the CRM's reason.
        """

    @abstractmethod
    def select(self, selection: Selection) -> Iterator[list[CrmRecord]]:
        """Read matching records page by page; records that appear or vanish between pages do no harm."""

    @abstractmethod
    def count(self, selection: Selection) -> int:
        """Count the matching records, up to the selection's limit.

        Raises:
            ConfigurationError: the condition is invalid.
        """

    @abstractmethod
    def full_id(self, record_id: str) -> str | None:
        """Convert an id to the CRM's full form; None if it is not an id."""

    @abstractmethod
    def read(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, CrmRecord | None]:
        """Read up to `read_size` records by id; None for a deleted record without a trace."""

    @abstractmethod
    def update(
        self, object_name: str, updates: Sequence[Update], may_leave: Callable[[], bool] = always
    ) -> list[Rejection | None]:
        """Update up to `write_size` records; returns one answer each, in the same order, None for success.

        Args:
            object_name: the object.
            updates: at most one for each record.
            may_leave: is called each time right before the request is sent, also after a renewed login.

        Raises:
            PassingError: the update may or may not have taken effect, or `may_leave` returned False.
        """

    @abstractmethod
    def usage(self) -> Usage:
        """The requests of this client so far, and the quota."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""
