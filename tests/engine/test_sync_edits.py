"""People change records while a purchase is open: their edits stay."""

import pytest
from harness import Harness, World, email_only, mapping

from connector.core.model import Outcome

THEIRS = "typed.by.hand@example.com"
OLD = "old.address@example.com"


def test_if_empty_keeps_a_persons_edit(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.clock.at(5, lambda: world.edit(lead, Email=THEIRS))
    report = harness.sync()
    record = world.get(lead)
    assert record["Email"] == THEIRS
    assert record["MobilePhone"] is not None
    assert record["Email_Unlock_Status__c"] == "Skipped"
    assert record["Enrichment_Error__c"] is None  # the phone was delivered: only the report has the reason
    assert report.reasons["work_email"]["skipped"] == {"Email was changed by somebody meanwhile; that value stays": 1}
    assert record["Enrichment_Requested__c"] is False
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["lensmor"].charged == 165


def test_overwrite_replaces_an_unchanged_value(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person, Email=OLD)
    world.clock.at(5, lambda: world.edit(lead, Title="Head of Buying"))
    report = harness.other(email_only(write="overwrite")).sync()
    assert world.get(lead)["Email"] == person.email
    assert world.get(lead)["Title"] == "Head of Buying"
    assert report.outcomes == {Outcome.DELIVERED: 1}


@pytest.mark.parametrize("theirs", [THEIRS, None])
def test_overwrite_keeps_a_persons_edit(world: World, harness: Harness, theirs: str | None) -> None:
    person = world.person()
    lead = world.lead(person, Email=OLD)
    world.clock.at(5, lambda: world.edit(lead, Email=theirs))
    harness.other(email_only(write="overwrite")).sync()
    assert world.get(lead)["Email"] == (theirs or person.email)  # an emptied field may be filled


def test_the_baseline_of_overwrite_survives_runs(world: World, harness: Harness) -> None:
    people = [world.person(), world.person()]
    edited, left = (world.lead(person, Email=OLD) for person in people)
    world.lensmor.task_seconds = 3000
    harness = harness.other(email_only(write="overwrite"))
    harness.wait_s = 30
    harness.sync()
    world.clock.advance(minutes=15)
    world.edit(edited, Email=THEIRS)
    harness.other().sync()
    world.clock.advance(minutes=60)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.SKIPPED: 1, Outcome.DELIVERED: 1}
    assert world.get(edited)["Email"] == THEIRS
    assert world.get(left)["Email"] == people[1].email


