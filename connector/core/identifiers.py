"""The kinds of identifiers by which providers know people, and how a record's fields become one.

A kind belongs to the provider that uses it. The one here is of no provider's own: several know people by their
LinkedIn address.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from connector.core import linkedin
from connector.core.model import CrmRecord


@dataclass(frozen=True, slots=True)
class Unusable:
    """The record has something that is no identifier of this kind; the reason is for people and names the field."""

    reason: str


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """What a mapping names for one kind: CRM fields, and fixed values for all records, by key of `person`."""

    fields: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)

    def text(self, key: str, record: CrmRecord) -> str:
        """The fixed value, or the text of the record's field; empty where there is neither."""
        return self.fixed.get(key) or record.text(self.fields.get(key))


Read = Callable[[CrmRecord, PersonKeys], str | Unusable | None]


class Shape(StrEnum):
    """What a field must be to hold an identifier: digits and letters (a number too), a web address, or words."""

    ID = "id"
    URL = "url"
    WORDS = "words"


@dataclass(frozen=True, slots=True, eq=False)
class IdentifierKind:
    """One kind of identifier.

    Attributes:
        name: the kind in an identifier's (kind, value) pair.
        words: how people call it, such as "LinkedIn address".
        keys: the keys under `person` in a mapping file that it is read from, each with its description.
        read: from a record: the normalised value, None where the fields are empty, or why they hold nothing usable.
        shape: of the fields.
        may_be_fixed: a mapping may give one value for all records, `{value: ...}`.
        is_stamped: a value that a provider found can be written back to the record, by the key `name` under `stamp`.
        groups: it names no person, but what purchases of one request have in common.
    """

    name: str
    words: str
    keys: Mapping[str, str]
    read: Read
    shape: Shape = Shape.ID
    may_be_fixed: bool = False
    is_stamped: bool = False
    groups: bool = False


def _read_linkedin(record: CrmRecord, keys: PersonKeys) -> str | Unusable | None:
    address = record.text(keys.fields.get(_LINKEDIN_KEY))
    if not address:
        return None
    named = linkedin.normalise(address)
    if isinstance(named, linkedin.NotAPerson):
        return Unusable(f"{keys.fields[_LINKEDIN_KEY]}: {named.reason}")
    return named


_LINKEDIN_KEY = "linkedin_url"
LINKEDIN = IdentifierKind(
    name=_LINKEDIN_KEY,
    words="LinkedIn address",
    keys={_LINKEDIN_KEY: "Field with the LinkedIn profile address."},
    read=_read_linkedin,
    shape=Shape.URL,
)
