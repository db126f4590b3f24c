"""A plan keeps its records: the effect of runs between two applications of it, and the second one's report."""

import pytest
from harness import Harness, World, email_only, reasons_of, with_ceiling

from connector.core.frozen import FrozenPlan
from connector.core.model import Outcome
from connector.crm.interface import Selection
from connector.engine.context import AccountLimits

EMAIL = 15


def chosen(harness: Harness) -> dict[str, Selection]:
    """All Leads, flagged or not."""
    fields = tuple(sorted(harness.mappings["lead"].read_fields()))
    return {"lead": Selection("Lead", fields, where=("Company != null",))}


def capped(harness: Harness, people: int) -> Harness:
    """Another process with a daily cap that pays for this many emails."""
    made = harness.other()
    made.limits = {"lensmor": AccountLimits(day=people * EMAIL)}
    return made


def planned(world: World, harness: Harness, count: int, *, flagged: bool) -> tuple[Harness, FrozenPlan, list[str]]:
    harness = harness.other(email_only())
    leads = [world.lead(world.person(), Enrichment_Requested__c=flagged) for _ in range(count)]
    return harness, harness.plan(None if flagged else chosen(harness)), leads


def filled(world: World, leads: list[str]) -> int:
    return sum(bool(world.get(lead)["Email"]) for lead in leads)


@pytest.mark.parametrize("flagged", [True, False])
def test_a_sync_leaves_the_rest_to_the_plan(world: World, harness: Harness, flagged: bool) -> None:
    harness, plan, leads = planned(world, harness, 10, flagged=flagged)
    assert capped(harness, 3).apply(plan).outcomes == {Outcome.DELIVERED: 3, Outcome.DEFERRED: 7}
    for _ in range(2):
        between = capped(harness, 3).sync()
        assert between.outcomes == ({Outcome.DEFERRED: 7} if flagged else {})
    report = harness.other().apply(plan)
    assert report.outcomes == {Outcome.DELIVERED: 7}
    assert filled(world, leads) == 10
    assert world.ours("lensmor") == 10 * EMAIL
    assert harness.other().apply(plan).selected == 0


def test_records_finished_by_a_sync_are_not_the_plans(world: World, harness: Harness) -> None:
    harness, plan, leads = planned(world, harness, 6, flagged=True)
    capped(harness, 2).apply(plan)
    sync = capped(harness, 4).sync()
    assert sync.outcomes == {Outcome.DELIVERED: 2, Outcome.DEFERRED: 2}
    report = harness.other().apply(plan)
    assert report.outcomes == {Outcome.DELIVERED: 2, Outcome.SKIPPED: 2}
    assert reasons_of(report, "skipped") == {f"finished by run {sync.run_id}": 2}
    assert report.crm["salesforce"].records_written == 2
    assert filled(world, leads) == 6
    assert world.ours("lensmor") == 6 * EMAIL
    assert harness.other().apply(plan).selected == 0  # reported only once


def test_a_record_flagged_again_after_a_sync_keeps_its_flag(world: World, harness: Harness) -> None:
    harness, plan, (lead,) = planned(world, harness, 1, flagged=True)
    harness.other().sync()
    world.clock.advance(minutes=1)
    world.flag(lead)
    report = harness.other().apply(plan)
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert world.get(lead)["Enrichment_Requested__c"] is True


def test_a_cleared_flag_ends_the_record_for_the_plan(world: World, harness: Harness) -> None:
    harness, plan, leads = planned(world, harness, 3, flagged=True)
    capped(harness, 1).apply(plan)
    (back, other) = [lead for lead in leads if not world.get(lead)["Email"]]
    world.clock.advance(minutes=1)
    world.edit(back, Enrichment_Requested__c=False)
    capped(harness, 1).sync()
    before = dict(world.get(back))
    report = harness.other().apply(plan)
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.SKIPPED: 1}
    assert reasons_of(report, "skipped") == {"its flag was cleared since the plan was made": 1}
    assert world.get(back) == before
    assert world.get(other)["Email"]
    assert harness.other().apply(plan).selected == 0


def test_a_plans_purchase_continued_by_a_sync_is_its_own(world: World, harness: Harness) -> None:
    """The sync writes the plan's purchase; the plan continues with the rest of its ceiling."""
    person = world.person()
    lead = world.lead(person, Enrichment_Requested__c=False)
    plan = harness.plan(chosen(harness))
    first = harness.other()
    first.limits, first.wait_s = {"lensmor": AccountLimits(day=EMAIL)}, 5
    world.lensmor.task_seconds = 60
    assert first.apply(plan).outcomes == {Outcome.DEFERRED: 1}  # the phone is deferred; the email's purchase is open
    world.clock.advance(minutes=10)
    between = harness.other()
    between.limits = {"lensmor": AccountLimits(day=EMAIL)}
    assert between.sync().selected == 1
    assert world.get(lead)["Email"] == person.email
    report = harness.other().apply(plan)
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["MobilePhone"] is not None
    assert world.ours("lensmor") == 165


def test_the_ceiling_holds_despite_other_runs(world: World, harness: Harness) -> None:
    harness, plan, _ = planned(world, harness, 4, flagged=False)
    plan = with_ceiling(plan, 3 * EMAIL)
    capped(harness, 2).apply(plan)
    harness.other().sync()
    assert harness.other().apply(plan).outcomes == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 1}
    harness.other().sync()
    assert harness.other().apply(plan).outcomes == {Outcome.DEFERRED: 1}
    assert world.ours("lensmor") == 3 * EMAIL


def test_an_abandoned_plan_releases_its_records(world: World, harness: Harness) -> None:
    harness, plan, leads = planned(world, harness, 3, flagged=False)
    capped(harness, 1).apply(plan)
    world.clock.advance(days=6)
    assert harness.other().sync().attention == ()
    world.clock.advance(days=2)
    report = harness.other().sync()
    (entry,) = report.attention
    assert f"2 record(s) of plan {plan.terms.plan_id} were released" in entry.reason
    assert "not applied for 7 days" in entry.reason
    assert "connector plan" in entry.next
    assert report.exit_code == 3
    with harness.ledger() as ledger:
        assert ledger.runs.open_counts().records == 0
    assert harness.other().sync().attention == ()  # only once
    assert harness.other().apply(plan).outcomes == {Outcome.DELIVERED: 2}  # none of these records was ever finished
    assert filled(world, leads) == 3


def test_a_newer_plan_takes_the_records_of_an_older_one(world: World, harness: Harness) -> None:
    harness, old, leads = planned(world, harness, 3, flagged=False)
    capped(harness, 1).apply(old)
    new = harness.other().plan(chosen(harness))
    assert harness.other().apply(new).outcomes[Outcome.DELIVERED] == 2
    report = harness.other().apply(old)
    (done,) = reasons_of(report, "skipped")
    assert done.startswith("finished by run ")
    assert report.outcomes == {Outcome.SKIPPED: 2}
    assert filled(world, leads) == 3
    assert world.ours("lensmor") == 3 * EMAIL


def test_a_dropped_undecided_record_is_not_finished(world: World, harness: Harness) -> None:
    """A sync closed a record before the plan finished it, as older versions did."""
    harness, plan, leads = planned(world, harness, 2, flagged=False)
    capped(harness, 1).apply(plan)
    with harness.run() as run:
        run.services.ledger.records.drop_unselected(run.id, ["lead"], run.now(), keep_plans_since=run.now())
    assert harness.other().apply(plan).outcomes == {Outcome.DELIVERED: 1}
    assert filled(world, leads) == 2
