"""Seeded worlds: a believable org for the demo, and a large plain one for benchmarks.

Both are the same at every start, because every choice comes from a fixed seed.
"""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.simulator import names
from connector.simulator.lensmor_state import PRICES
from connector.simulator.people import MAIL_DOMAIN, SimEvent, SimPerson
from connector.simulator.seed_cases import CASES, Case, identifiers
from connector.simulator.seed_people import FIRST_PERSONNEL_ID, Invented, Inventor

if TYPE_CHECKING:
    from connector.simulator.server import Simulator

FIXED_SEED = 20_261_120
RESERVE_CREDITS = 100_000
DEMO_EVENTS = (
    SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands"),
    SimEvent("9002", "52017", "Packaging Days North", "2027-04-13", "2027-04-15", "Malmö", "Sweden"),
    SimEvent("9003", "52044", "Sensors and Optics Forum", "2027-05-25", "2027-05-27", "Jena", "Germany"),
    SimEvent("9004", "52108", "関西オートメーション展", "2027-06-09", "2027-06-11", "Osaka", "Japan"),
    SimEvent("9005", "52230", "Water and Energy Summit", "2027-09-21", "2027-09-23", "Lyon", "France"),
)
BULK_EVENT = SimEvent("9900", "59900", "Example Volume Fair 2027", "2027-10-05", "2027-10-08", "Hanover", "Germany")


@dataclass(frozen=True)
class DemoRecord:
    """One CRM record of the demo, and the facts behind it.

    Attributes:
        case: the name of its case in `seed_cases.CASES`.
        object_name: `Lead` or `Contact`.
        record_id: 18 characters.
        person: the person that it represents; the case decides which of their data the vendors have.
        flagged: whether enrichment was requested.
    """

    case: str
    object_name: str
    record_id: str
    person: SimPerson
    flagged: bool


@dataclass(frozen=True)
class DemoFacts:
    """The contents of the demo world.

    Attributes:
        records: every Lead and Contact, in the order of their creation.
        events: the events of the Lensmor catalogue.
    """

    records: tuple[DemoRecord, ...]
    events: tuple[SimEvent, ...]

    def of_case(self, case: str) -> tuple[DemoRecord, ...]:
        """The records of one case."""
        return tuple(record for record in self.records if record.case == case)

    @property
    def flagged(self) -> tuple[DemoRecord, ...]:
        """The records that request enrichment: 260 Leads and 110 Contacts."""
        return tuple(record for record in self.records if record.flagged)

    @property
    def untouched(self) -> tuple[DemoRecord, ...]:
        """The records without a request, which must not change: 30 Leads and 15 Contacts."""
        return tuple(record for record in self.records if not record.flagged)


@dataclass(frozen=True)
class BulkFacts:
    """The contents of the large world.

    Attributes:
        lead_ids: all Leads.
        event_id: the event that all of them share.
        credits_needed: the Lensmor credits for everybody's email and phone.
    """

    lead_ids: tuple[str, ...]
    event_id: str
    credits_needed: int


def seed_demo(sim: "Simulator") -> DemoFacts:
    """Fill a world with the demo's events, people and records."""
    chance = random.Random(FIXED_SEED)
    inventor = Inventor(chance, DEMO_EVENTS)
    for event in DEMO_EVENTS:
        sim.lensmor.add_event(event)
    drafts = [draft for case in CASES for draft in _drafts(case, inventor)]
    for case, _, invented in drafts:
        _tell_vendors(sim, case, invented.facts)
    chance.shuffle(drafts)
    return DemoFacts(tuple(_insert_all(sim, drafts, inventor)), DEMO_EVENTS)


def seed_bulk(sim: "Simulator", leads: int) -> BulkFacts:
    """Fill a world with flagged Leads of one event, all of whom have an email and a phone, and with credits for all."""
    sim.lensmor.add_event(BULK_EVENT)
    ids = [_insert_bulk_lead(sim, number) for number in range(leads)]
    needed = leads * (PRICES["email"] + PRICES["phone"])
    sim.lensmor.balance = needed + RESERVE_CREDITS
    return BulkFacts(tuple(ids), BULK_EVENT.event_id, needed)


