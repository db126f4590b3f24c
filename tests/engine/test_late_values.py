"""A lost request's value arrives after its repeat was sent: the value serves the repeat, whatever happens to it."""

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only
from test_engine_callbacks import URL, lookups
from test_late_answers import (
    ARRIVALS,
    PAID,
    READ,
    LateAnswer,
    after_take,
    allow,
    answer,
    by_callback,
    first_attempt,
    lose,
    purchases,
)

from connector.core.model import Outcome, Result
from connector.core.states import PurchaseState
from connector.engine.resolve import OperatorDecision, resolve
from connector.store import tables as t
from connector.store.attempts import Attempts
from connector.store.ledger import Ledger
from connector.store.rows import RequestAnswer, RequestRefusal


@pytest.fixture
def harness(harness: Harness) -> Harness:
    made = harness.other(email_only("salesfinity"))
    made.public_url = URL
    return made


def repeat_lost(world: World, harness: Harness, fault: str = "drop_after") -> str:
    """Add a Lead whose lookup was lost and whose permitted repeat was lost too."""
    lead = lose(world, harness)
    allow(harness)
    expect_double(world, lead)
    world.arm("salesfinity", PAID, fault)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 1}
    world.clock.advance(minutes=5)
    return lead


def expect_double(world: World, lead: str) -> None:
    """Tell the judge to expect a second purchase of the person."""
    name = str(world.get(lead)["LinkedIn_URL__c"]).rpartition("/")[2]
    world.bought_again.add(("salesfinity", name, "work"))


def value(world: World, number: int = 0) -> object:
    return lookups(world)[number].body(world.clock.unix())["email"]["email"]  # type: ignore[index]


def give_up(harness: Harness) -> None:
    with harness.ledger() as ledger:
        (found,) = ledger.operator.needs_a_look()
        resolve(ledger, found.id, OperatorDecision.GIVE_UP, harness.world.clock.now())


def assert_accounts(harness: Harness, charged: int) -> None:
    with harness.ledger() as ledger:
        assert ledger.credits.imbalance() == ""
        totals = ledger.credits.totals()["salesfinity"]
        assert (totals.charged, totals.open) == (charged, 0)


def improve_first(world: World, ledger: Ledger) -> None:
    """Adopt the first answer and read its lookup, as another process does."""
    answer(world, ledger)
    (lost,) = [row.id for row in purchases(ledger) if row.state == PurchaseState.FINAL.value]
    ledger.results.improve(lost, "w@example.com", world.clock.now(), charged=True)


@pytest.mark.parametrize("arrive", ARRIVALS)
def test_the_value_serves_a_lost_repeat(world: World, harness: Harness, arrive: LateAnswer) -> None:
    lead = repeat_lost(world, harness)
    arrive(world, harness)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == value(world)
    assert world.paid_posts() == world.ours("salesfinity") == 2
    assert_accounts(harness, charged=2)


def test_the_value_serves_a_presumed_charged_repeat(world: World, harness: Harness) -> None:
    repeat_lost(world, harness)
    world.clock.advance(hours=25)
    harness.other().sync()
    by_callback(world, harness)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert_accounts(harness, charged=2)


def test_no_other_source_is_bought(world: World, harness: Harness) -> None:
    harness = harness.other(email_only("salesfinity", "lensmor"))
    harness.public_url = URL
    lead = repeat_lost(world, harness)
    by_callback(world, harness)
    harness.other().sync()
    assert world.get(lead)["Email"] == value(world)
    assert world.ours("lensmor") == 0


@pytest.mark.parametrize("is_before_the_run", [True, False])
def test_the_value_serves_a_repeat_that_was_given_up(world: World, harness: Harness, is_before_the_run: bool) -> None:
    """The run closes the record without a value; the next flag costs nothing."""
    lead = repeat_lost(world, harness)
    give_up(harness)
    if is_before_the_run:
        by_callback(world, harness)
    assert harness.other().sync().outcomes == {Outcome.FAILED: 1}
    if not is_before_the_run:
        by_callback(world, harness)
        harness.other().sync()
    world.flag(lead)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == value(world)
    assert world.paid_posts() == 2
    assert_accounts(harness, charged=2)


