"""A lost request is answered after its repeat was allowed and before the repeat is sent: nothing more is sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only
from test_engine_callbacks import URL, call_back, lookups

from connector.core.errors import ConfigurationError
from connector.core.model import Outcome
from connector.core.states import PurchaseState
from connector.engine.context import AccountLimits
from connector.engine.resolve import OperatorDecision, resolve
from connector.store import tables as t
from connector.store.attempts import Attempts
from connector.store.ledger import Ledger
from connector.store.rows import Batch, BudgetExhausted, RequestAnswer, RequestRefusal

PAID = "requestEmailEnrichment"
READ = "getEmailEnrichment"
LateAnswer = Callable[[World, Harness], None]


@pytest.fixture
def harness(harness: Harness) -> Harness:
    made = harness.other(email_only("salesfinity"))
    made.public_url = URL
    return made


def lose(world: World, harness: Harness) -> str:
    """Add a Lead whose lookup took effect and whose answer was lost."""
    lead = world.lead(world.person())
    world.arm("salesfinity", PAID, "drop_after")
    assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}
    world.clock.advance(minutes=1)
    return lead


def allow(harness: Harness) -> None:
    """Allow a repeat as the operator."""
    with harness.ledger() as ledger:
        (found,) = ledger.operator.needs_a_look()
        resolve(ledger, found.id, OperatorDecision.ALLOW_REPEAT, harness.world.clock.now())
    harness.world.clock.advance(seconds=1)


def first_attempt(ledger: Ledger) -> str:
    with ledger.database.read() as connection:
        return str(connection.scalar(sa.select(t.attempt.c.id).order_by(t.attempt.c.created_at).limit(1)))


def by_callback(world: World, harness: Harness) -> None:
    assert call_back(harness, lookups(world)[0])


def by_the_journal(world: World, harness: Harness) -> None:
    with harness.ledger() as ledger:
        answer = {"attempt_id": first_attempt(ledger), "task_id": lookups(world)[0].lookup_id}
        with ledger.journal.reserve(1) as reserved:
            reserved.keep({**answer, "check": {}, "gone": {}, "back": []})


def by_the_other_process(world: World, harness: Harness) -> None:
    """The sender was slow, not dead."""
    with harness.ledger() as ledger:
        answer(world, ledger)


def answer(world: World, ledger: Ledger) -> None:
    now = world.clock.now()
    ledger.answers.accept(RequestAnswer(first_attempt(ledger), lookups(world)[0].lookup_id), now, now)


ARRIVALS = (by_callback, by_the_journal, by_the_other_process)


@contextmanager
def after_take(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], number: int = 1) -> Iterator[list[Batch]]:
    """Call `act` once, between a repeat's hold and the check before it is sent."""
    take, taken = Attempts.take, list[Batch]()

    def then(self: Attempts, *args: object) -> Batch | BudgetExhausted | None:
        found = take(self, *args)  # type: ignore[arg-type]
        if isinstance(found, Batch):
            taken.append(found)
            if len(taken) == number:
                act()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Attempts, "take", then)
        yield taken


def assert_paid_once(world: World, harness: Harness) -> None:
    assert world.paid_posts() == 1
    with harness.ledger() as ledger:
        assert ledger.credits.imbalance() == ""
        totals = ledger.credits.totals()["salesfinity"]
        assert (totals.charged, totals.open) == (world.ours("salesfinity"), 0)


@pytest.mark.parametrize("arrive", ARRIVALS)
def test_an_answer_before_the_next_run_replaces_the_repeat(world: World, harness: Harness, arrive: LateAnswer) -> None:
    lead = lose(world, harness)
    allow(harness)
    arrive(world, harness)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == lookups(world)[0].body(world.clock.unix())["email"]["email"]  # type: ignore[index]
    assert_paid_once(world, harness)


@pytest.mark.parametrize("arrive", ARRIVALS)
def test_an_answer_after_planning_replaces_the_repeat(world: World, harness: Harness, arrive: LateAnswer) -> None:
    lead = lose(world, harness)
    allow(harness)
    harness.limits["salesfinity"] = AccountLimits(day=0)
    assert harness.other().sync().outcomes == {Outcome.DEFERRED: 1}  # planned, but no budget today
    harness.limits.clear()
    arrive(world, harness)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert_paid_once(world, harness)


@pytest.mark.parametrize("arrive", ARRIVALS)
def test_a_running_lookup_is_waited_for(world: World, harness: Harness, arrive: LateAnswer) -> None:
    world.salesfinity.lookup_seconds = 7200
    lead = lose(world, harness)
    allow(harness)
    arrive(world, harness)
    harness.wait_s = 60
    assert harness.other().sync().outcomes == {Outcome.WAITING: 1}
    world.clock.advance(hours=3)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert_paid_once(world, harness)


def test_an_answer_without_a_value_ends_the_record(world: World, harness: Harness) -> None:
    person = world.person()
    world.salesfinity.script(str(person.linkedin_name), "work", "not-found")
    world.lead(person)
    world.arm("salesfinity", PAID, "drop_after")
    harness.sync()
    allow(harness)
    by_callback(world, harness)
    assert harness.other().sync().outcomes == {Outcome.NOT_FOUND: 1}
    assert_paid_once(world, harness)
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["salesfinity"].used == 0


def test_an_unneeded_answer_without_a_value_ends_the_permission(world: World, harness: Harness) -> None:
    """Another record's run read the lookup: the person was not found, so no repeat is left to send."""
    person = world.person()
    world.salesfinity.script(str(person.linkedin_name), "work", "not-found")
    lead = world.lead(person)
    world.arm("salesfinity", PAID, "drop_after")
    harness.sync()
    allow(harness)
    world.edit(lead, Enrichment_Requested__c=False)
    by_callback(world, harness)
    harness.other().sync()
    world.flag(lead)
    assert harness.other().sync().outcomes == {Outcome.NOT_FOUND: 1}
    assert_paid_once(world, harness)


