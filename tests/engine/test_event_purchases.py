"""Event access is an ordinary purchase: held, capped, reported, and safe to repeat after any loss."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from harness import Harness, World, email_only

from connector.app.wiring import connect_events
from connector.core.errors import ConnectorError, StopError
from connector.core.report import PurchaseFigures, Report
from connector.core.states import PurchaseState
from connector.engine.context import AccountLimits
from connector.engine.event_purchase import EventBuyer
from connector.providers.interface import EventAccess
from connector.store import tables as t

EVENT, PRICE = "52001", 2000


@contextmanager
def buyer(harness: Harness, limits: AccountLimits | None = None, *, dies: str = "") -> Iterator[EventBuyer]:
    """A process that buys events; `dies` is "before" or "after" the vendor serves the request."""
    with (
        harness.services() as services,
        closing(connect_events(harness.configured(), services.ledger, services.clock)) as api,
    ):

        def request(event_id: str) -> EventAccess:
            if dies == "before":
                raise KeyboardInterrupt
            answer = api.unlock(event_id)
            if dies == "after":
                raise KeyboardInterrupt
            return answer

        found = limits or AccountLimits()
        yield EventBuyer(services.ledger, services.providers["lensmor"], found, services.clock, "test", request)


def buy(harness: Harness, limits: AccountLimits | None = None, price: int = PRICE) -> tuple[EventAccess | None, Report]:
    with buyer(harness, limits) as found:
        return found.buy(EVENT, price)


def event_charges(world: World) -> int:
    return sum(charge.credits for charge in world.charges.entries if charge.credits >= PRICE)


def state(harness: Harness) -> PurchaseState:
    with harness.ledger() as ledger, ledger.database.read() as connection:
        return PurchaseState(connection.execute(t.purchase.select().order_by(t.purchase.c.id.desc())).first().state)  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def _lensmor_only(harness: Harness) -> None:
    harness.mappings = {"lead": email_only()}


def test_a_purchase_is_a_run_with_its_credits(world: World, harness: Harness) -> None:
    access, report = buy(harness)
    assert access is not None
    assert not access.already_unlocked
    assert (report.command, report.state, report.exit_code) == ("events unlock", "finished", 0)
    assert report.purchases == {"lensmor": {"event": PurchaseFigures(bought=1, delivered=1, credits=PRICE)}}
    credits_ = report.credits["lensmor"]
    assert (credits_.charged, credits_.held, credits_.other_charges) == (PRICE, 0, 0)
    assert event_charges(world) == PRICE
    with harness.ledger() as ledger:
        assert [(provider, mapping, found.charged) for _, provider, mapping, found in ledger.credits.by_month()] == [
            ("lensmor", "events", PRICE)
        ]
        assert ledger.runs.newest(1)[0].id == report.run_id


def test_repeating_it_is_free(world: World, harness: Harness) -> None:
    buy(harness)
    access, report = buy(harness, price=0)
    assert access is not None
    assert access.already_unlocked
    assert (report.credits["lensmor"].charged, report.purchases) == (0, {})
    assert event_charges(world) == PRICE


@pytest.mark.parametrize("limits", [AccountLimits(day=1999), AccountLimits(month=1999), AccountLimits(reserve=99_000)])
def test_a_cap_forbids_it_before_anything_is_sent(world: World, harness: Harness, limits: AccountLimits) -> None:
    access, report = buy(harness, limits)
    assert access is None
    assert report.exit_code == 4
    assert "one purchase costs 2000" in report.stopped[0]
    assert event_charges(world) == 0
    assert report.credits["lensmor"].held == 0


def test_it_counts_against_the_daily_cap_for_people(world: World, harness: Harness) -> None:
    limits = AccountLimits(day=PRICE + 20)
    buy(harness, limits)
    world.lead(world.person())
    world.lead(world.person())
    later = harness.other()
    later.limits = {"lensmor": limits}
    later.sync()
    assert world.ours("lensmor") == PRICE + 15


def test_a_lost_answer_is_resolved_by_repeating_the_request(world: World, harness: Harness) -> None:
    world.arm("lensmor", "unlockEvent", "drop_after", times=5)
    with pytest.raises(StopError, match=r"Repeat the command, which is free: connector events unlock 52001"):
        buy(harness)
    assert state(harness) is PurchaseState.UNKNOWN
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].open == PRICE
        (row,) = ledger.operator.needs_a_look()
        assert row.event_id == EVENT
    world.faults.clear()
    access, report = buy(harness)
    assert access is not None
    assert access.already_unlocked
    assert report.credits["lensmor"].charged == PRICE
    assert event_charges(world) == PRICE
    assert state(harness) is PurchaseState.FINAL


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_dead_processs_request_is_finished_by_the_next(world: World, harness: Harness, moment: str) -> None:
    with pytest.raises(KeyboardInterrupt), buyer(harness, dies=moment) as found:
        found.buy(EVENT, PRICE)
    assert state(harness) is PurchaseState.SUBMITTING
    world.lead(world.person())
    harness.other().sync()  # a run in between reads no person for it
    assert state(harness) in {PurchaseState.UNKNOWN, PurchaseState.FINAL}
    _, report = buy(harness)
    assert report.credits["lensmor"].held == 0
    assert event_charges(world) == PRICE
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].charged == PRICE + 15
        assert not ledger.credits.imbalance()


def test_a_refusal_releases_the_credits(world: World, harness: Harness) -> None:
    world.arm("lensmor", "unlockEvent", "status", status=402)
    with pytest.raises(ConnectorError):
        buy(harness)
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].open == 0
        assert ledger.runs.newest(1)[0].state == "failed"
    assert event_charges(world) == 0
    assert buy(harness)[0] is not None


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422, 429])
def test_an_answer_without_a_purchase_leaves_no_hold(world: World, harness: Harness, status: int) -> None:
    world.arm("lensmor", "unlockEvent", "status", times=5, status=status)
    with pytest.raises(ConnectorError):
        buy(harness)
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].open == 0
    world.faults.clear()
    world.clock.advance(days=3)
    assert buy(harness)[1].credits["lensmor"].charged == PRICE == event_charges(world)


def test_a_refusal_after_a_lost_attempt_proves_nothing(world: World, harness: Harness) -> None:
    world.arm("lensmor", "unlockEvent", "drop_after", times=1)
    world.arm("lensmor", "unlockEvent", "status", times=9, status=401)
    with pytest.raises(StopError, match="is not known"):
        buy(harness)
    assert state(harness) is PurchaseState.UNKNOWN
    assert event_charges(world) == PRICE
    world.faults.clear()
    _, report = buy(harness)
    assert report.credits["lensmor"].charged == PRICE == event_charges(world)


def test_an_unreadable_balance_ends_the_run(world: World, harness: Harness) -> None:
    world.arm("lensmor", "getCreditsBalance", "status", times=9, status=503)
    with pytest.raises(StopError):
        buy(harness)
    with harness.ledger() as ledger:
        assert ledger.runs.newest(1)[0].state == "failed"
    assert event_charges(world) == 0


def test_an_unexpected_price_is_charged_as_it_is(world: World, harness: Harness) -> None:
    _, report = buy(harness, price=1500)
    assert report.credits["lensmor"].charged == PRICE == event_charges(world)
