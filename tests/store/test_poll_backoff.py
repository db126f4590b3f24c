"""Next polls of open records: due with the first task, person or receipt, and rarer without results."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from ledger_harness import LENSMOR, START, LedgerHarness

from connector.store import tables as t
from connector.store.rows import RequestAnswer


@pytest.fixture
def harness() -> LedgerHarness:
    return LedgerHarness()


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stored(harness: LedgerHarness, mapping: str = "lead") -> datetime | None:
    """When the mapping's job is due, according to the queue."""
    job = harness.ledger.jobs.find(f"poll:{mapping}")
    return None if job is None or job.due_at is None else max(job.due_at, job.not_before or job.due_at)


def next_poll(harness: LedgerHarness, mapping: str = "lead") -> datetime | None:
    harness.ledger.poll_backoff.refresh(harness.now)
    return stored(harness, mapping)


def is_due(harness: LedgerHarness, horizon_s: float = 900.0) -> bool:
    return bool(harness.ledger.jobs.due(["lead"], harness.now, horizon_s))


def polled(harness: LedgerHarness, *, moved: bool = False, scale: float = 1.0) -> None:
    harness.ledger.poll_backoff.polled("lead", harness.now, scale, moved=moved)


def at_vendor(harness: LedgerHarness, seconds: float, person: str = "70011", task: str = "task-1") -> int:
    """A purchase whose task is polled `seconds` after the start."""
    (purchase_id,) = harness.plan(person)
    batch = harness.batch()
    harness.ledger.answers.accept(RequestAnswer(batch.attempt_id, task), after(seconds), harness.now)
    return purchase_id


def test_no_open_work_has_no_poll(harness: LedgerHarness) -> None:
    assert next_poll(harness) is None
    harness.plan("70011")  # planned, not sent: left to the next run
    assert next_poll(harness) is None
    polled(harness)
    assert next_poll(harness) is None


def test_the_next_poll_is_that_of_the_first_task(harness: LedgerHarness) -> None:
    at_vendor(harness, 300)
    at_vendor(harness, 100, "70012", "task-2")
    assert next_poll(harness) == after(100)
    assert next_poll(harness, "contact") is None
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.task).where(t.task.c.provider_task_id == "task-2").values(state="ended"))
    assert next_poll(harness) == after(300)


def test_a_person_to_be_read_sets_the_next_poll(harness: LedgerHarness) -> None:
    harness.plan("70011")
    batch = harness.batch()
    harness.ledger.answers.lost(batch.attempt_id, after(40), harness.now)
    assert next_poll(harness) == after(40)


def test_a_result_from_another_mappings_run_is_due_at_once(harness: LedgerHarness) -> None:
    purchase_id = at_vendor(harness, 300)
    assert next_poll(harness) == after(300)
    run_id = harness.ledger.runs.start("sync", ["contact"], harness.now)
    harness.pass_time(7)
    harness.finalize(purchase_id)
    harness.ledger.runs.finish(run_id, "finished", {}, harness.now)
    assert stored(harness) == harness.now


def test_a_run_sets_the_next_poll_of_its_mappings_at_its_end(harness: LedgerHarness) -> None:
    at_vendor(harness, 300)
    run_id = harness.ledger.runs.start("sync", ["lead"], harness.now)
    harness.ledger.runs.finish(run_id, "finished", {}, harness.now)
    assert stored(harness) == after(300)
    assert not is_due(harness)


def test_open_records_of_a_crashed_run_are_due_at_once(harness: LedgerHarness) -> None:
    harness.ledger.runs.start("sync", ["lead"], harness.now)
    assert stored(harness) == harness.now
    assert is_due(harness)


def test_a_receipt_of_a_lost_request_is_due_at_once(harness: LedgerHarness) -> None:
    harness.plan("70011")
    batch = harness.batch()
    harness.ledger.answers.lost(batch.attempt_id, None, harness.now)
    assert next_poll(harness) is None  # only a callback or an operator can bring the answer
    harness.pass_time(7)
    harness.ledger.callback_receipts.receive("lensmor", batch.attempt_id, "v1", harness.now)
    assert stored(harness) == harness.now
    assert next_poll(harness) == harness.now
    (callback_receipt,) = harness.ledger.callback_receipts.waiting(LENSMOR)
    harness.ledger.callback_receipts.done(callback_receipt, used=False)
    assert next_poll(harness) is None


def test_a_closed_record_has_no_next_poll(harness: LedgerHarness) -> None:
    purchase_id = at_vendor(harness, 300)
    harness.finalize(purchase_id)
    (record_channel,) = harness.channels("lead-70011")
    harness.finish(harness.record_id("lead-70011"), int(str(record_channel["id"])))
    polled(harness)
    assert stored(harness) is None


def test_waits_double_up_to_a_quarter_of_an_hour(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    waits = []
    for _ in range(7):
        polled(harness)
        found = next_poll(harness)
        assert found is not None
        waits.append((found - harness.now).total_seconds())
        assert not is_due(harness)
        harness.now = found
        assert is_due(harness)
    assert waits == [60, 120, 240, 480, 900, 900, 900]
    polled(harness, moved=True)
    assert next_poll(harness) == harness.now + timedelta(seconds=60)


def test_the_backoff_never_brings_a_poll_forward(harness: LedgerHarness) -> None:
    at_vendor(harness, 800)
    polled(harness)
    assert next_poll(harness) == after(800)


def test_a_poll_beyond_the_longest_interval_is_due_now(harness: LedgerHarness) -> None:
    """A wrong clock planned it, because no rule allows it; the next run corrects the ledger."""
    at_vendor(harness, 3600)
    assert next_poll(harness) == after(3600)
    assert is_due(harness)
    assert not is_due(harness, 3600.0)


def test_the_backoff_is_scaled_with_every_other_wait(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    polled(harness, scale=0.01)
    assert next_poll(harness) == after(0.6)
    polled(harness, scale=0.01)
    assert next_poll(harness) == after(1.2)


def test_a_callback_ends_the_backoff(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    for _ in range(5):
        polled(harness)
    assert next_poll(harness) == after(900)
    (task,) = harness.all(t.task)
    harness.pass_time(5)
    harness.ledger.callback_receipts.receive("lensmor", str(task["attempt_id"]), "task-1", harness.now)
    assert stored(harness) == START  # when the task was due
    assert is_due(harness)
    polled(harness)
    assert next_poll(harness) == harness.now + timedelta(seconds=60)


def test_each_mapping_has_a_backoff_of_its_own(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    harness.ledger.poll_backoff.polled("contact", harness.now, 1.0, moved=False)
    assert next_poll(harness) == START
