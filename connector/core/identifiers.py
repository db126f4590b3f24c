"""The kinds of identifiers by which providers know people, and how they are read from a record's fields.

A kind belongs to the provider that uses it. The LinkedIn address is here because several providers use it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from connector.core import linkedin
from connector.core.model import CrmRecord


@dataclass(frozen=True, slots=True)
class Unusable:
    """The record's value is not an identifier of this kind; the reason names the field, for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """A mapping's entries for one kind: CRM fields, and fixed values for all records, by key of `person`."""

    fields: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)

    def text(self, key: str, record: CrmRecord) -> str:
        """The fixed value, else the text of the record's field; empty if there is neither."""
        return self.fixed.get(key) or record.text(self.fields.get(key))


Read = Callable[[CrmRecord, PersonKeys], str | Unusable | None]


class Shape(StrEnum):
    """The kind of field that can hold an identifier: letters and digits (or a number), a web address, or words."""

    ID = "id"
    URL = "url"
    WORDS = "words"


@dataclass(frozen=True, slots=True, eq=False)
class IdentifierKind:
    """One kind of identifier.

    Attributes:
        name: the kind in an identifier's (kind, value) pair.
        words: its name for people, such as "LinkedIn address".
        keys: the keys under `person` in a mapping file, each with its description.
        read: reads a record: the normalised value, None if the fields are empty, or why their value is unusable.
        shape: the kind of its fields.
        may_be_fixed: a mapping may give one value for all records, `{value: ...}`.
        is_stamped: a value that a provider found can be written back, by the key `name` under `stamp`.
        groups: it identifies no person, but the group in which people are bought.
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
