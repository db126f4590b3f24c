"""Two processes, or one that slept, meet the same purchase or record: one trace per test, step by step.

Only one process holds a ledger's run lock; where a trace needs two, the test calls the second one's stages.
"""

from collections.abc import Callable, Sequence

import pytest
from harness import Harness, World, email_only

from connector.core.model import Channel, Identifier, Outcome
from connector.core.states import PurchaseState
from connector.engine import collect, purchase, recovery
from connector.engine.context import AccountLimits, Run
from connector.engine.resolve import OperatorDecision, resolve
from connector.engine.select import flagged, select
from connector.providers.interface import Provider, Submission
from connector.providers.lensmor.provider import Lensmor
from connector.providers.salesfinity.provider import Salesfinity
from connector.store.rows import Batch, PurchaseGroup
from connector.store.runs import Runs

EMAIL = Channel.WORK_EMAIL
THEIRS = "typed.by.hand@example.com"
Meanwhile = Callable[[], object]


def slow(monkeypatch: pytest.MonkeyPatch, kind: type[Provider], meanwhile: Meanwhile) -> None:
    """Call `meanwhile` after the next paid request took effect and before its answer arrives."""
    submit = kind.submit
    done: list[bool] = []

    def late(
        self: Provider, channel: Channel, people: Sequence[Identifier], grouping_key: str | None, attempt_id: str
    ) -> Submission:
        answer = submit(self, channel, people, grouping_key, attempt_id)
        if not done:
            done.append(True)
            meanwhile()
        return answer

    monkeypatch.setattr(kind, "submit", late)


def send(run: Run, batch: Batch) -> None:
    """Send a batch that was taken earlier."""
    with run.services.ledger.journal.reserve(len(batch.purchases)) as reserved:
        purchase.send(run, run.services.providers["lensmor"], batch, reserved, run.began_s)


def declare_lost(harness: Harness) -> None:
    """Start another process, which finds a request without an answer."""
    with harness.run() as other:
        recovery.recover(other)


def read_due_people(harness: Harness, times: int = 3) -> None:
    """Read the vendor's record of every due person as another process, several times."""
    with harness.run() as other:
        for _ in range(times):
            harness.world.clock.advance(minutes=16)
            provider = other.services.providers["lensmor"]
            for row in other.services.ledger.polls.due_checks(provider.source, other.now()):
                collect.check(other, provider, row)


def state_of(harness: Harness) -> list[PurchaseState]:
    with harness.ledger() as ledger:
        found = [ledger.operator.find(number) for number in range(1, 20)]
    return [one[0] for one in found if one is not None]


# -- a slow answer ----------------------------------------------------------------------------------------------


