"""Presumed charges, an operator's word, and forgetting: the ledger's side of each, the books closed after it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledger_shelf import LENSMOR, PRICE, Shelf, buying, planned

from connector.core.model import Lookup, Outcome, Person, Result
from connector.store import tables as t
from connector.store.records import Finish

HOLD, CHARGE, RELEASE, TAKEN_BACK = ("hold", PRICE), ("charge", PRICE), ("release", PRICE), ("charge", -PRICE)
DAY = timedelta(days=1)


@pytest.fixture(name="shelf")
def _shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.assert_books_close()
    assert shelf.used() == sum(int(str(row["credits"])) for row in shelf.all(t.entry) if row["kind"] == "charge")


def presumed(shelf: Shelf) -> int:
    """An unknown that nobody has resolved for a day."""
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    presume_all(shelf)
    return unlock_id


def presume_all(shelf: Shelf) -> int:
    shelf.now += DAY
    return shelf.ledger.operator.presume_charged(shelf.now, shelf.now)


def wants_of(shelf: Shelf, crm_id: str) -> list[int]:
    return [int(str(want["id"])) for want in shelf.wants(crm_id)]


# -- presumed charged -------------------------------------------------------------------------------------------


def test_an_unknown_counts_as_charged_after_a_day_and_not_before(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    presume = shelf.ledger.operator.presume_charged
    assert presume(shelf.now, shelf.now) == 0
    assert presume(shelf.now + timedelta(microseconds=1), shelf.now) == 1
    assert presume(shelf.now + DAY, shelf.now) == 0  # once
    assert shelf.entries() == [HOLD, CHARGE]
    assert (shelf.states(unlock_id), shelf.unlock(unlock_id)["hold"]) == (["unknown"], "presumed")
    assert shelf.all(t.entry)[1]["budget_day"] == "2026-11-20"  # the day of the hold


@pytest.mark.parametrize(
    ("result", "charged", "entries"),
    [
        (Result.DELIVERED, True, [HOLD, CHARGE]),
        (Result.FAILED, True, [HOLD, CHARGE]),
        (Result.NOT_FOUND, False, [HOLD, CHARGE, TAKEN_BACK, RELEASE]),
    ],
)
def test_evidence_confirms_a_presumed_charge_or_takes_it_back(
    shelf: Shelf, result: Result, charged: bool, entries: list[tuple[str, int]]
) -> None:
    unlock_id = presumed(shelf)
    shelf.settle(unlock_id, result=result, charged=charged)
    assert shelf.entries() == entries
    assert shelf.unlock(unlock_id)["hold"] == ("charged" if charged else "released")


def test_a_late_answer_to_a_presumed_charge_is_adopted(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    batch = shelf.batch()
    shelf.lose(batch)
    presume_all(shelf)
    shelf.accept(batch)
    assert shelf.states(unlock_id) == ["submitted"]
    shelf.settle(unlock_id)
    assert shelf.entries() == [HOLD, CHARGE]


@pytest.mark.parametrize("word", ["refused", "gone"])
def test_a_late_refusal_takes_a_presumed_charge_back(shelf: Shelf, word: str) -> None:
    (unlock_id,) = shelf.plan("70011")
    batch = shelf.batch()
    shelf.lose(batch)
    presume_all(shelf)
    if word == "gone":
        shelf.accept(batch, task=None, gone={unlock_id: "knows nobody"})
    else:
        shelf.refuse(batch)
    assert sorted(shelf.entries(), key=str) == sorted([HOLD, CHARGE, TAKEN_BACK, RELEASE], key=str)
    assert shelf.unlock(unlock_id)["hold"] == "released"


def test_a_presumed_charge_is_taken_back_when_the_repeat_is_charged(shelf: Shelf) -> None:
    unlock_id = presumed(shelf)
    shelf.allow_repeat(unlock_id)
    assert shelf.entries() == [HOLD, CHARGE]
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    assert shelf.used() == PRICE
    assert sorted(shelf.entries(), key=str) == sorted([HOLD, CHARGE, HOLD, TAKEN_BACK, RELEASE, CHARGE], key=str)


def test_a_presumed_charge_stays_when_the_repeat_finds_it_was_taken(shelf: Shelf) -> None:
    unlock_id = presumed(shelf)
    shelf.allow_repeat(unlock_id)
    shelf.accept(shelf.batch(), task=None, check={unlock_id: True})
    shelf.settle(unlock_id)
    assert shelf.entries() == [HOLD, CHARGE, HOLD, RELEASE]


def test_a_permitted_repeat_that_nobody_sends_is_presumed_charged_after_a_day(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    shelf.allow_repeat(unlock_id)
    shelf.pass_time(90_000)
    assert shelf.ledger.operator.presume_charged(shelf.now - timedelta(days=1), shelf.now) == 1
    assert shelf.entries() == [HOLD, CHARGE]
    assert shelf.ledger.operator.presume_charged(shelf.now - timedelta(days=1), shelf.now) == 0
    shelf.assert_books_close()
    shelf.accept(shelf.batch())  # wanted again after all, and the second request is the one that is charged
    shelf.settle(unlock_id)
    assert shelf.used() == PRICE


def test_of_two_lost_requests_one_is_charged_also_when_the_second_was_presumed(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    shelf.allow_repeat(unlock_id)
    shelf.lose(shelf.batch())
    assert presume_all(shelf) == 2  # neither blocks the balance any more; the last word takes one of them back
    shelf.settle(unlock_id, charged=True)
    assert shelf.used() == PRICE


def test_nobody_there_gives_both_of_two_lost_requests_back_once(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    shelf.allow_repeat(unlock_id)
    second = shelf.batch()
    shelf.lose(second)
    presume_all(shelf)
    shelf.accept(second, task=None, gone={unlock_id: "knows nobody"})
    assert sorted(shelf.entries(), key=str) == sorted([HOLD, CHARGE, TAKEN_BACK, RELEASE] * 2, key=str)
    assert shelf.states(unlock_id) == ["final"]


# -- an operator's word -----------------------------------------------------------------------------------------


def parked(shelf: Shelf, crm_id: str = "00Q1") -> int:
    """A record whose paid value the CRM did not take."""
    shelf.save(planned(crm_id, buying("70011")))
    unlock_id = shelf.id_of("70011")
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    shelf.ledger.records.mark_ready(wants_of(shelf, crm_id))
    reasons = dict.fromkeys(wants_of(shelf, crm_id), "too long")
    record_id = shelf.record_id(crm_id)
    finish = Finish(record_id, Outcome.PARKED, "too long", {}, closes=False, parked_version="v1|d", parked=reasons)
    shelf.ledger.records.finish([finish], shelf.now)
    return unlock_id


def test_unknown_and_parked_ones_need_a_look_oldest_first(shelf: Shelf) -> None:
    assert shelf.ledger.operator.needs_a_look() == []
    parked_id = parked(shelf)
    shelf.pass_time()
    (unknown_id, _) = shelf.plan("70012", "70013")
    shelf.lose(shelf.batch(size=1))
    found = shelf.ledger.operator.needs_a_look()
    assert [(each.id, each.parked) for each in found] == [(parked_id, True), (unknown_id, False)]
    shelf.settle(unknown_id, charged=True)


def test_a_parked_value_is_offered_again_on_a_word(shelf: Shelf) -> None:
    unlock_id = parked(shelf)
    assert shelf.ledger.operator.retry_write(unlock_id) == 1
    assert shelf.ledger.operator.retry_write(unlock_id) == 0
    assert shelf.all(t.record)[0]["parked_version"] is None


def test_what_was_delivered_by_hand_closes_its_records_without_a_value(shelf: Shelf) -> None:
    unlock_id = presumed(shelf)
    shelf.settle(unlock_id, charged=True, value="")
    shelf.ledger.operator.delivered_by_hand(unlock_id, shelf.now)
    (want,) = shelf.wants("lead-70011")
    assert (want["state"], want["outcome"], want["reason"]) == ("ready", "delivered", "delivered by hand")
    assert shelf.unlock(unlock_id)["value"] is None


def test_a_permitted_repeat_of_a_failure_is_planned_anew(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id, result=Result.FAILED, charged=True)
    shelf.ledger.operator.allow_repeat(unlock_id)
    (want,) = shelf.wants("lead-70011")
    assert (want["state"], want["unlock_id"], want["outcome"]) == ("held", None, "deferred")
    known = shelf.ledger.planning.known("lead", {"x": Person("70011")}, [LENSMOR])
    assert [unlock.repeat_allowed for unlock in known.unlocks.values()] == [True]
    shelf.save(planned("lead-70011", buying("70011", generation=2)), run="run-2")
    (again,) = shelf.wants("lead-70011")
    assert (again["state"], again["unlock_id"] == unlock_id) == ("open", False)
    shelf.accept(shelf.batch(run="run-2"))
    shelf.settle(shelf.id_of("70011"))
    assert shelf.used() == 2 * PRICE


# -- forgetting -------------------------------------------------------------------------------------------------


def test_forgetting_erases_a_record_and_keeps_the_money(shelf: Shelf) -> None:
    unlock_id = parked(shelf)
    shelf.ledger.records.snapshot("run-1")
    entries = shelf.entries()
    assert shelf.ledger.operator.forget(["00Q1"]) == 1
    for table in (t.record, t.want, t.run_record, t.change):
        assert shelf.all(table) == []
    assert shelf.entries() == entries
    row = shelf.unlock(unlock_id)
    assert (row["value"], row["value_hash"], row["state"]) == (None, None, "final")
    assert shelf.ledger.operator.forget(["00Q1"]) == 0


def test_forgetting_leaves_no_trace_of_a_person_for_whom_nothing_was_sent(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70012")), planned("00Q3", buying("70012")))
    shelf.ledger.operator.forget(["00Q1"])
    shelf.ledger.operator.forget(["00Q2"])
    assert [row["person"] for row in shelf.all(t.unlock)] == ["70012"]  # somebody else still waits for this one
    shelf.plan("70013", run="run-2")
    shelf.lose(shelf.batch(run="run-2"))
    shelf.ledger.operator.forget(["lead-70013"])
    assert {row["person"] for row in shelf.all(t.unlock)} == {"70012", "70013"}
    shelf.settle(*(int(str(row["id"])) for row in shelf.all(t.unlock)))


def test_a_shared_unlock_keeps_what_another_record_waits_for(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70011")))
    unlock_id = shelf.id_of("70011")
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    shelf.ledger.operator.forget(["00Q1"])
    assert shelf.ledger.records.words_of([unlock_id])[unlock_id].value == "ada@example.com"


def test_a_value_that_only_the_forgotten_record_waited_for_is_erased(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70011")))
    unlock_id = shelf.id_of("70011")
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    shelf.finish(shelf.record_id("00Q2"), *wants_of(shelf, "00Q2"))  # written there already
    shelf.ledger.operator.forget(["00Q1"])
    row = shelf.unlock(unlock_id)
    assert row["value"] is None
    assert row["value_hash"] is not None  # the other record is still known to have it


def test_a_remembered_lookup_goes_with_the_last_record_of_its_name(shelf: Shelf) -> None:
    shelf.ledger.planning.remember(LENSMOR, "ada-sample", Lookup("70011"), shelf.now)
    ada = Person(linkedin="ada-sample")
    shelf.save(planned("00Q1", buying("70011"), person=ada), planned("00Q2", buying("70011"), person=ada))
    shelf.settle(shelf.id_of("70011"), charged=False)
    lookups = sa.select(sa.func.count().label("n")).select_from(t.lookup)
    shelf.ledger.operator.forget(["00Q1"])
    assert shelf.rows(lookups) == [{"n": 1}]
    shelf.ledger.operator.forget(["00Q2"])
    assert shelf.rows(lookups) == [{"n": 0}]
