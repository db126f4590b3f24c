"""Undo: compare and restore; never over a person's edit, never the flag, and only once."""

import pytest
from harness import Harness, World, email_only, mapping

from connector.core.mapping import MappingFile
from connector.core.model import Outcome
from connector.core.report import Report
from connector.engine.undo import undo
from connector.simulator.salesforce.schema import Field


def undo_run(harness: Harness, run_id: str) -> Report:
    with harness.services() as services, services.ledger.hold_run_lock():
        return undo(services, run_id)


def test_fields_are_restored_and_the_flag_stays(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), Email_Unlock_Status__c="Asked")
    run = harness.sync()
    report = undo_run(harness, run.run_id)
    record = world.org.get("Lead", lead)
    assert record["Email"] is None
    assert record["MobilePhone"] is None
    assert record["Email_Unlock_Status__c"] == "Asked"
    assert record["Enriched_At__c"] is None
    assert record["Enrichment_Requested__c"] is False
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.exit_code == 0


def test_the_stamps_of_a_value_are_written_and_restored_with_it(world: World, harness: Harness) -> None:
    for name, kind in (("Email_Source__c", "string"), ("Email_At__c", "datetime"), ("Email_Run__c", "string")):
        world.org.add_field("Lead", Field(name, kind, 255 if kind == "string" else 0))
    stamps = {"source": "Email_Source__c", "at": "Email_At__c", "run": "Email_Run__c"}
    lead = world.lead(world.person(), Email_Source__c="by hand")
    run = harness.other(email_only(stamp=stamps)).sync()
    record = world.org.get("Lead", lead)
    assert (record["Email_Source__c"], record["Email_Run__c"]) == ("lensmor", run.run_id)
    assert record["Email_At__c"] is not None
    undo_run(harness, run.run_id)
    record = world.org.get("Lead", lead)
    assert [record[name] for name in stamps.values()] == ["by hand", None, None]


def test_a_second_undo_does_nothing(world: World, harness: Harness) -> None:
    world.lead(world.person())
    run = harness.sync()
    undo_run(harness, run.run_id)
    again = undo_run(harness, run.run_id)
    assert again.selected == 0
    assert again.crm["salesforce"].write_calls == 0


