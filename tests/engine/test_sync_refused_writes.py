"""Rows that Salesforce refuses: retried, written without the rejected field, or parked until something changes."""

import pytest
from harness import Harness, World, email_only, mapping

from connector.core.errors import ConfigurationError
from connector.core.model import Outcome
from connector.simulator.salesforce.schema import Field

THEIRS = "typed.by.hand@example.com"


def test_a_locked_row_is_retried(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.lock(lead, times=2)
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.exit_code == 0
    assert world.get(lead)["Email"] == person.email
    assert report.crm["salesforce"].write_calls == 3


def test_an_edit_during_a_lock_is_not_overwritten(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.lock(lead)
    harness = harness.other(email_only())
    world.org.after_read(lambda _name, _id: world.clock.at(6, lambda: world.edit(lead, Email=THEIRS)))
    world.lensmor.set_unlocked(person.personnel_id, "email")  # the only long wait is the one for the lock
    report = harness.sync()
    assert world.get(lead)["Email"] == THEIRS
    assert report.outcomes == {Outcome.SKIPPED: 1}


def test_rows_beside_a_locked_one_are_written_at_once(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(3)]
    world.org.lock(leads[1])
    harness.other(email_only()).sync()
    times = [world.org.history("Lead", lead)[-1].at for lead in leads]
    assert times[0] == times[2] <= times[1] - 10
    assert [world.org.updates_count("Lead", lead) for lead in leads] == [1, 1, 1]


def test_a_row_that_stays_locked_is_offered_again_by_the_next_sync(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.lock(lead, times=50)
    first = harness.sync()
    assert first.outcomes == {Outcome.PARKED: 1}
    assert first.exit_code == 3
    assert [(found.record_id, found.reason) for found in first.attention] == [(lead, "UNABLE_TO_LOCK_ROW")]
    assert world.get(lead)["Enrichment_Requested__c"] is True
    world.org.lock(lead, times=0)
    second = harness.other().sync()
    assert second.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2


def test_a_validation_rule_on_a_field_parks_only_its_value(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.add_validation("Lead", lambda row: bool(row["Email"]) and not row["Title"], fields=("Email",))
    report = harness.sync()
    record = world.get(lead)
    assert report.outcomes == {Outcome.PARKED: 1}
    assert report.exit_code == 3
    found = report.attention[0]
    assert (found.record_id, found.reason, found.field) == (
        lead,
        "FIELD_CUSTOM_VALIDATION_EXCEPTION: Refused by a validation rule",
        "Email",
    )
    assert "is tried again when the record, the mapping or the field changes" in found.next
    assert record["Email"] is None
    assert record["MobilePhone"] is not None
    assert record["Phone_Unlock_Status__c"] == "Unlocked"
    assert record["Enrichment_Requested__c"] is True


def test_a_parked_value_is_delivered_after_a_change(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.add_validation("Lead", lambda row: bool(row["Email"]) and not row["Title"], fields=("Email",))
    harness.sync()
    writes = world.simulator.salesforce.requests
    assert harness.other().sync().outcomes == {Outcome.PARKED: 1}  # offered again: our own write changed the record
    tries = writes["update_many"]
    for _ in range(2):
        again = harness.other().sync()
        assert again.outcomes == {Outcome.PARKED: 1}
        assert again.exit_code == 3
    assert writes["update_many"] == tries
    assert world.org.updates_count("Lead", lead) == 1
    world.clock.advance(hours=1)
    world.edit(lead, FirstName="Still no title")
    assert harness.other().sync().outcomes == {Outcome.PARKED: 1}
    world.clock.advance(hours=1)
    world.edit(lead, Title="Buyer")
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.get(lead)["Enrichment_Requested__c"] is False
    assert world.get(lead)["Enrichment_Error__c"] is None
    assert world.paid_posts() == 2
    assert harness.other().sync().selected == 0


def test_a_rule_without_a_field_parks_everything_bought(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.add_validation("Lead", lambda row: not row["Title"])
    report = harness.sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert world.org.updates_count("Lead", lead) == 0
    world.clock.advance(hours=1)
    world.edit(lead, Title="Buyer")
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["MobilePhone"] is not None
    assert world.paid_posts() == 2


def test_a_rule_against_clearing_the_flag_is_reported(world: World, harness: Harness) -> None:
    lead = world.lead(Title="x")
    world.org.add_validation("Lead", lambda row: not row["Enrichment_Requested__c"] and row["Title"] == "x")
    report = harness.sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert report.exit_code == 3
    assert [found.record_id for found in report.attention] == [lead]
    tries = world.simulator.salesforce.requests["update_many"]
    assert harness.other().sync().outcomes == {Outcome.PARKED: 1}
    assert world.simulator.salesforce.requests["update_many"] == tries  # nothing changed, so it is not tried again
    world.clock.advance(minutes=1)
    world.edit(lead, Title="y")
    assert harness.other().sync().outcomes == {Outcome.SKIPPED: 1}


@pytest.mark.parametrize("code", ["STRING_TOO_LONG", "DUPLICATES_DETECTED", "NEVER_HEARD_OF"])
def test_any_other_refusal_is_reported_by_its_code(world: World, harness: Harness, code: str) -> None:
    lead = world.lead(world.person())
    world.arm("salesforce", "update_many", "row_error", subject=lead, code=code, fields=["Email"])
    report = harness.sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert [(found.reason, found.field) for found in report.attention] == [(code, "Email")]
    assert world.get(lead)["MobilePhone"] is not None
    assert world.get(lead)["Email"] is None


def test_an_unknown_exception_is_retried(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("salesforce", "update_many", "row_error", subject=lead)
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}


def test_a_too_long_value_is_parked_until_the_field_grows(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.add_field("Lead", Field("Work_Email__c", "string", 10))
    harness = harness.other(email_only(field="Work_Email__c", empty_when=None))
    report = harness.sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert [(found.field, found.next) for found in report.attention] == [
        ("Work_Email__c", "make the field longer, or map another one")
    ]
    assert "longer than Work_Email__c allows (10 characters)" in report.attention[0].reason
    assert harness.other().sync().outcomes == {Outcome.PARKED: 1}
    world.org.add_field("Lead", Field("Work_Email__c", "string", 80))
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Work_Email__c"] == person.email
    assert world.paid_posts() == 1


def test_a_too_long_value_goes_to_a_newly_mapped_field(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.add_field("Lead", Field("Work_Email__c", "string", 10))
    harness.other(email_only(field="Work_Email__c", empty_when=None)).sync()
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1


def test_a_field_made_read_only_during_a_run(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.clock.at(5, lambda: world.org.make_read_only("Lead", "Email"))
    with pytest.raises(ConfigurationError, match=r"Salesforce refuses to write Email .*edit permission"):
        harness.sync()
    with harness.ledger() as ledger:
        run = ledger.runs.newest(1)[0]
    assert run.state == "failed"
    assert run.report is not None
    assert run.report["selected"] == 1
    assert run.report["outcomes"]["parked"] == 1
    world.org.grant_field("Lead", "Email")
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2


def test_a_record_deleted_before_its_write_is_closed(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    reads: list[str] = []

    def delete(_name: str, record_id: str) -> None:
        reads.append(record_id)
        if len(reads) == 2:
            world.org.delete("Lead", lead)

    world.org.after_read(delete)
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    assert harness.other().sync().outcomes == {Outcome.SKIPPED: 1}
    assert harness.other().sync().selected == 0


def test_one_refused_record_does_not_block_others(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(5)]
    world.org.add_validation("Lead", lambda row: row["Id"] == leads[2], fields=("Email",))
    report = harness.other(mapping("lead")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 4, Outcome.PARKED: 1}
    assert report.crm["salesforce"].records_written == 4
    assert report.crm["salesforce"].records_failed == 1