def test_an_edit_to_our_own_value_counts_as_delivered(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.clock.at(5, lambda: world.edit(lead, Email=(person.email or "").upper()))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"


def test_an_edit_between_plan_and_purchase_is_seen_by_the_late_compare(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.org.after_read(lambda _name, record_id: _type_once(world, record_id))
    report = harness.other(email_only()).sync()
    assert world.get(lead)["Email"] == THEIRS
    assert report.outcomes == {Outcome.SKIPPED: 1}


def _type_once(world: World, record_id: str) -> None:
    if not world.get(record_id)["Email"]:
        world.edit(record_id, Email=THEIRS)


def test_a_flag_cleared_during_a_task_loses_no_purchase(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.clock.at(5, lambda: world.edit(lead, Enrichment_Requested__c=False))
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.get(lead)["Enrichment_Requested__c"] is False


def test_a_later_opt_out_is_respected(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.clock.at(5, lambda: world.edit(lead, HasOptedOutOfEmail=True))
    report = harness.sync()
    record = world.get(lead)
    assert record["Email"] is None
    assert record["MobilePhone"] is not None
    assert record["Email_Unlock_Status__c"] == "Skipped"
    assert "opted out (HasOptedOutOfEmail) after the purchase" in next(iter(report.reasons["work_email"]["skipped"]))
    assert report.outcomes == {Outcome.DELIVERED: 1}
    with harness.ledger() as ledger:  # the ledger keeps no value either
        assert all(view.value is None for view in ledger.records.purchase_views(range(1, 10)).values())


def test_a_deleted_record_is_closed_and_another_gets_the_value(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.clock.at(5, lambda: world.org.delete("Lead", lead))
    report = harness.sync()
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert report.exit_code == 3
    assert [(found.record_id, found.reason) for found in report.attention] == [(lead, "the record was deleted")]
    assert harness.other().sync().selected == 0
    later = world.lead(person)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(later)["Email"] == person.email
    assert world.paid_posts() == 2


def test_the_winner_of_a_merge_gets_the_losers_value(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    winner = world.org.insert("Lead", {"LastName": "Winner", "Company": "Example Works"})
    world.clock.at(5, lambda: world.org.merge("Lead", winner, lead))
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(winner)["Email"] == person.email
    assert world.get(lead)["Email"] is None
    assert world.paid_posts() == 2
    assert harness.other().sync().selected == 0


def test_a_chain_of_merges_is_followed_to_its_end(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    second, third = (world.org.insert("Lead", {"LastName": name, "Company": "Example"}) for name in ("B", "C"))

    def merge_twice() -> None:
        world.org.merge("Lead", second, lead)
        world.org.merge("Lead", third, second)

    world.clock.at(5, merge_twice)
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(third)["Email"] == person.email


def test_a_deleted_winner_closes_the_record(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    winner = world.org.insert("Lead", {"LastName": "Winner", "Company": "Example Works"})

    def merge_and_delete() -> None:
        world.org.merge("Lead", winner, lead)
        world.org.delete("Lead", winner)

    world.clock.at(5, merge_and_delete)
    assert harness.sync().outcomes == {Outcome.SKIPPED: 1}
    assert harness.other().sync().selected == 0


def test_a_persons_address_over_a_bounced_one_stays(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), Email=OLD, EmailBouncedDate="2026-10-02T08:15:00.000+0000")
    world.clock.at(5, lambda: world.edit(lead, Email=THEIRS))
    harness.other(email_only()).sync()
    assert world.get(lead)["Email"] == THEIRS


def test_a_flagged_winner_gets_the_value_once(world: World, harness: Harness) -> None:
    person = world.person()
    lead, winner = world.lead(person), world.lead(person)
    world.clock.at(5, lambda: world.org.merge("Lead", winner, lead))
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.SKIPPED: 1}
    assert world.get(winner)["Email"] == person.email
    assert world.org.updates_count("Lead", winner) == 1
    assert [found.reason for found in report.attention] == [
        f"the record is now Lead {winner}, which is being enriched itself"
    ]


def test_the_contact_of_a_converted_lead_gets_the_value(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    made: list[str] = []
    world.clock.at(5, lambda: made.append(world.org.convert_lead(lead)))
    harness = harness.other(mapping("lead"), email_only(name="contact"))
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    contact = world.get(made[0])
    assert contact["Email"] == person.email
    assert contact["Email_Unlock_Status__c"] == "Unlocked"
    assert world.get(lead)["Email"] is None
    assert harness.other().sync().selected == 0


def test_a_converted_lead_without_a_contact_mapping_is_closed(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    made: list[str] = []
    world.clock.at(5, lambda: made.append(world.org.convert_lead(lead)))
    report = harness.sync()
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert report.exit_code == 3
    reason = f"the record is now Contact {made[0]}, which no mapping of this run covers"
    assert [found.reason for found in report.attention] == [reason]
    assert harness.other().sync().selected == 0


def test_a_lead_converted_before_its_write_is_followed(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    made: list[str] = []
    harness = harness.other(email_only(), email_only(name="contact"))
    reads: list[str] = []

    def convert(_name: str, record_id: str) -> None:
        reads.append(record_id)
        if len(reads) == 2:  # the comparison before the write
            made.append(world.org.convert_lead(lead))

    world.org.after_read(convert)
    first = harness.sync()
    assert first.outcomes == {Outcome.PARKED: 1}
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(made[0])["Email"] == person.email
    assert world.paid_posts() == 1


def test_a_long_write_compares_the_rest_again(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(201)]
    world.lensmor.task_seconds = 1  # all are written in one pass: 200 and 1
    first = leads[-1]  # the newest record
    last = leads[0]

    def slow(_name: str, record_id: str) -> None:
        if record_id == first:
            world.edit(last, Email=THEIRS)
            world.clock.advance(seconds=6)

    world.org.after_update(slow)
    report = harness.other(email_only()).sync()
    assert world.get(last)["Email"] == THEIRS
    assert report.outcomes == {Outcome.DELIVERED: 200, Outcome.SKIPPED: 1}
