"""Presumed charges, operator decisions and forgetting; after each test, the accounting closes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledger_harness import LENSMOR, PRICE, LedgerHarness, buying, planned
from persons import link, match_with, person_with

from connector.core.model import Outcome, Result
from connector.store import tables as t
from connector.store.record_views import Finish

HOLD, CHARGE, RELEASE, REVERSAL = ("hold", PRICE), ("charge", PRICE), ("release", PRICE), ("charge", -PRICE)
DAY = timedelta(days=1)


@pytest.fixture(name="harness")
def _harness() -> Iterator[LedgerHarness]:
    harness = LedgerHarness()
    yield harness
    harness.assert_accounting_closes()
    assert harness.used() == sum(int(str(row["credits"])) for row in harness.all(t.entry) if row["kind"] == "charge")


def presumed(harness: LedgerHarness) -> int:
    """An unknown purchase that is a day old."""
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    presume_all(harness)
    return purchase_id


def presume_all(harness: LedgerHarness) -> int:
    harness.now += DAY
    return harness.ledger.operator.presume_charged(harness.now, harness.now)


def channels_of(harness: LedgerHarness, crm_id: str) -> list[int]:
    return [int(str(record_channel["id"])) for record_channel in harness.channels(crm_id)]


# -- presumed charged -------------------------------------------------------------------------------------------


def test_an_unknown_counts_as_charged_after_a_day_and_not_before(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    presume = harness.ledger.operator.presume_charged
    assert presume(harness.now, harness.now) == 0
    assert presume(harness.now + timedelta(microseconds=1), harness.now) == 1
    assert presume(harness.now + DAY, harness.now) == 0  # once
    assert harness.entries() == [HOLD, CHARGE]
    assert (harness.states(purchase_id), harness.purchase(purchase_id)["hold"]) == (["unknown"], "presumed")
    assert harness.all(t.entry)[1]["budget_day"] == "2026-11-20"  # the day of the hold


@pytest.mark.parametrize(
    ("result", "charged", "entries"),
    [
        (Result.DELIVERED, True, [HOLD, CHARGE]),
        (Result.FAILED, True, [HOLD, CHARGE]),
        (Result.NOT_FOUND, False, [HOLD, CHARGE, REVERSAL, RELEASE]),
    ],
)
def test_evidence_confirms_or_reverses_a_presumed_charge(
    harness: LedgerHarness, result: Result, charged: bool, entries: list[tuple[str, int]]
) -> None:
    purchase_id = presumed(harness)
    harness.finalize(purchase_id, result=result, charged=charged)
    assert harness.entries() == entries
    assert harness.purchase(purchase_id)["hold"] == ("charged" if charged else "released")


def test_a_late_answer_to_a_presumed_charge_is_adopted(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    batch = harness.batch()
    harness.lose(batch)
    presume_all(harness)
    harness.accept(batch)
    assert harness.states(purchase_id) == ["submitted"]
    harness.finalize(purchase_id)
    assert harness.entries() == [HOLD, CHARGE]


@pytest.mark.parametrize("kind", ["refused", "gone"])
def test_a_late_refusal_reverses_a_presumed_charge(harness: LedgerHarness, kind: str) -> None:
    (purchase_id,) = harness.plan("70011")
    batch = harness.batch()
    harness.lose(batch)
    presume_all(harness)
    if kind == "gone":
        harness.accept(batch, task=None, gone={purchase_id: "no match"})
    else:
        harness.refuse(batch)
    assert sorted(harness.entries(), key=str) == sorted([HOLD, CHARGE, REVERSAL, RELEASE], key=str)
    assert harness.purchase(purchase_id)["hold"] == "released"


def test_a_charged_repeat_reverses_the_presumed_charge(harness: LedgerHarness) -> None:
    purchase_id = presumed(harness)
    harness.allow_repeat(purchase_id)
    assert harness.entries() == [HOLD, CHARGE]
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    assert harness.used() == PRICE
    assert sorted(harness.entries(), key=str) == sorted([HOLD, CHARGE, HOLD, REVERSAL, RELEASE, CHARGE], key=str)


def test_a_free_repeat_confirms_the_presumed_charge(harness: LedgerHarness) -> None:
    purchase_id = presumed(harness)
    harness.allow_repeat(purchase_id)
    harness.accept(harness.batch(), task=None, check={purchase_id: True})
    harness.finalize(purchase_id)
    assert harness.entries() == [HOLD, CHARGE, HOLD, RELEASE]


def test_an_unsent_repeat_is_presumed_charged_after_a_day(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    harness.allow_repeat(purchase_id)
    harness.pass_time(90_000)
    assert harness.ledger.operator.presume_charged(harness.now - timedelta(days=1), harness.now) == 1
    assert harness.entries() == [HOLD, CHARGE]
    assert harness.ledger.operator.presume_charged(harness.now - timedelta(days=1), harness.now) == 0
    harness.assert_accounting_closes()
    harness.accept(harness.batch())  # selected again after all; then the second request is charged
    harness.finalize(purchase_id)
    assert harness.used() == PRICE


def test_of_two_lost_requests_only_one_stays_charged(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    harness.allow_repeat(purchase_id)
    harness.lose(harness.batch())
    assert presume_all(harness) == 2  # neither holds credits any more; the result reverses one of them
    harness.finalize(purchase_id, charged=True)
    assert harness.used() == PRICE


def test_an_unknown_person_releases_two_lost_requests_once(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    harness.allow_repeat(purchase_id)
    second = harness.batch()
    harness.lose(second)
    presume_all(harness)
    harness.accept(second, task=None, gone={purchase_id: "no match"})
    assert sorted(harness.entries(), key=str) == sorted([HOLD, CHARGE, REVERSAL, RELEASE] * 2, key=str)
    assert harness.states(purchase_id) == ["final"]


# -- operator decisions -----------------------------------------------------------------------------------------


def parked(harness: LedgerHarness, crm_id: str = "00Q1") -> int:
    """A record whose paid value the CRM did not accept; returns the purchase id."""
    harness.save(planned(crm_id, buying("70011")))
    purchase_id = harness.id_of("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    harness.mark_ready()
    reasons = dict.fromkeys(channels_of(harness, crm_id), "too long")
    record_id = harness.record_id(crm_id)
    finish = Finish(record_id, Outcome.PARKED, "too long", {}, closes=False, parked_version="v1|d", parked=reasons)
    harness.ledger.records.finish("run-1", [finish], harness.now)
    return purchase_id


def test_unknown_and_parked_purchases_are_listed_oldest_first(harness: LedgerHarness) -> None:
    assert harness.ledger.operator.needs_a_look() == []
    parked_id = parked(harness)
    harness.pass_time()
    (unknown_id, _) = harness.plan("70012", "70013")
    harness.lose(harness.batch(size=1))
    found = harness.ledger.operator.needs_a_look()
    assert [(each.id, each.parked) for each in found] == [(parked_id, True), (unknown_id, False)]
    harness.finalize(unknown_id, charged=True)


def test_an_operator_retries_a_parked_value(harness: LedgerHarness) -> None:
    purchase_id = parked(harness)
    assert harness.ledger.operator.retry_write(purchase_id) == 1
    assert harness.ledger.operator.retry_write(purchase_id) == 0
    assert harness.all(t.record)[0]["parked_version"] is None


def test_delivery_by_hand_closes_records_without_a_value(harness: LedgerHarness) -> None:
    purchase_id = presumed(harness)
    harness.finalize(purchase_id, charged=True, value="")
    harness.ledger.operator.delivered_by_hand(purchase_id, harness.now)
    (record_channel,) = harness.channels("lead-70011")
    assert (record_channel["state"], record_channel["outcome"], record_channel["reason"]) == (
        "ready",
        "delivered",
        "delivered by hand",
    )
    assert harness.purchase(purchase_id)["value"] is None


def test_a_permitted_repeat_of_a_failure_is_planned_again(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id, result=Result.FAILED, charged=True)
    harness.ledger.operator.allow_repeat(purchase_id)
    (record_channel,) = harness.channels("lead-70011")
    assert (record_channel["state"], record_channel["purchase_id"], record_channel["outcome"]) == (
        "deferred",
        None,
        "deferred",
    )
    snapshot = harness.ledger.snapshots.read("lead", {"x": person_with("70011")}, [LENSMOR])
    assert [purchase.repeat_allowed for purchase in snapshot.purchases.values()] == [True]
    harness.save(planned("lead-70011", buying("70011", generation=2)), run="run-2")
    (again,) = harness.channels("lead-70011")
    assert (again["state"], again["purchase_id"] == purchase_id) == ("open", False)
    harness.accept(harness.batch(run="run-2"))
    harness.finalize(harness.id_of("70011"))
    assert harness.used() == 2 * PRICE


# -- forgetting -------------------------------------------------------------------------------------------------


def test_forgetting_erases_a_record_and_keeps_the_entries(harness: LedgerHarness) -> None:
    purchase_id = parked(harness)
    harness.ledger.run_outcomes.keep_outcomes("run-1")
    entries = harness.entries()
    assert harness.ledger.operator.forget(["00Q1"]) == 1
    for table in (t.record, t.record_channel, t.run_record, t.change):
        assert harness.all(table) == []
    assert harness.entries() == entries
    row = harness.purchase(purchase_id)
    assert (row["value"], row["value_hash"], row["state"]) == (None, None, "final")
    assert harness.ledger.operator.forget(["00Q1"]) == 0


def test_forgetting_erases_a_person_without_a_sent_request(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70012")), planned("00Q3", buying("70012")))
    harness.ledger.operator.forget(["00Q1"])
    harness.ledger.operator.forget(["00Q2"])
    assert [row["person"] for row in harness.all(t.purchase)] == ["70012"]  # another record still waits for it
    harness.plan("70013", run="run-2")
    harness.lose(harness.batch(run="run-2"))
    harness.ledger.operator.forget(["lead-70013"])
    assert {row["person"] for row in harness.all(t.purchase)} == {"70012", "70013"}
    harness.finalize(*(int(str(row["id"])) for row in harness.all(t.purchase)))


def test_a_shared_value_stays_for_another_record(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70011")))
    purchase_id = harness.id_of("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    harness.ledger.operator.forget(["00Q1"])
    assert harness.ledger.records.purchase_views([purchase_id])[purchase_id].value == "ada@example.com"


def test_a_value_of_the_forgotten_record_only_is_erased(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70011")))
    purchase_id = harness.id_of("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    harness.finish(harness.record_id("00Q2"), *channels_of(harness, "00Q2"))  # written there already
    harness.ledger.operator.forget(["00Q1"])
    row = harness.purchase(purchase_id)
    assert row["value"] is None
    assert row["value_hash"] is not None  # the other record has the value


def test_an_identity_match_is_erased_with_its_last_record(harness: LedgerHarness) -> None:
    harness.ledger.planning.remember(LENSMOR, {link("ada-sample"): match_with("70011")}, harness.now)
    ada = person_with(linkedin="ada-sample")
    harness.save(planned("00Q1", buying("70011"), person=ada), planned("00Q2", buying("70011"), person=ada))
    harness.finalize(harness.id_of("70011"), charged=False)
    lookups = sa.select(sa.func.count().label("n")).select_from(t.identity_match)
    harness.ledger.operator.forget(["00Q1"])
    assert harness.rows(lookups) == [{"n": 1}]
    harness.ledger.operator.forget(["00Q2"])
    assert harness.rows(lookups) == [{"n": 0}]
