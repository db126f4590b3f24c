"""From a record to the person it stands for, and from a person to the key under which a source knows them."""

import re
from dataclasses import dataclass
from enum import StrEnum

from connector.core import linkedin
from connector.core.mapping import FixedValue, PersonFields
from connector.core.model import Channel, CrmRecord, Lookup, Person, Prices

MAX_ID_DIGITS = 20
_EVENT = re.compile(r"[A-Za-z0-9_-]{1,100}")


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
    """Read the identifiers of a record; what cannot be used is told in `problems`."""
    problems: list[str] = []
    personnel_id: str | None = record.text(fields.personnel_id) or None
    if personnel_id and not (personnel_id.isascii() and personnel_id.isdecimal()):
        problems.append(f"{fields.personnel_id} is not a personnel id: it must be digits only")
        personnel_id = None
    elif personnel_id and len(personnel_id) > MAX_ID_DIGITS:
        problems.append(f"{fields.personnel_id} is not a personnel id: it has more than {MAX_ID_DIGITS} digits")
        personnel_id = None
    name: str | None = None
    address = record.text(fields.linkedin_url)
    if address:
        found = linkedin.normalise(address)
        if isinstance(found, linkedin.NotAPerson):
            problems.append(f"{fields.linkedin_url}: {found.reason}")
        else:
            name = found
    return Person(personnel_id, _event_of(record, fields), name, tuple(problems))


def _event_of(record: CrmRecord, fields: PersonFields) -> str | None:
    """The event, if what stands there can be one; without it the person is bought without naming an event."""
    event = fields.event_id
    text = event.value if isinstance(event, FixedValue) else record.text(event)
    return text if _EVENT.fullmatch(text) else None


def names_same(before: Person, resolved_id: str | None, now: Person) -> bool:
    """Whether a record still names whom it named; an identifier that was added, or found by us, is no other person.

    Args:
        before: as the record was taken up.
        resolved_id: a personnel id that was found by LinkedIn since.
        now: as the record is.
    """
    ids = {before.personnel_id, resolved_id} - {None}
    same_link = now.linkedin is not None and now.linkedin == before.linkedin
    same_id = now.personnel_id is not None and now.personnel_id in ids
    id_fits = now.personnel_id is None or same_id or (not ids and same_link)
    link_fits = now.linkedin is None or same_link or (before.linkedin is None and same_id)
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
