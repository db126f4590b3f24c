"""Answers to paid requests, refusals, losses and late words: told as stories, the books closed after each."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from ledger_shelf import EMAIL, PRICE, Shelf, planned

from connector.core.model import Result
from connector.core.plan import Join
from connector.store import tables as t

HOLD, CHARGE, RELEASE = ("hold", PRICE), ("charge", PRICE), ("release", PRICE)


@pytest.fixture(name="shelf")
def _shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.assert_books_close()


# -- the usual ways ---------------------------------------------------------------------------------------------


def test_accepted_polled_delivered_charged(shelf: Shelf) -> None:
    first, second = shelf.plan("70011", "70012")
    batch = shelf.batch()
    shelf.accept(batch)
    assert shelf.states(first, second) == ["submitted", "submitted"]
    (task,) = shelf.due_tasks()
    assert (task.vendor_id, task.channel, task.polls) == ("task-1", EMAIL, 0)
    assert shelf.ledger.results.people_of(task) == {"70011": first, "70012": second}
    assert shelf.settle(first) == [first]
    assert shelf.settle(second, result=Result.NOT_FOUND, charged=False) == [second]
    assert shelf.entries() == [("hold", 2 * PRICE), CHARGE, RELEASE]
    assert shelf.ledger.results.people_of(task) == {}
    assert (shelf.unlock(first)["result"], shelf.unlock(first)["hold"]) == ("delivered", "charged")
    assert (shelf.unlock(second)["result"], shelf.unlock(second)["hold"]) == ("not_found", "released")


@pytest.mark.parametrize("result", Result)
def test_settling_twice_is_settling_once(shelf: Shelf, result: Result) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    assert shelf.settle(unlock_id) == [unlock_id]
    before, entries = shelf.unlock(unlock_id), shelf.entries()
    shelf.pass_time()
    assert shelf.settle(unlock_id, result=result, charged=False) == []
    assert (shelf.unlock(unlock_id), shelf.entries()) == (before, entries)


def test_an_answer_is_adopted_once(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    batch = shelf.batch()
    shelf.accept(batch)
    shelf.accept(batch, task="task-2")
    shelf.refuse(batch)
    shelf.lose(batch)
    assert [row["vendor_id"] for row in shelf.all(t.task)] == ["task-1"]
    assert shelf.states(unlock_id) == ["submitted"]
    assert shelf.entries() == [HOLD]


def test_a_definite_refusal_gives_back_and_frees(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.refuse(shelf.batch())
    row = shelf.unlock(unlock_id)
    assert (row["state"], row["hold"], row["attempt_id"], row["reason"]) == ("planned", "released", None, "refused")
    assert shelf.entries() == [HOLD, RELEASE]
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    assert shelf.entries() == [HOLD, RELEASE, HOLD, CHARGE]


def test_a_refusal_of_a_part_leaves_the_rest_waiting(shelf: Shelf) -> None:
    first, second = shelf.plan("70011", "70012")
    batch = shelf.batch()
    shelf.refuse(batch, first, whole=False)
    shelf.refuse(batch, first, whole=False)
    assert shelf.states(first, second) == ["planned", "submitting"]
    assert shelf.entries() == [("hold", 2 * PRICE), RELEASE]
    shelf.accept(batch)
    assert shelf.states(first, second) == ["planned", "submitted"]


def test_an_answer_may_name_each_person_differently(shelf: Shelf) -> None:
    at_work, unlocked, unexplained, nobody, elsewhere = shelf.plan(*(str(n) for n in range(70011, 70016)))
    batch = shelf.batch()
    shelf.accept(batch, check={unlocked: True, unexplained: False}, gone={nobody: "knows nobody"}, back=[elsewhere])
    assert shelf.states(at_work, unlocked, unexplained, nobody, elsewhere) == [
        "submitted", "submitted", "submitted", "final", "planned",
    ]  # fmt: skip
    (task,) = shelf.due_tasks()
    assert list(shelf.ledger.results.people_of(task).values()) == [at_work]
    assert [row.id for row in shelf.due_checks()] == [unlocked, unexplained]
    assert (shelf.unlock(nobody)["result"], shelf.unlock(nobody)["reason"]) == ("failed", "knows nobody")
    assert shelf.entries() == [("hold", 5 * PRICE), RELEASE, RELEASE]
    shelf.settle(at_work, unlocked, unexplained)
    # Already unlocked is free; what nobody explained is presumed charged.
    assert sorted(shelf.entries()[3:]) == [("charge", 2 * PRICE), RELEASE]


# -- lost answers -----------------------------------------------------------------------------------------------


def test_a_lost_answer_keeps_its_hold_and_asks_the_vendor(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    assert shelf.states(unlock_id) == ["unknown"]
    assert [row["state"] for row in shelf.all(t.attempt)] == ["lost"]
    (check,) = shelf.due_checks()
    assert (check.id, check.checks, check.resubmitted) == (unlock_id, 0, 0)
    assert shelf.take() is None
    assert shelf.entries() == [HOLD]
    shelf.settle(unlock_id)
    assert shelf.entries() == [HOLD, CHARGE]


def test_a_late_answer_after_a_loss_is_adopted(shelf: Shelf) -> None:
    first, second = shelf.plan("70011", "70012")
    batch = shelf.batch()
    shelf.lose(batch)
    shelf.accept(batch, task="late", check={second: True})
    assert shelf.states(first, second) == ["submitted", "submitted"]
    (task,) = shelf.due_tasks()
    assert task.vendor_id == "late"
    assert list(shelf.ledger.results.people_of(task)) == ["70011"]
    shelf.settle(first, second)
    assert shelf.entries() == [("hold", 2 * PRICE), CHARGE, RELEASE]


def test_a_late_refusal_after_a_loss_frees(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    batch = shelf.batch()
    shelf.lose(batch)
    shelf.refuse(batch)
    assert shelf.states(unlock_id) == ["planned"]
    assert shelf.entries() == [HOLD, RELEASE]


def test_a_late_answer_before_the_permitted_repeat_left_spares_it(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011", mapping="lead")
    batch = shelf.batch()
    shelf.lose(batch)
    shelf.allow_repeat(unlock_id)
    shelf.plan("70011", mapping="contact")  # another mapping's run joins, and would pay for the repeat
    shelf.accept(batch, task="late")
    assert shelf.states(unlock_id) == ["submitted"]
    assert (shelf.unlock(unlock_id)["mapping"], shelf.unlock(unlock_id)["prior_attempt_id"]) == ("lead", None)
    assert shelf.take() is None
    (task,) = shelf.due_tasks()
    assert shelf.ledger.results.people_of(task) == {"70011": unlock_id}
    shelf.settle(unlock_id)
    assert shelf.entries() == [HOLD, CHARGE]


@pytest.mark.parametrize("sent", [False, True])
def test_a_late_refusal_after_a_permitted_repeat_frees_the_first_hold(shelf: Shelf, sent: bool) -> None:
    (unlock_id,) = shelf.plan("70011")
    first = shelf.batch()
    shelf.lose(first)
    shelf.allow_repeat(unlock_id)
    shelf.pass_time()
    second = shelf.batch() if sent else None
    shelf.refuse(first, unlock_id)
    assert shelf.states(unlock_id) == ["submitting" if sent else "planned"]
    assert shelf.used() == (PRICE if sent else 0)
    shelf.accept(second or shelf.batch())
    shelf.settle(unlock_id)
    assert shelf.used() == PRICE
    assert attempt_of(shelf, "charge") == [1]


def test_a_repeat_that_another_mapping_joins_is_given_back_to_the_first_ones_caps(shelf: Shelf) -> None:
    unlock_id = lost_and_repeated(shelf)
    shelf.save(planned("contact-1", Join(shelf.known_unlock("70011"), 0)), run="run-2", mapping="contact")
    shelf.accept(shelf.batch(run="run-2"))
    shelf.settle(unlock_id)
    by_mapping = {(row["mapping"], row["kind"]) for row in shelf.all(t.entry)}
    assert by_mapping == {("lead", "hold"), ("lead", "release"), ("contact", "hold"), ("contact", "charge")}


@pytest.mark.parametrize("word", ["gone", "back", "check", "task"])
def test_a_late_answer_about_what_is_settled_changes_nothing(shelf: Shelf, word: str) -> None:
    settled, other = shelf.plan("70011", "70012")
    batch = shelf.batch()
    shelf.lose(batch)
    shelf.settle(settled)
    before = shelf.unlock(settled)
    shelf.accept(
        batch,
        gone={settled: "knows nobody"} if word == "gone" else {},
        back=[settled] if word == "back" else [],
        check={settled: True} if word == "check" else {},
    )
    assert shelf.unlock(settled) == before
    assert shelf.states(other) == ["submitted"]
    assert shelf.entries() == [("hold", 2 * PRICE), CHARGE]


def test_every_request_of_a_dead_process_is_unknown(shelf: Shelf) -> None:
    dead, answered, refused = shelf.plan("70011", "70012", "70013")
    shelf.batch(size=1)
    shelf.accept(shelf.batch(size=1))
    shelf.refuse(shelf.batch(size=1))
    later = shelf.now + timedelta(minutes=1)
    orphaned = shelf.ledger.attempts.orphaned
    assert orphaned({("lensmor", "second"): later, ("salesfinity", "default"): later}, shelf.now) == 0
    assert orphaned({("lensmor", "default"): later}, shelf.now) == 1
    assert orphaned({("lensmor", "default"): later}, shelf.now) == 0
    assert shelf.states(dead, answered, refused) == ["unknown", "submitted", "planned"]
    assert shelf.unlock(dead)["check_at"] == later
    assert shelf.due_checks() == []


def test_where_nothing_can_be_read_an_orphan_waits_for_a_person(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.batch()
    shelf.ledger.attempts.orphaned({("lensmor", "default"): None}, shelf.now)
    assert (shelf.states(unlock_id), shelf.unlock(unlock_id)["check_at"]) == (["unknown"], None)


# -- one permitted resubmission ---------------------------------------------------------------------------------


def lost_and_repeated(shelf: Shelf) -> int:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    shelf.allow_repeat(unlock_id)
    return unlock_id


def test_a_repeat_keeps_the_first_hold_and_takes_its_own(shelf: Shelf) -> None:
    unlock_id = lost_and_repeated(shelf)
    row = shelf.unlock(unlock_id)
    assert (row["state"], row["resubmitted"], row["hold"]) == ("planned", 1, "")
    assert row["prior_attempt_id"] == shelf.all(t.attempt)[0]["id"]
    shelf.batch()
    assert shelf.entries() == [HOLD, HOLD]
    assert shelf.used() == 2 * PRICE


def attempt_of(shelf: Shelf, kind: str) -> list[object]:
    """The attempts that entries of a kind belong to, as their places in the order of submission."""
    order = [row["id"] for row in sorted(shelf.all(t.attempt), key=lambda row: str(row["created_at"]))]
    return [order.index(row["attempt_id"]) for row in shelf.all(t.entry) if row["kind"] == kind]


@pytest.mark.parametrize(
    ("free", "charged", "charges", "releases"),
    [
        (True, True, [0], [1]),  # "already unlocked": it was the first
        (False, True, [1], [0]),  # a task of its own: it was the second
        (True, False, [], [0, 1]),
        (False, False, [], [0, 1]),
    ],
)
def test_the_second_answer_tells_which_of_the_two_was_charged(
    shelf: Shelf, free: bool, charged: bool, charges: list[int], releases: list[int]
) -> None:
    unlock_id = lost_and_repeated(shelf)
    shelf.pass_time()
    batch = shelf.batch()
    shelf.accept(batch, task=None, check={unlock_id: True}) if free else shelf.accept(batch)
    result = Result.DELIVERED if charged else Result.FAILED
    shelf.settle(unlock_id, result=result, charged=charged)
    assert attempt_of(shelf, "charge") == charges
    assert sorted(map(str, attempt_of(shelf, "release"))) == sorted(map(str, releases))
    assert shelf.unlock(unlock_id)["prior_attempt_id"] is None


def test_a_repeat_that_the_vendor_refuses_as_nobody_gives_both_back(shelf: Shelf) -> None:
    unlock_id = lost_and_repeated(shelf)
    shelf.accept(shelf.batch(), task=None, gone={unlock_id: "knows nobody"})
    assert shelf.states(unlock_id) == ["final"]
    assert shelf.used() == 0
    assert shelf.unlock(unlock_id)["prior_attempt_id"] is None


def test_a_refused_repeat_whose_value_is_shown_was_the_first_ones(shelf: Shelf) -> None:
    unlock_id = lost_and_repeated(shelf)
    shelf.pass_time()
    shelf.refuse(shelf.batch())
    shelf.settle(unlock_id, charged=True)
    assert attempt_of(shelf, "charge") == [0]
    assert attempt_of(shelf, "release") == [1]


def test_a_value_shown_before_the_repeat_leaves_was_the_first_ones(shelf: Shelf) -> None:
    unlock_id = lost_and_repeated(shelf)
    shelf.settle(unlock_id, charged=True)
    assert shelf.entries() == [HOLD, CHARGE]


def test_a_repeat_that_is_lost_too_and_allowed_again_presumes_the_oldest_charged(shelf: Shelf) -> None:
    unlock_id = lost_and_repeated(shelf)
    shelf.pass_time()
    shelf.lose(shelf.batch())
    shelf.assert_books_close()
    shelf.allow_repeat(unlock_id)
    shelf.assert_books_close()
    assert attempt_of(shelf, "charge") == [0]
    shelf.pass_time()
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    assert attempt_of(shelf, "charge") == [0, 2]
    assert attempt_of(shelf, "release") == [1]


def test_a_repeat_is_allowed_once_per_look(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    check = shelf.check_row(unlock_id)
    shelf.ledger.results.allow_repeat(check, "no trace", shelf.now)
    shelf.lose(shelf.batch())
    shelf.ledger.results.allow_repeat(check, "no trace", shelf.now)  # the same look, told twice
    assert (shelf.states(unlock_id), shelf.unlock(unlock_id)["resubmitted"]) == (["unknown"], 1)


@pytest.mark.parametrize("state", ["planned", "submitting", "submitted", "final"])
def test_only_an_unknown_unlock_may_be_repeated(shelf: Shelf, state: str) -> None:
    (unlock_id,) = shelf.plan("70011")
    if state != "planned":
        batch = shelf.batch()
        if state != "submitting":
            shelf.accept(batch)
        if state == "final":
            shelf.settle(unlock_id)
    before = shelf.unlock(unlock_id)
    shelf.allow_repeat(unlock_id)
    assert shelf.unlock(unlock_id) == before


# -- the books --------------------------------------------------------------------------------------------------


def test_books_that_do_not_close_are_told() -> None:
    shelf = Shelf()
    shelf.plan("70011")
    shelf.batch()
    with shelf.ledger.database.write() as connection:
        connection.execute(t.unlock.update().values(hold="released"))
    assert "entries hold 15 credits, unlocks 0" in shelf.ledger.credits.imbalance()


def test_totals_are_sums_of_entries(shelf: Shelf) -> None:
    ids = shelf.plan("70011", "70012", "70013")
    shelf.accept(shelf.batch())
    newest = shelf.ledger.credits.newest_entry()
    shelf.settle(ids[0])
    shelf.settle(ids[1], result=Result.NOT_FOUND, charged=False)
    totals = shelf.ledger.credits.totals()["lensmor"]
    assert (totals.held, totals.charged, totals.released, totals.open) == (45, 15, 15, 15)
    assert shelf.ledger.credits.totals("run-1") == {"lensmor": totals}
    assert shelf.ledger.credits.totals("run-2") == {}
    assert shelf.ledger.credits.charged_since(newest) == {"lensmor": 15}
    assert shelf.ledger.credits.by_month() == [("2026-11", "lensmor", "lead", totals)]