def test_a_slow_answer_of_an_unknown_attempt_is_used(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    slow(monkeypatch, Lensmor, lambda: declare_lost(harness.other()))
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1


def test_a_slow_answer_prevents_an_allowed_repeat(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    world.lensmor.profile_lag_seconds = 7200  # the profile shows nothing for hours

    def meanwhile() -> None:
        declare_lost(harness.other())
        read_due_people(harness.other())
        assert state_of(harness) == [PurchaseState.PLANNED]  # three reads found no trace

    slow(monkeypatch, Lensmor, meanwhile)
    harness.sync()
    harness.syncs(3)
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1
    assert world.ours("lensmor") == 15


def test_a_slow_answer_after_the_repeat_costs_nothing(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    world.lensmor.profile_lag_seconds = 7200

    def meanwhile() -> None:
        declare_lost(harness.other())
        read_due_people(harness.other())
        with harness.other().run() as other:
            select(other, other.mappings["lead"], flagged(other.mappings["lead"]))
            purchase.buy(other, other.services.providers["lensmor"], PurchaseGroup(EMAIL, "52001", 100))

    slow(monkeypatch, Lensmor, meanwhile)
    harness.sync()
    world.clock.advance(hours=3)
    harness.syncs(4)
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2  # the second request met the first one's purchase
    assert world.ours("lensmor") == 15
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].charged == 15


def test_a_given_up_purchase_is_delivered_by_a_late_answer(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only("salesfinity"))

    def meanwhile() -> None:
        declare_lost(harness.other())
        with harness.ledger() as ledger:
            resolve(ledger, 1, OperatorDecision.GIVE_UP, world.clock.now())

    slow(monkeypatch, Salesfinity, meanwhile)
    harness.sync()
    world.clock.advance(minutes=5)
    harness.other().sync()
    world.flag(lead)
    assert harness.other().sync().outcomes in ({Outcome.DELIVERED: 1}, {Outcome.SKIPPED: 1})
    assert world.get(lead)["Email"] == person.work_email
    assert world.paid_posts() == 1


# -- a frozen sender --------------------------------------------------------------------------------------------


def take(run: Run) -> Batch:
    """Take a batch with its hold, as a sender does just before it sends."""
    select(run, run.mappings["lead"], flagged(run.mappings["lead"]))
    source = run.services.providers["lensmor"].source
    taken = run.services.ledger.attempts.take(
        source, PurchaseGroup(EMAIL, "52001", 100), run.id, run.services.owner, run.caps("lensmor"), run.now()
    )
    assert isinstance(taken, Batch)
    return taken


def test_a_sender_resumed_after_a_resubmission_sends_nothing(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    with harness.run() as frozen:
        batch = take(frozen)
        declare_lost(harness.other())
        read_due_people(harness.other())
        harness.syncs(4)
        assert world.get(lead)["Email"] == person.email
        posts = world.paid_posts()
        send(frozen, batch)
    assert world.paid_posts() == posts == 1
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].used == 15


def test_a_sender_resumed_during_verification_releases_its_hold(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness = harness.other(email_only())
    with harness.run() as frozen:
        batch = take(frozen)
        declare_lost(harness.other())
        send(frozen, batch)
        assert frozen.services.ledger.credits.totals()["lensmor"].open == 0
    assert world.paid_posts() == 0
    assert state_of(harness) == [PurchaseState.PLANNED]


@pytest.mark.parametrize(("seconds", "posts"), [(9, 1), (11, 0)])
def test_a_hold_older_than_ten_seconds_is_not_sent(world: World, harness: Harness, seconds: float, posts: int) -> None:
    world.lead(world.person())
    with harness.other(email_only()).run() as slept:
        batch = take(slept)
        world.clock.advance(seconds=seconds)
        send(slept, batch)
        assert world.paid_posts() == posts
        assert slept.services.ledger.credits.totals()["lensmor"].open == 15 * posts


# -- a frozen writer --------------------------------------------------------------------------------------------


def test_a_writer_frozen_after_its_comparison_compares_again(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer resumes after a person's edit: its comparison is a minute old, so it compares again."""
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    intend = Runs.intend
    frozen: list[bool] = []

    def freeze(self: Runs, *args: object) -> None:
        intend(self, *args)  # type: ignore[arg-type]
        if not frozen:
            frozen.append(True)
            world.clock.advance(minutes=1)
            world.edit(lead, Email=THEIRS)

    monkeypatch.setattr(Runs, "intend", freeze)
    assert harness.sync().outcomes == {Outcome.SKIPPED: 1}
    assert frozen
    assert world.get(lead)["Email"] == THEIRS


# -- balances and holds -----------------------------------------------------------------------------------------


def test_a_balance_before_another_workers_charge_is_reduced(world: World, harness: Harness) -> None:
    """The other worker bought while the answer was on its way, so the balance in it is too high."""
    for _ in range(2):
        world.lead(world.person())
    world.lensmor.balance = 30
    first = harness.other(email_only())
    with first.run() as slow_one:
        credits_ = slow_one.services.ledger.credits
        began_at, last_entry = slow_one.now(), credits_.newest_entry()
        balance = slow_one.services.providers["lensmor"].balance()
        first.other().sync()  # spends the credits of both purchases
        credits_.observe("lensmor", "default", slow_one.id, balance, began_at, last_entry)
        world.lead(world.person())
        with pytest.raises(AssertionError):
            take(slow_one)  # no budget is left
    assert world.ours("lensmor") == 30


def test_a_release_after_midnight_leaves_the_new_days_cap(world: World, harness: Harness) -> None:
    """The day of the hold pays and gets the credits back; the day of the release has exactly its own cap."""
    people = [world.person(work_email=None) for _ in range(2)]
    for person in people:
        world.lead(person)
    harness = harness.other(email_only("salesfinity"))
    harness.limits = {"salesfinity": AccountLimits(day=2)}
    world.salesfinity.lookup_seconds = 50_400.0
    harness.wait_s = 30
    harness.sync()
    world.clock.advance(hours=20)  # past midnight
    assert harness.other().sync().outcomes == {Outcome.NOT_FOUND: 2}
    found = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in found]
    world.salesfinity.lookup_seconds = 1.0
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 2, Outcome.DEFERRED: 1}
    assert sum(bool(world.get(lead)["Email"]) for lead in leads) == 2
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["salesfinity"].open == 0


# -- old tasks --------------------------------------------------------------------------------------------------


def test_a_stuck_task_does_not_delay_new_ones(world: World, harness: Harness) -> None:
    stuck = world.person()
    world.lensmor.script(stuck.personnel_id, "email", "stuck")
    old = world.lead(stuck)
    harness = harness.other(email_only())
    harness.wait_s = 60
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    for day in range(1, 4):
        world.clock.advance(days=1)
        fresh = world.lead(world.person())
        polls = world.lensmor.requests.count("getEmailUnlockTask")
        report = harness.other().sync()
        assert report.outcomes == {Outcome.WAITING: 1, Outcome.DELIVERED: 1}, f"day {day}"
        assert world.get(fresh)["Email"] is not None
        assert world.lensmor.requests.count("getEmailUnlockTask") - polls <= 8  # one of them for the old task
    assert world.get(old)["Enrichment_Requested__c"] is True
    assert world.org.updates_count("Lead", old) == 1
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].open == 15


# -- two objects, one person ------------------------------------------------------------------------------------


def _planned(world: World, harness: Harness) -> None:
    world.lensmor.balance = 0
    assert harness.sync().outcomes == {Outcome.DEFERRED: 1}
    world.lensmor.balance = 1000


def _submitted(world: World, harness: Harness) -> None:
    world.lensmor.task_seconds = 600
    harness.wait_s = 30
    assert harness.sync().outcomes == {Outcome.WAITING: 1}


def _unknown(world: World, harness: Harness) -> None:
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    harness.wait_s = 30
    assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}


