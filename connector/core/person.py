"""Reads the person from a record, and chooses the identifier by which a source knows the person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connector.core.identifiers import IdentifierKind, Unusable
from connector.core.mapping import PersonFields
from connector.core.model import Channel, CrmRecord, Identifier, IdentityMatch, Person, Prices


@dataclass(frozen=True, slots=True)
class Source:
    """The facts about a provider that planning needs.

    Attributes:
        name: its name in mapping files.
        account: the operator's name for the account; part of every purchase's identity.
        prices: credits per purchase.
        accepts: the kinds of identifiers by which it sells, the preferred one first.
        resolves: the kinds from which it can find its own identifier at no cost.
        groups_by: the kind of grouping key, if it sells only in groups.
    """

    name: str
    account: str
    prices: Prices
    accepts: tuple[IdentifierKind, ...]
    resolves: tuple[IdentifierKind, ...] = ()
    groups_by: IdentifierKind | None = None

    def sells(self, channel: Channel) -> bool:
        """Whether the provider has a price for the channel."""
        return channel in self.prices.by_channel

    def can_know(self, person: Person) -> bool:
        """Whether the person has an identifier that the provider accepts or resolves."""
        return any(kind.name in person.identifiers for kind in (*self.accepts, *self.resolves))

    def grouping_key(self, person: Person) -> str | None:
        """The grouping key for the person's purchases, from the record."""
        return None if self.groups_by is None else person.grouping_keys.get(self.groups_by.name)


@dataclass(frozen=True, slots=True)
class Identified:
    """The source knows the person.

    Attributes:
        person: the preferred identifier, under which the person is bought.
        grouping_key: the group to name in a purchase.
        others: other identifiers under which the person may have been bought already.
    """

    person: Identifier
    grouping_key: str | None = None
    others: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The source must first resolve this identifier to its own."""

    identifier: Identifier


@dataclass(frozen=True, slots=True)
class NobodyThere:
    """The source has answered that no person has this identifier.

    Attributes:
        words: the name of its kind for people.
    """

    identifier: Identifier
    words: str


@dataclass(frozen=True, slots=True)
class Unidentified:
    """The record has no identifier that this source can use."""

    reason: str


Identity = Identified | Unresolved | NobodyThere | Unidentified
MatchOf = Callable[[str, Identifier], IdentityMatch | None]  # the stored answer of a provider, by its name


def person_of(record: CrmRecord, fields: PersonFields) -> Person:
    """Read the identifiers of a record; `problems` has the reason for each unusable one."""
    identifiers: dict[str, str] = {}
    grouping_keys: dict[str, str] = {}
    problems: dict[str, str] = {}
    for kind, keys in fields.mapped_kinds:
        found = kind.read(record, keys)
        if isinstance(found, Unusable):
            problems[kind.name] = found.reason
        elif found is not None:
            (grouping_keys if kind.groups else identifiers)[kind.name] = found
    return Person(identifiers, grouping_keys, problems)


def names_same(before: Person, resolved: Mapping[str, str], now: Person) -> bool:
    """Whether a record still represents the same person.

    An identifier that was added, or found by a provider, does not change the person; nor does one that was emptied. If
    one was replaced by an unusable value (a company's page), the record represents another person, unless another
    identifier still matches.

    Args:
        before: the person when the record was selected.
        resolved: identifiers that a provider has found since, by kind.
        now: the person in the current record.
    """
    if now.identifiers == before.identifiers and not now.problems:
        return True
    kinds = {*before.identifiers, *resolved, *now.identifiers, *now.problems}
    known = {kind: {before.identifiers.get(kind), resolved.get(kind)} - {None} for kind in kinds}
    same = {kind for kind in kinds if now.identifiers.get(kind) in known[kind]}

    def fits(kind: str) -> bool:
        other_is_same = bool(same - {kind})
        if kind in now.identifiers:
            return kind in same or (not known[kind] and other_is_same)
        return kind not in now.problems or kind not in before.identifiers or other_is_same

    return all(fits(kind) for kind in kinds)


def identify(person: Person, source: Source, match_of: MatchOf) -> Identity:
    """Find the identifier by which the source knows the person.

    Args:
        person: the person from the record.
        source: the provider to buy from.
        match_of: gives the stored answers of providers.
    """
    grouping_key = source.grouping_key(person)
    given = tuple(
        Identifier(kind.name, person.identifiers[kind.name])
        for kind in source.accepts
        if kind.name in person.identifiers
    )
    if given:
        return Identified(given[0], grouping_key, given[1:])
    for kind in source.resolves:
        value = person.identifiers.get(kind.name)
        if value is None:
            continue
        identifier = Identifier(kind.name, value)
        match = match_of(source.name, identifier)
        if match is None:
            return Unresolved(identifier)
        if match.identifier is None:
            return NobodyThere(identifier, kind.words)
        first = match.grouping_keys[0] if match.grouping_keys else None
        return Identified(match.identifier, grouping_key or first)
    needed = " or ".join(kind.words for kind in (*source.accepts, *source.resolves))
    return Unidentified("; ".join(person.problems.values()) or f"the record has no {needed}")
