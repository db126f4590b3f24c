"""The filters of Lensmor's lists of events and people."""

from collections.abc import Callable, Mapping

from connector.simulator import lensmor_input as read
from connector.simulator.people import SimEvent, SimPerson

PERSON_FILTERS = ("search_query", "department", "level", "sourceType", "exhibitor_id")


def events(query: Mapping[str, str]) -> Callable[[SimEvent], bool]:
    """The filter of `listEvents`; labels (`event_type`, `quality`) match nothing, as no simulated event has any."""
    keyword = (read.text(query, "keyword", 200) or "").casefold()
    country = (read.text(query, "country", 100) or "").casefold()
    city = (read.text(query, "city", 100) or "").casefold()
    first = read.day(query, "date_start_from") or ""
    last = read.day(query, "date_start_to") or "9999-12-31"
    starred = read.flag(query, "sponsor_match_starred")
    visitors = read.flag(query, "has_visitors")
    labels = query.get("event_type") or query.get("quality")

    def wanted(event: SimEvent) -> bool:
        return (
            keyword in event.name.casefold()
            and country in {"", event.country.casefold()}
            and city in {"", event.city.casefold()}
            and first <= event.date_start <= last
            and visitors in {None, event.has_visitors}
            and not starred
            and not labels
        )

    return wanted


def people(query: Mapping[str, str]) -> Callable[[SimPerson], bool] | None:
    """The filter of `listPersonnel`; None if the query has none. No simulated person has an exhibitor id."""
    search = (read.text(query, "search_query", 200) or "").casefold()
    department = (read.text(query, "department", 100) or "").casefold()
    level = (read.text(query, "level", 50) or "").casefold()
    sources = frozenset(filter(None, (read.text(query, "sourceType", 200) or "").split(",")))
    exhibitor = query.get("exhibitor_id")
    if not any(query.get(name) for name in PERSON_FILTERS):
        return None

    def wanted(person: SimPerson) -> bool:
        return (
            (search in person.full_name.casefold() or search in (person.title or "").casefold())
            and department in {"", (person.department or "").casefold()}
            and level in {"", (person.seniority or "").casefold()}
            and (not sources or not sources.isdisjoint(person.source_types))
            and not exhibitor
        )

    return wanted


def company_people(query: Mapping[str, str]) -> Callable[[SimPerson], bool] | None:
    """The filter of `searchContacts` within one company; None if the query has none."""
    role = (read.text(query, "role", 200) or "").casefold()
    name = (read.text(query, "person_name", 200) or "").casefold()
    if not role and not name:
        return None

    def wanted(person: SimPerson) -> bool:
        return role in (person.title or "").casefold() and name in person.full_name.casefold()

    return wanted
