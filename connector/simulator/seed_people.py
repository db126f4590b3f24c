"""Invents people from one source of randomness: names, addresses, numbers, and the values that each vendor finds."""

import random
import unicodedata
from dataclasses import dataclass

from connector.simulator import names
from connector.simulator.people import MAIL_DOMAIN, SimEvent, SimPerson

FIRST_PERSONNEL_ID = 70_011
SHARE_WITHOUT_EMAIL = 0.08
SHARE_WITHOUT_PHONE = 0.2
SHARE_WITH_WORK_EMAIL = 0.7
SHARE_WITH_PERSONAL_EMAIL = 0.5
SHARE_IN_TWO_EVENTS = 0.15


@dataclass(frozen=True)
class Invented:
    """A person in the CRM's spelling, with the vendors' data about them.

    Attributes:
        given: first name.
        family: last name.
        mail_name: the part before `@` of their addresses.
        facts: the vendors' data.
    """

    given: str
    family: str
    mail_name: str
    facts: SimPerson


class Inventor:
    """Invents distinct people.

    Args:
        chance: the source of every choice.
        events: the events that the people may attend.
    """

    def __init__(self, chance: random.Random, events: tuple[SimEvent, ...]) -> None:
        self._chance = chance
        self._events = events
        self._made = 0
        self._mail_names: set[str] = set()
        self._phones = 0

    def person(self, *, other_script: bool = False, finds: str = "some") -> Invented:
        """Invent another person.

        Args:
            other_script: whether their name is not in Latin letters.
            finds: `some` (most people have an email, fewer a phone), `all` (both vendors find everything), `nothing`,
                `work` or `personal` (only Salesfinity finds them, and only that email).
        """
        given, family, mail_name = self._name(other_script=other_script)
        number = FIRST_PERSONNEL_ID + self._made
        self._made += 1
        title, department, seniority = self._chance.choice(names.TITLES)
        mail, personal = f"{mail_name}{MAIL_DOMAIN}", f"{mail_name}.private{MAIL_DOMAIN}"
        events = self._chance.sample(self._events, 2 if self._chance.random() < SHARE_IN_TWO_EVENTS else 1)
        facts = SimPerson(
            personnel_id=str(number),
            full_name=f"{given} {family}",
            title=title,
            company=self._chance.choice(names.COMPANIES),
            linkedin_name=_linkedin_name(given, family, mail_name, number, other_script=other_script),
            event_ids=tuple(event.event_id for event in events),
            email=mail if self._has(finds, "all", 1 - SHARE_WITHOUT_EMAIL) else None,
            phone=self.phone() if self._has(finds, "all", 1 - SHARE_WITHOUT_PHONE) else None,
            work_email=mail if self._has(finds, "work", SHARE_WITH_WORK_EMAIL) else None,
            personal_email=personal if self._has(finds, "personal", SHARE_WITH_PERSONAL_EMAIL) else None,
            department=department,
            seniority=seniority,
            source_types=self._chance.choice([("exhibitor",), ("exhibitor", "social"), ("social",)]),
        )
        return Invented(given, family, mail_name, facts)

    def phone(self) -> str:
        """The next number of the fictional ranges."""
        form, size = names.PHONE_RANGES[self._phones % len(names.PHONE_RANGES)]
        number = self._phones // len(names.PHONE_RANGES)
        self._phones += 1
        return form.format(number % size)

    def _has(self, finds: str, wanted: str, share: float) -> bool:
        """Whether a value is found; always draws once, so that the sequence of people stays the same."""
        drawn = self._chance.random() < share
        return drawn if finds == "some" else finds in {wanted, "all"}

    def _name(self, *, other_script: bool) -> tuple[str, str, str]:
        if other_script:
            given, family, mail_name = self._chance.choice(names.OTHER_SCRIPTS)
        else:
            given, family = self._chance.choice(names.GIVEN), self._chance.choice(names.FAMILY)
            mail_name = f"{given}.{family}".lower().translate(names.LATIN)
        free, again = mail_name, 2
        while free in self._mail_names:
            free, again = f"{mail_name}{again}", again + 1
        self._mail_names.add(free)
        return given, family, free


def _linkedin_name(given: str, family: str, mail_name: str, number: int, *, other_script: bool) -> str:
    plain = f"{family}-{given}" if other_script else mail_name.replace(".", "-")
    return unicodedata.normalize("NFC", f"{plain}-{number:x}".lower())
