"""Looking again at what earlier runs left open: when it is due, but at a pace that slows while nothing moves."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from ledger_shelf import LENSMOR, START, Shelf

from connector.store import tables as t


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def next_look(shelf: Shelf, mapping: str = "lead") -> datetime | None:
    return shelf.ledger.follow_ups.next_look(mapping, shelf.now)


def looked(shelf: Shelf, *, moved: bool = False, scale: float = 1.0) -> None:
    shelf.ledger.follow_ups.looked("lead", shelf.now, scale, moved=moved)


def at_vendor(shelf: Shelf, seconds: float, person: str = "70011", task: str = "task-1") -> int:
    """An unlock whose task is to be read so many seconds after the start."""
    (unlock_id,) = shelf.plan(person)
    batch = shelf.batch()
    shelf.ledger.attempts.accept(batch.attempt_id, task, after(seconds), {}, {}, [], shelf.now)
    return unlock_id


def test_where_nothing_is_open_nothing_is_looked_at(shelf: Shelf) -> None:
    assert next_look(shelf) is None
    shelf.plan("70011")  # planned, not sent: the next run's own
    assert next_look(shelf) is None
    looked(shelf)
    assert next_look(shelf) is None


def test_the_next_look_is_when_the_first_task_is_due(shelf: Shelf) -> None:
    at_vendor(shelf, 300)
    at_vendor(shelf, 100, "70012", "task-2")
    assert next_look(shelf) == after(100)
    assert next_look(shelf, "contact") is None
    with shelf.ledger.database.write() as connection:
        connection.execute(sa.update(t.task).where(t.task.c.vendor_id == "task-2").values(state="ended"))
    assert next_look(shelf) == after(300)


def test_the_next_look_is_when_a_person_is_to_be_read(shelf: Shelf) -> None:
    shelf.plan("70011")
    batch = shelf.batch()
    shelf.ledger.attempts.lost(batch.attempt_id, after(40), shelf.now)
    assert next_look(shelf) == after(40)


def test_a_result_that_another_run_brought_is_looked_at_at_once(shelf: Shelf) -> None:
    unlock_id = at_vendor(shelf, 300)
    shelf.settle(unlock_id)
    shelf.pass_time(7)
    assert next_look(shelf) == shelf.now


def test_a_hint_of_a_lost_request_is_looked_at_at_once(shelf: Shelf) -> None:
    shelf.plan("70011")
    batch = shelf.batch()
    shelf.ledger.attempts.lost(batch.attempt_id, None, shelf.now)
    assert next_look(shelf) is None  # only a callback or an operator can tell
    shelf.ledger.hints.receive(batch.attempt_id, "v1", shelf.now)
    assert next_look(shelf) == shelf.now
    (hint,) = shelf.ledger.hints.waiting(LENSMOR)
    shelf.ledger.hints.done(hint, used=False)
    assert next_look(shelf) is None


def test_what_is_finished_is_looked_at_no_more(shelf: Shelf) -> None:
    unlock_id = at_vendor(shelf, 300)
    shelf.settle(unlock_id)
    (want,) = shelf.wants("lead-70011")
    shelf.finish(shelf.record_id("lead-70011"), int(str(want["id"])))
    assert next_look(shelf) is None


def test_the_pace_halves_to_a_quarter_of_an_hour_while_nothing_moves(shelf: Shelf) -> None:
    at_vendor(shelf, 0)
    pauses = []
    for _ in range(7):
        looked(shelf)
        found = next_look(shelf)
        assert found is not None
        pauses.append((found - shelf.now).total_seconds())
        shelf.now = found
    assert pauses == [60, 120, 240, 480, 900, 900, 900]
    looked(shelf, moved=True)
    assert next_look(shelf) == shelf.now + timedelta(seconds=60)


def test_the_pace_never_brings_a_look_forward(shelf: Shelf) -> None:
    at_vendor(shelf, 800)
    looked(shelf)
    assert next_look(shelf) == after(800)


def test_a_task_beyond_the_longest_poll_is_looked_at_now(shelf: Shelf) -> None:
    """No rule plans it so late: a clock was wrong, and the next run corrects the ledger."""
    at_vendor(shelf, 3600)
    assert next_look(shelf) == shelf.now
    assert shelf.ledger.follow_ups.next_look("lead", shelf.now, 3600.0) == after(3600)


def test_the_pace_is_scaled_with_every_other_wait(shelf: Shelf) -> None:
    at_vendor(shelf, 0)
    looked(shelf, scale=0.01)
    assert next_look(shelf) == after(0.6)
    looked(shelf, scale=0.01)
    assert next_look(shelf) == after(1.2)


def test_a_callback_resets_the_pace(shelf: Shelf) -> None:
    at_vendor(shelf, 0)
    for _ in range(5):
        looked(shelf)
    assert next_look(shelf) == after(900)
    (task,) = shelf.all(t.task)
    shelf.pass_time(5)
    shelf.ledger.hints.receive(str(task["attempt_id"]), "task-1", shelf.now)
    assert next_look(shelf) == shelf.now
    looked(shelf)
    assert next_look(shelf) == shelf.now + timedelta(seconds=60)


def test_each_mapping_has_a_pace_of_its_own(shelf: Shelf) -> None:
    at_vendor(shelf, 0)
    shelf.ledger.follow_ups.looked("contact", shelf.now, 1.0, moved=False)
    assert next_look(shelf) == START
