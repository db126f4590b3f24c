"""Repeated requests: free within the cool-down, bought again after it; loops are reported."""

from harness import Harness, World, email_only, mapping, personal_only

from connector.core.model import Outcome

BOUNCED = "2026-10-02T08:15:00.000+0000"


def test_within_refresh_after_the_flag_is_cleared_with_a_reason(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness.sync()
    stamped = world.get(lead)["Enriched_At__c"]
    world.edit(lead, Email_Unlock_Status__c="Checked by hand")
    world.flag(lead)
    world.clock.advance(days=179)
    report = harness.other().sync()
    record = world.get(lead)
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert sum(figures.charged for figures in report.credits.values()) == 0
    assert record["Enrichment_Requested__c"] is False
    assert record["Email_Unlock_Status__c"] == "Checked by hand"
    assert record["Phone_Unlock_Status__c"] == "Unlocked"
    assert record["Enriched_At__c"] == stamped
    assert "was enriched less than 180 days ago" in str(record["Enrichment_Error__c"])
    assert world.paid_posts() == 2
    assert harness.other().sync().crm["salesforce"].write_calls == 0


def test_a_deleted_value_is_read_again_at_no_cost(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness.sync()
    world.edit(lead, Email=None, Enrichment_Requested__c=True)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2


def test_after_refresh_after_an_overwriting_mapping_buys_a_second_generation(world: World, harness: Harness) -> None:
    person = world.person()
    assert person.linkedin_name is not None
    world.bought_again.add(("salesfinity", person.linkedin_name, "personal"))
    contact = world.contact(person)
    harness = harness.other(personal_only(write="overwrite"))
    harness.sync()
    world.flag(contact)
    world.clock.advance(days=181)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["salesfinity"].charged == 1
    assert world.ours("salesfinity") == 2
    assert world.get(contact)["Personal_Email__c"] == person.personal_email
    assert world.get(contact)["Enrichment_Requested__c"] is False


def test_a_second_generation_shown_by_lensmor_costs_nothing(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    harness = harness.other(email_only(write="overwrite"))
    harness.sync()
    world.flag(lead)
    world.clock.advance(days=181)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["lensmor"].charged == 0
    assert world.lensmor.requests.count("submitEmailUnlock") == 2
    assert world.ours("lensmor") == 15


def test_after_refresh_after_a_filled_field_stays(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    harness = harness.other(email_only())
    harness.sync()
    world.flag(lead)
    world.clock.advance(days=181)
    assert harness.other().sync().outcomes == {Outcome.SKIPPED: 1}
    assert world.get(lead)["Enrichment_Error__c"] == "work email: Email is already filled"
    assert world.paid_posts() == 1


def test_not_found_is_bought_again_only_after_its_time(world: World, harness: Harness) -> None:
    person = world.person(personal_email=None)
    contact = world.contact(person)
    harness = harness.other(personal_only())
    assert harness.sync().outcomes == {Outcome.NOT_FOUND: 1}
    assert world.get(contact)["Enrichment_Error__c"] == "personal email: salesfinity did not find it"
    world.flag(contact)
    world.clock.advance(days=29)
    assert harness.other().sync().outcomes == {Outcome.NOT_FOUND: 1}
    assert "salesfinity did not find it on 2026-11-20" in str(world.get(contact)["Enrichment_Error__c"])
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1
    world.flag(contact)
    world.clock.advance(days=2)
    assert harness.other().sync().outcomes == {Outcome.NOT_FOUND: 1}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 2


def test_failed_is_never_bought_again_automatically(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "failed")
    harness = harness.other(email_only())
    harness.sync()
    world.lensmor.script(person.personnel_id, "email", "delivered")
    for days in (31, 181, 400):
        world.flag(lead)
        world.clock.advance(days=days)
        assert harness.other().sync().outcomes == {Outcome.FAILED: 1}
    assert world.paid_posts() == 1


def test_our_bounced_address_is_not_bought_again_within_the_cool_down(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    harness.sync()
    world.edit(lead, EmailBouncedDate=BOUNCED, Enrichment_Requested__c=True)
    harness.other().sync()
    assert world.paid_posts() == 1
    assert world.get(lead)["Enrichment_Requested__c"] is False


def test_a_record_that_keeps_coming_back_is_reported(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    codes = []
    for _ in range(6):
        world.flag(lead)
        report = harness.other().sync()
        codes.append(report.exit_code)
        world.clock.advance(minutes=15)
    assert codes == [0, 0, 0, 0, 3, 3]
    assert [(found.record_id, found.reason) for found in report.attention] == [(lead, "flagged 6 times within a day")]
    assert world.paid_posts() == 2


def test_a_record_in_progress_of_another_ledger_is_left_to_it(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), Email_Unlock_Status__c="In progress", Phone_Unlock_Status__c="In progress")
    report = harness.sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert report.exit_code == 4
    assert world.paid_posts() == 0
    assert [(found.record_id, found.next) for found in report.attention] == [
        (lead, "another connector ledger may be enriching it; if not, clear the status field")
    ]
    world.edit(lead, Email_Unlock_Status__c=None, Phone_Unlock_Status__c=None)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}


def test_our_own_status_in_progress_does_not_stop_us(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(mapping("lead", limits={"max_credits": {"lensmor": 15, "salesfinity": 9}}))
    world.lensmor.script(person.personnel_id, "email", "stuck")
    harness.wait_s = 60
    harness.sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.lensmor.set_unlocked(person.personnel_id, "email")
    wide = harness.other(mapping("lead"))
    wide.sync()
    assert world.get(lead)["MobilePhone"] is not None