def test_a_persons_edit_stays_and_is_reported(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    run = harness.sync()
    world.org.edit("Lead", lead, {"Email": "by.hand@example.com"})
    report = undo_run(harness, run.run_id)
    record = world.org.get("Lead", lead)
    assert record["Email"] == "by.hand@example.com"
    assert record["MobilePhone"] is None
    assert [a.field for a in report.attention] == ["Email"]
    assert report.exit_code == 3


def test_a_deleted_record_is_reported(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    run = harness.sync()
    world.org.delete("Lead", lead)
    report = undo_run(harness, run.run_id)
    assert report.outcomes == {Outcome.SKIPPED: 1}


def test_an_undo_can_be_undone(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    run = harness.sync()
    first = undo_run(harness, run.run_id)
    undo_run(harness, first.run_id)
    assert world.org.get("Lead", lead)["Email"] == person.email


def test_before_images_older_than_the_undo_time_are_erased(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    run = harness.sync()
    world.clock.advance(days=31)
    harness.sync()
    report = undo_run(harness, run.run_id)
    assert report.selected == 0
    assert world.org.get("Lead", lead)["Email"] is not None


def test_a_field_written_twice_gets_its_first_value(world: World, harness: Harness) -> None:
    """The status in progress is the run's own, although a later write of the run replaced it."""
    person = world.person()
    lead = world.lead(person, Email_Unlock_Status__c="Asked")
    world.lensmor.task_seconds = 7200
    harness.wait_s = 60
    first = harness.sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.clock.advance(hours=3)
    second = harness.other().sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"
    assert undo_run(harness, second.run_id).exit_code == 0
    assert world.get(lead)["Email_Unlock_Status__c"] == "Asked"
    assert undo_run(harness, first.run_id).exit_code == 0
    assert world.get(lead)["Email_Unlock_Status__c"] == "Asked"


def two_runs(world: World, harness: Harness, *later: MappingFile, between: str = "") -> tuple[str, list[Report]]:
    """A Lead with the status "In progress" of one run and "Unlocked" of the next."""
    lead = world.lead(world.person(), Email_Unlock_Status__c="Asked")
    world.lensmor.task_seconds = 7200
    harness.wait_s = 60
    first = harness.other().sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.clock.advance(hours=3)
    if between:
        world.edit(lead, Email_Unlock_Status__c=between)
    return lead, [first, harness.other(*later).sync()]


@pytest.mark.parametrize("between", ["Called by phone", "Unlocked"])
def test_a_persons_status_between_two_runs_is_restored(world: World, harness: Harness, between: str) -> None:
    lead, (_, second) = two_runs(world, harness, between=between)
    undo_run(harness, second.run_id)
    assert world.get(lead)["Email_Unlock_Status__c"] == between


def test_statuses_may_change_between_two_runs(world: World, harness: Harness) -> None:
    lead, (_, second) = two_runs(world, harness, mapping("lead", statuses={"in_progress": "Busy", "unlocked": "Done"}))
    assert world.get(lead)["Email_Unlock_Status__c"] == "Done"
    undo_run(harness, second.run_id)
    assert world.get(lead)["Email_Unlock_Status__c"] == "Asked"


def test_the_first_of_two_runs_may_be_undone_before_the_second(world: World, harness: Harness) -> None:
    lead, (first, second) = two_runs(world, harness)
    undo_run(harness, first.run_id)
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"
    undo_run(harness, second.run_id)
    assert world.get(lead)["Email_Unlock_Status__c"] == "Asked"
    assert world.get(lead)["Email"] is None


def test_a_resolved_unknown_is_undone_to_the_first_value(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), Email_Unlock_Status__c="Asked")
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    harness = harness.other(email_only())
    harness.wait_s = 30
    harness.sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unknown"
    world.clock.advance(minutes=15)
    second = harness.other().sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"
    undo_run(harness, second.run_id)
    assert world.get(lead)["Email_Unlock_Status__c"] == "Asked"


def test_the_status_of_an_earlier_enrichment_is_restored(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    world.lensmor.script(person.personnel_id, "email", "no_value")
    harness.sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "Not found"
    world.clock.advance(days=40)
    world.flag(lead)
    world.lensmor.script(person.personnel_id, "email", "delivered")
    world.bought_again.add(("lensmor", person.personnel_id, "email"))
    second = harness.other().sync()
    undo_run(harness, second.run_id)
    assert world.get(lead)["Email_Unlock_Status__c"] == "Not found"


def test_an_undone_undo_restores_the_last_status(world: World, harness: Harness) -> None:
    lead, (_, second) = two_runs(world, harness)
    undone = undo_run(harness, second.run_id)
    undo_run(harness, undone.run_id)
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"


def test_a_lost_answer_of_an_undo_counts_once(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    run = harness.sync()
    world.arm("salesforce", "update_many", "drop_after")
    updates = world.org.updates_count("Lead", lead)
    report = undo_run(harness, run.run_id)
    assert world.get(lead)["Email"] is None
    assert world.org.updates_count("Lead", lead) == updates + 1
    assert report.exit_code == 0
    assert undo_run(harness, run.run_id).selected == 0


def test_an_undo_stopped_by_the_quota_is_finished_by_the_next(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(3)]
    run = harness.other(email_only()).sync()
    world.arm("salesforce", "update_many", "status", status=403, errorCode="REQUEST_LIMIT_EXCEEDED")
    report = undo_run(harness, run.run_id)
    assert (report.state, report.exit_code) == ("stopped", 4)
    assert report.outcomes == {Outcome.DEFERRED: 3}
    assert undo_run(harness, run.run_id).outcomes == {Outcome.DELIVERED: 3}
    assert all(world.get(lead)["Email"] is None for lead in leads)
