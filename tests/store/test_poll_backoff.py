"""Looking again at what earlier runs left open: when it is due, but at a pace that slows while nothing moves."""

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


def next_poll(harness: LedgerHarness, mapping: str = "lead") -> datetime | None:
    return harness.ledger.poll_backoff.next_poll(mapping, harness.now)


def looked(harness: LedgerHarness, *, moved: bool = False, scale: float = 1.0) -> None:
    harness.ledger.poll_backoff.looked("lead", harness.now, scale, moved=moved)


def at_vendor(harness: LedgerHarness, seconds: float, person: str = "70011", task: str = "task-1") -> int:
    """A purchase whose task is to be read so many seconds after the start."""
    (purchase_id,) = harness.plan(person)
    batch = harness.batch()
    harness.ledger.answers.accept(RequestAnswer(batch.attempt_id, task), after(seconds), harness.now)
    return purchase_id


def test_where_nothing_is_open_nothing_is_looked_at(harness: LedgerHarness) -> None:
    assert next_poll(harness) is None
    harness.plan("70011")  # planned, not sent: the next run's own
    assert next_poll(harness) is None
    looked(harness)
    assert next_poll(harness) is None


def test_the_next_look_is_when_the_first_task_is_due(harness: LedgerHarness) -> None:
    at_vendor(harness, 300)
    at_vendor(harness, 100, "70012", "task-2")
    assert next_poll(harness) == after(100)
    assert next_poll(harness, "contact") is None
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.task).where(t.task.c.provider_task_id == "task-2").values(state="ended"))
    assert next_poll(harness) == after(300)


def test_the_next_look_is_when_a_person_is_to_be_read(harness: LedgerHarness) -> None:
    harness.plan("70011")
    batch = harness.batch()
    harness.ledger.answers.lost(batch.attempt_id, after(40), harness.now)
    assert next_poll(harness) == after(40)


def test_a_result_that_another_run_brought_is_looked_at_at_once(harness: LedgerHarness) -> None:
    purchase_id = at_vendor(harness, 300)
    harness.settle(purchase_id)
    harness.pass_time(7)
    assert next_poll(harness) == harness.now


def test_a_hint_of_a_lost_request_is_looked_at_at_once(harness: LedgerHarness) -> None:
    harness.plan("70011")
    batch = harness.batch()
    harness.ledger.answers.lost(batch.attempt_id, None, harness.now)
    assert next_poll(harness) is None  # only a callback or an operator can tell
    harness.ledger.callback_receipts.receive("lensmor", batch.attempt_id, "v1", harness.now)
    assert next_poll(harness) == harness.now
    (callback_receipt,) = harness.ledger.callback_receipts.waiting(LENSMOR)
    harness.ledger.callback_receipts.done(callback_receipt, used=False)
    assert next_poll(harness) is None


def test_what_is_finished_is_looked_at_no_more(harness: LedgerHarness) -> None:
    purchase_id = at_vendor(harness, 300)
    harness.settle(purchase_id)
    (record_channel,) = harness.channels("lead-70011")
    harness.finish(harness.record_id("lead-70011"), int(str(record_channel["id"])))
    assert next_poll(harness) is None


def test_the_pace_halves_to_a_quarter_of_an_hour_while_nothing_moves(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    pauses = []
    for _ in range(7):
        looked(harness)
        found = next_poll(harness)
        assert found is not None
        pauses.append((found - harness.now).total_seconds())
        harness.now = found
    assert pauses == [60, 120, 240, 480, 900, 900, 900]
    looked(harness, moved=True)
    assert next_poll(harness) == harness.now + timedelta(seconds=60)


def test_the_pace_never_brings_a_look_forward(harness: LedgerHarness) -> None:
    at_vendor(harness, 800)
    looked(harness)
    assert next_poll(harness) == after(800)


def test_a_task_beyond_the_longest_poll_is_looked_at_now(harness: LedgerHarness) -> None:
    """No rule plans it so late: a clock was wrong, and the next run corrects the ledger."""
    at_vendor(harness, 3600)
    assert next_poll(harness) == harness.now
    assert harness.ledger.poll_backoff.next_poll("lead", harness.now, 3600.0) == after(3600)


def test_the_pace_is_scaled_with_every_other_wait(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    looked(harness, scale=0.01)
    assert next_poll(harness) == after(0.6)
    looked(harness, scale=0.01)
    assert next_poll(harness) == after(1.2)


def test_a_callback_resets_the_pace(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    for _ in range(5):
        looked(harness)
    assert next_poll(harness) == after(900)
    (task,) = harness.all(t.task)
    harness.pass_time(5)
    harness.ledger.callback_receipts.receive("lensmor", str(task["attempt_id"]), "task-1", harness.now)
    assert next_poll(harness) == harness.now
    looked(harness)
    assert next_poll(harness) == harness.now + timedelta(seconds=60)


def test_each_mapping_has_a_pace_of_its_own(harness: LedgerHarness) -> None:
    at_vendor(harness, 0)
    harness.ledger.poll_backoff.looked("contact", harness.now, 1.0, moved=False)
    assert next_poll(harness) == START
