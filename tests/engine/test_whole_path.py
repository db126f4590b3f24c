"""One record's path from flag to written value, in the simplest worlds."""

from harness import Harness, World, email_only, mapping, phone_only

from connector.app.mappings import CATALOG
from connector.core.model import Outcome


def test_a_flagged_lead_gets_its_email_phone_and_statuses(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    report = harness.sync()
    record = world.org.get("Lead", lead)
    assert record["Email"] == person.email
    assert record["MobilePhone"] == "+1415555" + (person.phone or "")[-4:]
    assert record["Email_Unlock_Status__c"] == "Unlocked"
    assert record["Phone_Unlock_Status__c"] == "Unlocked"
    assert record["Enrichment_Requested__c"] is False
    assert record["Enrichment_Source__c"] == "lensmor"
    assert record["Enriched_At__c"] is not None
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["lensmor"].charged == 165
    assert world.charges.total("lensmor") == 165
    assert report.exit_code == 0


def test_a_picklist_flag(world: World, harness: Harness) -> None:
    asking = world.lead(world.person(), Enrichment_Requested__c=False, Enrichment__c="Requested")
    other = world.lead(world.person(), Enrichment_Requested__c=True, Enrichment__c="Done")
    flag = {"field": "Enrichment__c", "asks": "Requested", "done": "Done"}
    found = email_only().model_copy(update={"select": mapping("lead", select={"flag": flag}).select})
    report = harness.other(found).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(asking)["Enrichment__c"] == "Done"
    assert world.get(asking)["Email"] is not None
    assert world.get(other)["Email"] is None
    assert harness.other(found).sync().selected == 0


def test_a_minimal_mapping(world: World, harness: Harness) -> None:
    words = {
        "version": 1,
        "name": "least",
        "object": "Lead",
        "select": {"flag": "Enrichment_Requested__c"},
        "person": {"personnel_id": "Lensmor_Personnel_Id__c"},
        "channels": {"work_email": {"from": ["lensmor"], "field": "Email"}},
    }
    person, nobody = world.person(), world.person()
    world.lensmor.script(nobody.personnel_id, "email", "no_value")
    leads = [world.lead(person), world.lead(nobody)]
    report = harness.other(CATALOG.model.model_validate(words)).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.NOT_FOUND: 1}
    assert [world.get(lead)["Enrichment_Requested__c"] for lead in leads] == [False, False]
    changed = [set(world.org.history("Lead", lead)[0].changes) for lead in leads]
    assert changed == [{"Email", "Enrichment_Requested__c"}, {"Enrichment_Requested__c"}]


def test_two_mappings_may_share_an_object_and_its_flag(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    emails, phones = email_only(), phone_only().model_copy(update={"name": "phones"})
    report = harness.other(emails, phones).sync()
    assert report.selected == 2
    assert report.outcomes == {Outcome.DELIVERED: 2}
    assert world.get(lead)["Email"] == person.email
    assert world.get(lead)["MobilePhone"] is not None
    assert world.get(lead)["Enrichment_Requested__c"] is False
    assert harness.other(emails, phones).sync().selected == 0


def test_records_outside_the_condition_are_not_changed(world: World, harness: Harness) -> None:
    inside, outside = (world.lead(world.person(), Title=title) for title in ("Buyer", "Seller"))
    found = email_only().model_copy(update={"select": mapping("lead", select={"where": "Title = 'Buyer'"}).select})
    assert harness.other(found).sync().selected == 1
    assert world.get(inside)["Email"] is not None
    assert world.org.updates_count("Lead", outside) == 0


def test_a_second_sync_buys_and_writes_nothing(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness.sync()
    report = harness.other().sync()
    assert report.selected == 0
    assert report.crm["salesforce"].write_calls == 0
    assert world.charges.total() == 165