def test_an_erased_value_is_read_again_for_a_given_up_repeat(world: World, harness: Harness) -> None:
    """An earlier release had already erased the value while its record waited for the repeat."""
    lead = repeat_lost(world, harness)
    with harness.ledger() as ledger, ledger.database.write() as connection:
        newer = connection.execute(sa.select(t.purchase).where(t.purchase.c.generation == 2)).one()
        connection.execute(sa.update(t.purchase).where(t.purchase.c.id == newer.id).values(person="elsewhere"))
    by_callback(world, harness)
    harness.other().sync()  # delivers only the first purchase; the next run erases its value
    harness.other().sync()
    with harness.ledger() as ledger, ledger.database.write() as connection:
        connection.execute(sa.update(t.purchase).where(t.purchase.c.id == newer.id).values(person=newer.person))
    give_up(harness)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == value(world)


def test_a_late_refusal_of_the_repeat_reverses_its_charge(world: World, harness: Harness) -> None:
    repeat_lost(world, harness, "drop_before")
    by_callback(world, harness)
    harness.other().sync()
    with harness.ledger() as ledger:
        repeat, now = purchases(ledger)[1], world.clock.now()
        ledger.answers.give_back(RequestRefusal(str(repeat.attempt_id), [repeat.id], "asks to wait"), now)
        assert purchases(ledger)[1].result == Result.DELIVERED.value
    assert_accounts(harness, charged=1)


def test_a_later_record_reads_the_value_from_its_origin(world: World, harness: Harness) -> None:
    lead = repeat_lost(world, harness)
    by_callback(world, harness)
    harness.other().sync()
    other = world.lead(LinkedIn_URL__c=world.get(lead)["LinkedIn_URL__c"])
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(other)["Email"] == value(world)
    assert world.paid_posts() == 2


# -- the value arrives after the repeat was taken and before it is answered -------------------------------------


