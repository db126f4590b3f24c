"""Short constructors for people and identifiers in tests: Lensmor's ids, LinkedIn names and events."""

from collections.abc import Iterable
from datetime import datetime

from connector.core.identifiers import LINKEDIN
from connector.core.model import Identifier, IdentityMatch, Person
from connector.providers.lensmor.identifiers import EVENT_ID, PERSONNEL_ID


def pid(personnel_id: str) -> Identifier:
    """A person by Lensmor's own id."""
    return Identifier(PERSONNEL_ID.name, personnel_id)


def pids(personnel_ids: Iterable[str]) -> list[Identifier]:
    """Several people by Lensmor's own ids."""
    return [pid(one) for one in personnel_ids]


def link(name: str) -> Identifier:
    """A person by LinkedIn name."""
    return Identifier(LINKEDIN.name, name)


def person_with(
    personnel_id: str | None = None,
    event_id: str | None = None,
    linkedin: str | None = None,
    *,
    bad_id: str = "",
    bad_link: str = "",
) -> Person:
    """A person with the identifiers of a record; `bad_...` is the reason for an unusable one."""
    identifiers = {PERSONNEL_ID.name: personnel_id, LINKEDIN.name: linkedin}
    problems = {PERSONNEL_ID.name: bad_id, LINKEDIN.name: bad_link}
    return Person(
        {kind: value for kind, value in identifiers.items() if value is not None},
        {} if event_id is None else {EVENT_ID.name: event_id},
        {kind: reason for kind, reason in problems.items() if reason},
    )


def match_with(personnel_id: str | None, events: tuple[str, ...] = (), at: datetime | None = None) -> IdentityMatch:
    """Lensmor's identity match for a LinkedIn name."""
    return IdentityMatch(None if personnel_id is None else pid(personnel_id), events, at)
