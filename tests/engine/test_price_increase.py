"""A vendor that charges more than the configured price is noticed by its balance, and purchases stop."""

import functools
from pathlib import Path

import pytest
from harness import Harness, World, email_only, phone_only
from test_guards import sync_all

from connector.core.mapping import MappingFile
from connector.core.model import Outcome
from connector.core.report import Report
from connector.providers.lensmor import LensmorSettings
from connector.simulator import lensmor_state
from connector.simulator.salesfinity_state import Lookup

RISEN = "the balance of lensmor fell by"


@pytest.fixture
def harness(world: World, folder: Path) -> Harness:
    """A harness without the judge: here the vendor charges credits that the ledger cannot know."""
    return Harness(world, folder, email_only())


@pytest.fixture
def risen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor charges 30 credits for an email instead of 15."""
    monkeypatch.setitem(lensmor_state.PRICES, "email", 30)


def flag(world: World, count: int) -> list[str]:
    return [world.lead(world.person()) for _ in range(count)]


def sync(world: World, harness: Harness, count: int, *mappings: MappingFile) -> Report:
    """Run a sync for `count` new records, a quarter of an hour after the last one."""
    flag(world, count)
    world.clock.advance(minutes=15)
    return harness.other(*mappings).sync()


def spend(world: World, credits_: int) -> None:
    """Spend credits of the account outside the connector."""
    world.lensmor.balance -= credits_


def reads(world: World) -> int:
    return world.lensmor.requests.count("getCreditsBalance")


@pytest.mark.usefixtures("risen")
def test_a_second_mismatch_stops_purchases(world: World, harness: Harness) -> None:
    first, second = sync(world, harness, 10), sync(world, harness, 10)
    assert first.outcomes == second.outcomes == {Outcome.DELIVERED: 10}
    paid = world.paid_posts()
    third = sync(world, harness, 10)
    assert third.outcomes == {Outcome.DEFERRED: 10}
    assert world.paid_posts() == paid
    assert third.exit_code == 4
    (entry,) = third.attention
    expected = f"{RISEN} 600 credits, and the purchases (work email at 15 credits) explain 300 at most"
    assert entry.reason == f"{expected}; no more is bought"
    assert "LENSMOR_EMAIL_CREDITS" in entry.next
    assert "connector sync -m lead --all" in entry.next
    assert [RISEN in note for note in harness.other().preview().notes] == [True]


@pytest.mark.usefixtures("risen")
def test_a_large_run_stops_after_a_small_second_request(world: World, harness: Harness) -> None:
    report = sync(world, harness, 250)
    assert report.outcomes == {Outcome.DELIVERED: 110, Outcome.DEFERRED: 140}
    assert [RISEN in entry.reason for entry in report.attention] == [True]
    assert report.exit_code == 4


@pytest.mark.usefixtures("risen")
def test_a_corrected_setting_buys_the_deferred_records(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(world, harness, 250)
    monkeypatch.setitem(LensmorSettings.__pydantic_fields__, "email_credits", _default(30))
    LensmorSettings.model_rebuild(force=True)
    try:
        report = sync(world, harness, 1)
        assert report.outcomes == {Outcome.DELIVERED: 141}
        assert report.credits["lensmor"].charged == 141 * 30
        assert not report.attention
    finally:
        monkeypatch.undo()
        LensmorSettings.model_rebuild(force=True)


def test_the_operator_overrides_if_others_spent_the_credits(world: World, harness: Harness) -> None:
    for _ in range(2):
        flag(world, 10)
        world.clock.at(20, functools.partial(spend, world, 150))
        harness.other().sync()
    assert sync(world, harness, 10).outcomes == {Outcome.DEFERRED: 10}
    assert sync_all(harness.other()).outcomes == {Outcome.DELIVERED: 10}
    report = sync(world, harness, 10)
    assert report.outcomes == {Outcome.DELIVERED: 10}
    assert not report.attention


@pytest.mark.usefixtures("risen")
def test_an_override_keeps_watching(world: World, harness: Harness) -> None:
    """The price did rise: the overridden run stops as well, and so does the next one."""
    sync(world, harness, 250)
    report = sync_all(harness.other())
    assert report.outcomes == {Outcome.DELIVERED: 110, Outcome.DEFERRED: 30}
    assert sync(world, harness, 1).outcomes == {Outcome.DEFERRED: 31}


@pytest.mark.parametrize("spent", [[2000, 150], [45, 450, 15], [2000] * 3, [15] * 4])
def test_occasional_other_spend_stops_nothing(world: World, harness: Harness, spent: list[int]) -> None:
    for number, credits_ in enumerate(spent):
        flag(world, 3 + 7 * number)
        world.clock.at(20, functools.partial(spend, world, credits_))
        report = harness.other().sync()
        world.clock.advance(minutes=15)
        assert set(report.outcomes) == {Outcome.DELIVERED}
        assert not report.attention


@pytest.mark.usefixtures("risen")
def test_another_channel_continues(world: World, harness: Harness) -> None:
    sync(world, harness, 250)
    report = sync(world, harness, 10, phone_only("contact"))
    lead = world.contact(world.person())
    assert report.selected == 0
    assert harness.other(phone_only("contact")).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["MobilePhone"] is not None


def test_a_run_that_crashed_is_judged_by_the_next_one(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lensmor_state.PRICES, "email", 30)
    for _ in range(2):
        world.arm("lensmor", "getCreditsBalance", "status", after=1, times=20, status=500)
        sync(world, harness, 10)
        world.faults.clear()
    assert sync(world, harness, 10).outcomes == {Outcome.DEFERRED: 10}


def test_a_lookup_for_two_credits_is_detected(world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = world.salesfinity._resolve

    def twice(lookup: Lookup) -> None:
        resolved(lookup)
        world.salesfinity._balance -= 1

    monkeypatch.setattr(world.salesfinity, "_resolve", twice)
    mapping = email_only("salesfinity")
    sync(world, harness, 10, mapping)
    sync(world, harness, 10, mapping)
    report = sync(world, harness, 10, mapping)
    assert report.outcomes == {Outcome.DEFERRED: 10}
    assert "ask the vendor" in report.attention[0].next


@pytest.mark.parametrize(
    ("count", "expected"), [(10, 2), (100, 2), (250, 3), pytest.param(2500, 4, marks=pytest.mark.long)]
)
def test_the_number_of_balance_reads(world: World, harness: Harness, count: int, expected: int) -> None:
    report = sync(world, harness, count)
    assert report.outcomes == {Outcome.DELIVERED: count}
    assert reads(world) == expected


def _default(credits_: int) -> object:
    from pydantic import Field
    from pydantic.fields import FieldInfo

    found = Field(default=credits_, ge=0)
    assert isinstance(found, FieldInfo)
    found.annotation = int
    return found
