"""Every kind of record in one sync: its cost, its written fields, and a reason that people understand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from engine_judge import judge
from harness import Harness, World, mapping
from ledgers import Ledgers
from shared_sites import SharedSites

from connector.core.model import Outcome
from connector.core.report import Report
from connector.simulator.people import SimPerson

BOUNCED = "2026-10-02T08:15:00.000+0000"
EMAIL, PHONE = 15, 150
NOBODY: dict[str, object] = {"Lensmor_Personnel_Id__c": None, "Lensmor_Event_Id__c": None, "LinkedIn_URL__c": None}


@dataclass
class Kind:
    """One kind of record and its expected result.

    Attributes:
        facts: Facts of its person.
        values: Field values of the Lead.
        vendor: Prepares the vendors for the person.
        outcome: The record's outcome.
        costs: Credits at Lensmor and Salesfinity.
        reason: Part of the error field; empty for none.
        in_report: A reason that only the report has, because a value was delivered and nothing failed.
        writes: Fields after the sync; `$email`, `$work` and `$phone` stand for the vendors' values.
    """

    outcome: Outcome
    facts: Mapping[str, object] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    vendor: Callable[[World, SimPerson], None] | None = None
    costs: tuple[int, int] = (0, 0)
    reason: str = ""
    in_report: str = ""
    writes: Mapping[str, object] = field(default_factory=dict)


def _owned(world: World, person: SimPerson) -> None:
    for kind in ("email", "phone"):
        world.lensmor.set_unlocked(person.personnel_id, kind)


def _ends(email: str, phone: str) -> Callable[[World, SimPerson], None]:
    def script(world: World, person: SimPerson) -> None:
        world.lensmor.script(person.personnel_id, "email", email)
        world.lensmor.script(person.personnel_id, "phone", phone)

    return script


def _unknown_to_lensmor(world: World, person: SimPerson) -> None:
    del world.lensmor.people[person.personnel_id]
    world.lensmor.person_of_linkedin.pop(person.linkedin_name or "")


def _being_unlocked(world: World, person: SimPerson) -> None:
    world.colleague_buys(person, "email", "phone")


BOTH = {"Email_Unlock_Status__c": "Unlocked", "Phone_Unlock_Status__c": "Unlocked"}
KINDS: dict[str, Kind] = {
    "plain": Kind(Outcome.DELIVERED, costs=(165, 0), writes={**BOTH, "Email": "$email", "MobilePhone": "$phone"}),
    "both filled": Kind(
        Outcome.SKIPPED,
        values={"Email": "kept@example.com", "MobilePhone": "+1 415 555 9999"},
        reason="Email is already filled",
        writes={"Email": "kept@example.com", "MobilePhone": "+1 415 555 9999", "Phone_Unlock_Status__c": "Skipped"},
    ),
    "email filled": Kind(
        Outcome.DELIVERED,
        values={"Email": "kept@example.com"},
        costs=(PHONE, 0),
        in_report="Email is already filled",
        writes={"Email": "kept@example.com", "Email_Unlock_Status__c": "Skipped", "MobilePhone": "$phone"},
    ),
    "opted out of email": Kind(
        Outcome.DELIVERED,
        values={"HasOptedOutOfEmail": True},
        costs=(PHONE, 0),
        in_report="opted out (HasOptedOutOfEmail)",
        writes={"Email": None, "Email_Unlock_Status__c": "Skipped", "MobilePhone": "$phone"},
    ),
    "do not call": Kind(
        Outcome.DELIVERED,
        values={"DoNotCall": True},
        costs=(EMAIL, 0),
        in_report="opted out (DoNotCall)",
        writes={"MobilePhone": None, "Phone_Unlock_Status__c": "Skipped", "Email": "$email"},
    ),
    "opted out of everything": Kind(
        Outcome.SKIPPED, values={"HasOptedOutOfEmail": True, "DoNotCall": True}, reason="opted out"
    ),
    "bounced": Kind(
        Outcome.DELIVERED,
        values={"Email": "gone@example.com", "EmailBouncedDate": BOUNCED},
        costs=(165, 0),
        writes={**BOTH, "Email": "$email"},
    ),
    "no identifier": Kind(
        Outcome.SKIPPED,
        values=NOBODY,
        reason="the record has no personnel id or LinkedIn address",
        writes={"Email_Unlock_Status__c": "Skipped"},
    ),
    "letters for an id": Kind(
        Outcome.SKIPPED,
        values={**NOBODY, "Lensmor_Personnel_Id__c": "P-71x"},
        reason="Lensmor_Personnel_Id__c is not a personnel id: it must be digits only",
    ),
    "company page": Kind(
        Outcome.SKIPPED,
        values={**NOBODY, "LinkedIn_URL__c": "https://www.linkedin.com/company/example-works/"},
        reason="a company page, not a person's",
    ),
    "Sales Navigator": Kind(
        Outcome.SKIPPED,
        values={**NOBODY, "LinkedIn_URL__c": "https://www.linkedin.com/sales/lead/ACwAAExample,NAME_SEARCH"},
        reason="a Sales Navigator address; copy the public profile address instead",
    ),
    "letters, but LinkedIn": Kind(
        Outcome.DELIVERED,
        values={"Lensmor_Personnel_Id__c": "P-71x"},
        costs=(165, 0),
        writes={**BOTH, "Email": "$email", "Lensmor_Personnel_Id__c": "P-71x"},
    ),
    "LinkedIn only": Kind(
        Outcome.DELIVERED,
        values={"Lensmor_Personnel_Id__c": None, "Lensmor_Event_Id__c": None},
        costs=(165, 0),
        writes={**BOTH, "Email": "$email", "MobilePhone": "$phone", "Lensmor_Personnel_Id__c": "$id"},
    ),
    "unlocked already": Kind(
        Outcome.DELIVERED, vendor=_owned, writes={**BOTH, "Email": "$email", "MobilePhone": "$phone"}
    ),
    "unlocked already, LinkedIn only": Kind(
        Outcome.DELIVERED,
        vendor=_owned,
        values={"Lensmor_Personnel_Id__c": None},
        writes={**BOTH, "Email": "$email", "MobilePhone": "$phone", "Lensmor_Personnel_Id__c": "$id"},
    ),
    "unlocking elsewhere": Kind(
        Outcome.DELIVERED,
        vendor=_being_unlocked,
        costs=(165, 0),  # the colleague's cost, not ours
        writes={**BOTH, "Email": "$email", "MobilePhone": "$phone"},
    ),
    "missing in the task": Kind(
        Outcome.DELIVERED, vendor=_ends("missing", "missing"), costs=(165, 0), writes={**BOTH, "Email": "$email"}
    ),
    "unfinished in the task": Kind(
        Outcome.DELIVERED, vendor=_ends("unfinished", "unfinished"), costs=(165, 0), writes={**BOTH, "Email": "$email"}
    ),
    "failed, found by the next": Kind(
        Outcome.DELIVERED,
        vendor=_ends("failed", "failed"),
        costs=(165, 1),
        reason="phone: lensmor failed",
        writes={
            "Email": "$work",
            "Email_Unlock_Status__c": "Unlocked",
            "Phone_Unlock_Status__c": "Failed",
            "Enrichment_Source__c": "salesfinity",
        },
    ),
    "task failed": Kind(
        Outcome.DELIVERED,
        vendor=_ends("task_failed", "task_failed"),
        costs=(165, 1),
        reason="phone: lensmor failed",
        writes={"Email": "$work", "Phone_Unlock_Status__c": "Failed"},
    ),
    "no value": Kind(
        Outcome.DELIVERED,
        vendor=_ends("no_value", "no_value"),
        costs=(165, 1),
        in_report="the vendor unlocked the person and shows no value",
        writes={"Email": "$work", "Phone_Unlock_Status__c": "Not found", "MobilePhone": None},
    ),
    "failed everywhere": Kind(
        Outcome.DELIVERED,
        facts={"work_email": None},
        vendor=_ends("failed", "delivered"),
        costs=(165, 0),
        reason="lensmor failed (TASK_FAILED); salesfinity did not find it",
        writes={"Email": None, "Email_Unlock_Status__c": "Failed", "MobilePhone": "$phone"},
    ),
    "found nowhere": Kind(
        Outcome.NOT_FOUND,
        facts={"work_email": None},
        values={"Lensmor_Personnel_Id__c": None},
        vendor=_unknown_to_lensmor,
        reason="lensmor has no person with this LinkedIn address",
        writes={"Email": None, "Email_Unlock_Status__c": "Not found", "Phone_Unlock_Status__c": "Not found"},
    ),
    "unknown to Lensmor by LinkedIn": Kind(
        Outcome.DELIVERED,
        values={"Lensmor_Personnel_Id__c": None},
        vendor=_unknown_to_lensmor,
        costs=(0, 1),
        in_report="lensmor has no person with this LinkedIn address",
        writes={"Email": "$work", "Enrichment_Source__c": "salesfinity", "Lensmor_Personnel_Id__c": None},
    ),
    "unknown to Lensmor by id": Kind(
        Outcome.DELIVERED,
        vendor=_unknown_to_lensmor,
        costs=(0, 1),
        reason="phone: lensmor has no person with this personnel id",
        writes={"Email": "$work", "Phone_Unlock_Status__c": "Failed"},
    ),
    "another event": Kind(
        Outcome.DELIVERED, facts={"event_ids": ("52002",)}, costs=(165, 0), writes={**BOTH, "Email": "$email"}
    ),
    "part of no event": Kind(
        Outcome.DELIVERED, facts={"event_ids": ()}, costs=(165, 0), writes={**BOTH, "Email": "$email"}
    ),
}


@dataclass
class Done:
    """The world after two syncs, with the outcome of each record."""

    world: World
    people: dict[str, SimPerson]
    leads: dict[str, str]
    outcomes: dict[str, Outcome]
    first: Report
    second: Report
    posts_of_first: int


@pytest.fixture(scope="module")
def done(shared_sites: SharedSites, ledgers: Ledgers) -> Done:
    world = World()
    world.urls = shared_sites.show(world.simulator)
    people: dict[str, SimPerson] = {}
    leads: dict[str, str] = {}
    for name, kind in KINDS.items():
        people[name] = world.person(**kind.facts)
        if kind.vendor is not None:
            kind.vendor(world, people[name])
        leads[name] = world.lead(people[name], **kind.values)
    with ledgers.new() as folder:
        harness = Harness(world, folder, mapping("lead"))
        first = harness.sync()
        posts = world.paid_posts()
        with harness.ledger() as ledger:
            outcomes = {row.crm_id: row.outcome for row in ledger.run_outcomes.outcomes(first.run_id)}
        second = harness.other().sync()
        shared_sites.check()
        judge(harness)
    return Done(world, people, leads, outcomes, first, second, posts)


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_record(done: Done, name: str) -> None:
    kind, person, lead = KINDS[name], done.people[name], done.leads[name]
    record = done.world.get(lead)
    assert done.outcomes[lead] is kind.outcome
    assert record["Enrichment_Requested__c"] is False
    assert kind.reason in str(record["Enrichment_Error__c"] or "")
    assert bool(record["Enrichment_Error__c"]) is bool(kind.reason)
    reported = [text for found in done.first.reasons.values() for texts in found.values() for text in texts]
    assert not kind.in_report or any(kind.in_report in text for text in reported)
    shown = {
        "$email": person.email,
        "$work": person.work_email,
        "$phone": (person.phone or "").replace(" ", ""),
        "$id": person.personnel_id,
    }
    wanted = {name: shown.get(str(value), value) for name, value in kind.writes.items()}
    assert {name: record[name] for name in wanted} == wanted
    paid = {"lensmor": 0, "salesfinity": 0}
    for charge in done.world.charges.entries:
        if charge.person in {person.personnel_id, person.linkedin_name}:
            paid[charge.vendor] += charge.credits
    assert (paid["lensmor"], paid["salesfinity"]) == kind.costs
    assert bool(record["Enriched_At__c"]) is any(str(value).startswith("$") for value in kind.writes.values())
    assert done.world.org.updates_count("Lead", lead) == 1


def test_the_report_counts_every_record_once(done: Done) -> None:
    report = done.first
    assert report.selected == len(KINDS)
    assert report.outcomes == {
        outcome: sum(kind.outcome is outcome for kind in KINDS.values())
        for outcome in {kind.outcome for kind in KINDS.values()}
    }
    assert report.exit_code == 0
    assert not report.attention
    for vendor in ("lensmor", "salesfinity"):
        figures = report.credits[vendor]
        assert figures.held == 0
        assert figures.balance_before is not None
        assert figures.balance_after is not None
        assert figures.charged == done.world.ours(vendor)


def test_the_second_sync_does_nothing(done: Done) -> None:
    assert done.second.selected == 0
    assert done.second.crm["salesforce"].write_calls == 0
    assert done.world.paid_posts() == done.posts_of_first
    assert sum(figures.charged for figures in done.second.credits.values()) == 0


def test_skipped_people_are_never_sent_to_a_vendor(done: Done) -> None:
    asked = done.world.lensmor.requests.count("findPersonByLinkedin")
    by_linkedin = [
        name
        for name, kind in KINDS.items()
        if not str(kind.values.get("Lensmor_Personnel_Id__c", "1") or "").isdecimal()
        and "linkedin" not in str(kind.values.get("LinkedIn_URL__c", ""))
        and name not in {"no identifier", "letters for an id"}
    ]
    assert asked == len(by_linkedin)