Draft = tuple[Case, str, Invented]


def _drafts(case: Case, inventor: Inventor) -> list[Draft]:
    """The people of a case and their objects; a shared case's Contacts repeat the people of its Leads."""

    def invent() -> Invented:
        return inventor.person(other_script=case.other_script, finds=case.finds)

    on_leads = [invent() for _ in range(case.leads)]
    on_contacts = on_leads[: case.contacts] if case.shared else [invent() for _ in range(case.contacts)]
    return [(case, "Lead", one) for one in on_leads] + [(case, "Contact", one) for one in on_contacts]


def _tell_vendors(sim: "Simulator", case: Case, person: SimPerson) -> None:
    sim.salesfinity.add_person(person)
    if case.at_lensmor == "absent":
        return
    sim.lensmor.add_person(person)
    for kind in ("email", "phone"):
        if case.at_lensmor == "owned":
            sim.lensmor.set_unlocked(person.personnel_id, kind)
        elif case.at_lensmor != "listed":
            sim.lensmor.script(person.personnel_id, kind, case.at_lensmor)


def _insert_all(sim: "Simulator", drafts: list[Draft], inventor: Inventor) -> list[DemoRecord]:
    org = sim.salesforce.org
    accounts = {name: org.insert("Account", {"Name": name}) for name in names.COMPANIES}
    events = {event.event_id: event.id for event in DEMO_EVENTS}
    spellings: defaultdict[str, int] = defaultdict(int)
    records = []
    for case, object_name, invented in drafts:
        person = invented.facts
        values = _names(object_name, invented, accounts) | _filled(case, invented, inventor) | dict(case.values)
        values |= identifiers(case, person, spellings[case.name], events)
        values["Enrichment_Requested__c"] = case.flagged
        spellings[case.name] += 1
        record_id = org.insert(object_name, values)
        records.append(DemoRecord(case.name, object_name, record_id, person, case.flagged))
    return records


def _names(object_name: str, invented: Invented, accounts: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {
        "FirstName": invented.given,
        "LastName": invented.family,
        "Title": invented.facts.title,
    }
    company = str(invented.facts.company)
    place = {"Company": company} if object_name == "Lead" else {"AccountId": accounts[company]}
    return values | place


def _filled(case: Case, invented: Invented, inventor: Inventor) -> dict[str, object]:
    """Values that a person has entered; never those that a vendor would find."""
    values: dict[str, object] = {}
    if "Email" in case.filled:
        values["Email"] = f"{invented.mail_name}.crm{MAIL_DOMAIN}"
    if "MobilePhone" in case.filled:
        values["MobilePhone"] = inventor.phone()
    return values


def _insert_bulk_lead(sim: "Simulator", number: int) -> str:
    given = names.GIVEN[number % len(names.GIVEN)]
    family = names.FAMILY[number // len(names.GIVEN) % len(names.FAMILY)]
    company = names.COMPANIES[number % len(names.COMPANIES)]
    personnel_id = str(FIRST_PERSONNEL_ID + number)
    form, size = names.PHONE_RANGES[number % len(names.PHONE_RANGES)]
    person = SimPerson(
        personnel_id=personnel_id,
        full_name=f"{given} {family}",
        company=company,
        linkedin_name=f"bulk-{personnel_id}",
        event_ids=(BULK_EVENT.event_id,),
        email=f"bulk.{personnel_id}{MAIL_DOMAIN}",
        phone=form.format(number // len(names.PHONE_RANGES) % size),
        work_email=f"bulk.{personnel_id}{MAIL_DOMAIN}",
    )
    sim.lensmor.add_person(person)
    sim.salesfinity.add_person(person)
    values = {
        "FirstName": given,
        "LastName": family,
        "Company": company,
        "Lensmor_Personnel_Id__c": personnel_id,
        "Lensmor_Event_Id__c": BULK_EVENT.event_id,
        "Enrichment_Requested__c": True,
    }
    return sim.salesforce.org.insert("Lead", values)