def _parked(world: World, harness: Harness) -> None:
    lead = world.org.records("Lead")[0]["Id"]
    world.org.lock(str(lead), times=4)
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    world.org.lock(str(lead), times=0)


def _written(_world: World, harness: Harness) -> None:
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}


def _written_and_forgotten(world: World, harness: Harness) -> None:
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    world.clock.advance(days=40)  # the images and the value are erased; the value is still fresh enough
    harness.other().sync()


@pytest.mark.parametrize("first_state", [_planned, _submitted, _unknown, _parked, _written, _written_and_forgotten])
def test_a_second_record_attaches_at_each_state_of_the_first(
    world: World, harness: Harness, first_state: Callable[[World, Harness], None]
) -> None:
    person = world.person()
    lead = world.lead(person)
    lead_mapping, contact_mapping = email_only(), email_only(name="contact")
    first_state(world, harness.other(lead_mapping))
    contact = world.contact(person)
    harness.other(lead_mapping, contact_mapping).syncs(8)
    assert world.get(lead)["Email"] == person.email
    assert world.get(contact)["Email"] == person.email
    assert world.paid_posts() == 1
    assert world.ours("lensmor") == 15
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].used == 15


@pytest.mark.parametrize(("script", "outcome"), [("failed", Outcome.FAILED), ("no_value", Outcome.NOT_FOUND)])
def test_a_second_record_shares_an_end_without_value(
    world: World, harness: Harness, script: str, outcome: Outcome
) -> None:
    person = world.person()
    world.lensmor.script(person.personnel_id, "email", script)
    world.lead(person)
    assert harness.other(email_only()).sync().outcomes == {outcome: 1}
    world.contact(person)
    assert harness.other(email_only(name="contact")).sync().outcomes == {outcome: 1}
    assert world.paid_posts() == 1


def test_a_second_record_attaches_while_the_request_leaves(world: World, harness: Harness) -> None:
    """The first object's process dies after its hold; the second object's run finds the purchase and buys nothing."""
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    with harness.run() as dead:
        take(dead)
    contact = world.contact(person)
    both = harness.other(email_only(), email_only(name="contact"))
    both.syncs(8)
    assert [world.get(one)["Email"] for one in (lead, contact)] == [person.email] * 2
    assert world.paid_posts() == 1
    with harness.ledger() as ledger:
        entries = ledger.credits.totals()["lensmor"]
        assert (entries.charged, entries.open) == (15, 0)
