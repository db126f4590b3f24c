"""Undo: compare and restore, never over a person's edit, never the flag, and only once."""

from stage import Stage, World

from connector.core.model import Outcome
from connector.core.report import Report
from connector.engine.undo import undo


def undo_run(stage: Stage, run_id: str) -> Report:
    with stage.parts() as parts, parts.ledger.drive():
        return undo(parts, run_id)


def test_fields_go_back_to_what_they_were_and_the_flag_stays(world: World, stage: Stage) -> None:
    lead = world.lead(world.person(), Email_Unlock_Status__c="Asked")
    run = stage.sync()
    report = undo_run(stage, run.run_id)
    record = world.org.get("Lead", lead)
    assert record["Email"] is None
    assert record["MobilePhone"] is None
    assert record["Email_Unlock_Status__c"] == "Asked"
    assert record["Enriched_At__c"] is None
    assert record["Enrichment_Requested__c"] is False
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.exit_code == 0


def test_a_second_undo_does_nothing(world: World, stage: Stage) -> None:
    world.lead(world.person())
    run = stage.sync()
    undo_run(stage, run.run_id)
    again = undo_run(stage, run.run_id)
    assert again.selected == 0
    assert again.crm.write_calls == 0


def test_what_a_person_changed_since_stays_and_is_told(world: World, stage: Stage) -> None:
    lead = world.lead(world.person())
    run = stage.sync()
    world.org.edit("Lead", lead, {"Email": "by.hand@example.com"})
    report = undo_run(stage, run.run_id)
    record = world.org.get("Lead", lead)
    assert record["Email"] == "by.hand@example.com"
    assert record["MobilePhone"] is None
    assert [a.field for a in report.attention] == ["Email"]
    assert report.exit_code == 3


def test_a_deleted_record_is_told_and_left(world: World, stage: Stage) -> None:
    lead = world.lead(world.person())
    run = stage.sync()
    world.org.delete("Lead", lead)
    report = undo_run(stage, run.run_id)
    assert report.outcomes == {Outcome.SKIPPED: 1}


def test_an_undo_can_be_undone(world: World, stage: Stage) -> None:
    person = world.person()
    lead = world.lead(person)
    run = stage.sync()
    first = undo_run(stage, run.run_id)
    undo_run(stage, first.run_id)
    assert world.org.get("Lead", lead)["Email"] == person.email


def test_images_older_than_the_undo_time_are_erased(world: World, stage: Stage) -> None:
    lead = world.lead(world.person())
    run = stage.sync()
    world.clock.advance(days=31)
    stage.sync()
    report = undo_run(stage, run.run_id)
    assert report.selected == 0
    assert world.org.get("Lead", lead)["Email"] is not None