@pytest.mark.parametrize("action", [("status", {"status": 500}), ("drop_before", {}), ("html", {})], ids=str)
def test_an_unconfirmed_receipt_delays_the_repeat(
    world: World, harness: Harness, action: tuple[str, dict[str, object]]
) -> None:
    lead = lose(world, harness)
    allow(harness)
    by_callback(world, harness)
    world.arm("salesfinity", READ, action[0], times=50, **action[1])
    assert harness.other().sync().outcomes == {Outcome.DEFERRED: 1}
    assert world.paid_posts() == 1
    world.faults.clear()
    world.clock.advance(minutes=15)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert_paid_once(world, harness)


def test_an_unconfirmed_receipt_delays_the_repeat_at_most_a_day(world: World, harness: Harness) -> None:
    """Otherwise any caller that knows the address could block the repeat."""
    lead = lose(world, harness)
    allow(harness)
    assert call_back(harness, lookups(world)[0], _id="not-an-id-of-theirs")
    world.arm("salesfinity", READ, "status", subject="not-an-id-of-theirs", times=1000, status=500)
    assert harness.other().sync().outcomes == {Outcome.DEFERRED: 1}
    world.clock.advance(hours=25)
    world.bought_again.add(("salesfinity", str(world.get(lead)["LinkedIn_URL__c"]).rpartition("/")[2], "work"))
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.paid_posts() == 2


def test_a_receipt_of_another_lookup_does_not_delay_the_repeat(world: World, harness: Harness) -> None:
    lead = lose(world, harness)
    allow(harness)
    assert call_back(harness, lookups(world)[0], _id="66f0a1b2c3d4e5f601999999")
    world.bought_again.add(("salesfinity", str(world.get(lead)["LinkedIn_URL__c"]).rpartition("/")[2], "work"))
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.paid_posts() == 2


@pytest.mark.parametrize("arrive", [by_callback, by_the_other_process])
def test_an_answer_between_hold_and_sending_stops_the_repeat(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, arrive: LateAnswer
) -> None:
    lead = lose(world, harness)
    allow(harness)
    with after_take(monkeypatch, lambda: arrive(world, harness)) as taken:
        report = harness.other().sync()
    assert len(taken) == 1
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert_paid_once(world, harness)


def test_a_value_between_hold_and_sending_is_not_bought_again(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late answer was adopted and its lookup read while the repeat was about to leave."""
    lead = lose(world, harness)
    allow(harness)

    def adopted_and_read() -> None:
        with harness.ledger() as ledger:
            answer(world, ledger)
            (lost,) = [row.id for row in purchases(ledger) if row.state == PurchaseState.FINAL.value]
            ledger.results.improve(lost, "w@example.com", world.clock.now(), charged=True)

    with after_take(monkeypatch, adopted_and_read):
        assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == "w@example.com"
    assert_paid_once(world, harness)


def purchases(ledger: Ledger) -> list[sa.Row[tuple[object, ...]]]:
    with ledger.database.read() as connection:
        return list(connection.execute(sa.select(t.purchase).order_by(t.purchase.c.id)))


def test_a_late_refusal_costs_nothing_and_allows_the_repeat(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("salesfinity", PAID, "drop_before")
    harness.sync()
    allow(harness)
    with harness.ledger() as ledger:
        first, now = first_attempt(ledger), world.clock.now()
        (lost,) = [row.id for row in purchases(ledger)]
        ledger.answers.give_back(RequestRefusal(first, [lost], "asks to wait", now + timedelta(minutes=5)), now)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["salesfinity"].used == world.ours("salesfinity") == 1
        assert ledger.credits.imbalance() == ""


@pytest.mark.parametrize(
    "decision", [OperatorDecision.ALLOW_REPEAT, OperatorDecision.GIVE_UP, OperatorDecision.DELIVERED]
)
def test_a_decision_after_the_answer_is_refused(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, decision: OperatorDecision
) -> None:
    """The answer is adopted after the operator read the purchase and before the decision."""
    lead = lose(world, harness)
    with harness.ledger() as ledger:
        (found,) = ledger.operator.needs_a_look()
        seen = ledger.operator.find(found.id)
        answer(world, ledger)
        monkeypatch.setattr(ledger.operator, "find", lambda _id: seen)
        with pytest.raises(ConfigurationError, match="its answer has arrived"):
            resolve(ledger, found.id, decision, world.clock.now())
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert_paid_once(world, harness)


# -- the automatic repeat, which needs no permission: the vendor shows no trace of the lost request --------------


@pytest.mark.parametrize("with_task", [True, False])
def test_an_automatic_repeat_is_stopped_before_sending(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, with_task: bool
) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    world.lensmor.profile_lag_seconds = 1500  # longer than the three reads take
    world.lensmor.task_seconds = 600
    world.arm("lensmor", "submitEmailUnlock", "drop_after")

    def arrive() -> None:
        task_id = next(iter(world.lensmor._tasks)) if with_task else None
        with harness.ledger() as ledger:
            (row,) = purchases(ledger)
            now = world.clock.now()
            check = {} if with_task else {row.id: True}
            ledger.answers.accept(RequestAnswer(first_attempt(ledger), task_id, check), now, now)

    with after_take(monkeypatch, arrive, number=2) as taken:
        report = harness.sync()
    assert len(taken) == 2
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1
    assert world.ours("lensmor") == 15
