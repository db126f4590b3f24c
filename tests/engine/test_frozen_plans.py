"""Frozen plans are applied exactly as planned, whatever changed meanwhile, twice and after a crash."""

from pathlib import Path

import pytest
from crash_points import DeathError, Points, watched
from harness import Harness, World, email_only, reasons_of, with_ceiling

from connector.app.plans import write_plan
from connector.core.frozen import CHANGED, NOT_PLANNED
from connector.core.model import Outcome
from connector.crm.interface import Selection

POINTS = 30  # fewer points than applying the plan below passes
CRASHES = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


def test_a_plan_is_executed_once(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in people]
    plan = harness.plan()
    assert plan.terms.ceiling == {"lensmor": 3 * 165, "salesfinity": 3}
    assert world.paid_posts() == 0
    report = harness.apply(plan)
    assert report.outcomes == {Outcome.DELIVERED: 3}
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    again = harness.other().apply(plan)
    assert (again.selected, again.crm["salesforce"].write_calls, again.exit_code) == (0, 0, 0)
    assert world.paid_posts() == 2


def test_a_plan_has_no_personal_data(world: World, harness: Harness, tmp_path: Path) -> None:
    person = world.person()
    world.lead(person)
    write_plan(harness.plan(), tmp_path / "plan.json")
    text = (tmp_path / "plan.json").read_text(encoding="utf-8")
    for word in (person.email, person.phone, person.linkedin_name, person.full_name, person.work_email):
        assert str(word) not in text


def test_a_changed_record_is_left_unchanged(world: World, harness: Harness) -> None:
    changed, same = world.lead(world.person()), world.lead(world.person())
    plan = harness.plan()
    world.clock.advance(minutes=5)
    world.edit(changed, Title="Somebody new")
    before = dict(world.get(changed))
    report = harness.apply(plan)
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 1}
    assert reasons_of(report, "deferred") == {CHANGED: 2}
    assert report.exit_code == 4
    assert world.get(changed) == before
    assert world.get(same)["Email"] is not None
    assert harness.other().apply(plan).outcomes == {Outcome.DEFERRED: 1}
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}  # the record kept its flag


def test_a_later_flag_is_not_part_of_the_plan(world: World, harness: Harness) -> None:
    world.lead(world.person())
    plan = harness.plan()
    later = world.lead(world.person())
    assert harness.apply(plan).selected == 1
    assert world.get(later)["Email"] is None


def test_records_chosen_by_a_condition_need_no_flag(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person, Enrichment_Requested__c=False)
    mapping = harness.mappings["lead"]
    plan = harness.plan({"lead": Selection("Lead", tuple(sorted(mapping.read_fields())), where=("Company != null",))})
    assert plan.terms.chosen
    assert harness.apply(plan).outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email


def test_the_ceiling_applies_to_all_runs_of_the_plan(world: World, harness: Harness) -> None:
    for _ in range(4):
        world.lead(world.person())
    harness = harness.other(email_only())
    plan = with_ceiling(harness.plan(), 35)
    first = harness.apply(plan)
    assert first.outcomes == {Outcome.DELIVERED: 2, Outcome.DEFERRED: 2}
    assert "ceiling of the plan" in next(iter(reasons_of(first, "deferred")))
    second = harness.other().apply(plan)
    assert second.outcomes == {Outcome.DEFERRED: 2}
    assert world.ours("lensmor") == 30


def test_an_unplanned_vendor_is_not_queried(world: World, harness: Harness) -> None:
    """The plan attached to another record's purchase at no cost; when that fails, the next source was never planned."""
    person = world.person()
    harness = harness.other(email_only("lensmor", "salesfinity"))
    world.lensmor.script(person.personnel_id, "email", "failed")
    world.lensmor.task_seconds = 600
    harness.wait_s = 30
    world.lead(person)
    harness.sync()
    second = world.lead(person)
    plan = harness.other().plan()
    record = plan.records.get("lead", second)
    assert record is not None
    assert record.buy == {}
    world.clock.advance(hours=1)
    report = harness.other().apply(plan)
    assert report.outcomes[Outcome.DEFERRED] >= 1
    assert any(NOT_PLANNED in reason or CHANGED in reason for reason in reasons_of(report, "deferred"))
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 0


def test_a_deleted_record_is_reported(world: World, harness: Harness) -> None:
    gone = world.lead(world.person())
    world.lead(world.person())
    plan = harness.plan()
    world.org.delete("Lead", gone)
    report = harness.apply(plan)
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert [found.record_id for found in report.attention] == [gone]


@CRASHES
@pytest.mark.parametrize("share", [0.2, 0.35, 0.5, 0.65, 0.8, 0.95])
def test_a_plan_is_continued_after_a_crash(world: World, harness: Harness, share: float) -> None:
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in people]
    harness = harness.other(email_only())
    plan = harness.plan()
    points = Points(die_at=round(share * POINTS))
    with watched(points), pytest.raises(DeathError):
        harness.apply(plan)
    for _ in range(8):
        world.clock.advance(minutes=16)
        if not harness.other().apply(plan).selected:
            break
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    assert world.ours("lensmor") == 45
