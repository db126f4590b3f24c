"""What is due, and what reads of tasks and people change: looks told twice count once, and nothing waits for ever."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from ledger_shelf import LENSMOR, PRICE, START, Shelf

from connector.core.model import Result
from connector.core.person import IdentifiedBy, Source

HOLD, CHARGE = ("hold", PRICE), ("charge", PRICE)
SECOND = Source("lensmor", "second", LENSMOR.prices, IdentifiedBy.PERSONNEL_ID)
HOUR = timedelta(hours=1)


@pytest.fixture(name="shelf")
def _shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.assert_books_close()


# -- evidence, reads and tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [Result.NOT_FOUND, Result.FAILED])
def test_free_evidence_turns_nothing_into_delivered_and_never_the_reverse(shelf: Shelf, result: Result) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    improve = shelf.ledger.results.improve
    assert not improve(unlock_id, "ada@example.com", shelf.now)  # nothing is final yet
    shelf.settle(unlock_id, result=result, charged=False)
    entries = shelf.entries()
    assert improve(unlock_id, "ada@example.com", shelf.now)
    assert not improve(unlock_id, "other@example.com", shelf.now)
    word = shelf.ledger.records.words_of([unlock_id])[unlock_id]
    assert (word.result, word.value) == (Result.DELIVERED, "ada@example.com")
    assert shelf.entries() == entries


def test_what_a_late_answer_of_our_own_brings_is_charged_after_all(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    batch = shelf.batch()
    shelf.lose(batch)
    shelf.settle(unlock_id, result=Result.FAILED, charged=False)
    shelf.pass_time()
    shelf.accept(batch, task="late")
    (task,) = shelf.due_tasks()
    assert shelf.ledger.results.people_of(task) == {}
    assert shelf.ledger.results.given_up_in(task) == {"70011": unlock_id}
    assert shelf.ledger.results.improve(unlock_id, "ada@example.com", shelf.now, charged=True)
    assert shelf.used() == PRICE
    assert shelf.unlock(unlock_id)["hold"] == "charged"
    assert shelf.ledger.results.given_up_in(task) == {}
    shelf.assert_books_close()


def test_a_value_shown_for_a_planned_unlock_costs_nothing(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    assert shelf.settle(unlock_id, charged=False) == [unlock_id]
    assert shelf.entries() == []
    assert shelf.take() is None


def test_reads_of_a_person_are_counted_and_end_in_a_purchase_or_a_task(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    again = shelf.ledger.results.check_again
    later = shelf.now + timedelta(minutes=5)
    again(shelf.check_row(unlock_id), later, running=False, now=shelf.now)
    assert shelf.due_checks() == []
    (check,) = shelf.due_checks(later)
    assert check.checks == 1
    again(check, later, running=True, now=later)
    assert (shelf.states(unlock_id), shelf.unlock(unlock_id)["checks"]) == (["submitted"], 0)
    shelf.settle(unlock_id)
    assert shelf.due_checks(later) == []
    assert shelf.entries() == [HOLD, CHARGE]


def test_a_task_is_polled_in_its_order_and_ends_once(shelf: Shelf) -> None:
    first, second = shelf.plan("70011", "70012")
    shelf.accept(shelf.batch(size=1), task="a")
    shelf.accept(shelf.batch(size=1), task="b")
    results = shelf.ledger.results
    one, two = shelf.due_tasks()
    results.polled(one, shelf.now + timedelta(seconds=20))
    results.polled(one, shelf.now)  # the same look, told twice
    assert [task.vendor_id for task in shelf.due_tasks()] == ["b"]
    assert results.next_due("run-1", START, ["lensmor"], shelf.now, shelf.now + timedelta(hours=1)) == shelf.now
    results.task_ended(two, [second], shelf.now, "ended without a word")
    assert shelf.due_tasks() == []
    (check,) = shelf.due_checks()
    assert (check.id, check.reason) == (second, "ended without a word")
    later = shelf.now + timedelta(seconds=20)
    assert [task.polls for task in shelf.due_tasks(later)] == [1]
    assert shelf.states(first, second) == ["submitted", "submitted"]


def test_a_task_that_vanished_leaves_unknowns_with_their_hold(shelf: Shelf) -> None:
    done, open_one = shelf.plan("70011", "70012")
    shelf.accept(shelf.batch())
    shelf.settle(done)
    (task,) = shelf.due_tasks()
    shelf.ledger.results.task_vanished(task, "no longer known", shelf.now)
    assert shelf.states(done, open_one) == ["final", "unknown"]
    assert shelf.due_tasks() == []
    assert shelf.used() == 2 * PRICE


# -- whose turn it is -------------------------------------------------------------------------------------------


def test_a_runs_own_tasks_are_told_from_older_ones_that_get_one_look(shelf: Shelf) -> None:
    shelf.plan("70011", "70012")
    shelf.now = START - HOUR
    shelf.accept(shelf.batch(size=1), task="old")
    shelf.now = START
    shelf.accept(shelf.batch(size=1), task="own")
    assert [task.vendor_id for task in shelf.due_tasks()] == ["own"]
    (old,) = shelf.due_tasks(older=True)
    assert old.vendor_id == "old"
    looked = shelf.ledger.results.due_tasks(LENSMOR, shelf.now, START, {old.id}, older=True)
    assert looked == []


def test_another_accounts_work_is_left_to_it(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    results, attempts = shelf.ledger.results, shelf.ledger.attempts
    assert attempts.groups(SECOND, "run-1", shelf.now) == []
    shelf.lose(shelf.batch())
    assert results.due_checks(SECOND, shelf.now) == []
    shelf.settle(unlock_id)
    shelf.plan("70012")
    shelf.accept(shelf.batch())
    assert results.due_tasks(SECOND, shelf.now, START, older=False) == []


def test_the_next_thing_due_is_the_soonest_that_the_run_waits_for(shelf: Shelf) -> None:
    task_one, read_one, later_one = shelf.plan("70011", "70012", "70013")
    soon = shelf.now + timedelta(minutes=9)

    def due(until: timedelta = HOUR, providers: tuple[str, ...] = ("lensmor",), run: str = "run-1") -> object:
        found = shelf.ledger.results.next_due(run, START, providers, shelf.now, shelf.now + until)
        return None if found is None else (found - START) / timedelta(minutes=1)

    assert due() is None  # what is planned and may go waits for nothing but a cap
    batch = shelf.batch(size=1)
    shelf.ledger.attempts.accept(batch.attempt_id, "t", soon, {}, {}, [], shelf.now)
    assert due() == 9
    shelf.ledger.attempts.lost(shelf.batch(size=1).attempt_id, START + timedelta(minutes=5), shelf.now)
    assert due() == 5
    refused = shelf.batch(size=1)
    until = START + timedelta(minutes=3)
    shelf.ledger.attempts.give_back(refused.attempt_id, [later_one], "429", until, shelf.now)
    assert due() == 3
    assert due(until=timedelta(minutes=2)) is None
    assert due(providers=()) is None
    assert due(run="run-2") == 9  # tasks are told by their time, the rest by its run
    shelf.settle(read_one)
    shelf.settle(later_one, charged=False)
    assert due() == 9
    (task,) = shelf.due_tasks(soon)
    shelf.ledger.results.task_ended(task, [], shelf.now, "")
    shelf.settle(task_one)
    assert due() is None


def test_what_failed_to_be_read_lets_others_come_first(shelf: Shelf) -> None:
    first, second = shelf.plan("70011", "70012")
    shelf.accept(shelf.batch(size=1), task="a")
    shelf.lose(shelf.batch(size=1))
    later = shelf.now + timedelta(minutes=1)
    (task,), (check,) = shelf.due_tasks(), shelf.due_checks()
    shelf.ledger.results.postpone(task, later)
    shelf.ledger.results.postpone_check(check, later)
    assert (shelf.due_tasks(), shelf.due_checks()) == ([], [])
    assert ([t.id for t in shelf.due_tasks(later)], [c.id for c in shelf.due_checks(later)]) == ([task.id], [second])
    assert (shelf.due_tasks(later)[0].polls, shelf.due_checks(later)[0].checks) == (0, 0)
    shelf.settle(first)


def test_a_failed_read_does_not_call_for_another_once_there_is_a_word(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.lose(shelf.batch())
    (check,) = shelf.due_checks()
    shelf.settle(unlock_id)  # by another thread, meanwhile
    shelf.ledger.results.postpone_check(check, shelf.now)
    assert shelf.unlock(unlock_id)["check_at"] is None
    assert shelf.ledger.results.next_due("run-1", START, ["lensmor"], shelf.now, shelf.now + HOUR) is None
