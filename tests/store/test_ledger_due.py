"""Due polls and reads, and the changes that they make: the same read counts once, and nothing waits for ever."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from ledger_harness import LENSMOR, PRICE, START, LedgerHarness
from persons import pid

from connector.core.model import Result
from connector.core.person import Source
from connector.providers.lensmor.identifiers import PERSONNEL_ID
from connector.store.rows import RequestAnswer, RequestRefusal

HOLD, CHARGE = ("hold", PRICE), ("charge", PRICE)
SECOND = Source("lensmor", "second", LENSMOR.prices, (PERSONNEL_ID,))
HOUR = timedelta(hours=1)


@pytest.fixture(name="harness")
def _harness() -> Iterator[LedgerHarness]:
    harness = LedgerHarness()
    yield harness
    harness.assert_accounting_closes()


# -- evidence, reads and tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [Result.NOT_FOUND, Result.FAILED])
def test_free_evidence_improves_a_result_and_never_worsens_it(harness: LedgerHarness, result: Result) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.accept(harness.batch())
    improve = harness.ledger.results.improve
    assert not improve(purchase_id, "ada@example.com", harness.now)  # not final yet
    harness.finalize(purchase_id, result=result, charged=False)
    entries = harness.entries()
    assert improve(purchase_id, "ada@example.com", harness.now)
    assert not improve(purchase_id, "other@example.com", harness.now)
    view = harness.ledger.records.purchase_views([purchase_id])[purchase_id]
    assert (view.result, view.value) == (Result.DELIVERED, "ada@example.com")
    assert harness.entries() == entries


def test_a_value_from_a_late_own_answer_is_charged(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    batch = harness.batch()
    harness.lose(batch)
    harness.finalize(purchase_id, result=Result.FAILED, charged=False)
    harness.pass_time()
    harness.accept(batch, task="late")
    (task,) = harness.due_tasks()
    assert harness.ledger.polls.people_in(task).waiting == {}
    assert harness.ledger.polls.people_in(task).given_up == {pid("70011"): purchase_id}
    assert harness.ledger.results.improve(purchase_id, "ada@example.com", harness.now, charged=True)
    assert harness.used() == PRICE
    assert harness.purchase(purchase_id)["hold"] == "charged"
    assert harness.ledger.polls.people_in(task).given_up == {}
    harness.assert_accounting_closes()


def test_a_value_shown_for_a_planned_purchase_is_free(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    assert harness.finalize(purchase_id, charged=False) == [purchase_id]
    assert harness.entries() == []
    assert harness.take() is None


def test_reads_of_a_person_are_counted(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    again = harness.ledger.polls.check_again
    later = harness.now + timedelta(minutes=5)
    again(harness.check_row(purchase_id), later, running=False, now=harness.now)
    assert harness.due_checks() == []
    (check,) = harness.due_checks(later)
    assert check.checks == 1
    again(check, later, running=True, now=later)
    assert (harness.states(purchase_id), harness.purchase(purchase_id)["checks"]) == (["submitted"], 0)
    harness.finalize(purchase_id)
    assert harness.due_checks(later) == []
    assert harness.entries() == [HOLD, CHARGE]


def test_a_task_is_polled_in_order_and_ends_once(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    harness.accept(harness.batch(size=1), task="a")
    harness.accept(harness.batch(size=1), task="b")
    polls = harness.ledger.polls
    one, two = harness.due_tasks()
    polls.polled(one, harness.now + timedelta(seconds=20))
    polls.polled(one, harness.now)  # the same poll again
    assert [task.provider_task_id for task in harness.due_tasks()] == ["b"]
    assert polls.next_due("run-1", START, ["lensmor"], harness.now, harness.now + timedelta(hours=1)) == harness.now
    polls.task_ended(two, [second], harness.now, "ended without a result")
    assert harness.due_tasks() == []
    (check,) = harness.due_checks()
    assert (check.id, check.reason) == (second, "ended without a result")
    later = harness.now + timedelta(seconds=20)
    assert [task.polls for task in harness.due_tasks(later)] == [1]
    assert harness.states(first, second) == ["submitted", "submitted"]


def test_a_vanished_task_leaves_unknown_purchases_with_their_hold(harness: LedgerHarness) -> None:
    done, open_one = harness.plan("70011", "70012")
    harness.accept(harness.batch())
    harness.finalize(done)
    (task,) = harness.due_tasks()
    harness.ledger.polls.task_vanished(task, "no longer known", harness.now)
    assert harness.states(done, open_one) == ["final", "unknown"]
    assert harness.due_tasks() == []
    assert harness.used() == 2 * PRICE


# -- order ------------------------------------------------------------------------------------------------------


def test_own_tasks_are_separate_from_older_ones(harness: LedgerHarness) -> None:
    harness.plan("70011", "70012")
    harness.now = START - HOUR
    harness.accept(harness.batch(size=1), task="old")
    harness.now = START
    harness.accept(harness.batch(size=1), task="own")
    assert [task.provider_task_id for task in harness.due_tasks()] == ["own"]
    (old,) = harness.due_tasks(older=True)
    assert old.provider_task_id == "old"
    harness.ledger.polls.poll_once(old, "run-2")
    assert harness.ledger.polls.due_tasks(LENSMOR, harness.now, START, "run-2", older=True) == []
    assert harness.ledger.polls.due_tasks(LENSMOR, harness.now, START, "run-3", older=True) == [old]


def test_work_of_another_account_is_not_due(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    polls, attempts = harness.ledger.polls, harness.ledger.attempts
    assert attempts.groups(SECOND, "run-1", harness.now) == []
    harness.lose(harness.batch())
    assert polls.due_checks(SECOND, harness.now) == []
    harness.finalize(purchase_id)
    harness.plan("70012")
    harness.accept(harness.batch())
    assert polls.due_tasks(SECOND, harness.now, START, older=False) == []


def test_next_due_is_the_earliest_time_of_the_run(harness: LedgerHarness) -> None:
    task_one, read_one, later_one = harness.plan("70011", "70012", "70013")
    soon = harness.now + timedelta(minutes=9)

    def due(until: timedelta = HOUR, providers: tuple[str, ...] = ("lensmor",), run: str = "run-1") -> object:
        found = harness.ledger.polls.next_due(run, START, providers, harness.now, harness.now + until)
        return None if found is None else (found - START) / timedelta(minutes=1)

    assert due() is None  # a sendable purchase can only wait for a cap
    batch = harness.batch(size=1)
    harness.ledger.answers.accept(RequestAnswer(batch.attempt_id, "t"), soon, harness.now)
    assert due() == 9
    harness.ledger.answers.lost(harness.batch(size=1).attempt_id, START + timedelta(minutes=5), harness.now)
    assert due() == 5
    refused = harness.batch(size=1)
    until = START + timedelta(minutes=3)
    harness.ledger.answers.give_back(
        RequestRefusal(refused.attempt_id, [later_one], "429", until, whole=False), harness.now
    )
    assert due() == 3
    assert due(until=timedelta(minutes=2)) is None
    assert due(providers=()) is None
    assert due(run="run-2") == 9  # tasks count by time, purchases by run
    harness.finalize(read_one)
    harness.finalize(later_one, charged=False)
    assert due() == 9
    (task,) = harness.due_tasks(soon)
    harness.ledger.polls.task_ended(task, [], harness.now, "")
    harness.finalize(task_one)
    assert due() is None


def test_a_failed_read_is_postponed(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    harness.accept(harness.batch(size=1), task="a")
    harness.lose(harness.batch(size=1))
    later = harness.now + timedelta(minutes=1)
    (task,), (check,) = harness.due_tasks(), harness.due_checks()
    harness.ledger.polls.postpone(task, later)
    harness.ledger.polls.postpone_check(check, later)
    assert (harness.due_tasks(), harness.due_checks()) == ([], [])
    assert ([t.id for t in harness.due_tasks(later)], [c.id for c in harness.due_checks(later)]) == (
        [task.id],
        [second],
    )
    assert (harness.due_tasks(later)[0].polls, harness.due_checks(later)[0].checks) == (0, 0)
    harness.finalize(first)


def test_a_failed_read_is_not_repeated_after_the_result(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    (check,) = harness.due_checks()
    harness.finalize(purchase_id)  # by another thread
    harness.ledger.polls.postpone_check(check, harness.now)
    assert harness.purchase(purchase_id)["check_at"] is None
    assert harness.ledger.polls.next_due("run-1", START, ["lensmor"], harness.now, harness.now + HOUR) is None
