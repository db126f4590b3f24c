"""One record's way, from flag to written value, for the simplest worlds."""

from stage import Stage, World

from connector.core.model import Outcome


def test_a_flagged_lead_gets_its_email_phone_and_statuses(world: World, stage: Stage) -> None:
    person = world.person()
    lead = world.lead(person)
    report = stage.sync()
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


def test_a_second_sync_buys_and_writes_nothing(world: World, stage: Stage) -> None:
    world.lead(world.person())
    stage.sync()
    report = stage.other().sync()
    assert report.selected == 0
    assert report.crm.write_calls == 0
    assert world.charges.total() == 165
