"""One person in several spellings is one purchase; an address that may name another person buys nothing."""

import pytest
from harness import Harness, World, email_only, mapping, personal_only

from connector.core.model import Outcome
from connector.core.report import Report
from connector.simulator.salesforce.schema import Field

NO_ID = {"Lensmor_Personnel_Id__c": None, "Lensmor_Event_Id__c": None}


def spellings(name: str) -> list[str]:
    """One address in five spellings, as people paste it."""
    return [
        f"https://www.linkedin.com/in/{name}",
        f"\ufeffhttp://https://nl.linkedin.com/in/{name.upper()}/?trk=x\u200e",
        f'<a href="https://www.linkedin.com/in/{name}">profile</a>',
        f"(www.linkedin.com/mwlite/in/{name}),",
        f"https://www.linkedin.com/in/https://linkedin.com/comm/in/{name[:3]}\u200b{name[3:]}&trk=y",
    ]


def test_five_spellings_on_five_records_are_one_purchase(world: World, harness: Harness) -> None:
    person = world.person()
    contacts = [world.contact(person, **NO_ID, LinkedIn_URL__c=text) for text in spellings(str(person.linkedin_name))]
    report = harness.other(personal_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 5}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1
    assert world.ours("salesfinity") == 1
    assert {world.get(contact)["Personal_Email__c"] for contact in contacts} == {person.personal_email}


def test_five_spellings_are_one_lookup_and_one_purchase(world: World, harness: Harness) -> None:
    person = world.person()
    leads = [world.lead(person, **NO_ID, LinkedIn_URL__c=text) for text in spellings(str(person.linkedin_name))]
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 5}
    assert world.lensmor.requests.count("findPersonByLinkedin") == 1
    assert world.ours("lensmor") == 15
    assert {world.get(lead)["Email"] for lead in leads} == {person.email}


def test_a_personnel_id_is_one_person_in_every_form(world: World, harness: Harness) -> None:
    person = world.person()
    number = person.personnel_id
    forms = [number, f"{number}.0", f"'{number}", f"000{number}", f"\u200b{number}\ufeff"]
    leads = [world.lead(person, Lensmor_Personnel_Id__c=text, LinkedIn_URL__c=None) for text in forms]
    harness.other(email_only()).sync()
    assert world.ours("lensmor") == 15
    assert {world.get(lead)["Email"] for lead in leads} == {person.email}


def test_ids_in_number_fields_are_read_as_digits(world: World, harness: Harness) -> None:
    person = world.person()
    for name in ("Personnel_Number__c", "Event_Number__c"):
        world.org.add_field("Lead", Field(name, "double"))
    numbers = {"Personnel_Number__c": float(person.personnel_id), "Event_Number__c": 52001.0}
    lead = world.lead(person, Lensmor_Personnel_Id__c=None, LinkedIn_URL__c=None, **numbers)
    fields = {"personnel_id": "Personnel_Number__c", "event_id": "Event_Number__c", "linkedin_url": "LinkedIn_URL__c"}
    report = harness.other(mapping("lead", person=fields)).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.ours("lensmor") == 165


@pytest.mark.parametrize("control", ["\t", "\n", "\r", "\x0b", "\u2028"])
def test_two_joined_cells_never_buy_a_stranger(world: World, harness: Harness, control: str) -> None:
    stranger = world.person(linkedin_name="anna-0-6299")
    lead = world.lead(stranger, **NO_ID, LinkedIn_URL__c=f"https://www.linkedin.com/in/anna-0-62{control}99")
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert "two entries may have been joined" in reason_of(report)
    assert world.paid_posts() == 0
    assert world.get(lead)["Email"] is None


@pytest.mark.parametrize("text", ["https://www.linkedin.com/in/me/", "https://www.linkedin.com/in/unavailable", "n/a"])
def test_a_shared_placeholder_is_no_shared_person(world: World, harness: Harness, text: str) -> None:
    world.person(linkedin_name="me")
    world.person(linkedin_name="unavailable")
    for _ in range(2):
        world.lead(**NO_ID, LinkedIn_URL__c=text)
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.SKIPPED: 2}
    assert world.paid_posts() == 0


@pytest.mark.parametrize("text", ["0", "000", "99999999"])
def test_a_placeholder_id_buys_nothing(world: World, harness: Harness, text: str) -> None:
    world.person(personnel_id="99999999")
    world.lead(Lensmor_Personnel_Id__c=text, Lensmor_Event_Id__c="52001")
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert "placeholder" in reason_of(report)
    assert world.paid_posts() == 0


def test_a_member_id_reaches_both_vendors_in_its_own_case(world: World, harness: Harness) -> None:
    one, other = world.person(linkedin_name="ACoAAA8BYqEBxyz"), world.person(linkedin_name="ACoAAA8BYqEBXyz")
    for found in (email_only(), personal_only()):
        insert = world.lead if found.object == "Lead" else world.contact
        records = [
            insert(who, **NO_ID, LinkedIn_URL__c=f"HTTPS://LinkedIn.com/in/{who.linkedin_name}/")
            for who in (one, other)
        ]
        harness.other(found).sync()
        field = "Email" if found.object == "Lead" else "Personal_Email__c"
        wanted = [getattr(who, "email" if field == "Email" else "personal_email") for who in (one, other)]
        assert [world.get(record)[field] for record in records] == wanted
    assert (world.ours("lensmor"), world.ours("salesfinity")) == (30, 2)


def reason_of(report: Report) -> str:
    """All reasons of a report in one text."""
    channels = report.to_json()["reasons"].values()
    return "; ".join(reason for outcomes in channels for reasons in outcomes.values() for reason in reasons)


def test_no_value_is_written_after_a_change_to_a_company_page(world: World, harness: Harness) -> None:
    """A company page names no person, so the record's person is unknown."""
    person = world.person()
    lead = world.lead(person, Lensmor_Personnel_Id__c=None)
    world.clock.at(1, lambda: world.edit(lead, LinkedIn_URL__c="https://www.linkedin.com/company/sample"))
    harness = harness.other(email_only())
    harness.sync()
    world.clock.advance(minutes=15)
    harness.other().sync()
    assert world.get(lead)["Email"] is None
