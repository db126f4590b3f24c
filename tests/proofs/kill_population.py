"""People and their CRM records, with the values that Salesforce must have in the end."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.seed_cases import linkedin_url
from connector.simulator.server import Simulator

Choice = TypeVar("Choice")
KINDS = {"Email": "email", "MobilePhone": "phone"}
SHOWS_A_VALUE = frozenset({"delivered", "missing", "unfinished"})
EMAIL_ENDS = {"delivered": 68, "failed": 16, "no_value": 6, "missing": 5, "unfinished": 5}
PHONE_ENDS = {"delivered": 72, "failed": 9, "no_value": 9, "missing": 5, "unfinished": 5}
HOUSEHOLDS = {("Lead",): 45, ("Contact",): 33, ("Lead", "Contact"): 16, ("Lead", "Lead", "Contact"): 6}
IDENTIFIED_BY = {("id",): 20, ("link",): 35, ("id", "link"): 45}
OPTED_OUT = {"HasOptedOutOfEmail": True}
BOUNCED = {"Email": "bounced.{}@example.com", "EmailBouncedDate": "2026-10-02T08:15:00.000+0000"}
HABITS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "opted out": OPTED_OUT,
    "do not call": {"DoNotCall": True},
    "email there": {"Email": "there.{}@example.com"},
    "bounced": BOUNCED,
}
HABIT_WEIGHTS = (80, 5, 5, 5, 5)
VALUE_FIELDS = ("Email", "MobilePhone", "Personal_Email__c")


@dataclass(frozen=True)
class Entry:
    """One CRM record.

    Attributes:
        ways: Its identifiers: `id`, `link` or both.
        habit: Its special state at the start, a key of HABITS.
        first: Its value fields at the start.
    """

    object_name: str
    record_id: str
    person: SimPerson
    ways: tuple[str, ...]
    habit: str
    first: Mapping[str, str | None]


class Population:
    """Fills a simulated world, some people at a time.

    Args:
        simulator: The world.
        chance: The source of every choice.
        events: The number of trade events of the people; each event makes batches of its own.
    """

    def __init__(self, simulator: Simulator, chance: random.Random, events: int) -> None:
        self.entries: list[Entry] = []
        self._lensmor, self._salesfinity = simulator.lensmor, simulator.salesfinity
        self._org = simulator.salesforce.org
        self._chance = chance
        self._numbers = itertools.count(70_001)
        self._ends: dict[tuple[str, str], str] = {}
        self._events = [
            SimEvent(str(9000 + n), str(52_000 + n), f"Fair {n}", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
            for n in range(events)
        ]
        for event in self._events:
            self._lensmor.add_event(event)

    def move_in(self, people: int) -> None:
        """Add more people, each with one to three records."""
        for _ in range(people):
            person = self._person()
            for object_name in self._drawn(HOUSEHOLDS):
                self._record(object_name, person)

    def due(self, entry: Entry, field: str) -> str | None:
        """The expected value of a field without an edit: the vendors' value, or the value at the start."""
        if field == "Personal_Email__c" and entry.object_name == "Lead":
            return None
        if entry.habit == "opted out" and field != "MobilePhone":
            return None
        if entry.habit == "do not call" and field == "MobilePhone":
            return None
        if entry.habit == "email there" and field == "Email":
            return entry.first["Email"]
        found = self._found(entry, field)
        return found if found is not None else entry.first[field]

    def _found(self, entry: Entry, field: str) -> str | None:
        person, has_link = entry.person, "link" in entry.ways
        if field == "Personal_Email__c":
            return person.personal_email if has_link else None
        shown = self._ends.get((person.personnel_id, KINDS[field])) in SHOWS_A_VALUE
        if field == "MobilePhone":
            return person.phone.replace(" ", "") if shown and person.phone else None
        return person.email if shown else person.work_email if has_link else None

    def _person(self) -> SimPerson:
        number = next(self._numbers)
        home = f"home{number}@example.com"
        person = SimPerson(
            personnel_id=str(number),
            full_name=f"Sample Person {number}",
            linkedin_name=f"sample-müller-{number}" if number % 3 else f"sample-{number}",
            event_ids=(self._chance.choice(self._events).event_id,),
            email=f"p{number}@example.com",
            phone=f"+1 415 555 {number % 10_000:04d}",
            work_email=f"w{number}@example.com" if self._chance.random() < 0.7 else None,
            personal_email=home if self._chance.random() < 0.6 else None,
        )
        self._salesfinity.add_person(person)
        if self._chance.random() < 0.9:
            self._list_at_lensmor(person)
        return person

    def _list_at_lensmor(self, person: SimPerson) -> None:
        self._lensmor.add_person(person)
        owned = self._chance.random() < 0.03  # a colleague bought everything long ago
        for kind, ends in (("email", EMAIL_ENDS), ("phone", PHONE_ENDS)):
            end = "delivered" if owned else self._drawn(ends)
            self._ends[person.personnel_id, kind] = end
            if owned:
                self._lensmor.set_unlocked(person.personnel_id, kind)
            else:
                self._lensmor.script(person.personnel_id, kind, end)

    def _record(self, object_name: str, person: SimPerson) -> None:
        ways = self._drawn(IDENTIFIED_BY)
        (habit,) = self._chance.choices(list(HABITS), HABIT_WEIGHTS)
        special = {name: _numbered(value, len(self.entries)) for name, value in HABITS[habit].items()}
        place = {"Company": "Example Works"} if object_name == "Lead" else {}
        flag = {"Enrichment_Requested__c": self._chance.random() < 0.3}
        values = {"LastName": "Sample", **place, **flag, **self._identity(person, ways), **special}
        record_id = self._org.insert(object_name, values)
        first = {name: None if special.get(name) is None else str(special[name]) for name in VALUE_FIELDS}
        self.entries.append(Entry(object_name, record_id, person, ways, habit, first))

    def _identity(self, person: SimPerson, ways: tuple[str, ...]) -> dict[str, object]:
        values: dict[str, object] = {}
        if "link" in ways:
            values["LinkedIn_URL__c"] = linkedin_url(person, self._chance.randrange(100))
        if "id" in ways:
            values["Lensmor_Personnel_Id__c"] = person.personnel_id
            drawn = self._chance.random()
            if drawn < 0.8:
                other = self._chance.choice(self._events).event_id
                values["Lensmor_Event_Id__c"] = person.event_ids[0] if drawn < 0.7 else other
        return values

    def _drawn(self, weights: Mapping[Choice, int]) -> Choice:
        (found,) = self._chance.choices(list(weights), list(weights.values()))
        return found


def _numbered(value: object, number: int) -> object:
    return value.format(number) if isinstance(value, str) else value
