"""The figures of reports and plans: purchases count once, every channel of every record counts, caps pay as stated."""

from dataclasses import replace

from harness import Harness, World, email_only, mapping
from test_undo_runs import undo_run

from connector.core.model import Outcome
from connector.core.report import PurchaseFigures
from connector.engine.select import flagged

LATER_S = 3000.0


def test_an_undone_value_of_an_open_record_is_written_again(world: World, harness: Harness) -> None:
    person = world.person()
    world.lensmor.set_unlocked(person.personnel_id, "email")
    lead = world.lead(person)
    world.lensmor.task_seconds = LATER_S
    harness = harness.other(mapping("lead"))
    harness.wait_s = 30
    first = harness.sync()
    assert first.channels["phone"][Outcome.WAITING] == 1
    assert world.get(lead)["Email"]
    undo_run(harness, first.run_id)
    assert not world.get(lead)["Email"]
    world.clock.advance(hours=2)
    harness = harness.other()
    harness.wait_s = 3600
    report = harness.sync()
    assert report.channels["work_email"] == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"]
    assert world.get(lead)["MobilePhone"]
    assert world.ours("lensmor") == 150


def test_free_evidence_is_no_second_purchase(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    for operation in ("getPhoneUnlockTask", "getPersonnelProfile"):
        world.arm("lensmor", operation, "unknown_word", times=50, fields=["phone"], word="N/A")
    phone_only = mapping("lead", channels={"phone": {"field": "MobilePhone", "from": ["lensmor"]}})
    first = harness.other(phone_only).sync()
    assert first.purchases["lensmor"]["phone"].bought == 1
    world.faults.clear()
    world.clock.advance(hours=3)
    lead = world.lead(person, Lensmor_Personnel_Id__c=None)
    second = harness.other(phone_only).sync()
    assert world.get(lead)["MobilePhone"]
    assert second.purchases["lensmor"]["phone"] == PurchaseFigures(free=1)
    assert second.credits["lensmor"].charged == 0


def test_the_coverage_of_a_plan_matches_the_run(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(3)]
    for person in people:
        world.lead(person, MobilePhone=None if person is not people[0] else "+1 212 555 0100")
    for _ in range(2):
        world.lead(world.person(event_ids=("52017",)), Email="typed@example.com", Lensmor_Event_Id__c="52017")
    limits = {"max_credits": {"lensmor": 160, "salesfinity": 0}}
    harness = harness.other(mapping("lead", limits=limits))
    credits_ = harness.preview().credits["lensmor"]
    assert credits_.covered == {"phone": 0}
    report = harness.other().sync()
    bought = report.purchases["lensmor"]
    assert bought["work_email"].bought == 3
    assert "phone" not in bought


def test_every_channel_line_has_every_record_of_its_mappings(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), Enrichment_Requested__c=False)
    world.lensmor.task_seconds = LATER_S
    before = email_only()
    harness = harness.other(before)
    harness.wait_s = 30
    harness.sync({"lead": replace(flagged(before), flag=None, ids=(lead,))}, "backfill")
    world.clock.advance(hours=2)
    harness = harness.other(mapping("lead"))
    harness.wait_s = 3600
    report = harness.sync()
    assert report.channels["work_email"] == {Outcome.DELIVERED: 1}
    assert sum(report.channels["phone"].values()) == 1
    assert "mapped after the record was selected" in next(iter(report.reasons["phone"]["skipped"]))


def test_a_channel_that_is_no_longer_mapped_has_no_line(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.lensmor.task_seconds = LATER_S
    harness = harness.other(mapping("lead"))
    harness.wait_s = 30
    harness.sync()
    world.clock.advance(hours=2)
    harness = harness.other(email_only())
    harness.wait_s = 3600
    assert set(harness.sync().channels) == {"work_email"}
