"""Vendor tasks that outlast a run's wait: the status in progress, the kept flag, and the later runs."""

import pytest
from harness import Harness, World, email_only, mapping, personal_only

from connector.core.model import Outcome
from connector.engine.scheduler import Scheduler
from connector.engine.work_source import WorkSource
from connector.store import attempts


def test_a_stuck_task_ends_the_run_after_its_wait(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.script(person.personnel_id, "phone", "stuck")
    harness.wait_s = 900
    report = harness.sync()
    assert 600 < world.clock.waited_s <= 900
    assert report.outcomes == {Outcome.WAITING: 1}
    assert report.credits["lensmor"].held == 150
    assert report.exit_code == 0
    record = world.get(lead)
    assert record["Enrichment_Requested__c"] is True
    assert record["Phone_Unlock_Status__c"] == "In progress"
    assert record["Email"] == person.email
    assert record["Email_Unlock_Status__c"] == "Unlocked"
    assert record["Enriched_At__c"] is not None


def test_later_syncs_poll_once_each_and_write_nothing(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "stuck")
    world.lensmor.script(person.personnel_id, "phone", "stuck")
    harness.wait_s = 300
    harness.sync()
    assert world.org.updates_count("Lead", lead) == 1
    world.clock.advance(minutes=15)
    before, waited = world.lensmor.requests.count(), world.clock.waited_s
    report = harness.other().sync()
    assert report.outcomes == {Outcome.WAITING: 1}
    assert report.crm["salesforce"].write_calls == 0
    assert world.lensmor.requests.count() - before == 4  # two balances, one poll of each task
    assert world.clock.waited_s - waited < 1
    assert world.org.updates_count("Lead", lead) == 1


def test_a_task_that_ends_between_two_syncs(world: World, harness: Harness) -> None:
    world.lensmor.task_seconds = 1200
    person = world.person()
    lead = world.lead(person)
    harness.wait_s = 600
    first = harness.sync()
    assert first.outcomes == {Outcome.WAITING: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.clock.advance(minutes=15)
    posts = world.paid_posts()
    second = harness.other().sync()
    assert second.outcomes == {Outcome.DELIVERED: 1}
    assert second.credits["lensmor"].charged == 165
    record = world.get(lead)
    assert record["Email"] == person.email
    assert record["Enrichment_Requested__c"] is False
    assert record["Enrichment_Error__c"] is None
    assert world.paid_posts() == posts
    third = harness.other().sync()
    assert third.selected == 0
    assert third.crm["salesforce"].write_calls == 0
    assert world.org.updates_count("Lead", lead) == 2


def test_new_tasks_are_polled_on_the_vendors_schedule(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "stuck")
    harness = harness.other(email_only())
    harness.wait_s = 420
    harness.sync()
    polls = [entry.at for entry in world.lensmor.requests.entries if entry.operation == "getEmailUnlockTask"]
    sent = next(entry.at for entry in world.lensmor.requests.entries if entry.operation == "submitEmailUnlock")
    pauses = [round(later - sooner) for sooner, later in zip([sent, *polls], polls, strict=False)]
    assert pauses[:4] == [3, 5, 10, 20]
    assert set(pauses[4:-1]) == {20}
    assert pauses[-1] == 60


def test_a_running_task_delivers_each_person_as_soon_as_the_vendor_has_the_value(
    world: World, harness: Harness
) -> None:
    people = [world.person() for _ in range(4)]
    leads = [world.lead(person) for person in people]
    world.lensmor.script(people[3].personnel_id, "email", "stuck")
    harness = harness.other(email_only())
    harness.wait_s = 120
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 3, Outcome.WAITING: 1}
    assert [world.get(lead)["Email"] for lead in leads] == [*(person.email for person in people[:3]), None]
    assert [world.get(lead)["Email_Unlock_Status__c"] for lead in leads] == ["Unlocked"] * 3 + ["In progress"]
    written = world.org.history("Lead", leads[0])[0].at
    assert written < world.clock.unix() - 30  # long before the run stopped waiting for the last one


def test_a_colleagues_endless_purchase_is_waited_for_without_paying(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "stuck")
    world.colleague_buys(person, "email")
    harness = harness.other(email_only())
    harness.wait_s = 120
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.lensmor.set_unlocked(person.personnel_id, "email")
    world.clock.advance(minutes=15)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["lensmor"].charged == 0
    assert world.get(lead)["Email"] == person.email
    assert world.ours("lensmor") == 0


def test_a_stuck_salesfinity_lookup_keeps_its_hold(world: World, harness: Harness) -> None:
    person = world.person()
    contact = world.contact(person)
    assert person.linkedin_name is not None
    world.salesfinity.script(person.linkedin_name, "personal", "stuck")
    harness = harness.other(personal_only())
    harness.wait_s = 300
    report = harness.sync()
    assert report.outcomes == {Outcome.WAITING: 1}
    assert report.credits["salesfinity"].held == 1
    for _ in range(2):
        world.clock.advance(minutes=15)
        assert harness.other().sync().outcomes == {Outcome.WAITING: 1}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1
    assert world.get(contact)["Enrichment_Requested__c"] is True


def test_work_and_private_email_have_their_own_sources(world: World, harness: Harness) -> None:
    person = world.person()
    contact = world.contact(person)
    report = harness.other(mapping("contact")).sync()
    record = world.get(contact)
    assert record["Email"] == person.email
    assert record["Personal_Email__c"] == person.personal_email
    assert record["Enrichment_Source__c"] == "lensmor, salesfinity"
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert {name: figures.charged for name, figures in report.credits.items()} == {"lensmor": 165, "salesfinity": 1}


def test_a_cleared_flag_stops_unbought_channels(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(mapping("lead", limits={"max_credits": {"lensmor": 15, "salesfinity": 9}}))
    assert harness.sync().outcomes == {Outcome.DEFERRED: 1}
    assert world.get(lead)["Email"] == person.email
    world.edit(lead, Enrichment_Requested__c=False)
    wide = harness.other(mapping("lead"))
    wide.sync()
    assert world.ours("lensmor") == 15
    assert wide.other().sync().selected == 0


def test_without_a_wait_tasks_are_left_to_the_next_sync(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    harness.wait_s = 0
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    world.clock.advance(minutes=15)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None


def test_purchases_that_take_longer_than_the_wait_are_made(world: World, harness: Harness) -> None:
    for _ in range(12):
        world.lead(world.person(), Lensmor_Personnel_Id__c=None)
    world.lensmor.rate_limit = 5  # the lookups alone take more than two minutes
    harness = harness.other(email_only())
    harness.wait_s = 60
    assert Outcome.DEFERRED not in harness.sync().outcomes  # no credits, cap, quota or outage was the cause


def test_the_wait_begins_with_the_last_request(world: World, harness: Harness) -> None:
    for _ in range(12):
        world.lead(world.person(), Lensmor_Personnel_Id__c=None)
    world.lensmor.rate_limit = 5  # the lookups alone take more than two minutes
    world.lensmor.task_seconds = 30
    harness = harness.other(email_only())
    harness.wait_s = 60
    assert harness.sync().outcomes == {Outcome.DELIVERED: 12}
    assert world.clock.waited_s > 60 + 30


def test_purchases_that_were_not_read_yet_are_sent_before_a_wait(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned purchases are read a window at a time; reads that are not forced are skipped, as right after another."""
    usual = WorkSource.refresh

    def only_forced(self: WorkSource, *, forced: bool = False) -> None:
        if forced:
            usual(self, forced=True)

    asked: list[int] = []
    wait = Scheduler._wait

    def counted(self: Scheduler) -> bool:
        asked.append(world.lensmor.requests.count("submitEmailUnlock"))
        return wait(self)

    monkeypatch.setattr(WorkSource, "refresh", only_forced)
    monkeypatch.setattr(Scheduler, "_wait", counted)
    monkeypatch.setattr(attempts, "WINDOW", 100)
    for _ in range(250):
        world.lead(world.person())
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 250}
    assert asked[0] == 3
