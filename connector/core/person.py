"""From a record to the person it stands for, and from a person to the key under which a source knows them."""

import re
from dataclasses import dataclass
from enum import StrEnum

from connector.core import linkedin
from connector.core.digits import NotDigits, digits_of, is_filler
from connector.core.invisible import has_control, trimmed, visible
from connector.core.mapping import FixedValue, PersonFields
from connector.core.model import Channel, CrmRecord, FieldValue, Lookup, Person, Prices

_EVENT = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NO_EVENT = frozenset({"na", "none", "null", "unknown", "undefined"})  # typed where there is no event


class IdentifiedBy(StrEnum):
    """What a source wants to know of a person before it sells."""

    PERSONNEL_ID = "personnel_id"
    LINKEDIN = "linkedin"


@dataclass(frozen=True, slots=True)
class Source:
    """What planning must know of a provider.

    Attributes:
        name: as mappings call it.
        account: the operator's name for the account; part of every unlock's identity.
        prices: credits per unlock.
        identified_by: the identifier it needs.
        looks_up_linkedin: whether it can find its own id by LinkedIn name, for nothing.
    """

    name: str
    account: str
    prices: Prices
    identified_by: IdentifiedBy
    looks_up_linkedin: bool = False

    def sells(self, channel: Channel) -> bool:
        """Whether the channel is on its price list."""
        return channel in self.prices.by_channel


@dataclass(frozen=True, slots=True)
class Identified:
    """The source's key of the person, and the event to name when buying."""

    key: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class NeedsLookup:
    """The source must first be asked who is behind this LinkedIn name."""

    linkedin: str


@dataclass(frozen=True, slots=True)
class NobodyThere:
    """The source was asked and knows nobody of this LinkedIn name."""

    linkedin: str


@dataclass(frozen=True, slots=True)
class Unidentified:
    """The record has nothing by which this source could know the person."""

    reason: str


Identity = Identified | NeedsLookup | NobodyThere | Unidentified


def person_of(record: CrmRecord, fields: PersonFields) -> Person:
    """Read the identifiers of a record; `problems` gives the reason for each that cannot be used."""
    problems: list[str] = []
    bad_id = bad_link = False
    personnel_id: str | None = None
    if record.text(fields.personnel_id):
        found = _personnel_id(record.values.get(str(fields.personnel_id)))
        if isinstance(found, NotDigits):
            problems.append(f"{fields.personnel_id} is not a personnel id: {found.reason}")
            bad_id = True
        else:
            personnel_id = found
    name: str | None = None
    address = record.text(fields.linkedin_url)
    if address:
        named = linkedin.normalise(address)
        if isinstance(named, linkedin.NotAPerson):
            problems.append(f"{fields.linkedin_url}: {named.reason}")
            bad_link = True
        else:
            name = named
    return Person(personnel_id, _event_of(record, fields), name, tuple(problems), bad_id, bad_link)


def _personnel_id(value: FieldValue) -> str | NotDigits:
    found = digits_of(value)
    if isinstance(found, str) and is_filler(found):
        return NotDigits("its digits are a placeholder")
    return found


def _event_of(record: CrmRecord, fields: PersonFields) -> str | None:
    """The event, if the field holds one; without it the person is bought without naming an event."""
    event = fields.event_id
    text = trimmed(event.value if isinstance(event, FixedValue) else record.text(event))
    if has_control(text):
        return None
    text = visible(text).removeprefix("'").strip()
    found = digits_of(text)
    if isinstance(found, str):
        return found
    is_id = _EVENT.fullmatch(text) is not None and text.strip("0-_") != "" and text.lower() not in _NO_EVENT
    return text if is_id else None


def names_same(before: Person, resolved_id: str | None, now: Person) -> bool:
    """Whether a record still names whom it named; an identifier that was added, or found by us, is no other person.

    One that was emptied says nothing. One that was replaced by something unusable (a company's page) says that the
    record is no longer about that person, unless the other identifier still names them.

    Args:
        before: as the record was taken up.
        resolved_id: a personnel id that was found by LinkedIn since.
        now: as the record is.
    """
    ids = {before.personnel_id, resolved_id} - {None}
    same_link = now.linkedin is not None and now.linkedin == before.linkedin
    same_id = now.personnel_id is not None and now.personnel_id in ids
    no_id = now.personnel_id is None and (not now.bad_personnel_id or before.personnel_id is None or same_link)
    no_link = now.linkedin is None and (not now.bad_linkedin or before.linkedin is None or same_id)
    id_fits = no_id or same_id or (not ids and same_link)
    link_fits = no_link or same_link or (before.linkedin is None and same_id)
    return id_fits and link_fits


def identify(person: Person, source: Source, lookup: Lookup | None) -> Identity:
    """How the source knows the person.

    Args:
        person: what the record says.
        source: the provider that would be asked.
        lookup: its remembered answer for the person's LinkedIn name, if it was ever asked.
    """
    if source.identified_by is IdentifiedBy.LINKEDIN:
        return Identified(person.linkedin) if person.linkedin else _no_identifier(person, "LinkedIn address")
    if person.personnel_id:
        return Identified(person.personnel_id, person.event_id)
    if not person.linkedin or not source.looks_up_linkedin:
        return _no_identifier(person, "personnel id or LinkedIn address")
    if lookup is None:
        return NeedsLookup(person.linkedin)
    if lookup.personnel_id is None:
        return NobodyThere(person.linkedin)
    event = person.event_id or (lookup.events[0] if lookup.events else None)
    return Identified(lookup.personnel_id, event)


def _no_identifier(person: Person, needed: str) -> Unidentified:
    return Unidentified("; ".join(person.problems) or f"the record has no {needed}")
