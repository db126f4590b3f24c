"""One person behind several records: bought once, written to all, whenever they attach."""

import pytest
from harness import Harness, World, email_only, mapping, personal_only

from connector.core.model import Outcome


def test_two_leads_and_a_contact_are_bought_once_and_all_written(world: World, harness: Harness) -> None:
    person = world.person()
    records = [world.lead(person), world.lead(person), world.contact(person)]
    report = harness.other(mapping("lead"), mapping("contact")).sync()
    assert report.selected == 3
    assert report.outcomes == {Outcome.DELIVERED: 3}
    assert [world.get(record)["Email"] for record in records] == [person.email] * 3
    assert [world.get(record)["MobilePhone"] for record in records] == [(person.phone or "").replace(" ", "")] * 3
    assert world.ours("lensmor") == 165
    assert world.ours("salesfinity") == 1


def test_one_person_by_id_and_by_linkedin_is_bought_once(world: World, harness: Harness) -> None:
    person = world.person()
    by_id = world.lead(person, LinkedIn_URL__c=None)
    by_link = world.lead(person, Lensmor_Personnel_Id__c=None, Lensmor_Event_Id__c=None)
    assert harness.sync().outcomes == {Outcome.DELIVERED: 2}
    assert [world.get(lead)["Email"] for lead in (by_id, by_link)] == [person.email] * 2
    assert world.ours("lensmor") == 165


def test_attaching_after_the_write_reads_the_value_at_no_cost(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    harness.sync()
    late = world.lead(person)
    posts = world.paid_posts()
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(late)["Email"] == person.email
    assert world.get(late)["Email_Unlock_Status__c"] == "Unlocked"
    assert world.paid_posts() == posts
    assert world.lensmor.requests.count("getPersonnelProfile") == 2  # email and phone


def test_a_value_is_erased_from_the_ledger_once_it_is_written(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness.sync()
    with harness.ledger() as ledger:
        words = ledger.records.purchase_views(range(1, 10))
        assert len(words) == 2
        assert [word.value for word in words.values()] == [None, None]
    person = world.person()
    raw = b"".join(path.read_bytes() for path in harness.folder.glob("connector.db*"))
    assert b"@example.com" not in raw
    assert (person.linkedin_name or "").encode() not in raw


def test_attaching_at_salesfinity_reads_the_lookup_again(world: World, harness: Harness) -> None:
    person = world.person()
    harness = harness.other(personal_only())
    world.contact(person)
    harness.sync()
    late = world.contact(person)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(late)["Personal_Email__c"] == person.personal_email
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1


@pytest.mark.parametrize("vendor", ["lensmor", "salesfinity"])
def test_attaching_to_a_value_no_longer_shown(world: World, harness: Harness, vendor: str) -> None:
    person = world.person()
    harness = harness.other(email_only(vendor))
    world.lead(person)
    harness.sync()
    operation = "getPersonnelProfile" if vendor == "lensmor" else "getEmailEnrichment"
    world.arm(vendor, operation, "not_found")
    late = world.lead(person)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.FAILED: 1}
    record = world.get(late)
    assert record["Enrichment_Error__c"] == "work email: paid earlier, no longer readable at the vendor"
    assert record["Email_Unlock_Status__c"] == "Failed"
    assert record["Enrichment_Requested__c"] is False
    assert harness.other().sync().selected == 0


def test_attaching_to_a_running_task(world: World, harness: Harness) -> None:
    person = world.person()
    first = world.lead(person)
    world.lensmor.task_seconds = 1200
    harness.wait_s = 60
    harness.sync()
    second = world.lead(person)
    assert harness.other().sync().outcomes == {Outcome.WAITING: 2}
    assert world.get(second)["Email_Unlock_Status__c"] == "In progress"
    world.clock.advance(minutes=25)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 2}
    assert [world.get(record)["Email"] for record in (first, second)] == [person.email] * 2
    assert world.paid_posts() == 2
    assert world.ours("lensmor") == 165


def test_attaching_to_a_lost_request_buys_nothing(world: World, harness: Harness) -> None:
    person = world.person()
    harness = harness.other(email_only("salesfinity"))
    world.lead(person)
    world.arm("salesfinity", "requestEmailEnrichment", "drop_after")
    harness.sync()
    world.lead(person)
    world.clock.advance(hours=1)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 2}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1


def test_attaching_to_a_failed_purchase_buys_nothing(world: World, harness: Harness) -> None:
    person = world.person()
    harness = harness.other(email_only())
    world.lensmor.script(person.personnel_id, "email", "failed")
    world.lead(person)
    harness.sync()
    late = world.lead(person)
    assert harness.other().sync().outcomes == {Outcome.FAILED: 1}
    assert world.get(late)["Enrichment_Error__c"] == "work email: lensmor failed (TASK_FAILED)"
    assert world.paid_posts() == 1


def test_a_lead_and_a_contact_of_one_event_fill_one_batch(world: World, harness: Harness) -> None:
    for _ in range(3):
        world.lead(world.person())
        world.contact(world.person())
    harness.other(email_only(), email_only(name="contact")).sync()
    assert world.lensmor.requests.count("submitEmailUnlock") == 1
    assert world.lensmor.requests.people("submitEmailUnlock") == 6