def test_a_crash_with_a_recalled_repeat_loses_no_value(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = lose(world, harness)
    allow(harness)

    def adopt_and_die() -> None:
        with harness.ledger() as ledger:
            improve_first(world, ledger)
        raise SystemExit

    with after_take(monkeypatch, adopt_and_die), pytest.raises(SystemExit):
        harness.other().sync()
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == "w@example.com"
    assert world.paid_posts() == 1
    assert_accounts(harness, charged=2)  # the ledger cannot know that the second one was not sent


def test_an_older_value_is_kept_while_its_repeat_is_sent(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = lose(world, harness)
    allow(harness)

    def adopt_and_erase() -> None:
        with harness.ledger() as ledger:
            improve_first(world, ledger)
            ledger.records.erase_unused()
            assert purchases(ledger)[0].value is not None

    with after_take(monkeypatch, adopt_and_erase):
        assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == "w@example.com"
    assert world.paid_posts() == 1
    with harness.ledger() as ledger:
        ledger.records.erase_unused()
        assert [row.value for row in purchases(ledger)] == [None, None]


@pytest.mark.parametrize("is_lost", [True, False])
def test_the_value_serves_a_repeat_that_has_left(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    lead = lose(world, harness)
    allow(harness)
    expect_double(world, lead)
    world.salesfinity.lookup_seconds = 3000
    harness.wait_s = 5

    def adopt() -> None:
        with harness.ledger() as ledger:
            improve_first(world, ledger)
        if is_lost:
            world.arm("salesfinity", PAID, "drop_after")

    monkeypatch.setattr(Attempts, "may_send", lambda *_: True)  # the check ran just before the recall
    with after_take(monkeypatch, adopt):
        assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == "w@example.com"
    assert world.paid_posts() == 2
    assert_accounts(harness, charged=2)


def test_a_repeat_refused_after_its_loss_waits_for_the_first_lookup(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.salesfinity.lookup_seconds = 3000
    lead = lose(world, harness)
    allow(harness)

    def adopt_and_lose() -> None:
        with harness.ledger() as ledger:
            answer(world, ledger)
            repeat = str(purchases(ledger)[1].attempt_id)
            ledger.answers.lost(repeat, None, world.clock.now())

    harness.wait_s = 5
    with after_take(monkeypatch, adopt_and_lose):
        assert harness.other().sync().outcomes == {Outcome.WAITING: 1}
    world.clock.advance(hours=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == value(world)
    assert world.paid_posts() == 1
    assert_accounts(harness, charged=1)


@pytest.mark.parametrize("is_polled", [True, False])
def test_a_crashed_automatic_repeat_is_served_by_the_first_request(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, is_polled: bool
) -> None:
    """The first request is answered between hold and sending; another process may have read the task already."""
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    world.lensmor.profile_lag_seconds = 1500  # longer than the three reads take
    world.lensmor.task_seconds = 600
    world.arm("lensmor", "submitEmailUnlock", "drop_after")

    def adopt_and_die() -> None:
        with harness.ledger() as ledger:
            now, task_id = world.clock.now(), next(iter(world.lensmor._tasks))
            ledger.answers.accept(RequestAnswer(first_attempt(ledger), task_id), now, now)
            if is_polled:
                with ledger.database.write() as connection:
                    connection.execute(sa.update(t.task).values(state="ended", next_poll_at=None))
        raise SystemExit

    with after_take(monkeypatch, adopt_and_die, number=2), pytest.raises(SystemExit):
        harness.sync()
    with harness.ledger() as ledger:
        ledger.answers.orphaned({("lensmor", purchases(ledger)[0].account): world.clock.now()}, world.clock.now())
        (repeat,) = purchases(ledger)
        assert repeat.state == (PurchaseState.UNKNOWN if is_polled else PurchaseState.SUBMITTED).value
    world.clock.advance(hours=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1
    assert world.ours("lensmor") == 15


def test_a_released_automatic_repeat_is_verified_at_the_vendor(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run polls an ended task, so a purchase that waited for it would wait for ever."""
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    world.lensmor.profile_lag_seconds = 1500
    world.lensmor.task_seconds = 600
    world.arm("lensmor", "submitEmailUnlock", "drop_after")

    def adopt_and_end() -> None:
        with harness.ledger() as ledger:
            now, task_id = world.clock.now(), next(iter(world.lensmor._tasks))
            ledger.answers.accept(RequestAnswer(first_attempt(ledger), task_id), now, now)
            with ledger.database.write() as connection:
                connection.execute(sa.update(t.task).values(state="ended", next_poll_at=None))

    with after_take(monkeypatch, adopt_and_end, number=2):
        harness.sync()
    world.clock.advance(hours=1)
    harness.other().sync()
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1
    assert world.ours("lensmor") == 15


# -- the value arrives while the repeat is at the vendor --------------------------------------------------------


def repeat_runs(world: World, harness: Harness) -> str:
    """Start a repeat at the vendor while the first lookup has a value."""
    lead = lose(world, harness)
    allow(harness)
    expect_double(world, lead)
    world.salesfinity.lookup_seconds = 3000
    harness.wait_s = 5
    assert harness.other().sync().outcomes == {Outcome.WAITING: 1}
    by_callback(world, harness)
    return lead


def test_the_value_serves_a_running_repeat(world: World, harness: Harness) -> None:
    lead = repeat_runs(world, harness)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == value(world)
    assert world.paid_posts() == 2
    world.clock.advance(hours=1)
    harness.other().sync()
    assert_accounts(harness, charged=2)


def test_a_repeat_that_finds_nothing_costs_nothing(world: World, harness: Harness) -> None:
    lead = repeat_runs(world, harness)
    repeat = lookups(world)[1]
    repeat.outcome, repeat.email = "not-found", None
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    world.clock.advance(hours=1)
    harness.other().sync()
    assert_accounts(harness, charged=1)
    assert world.ours("salesfinity") == 1
    other = world.lead(LinkedIn_URL__c=world.get(lead)["LinkedIn_URL__c"])
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(other)["Email"] == value(world)
    assert world.paid_posts() == 2


def test_a_repeat_that_the_vendor_forgets_keeps_the_value(world: World, harness: Harness) -> None:
    lead = repeat_runs(world, harness)
    world.arm("salesfinity", READ, "not_found", subject=lookups(world)[1].lookup_id, times=1000)
    world.clock.advance(hours=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == value(world)
    assert_accounts(harness, charged=2)
