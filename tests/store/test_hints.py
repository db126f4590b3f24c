"""Hints: what a vendor tells by itself is kept until its own answer confirms it, and makes us ask at once."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledger_shelf import LENSMOR, START, Shelf

from connector.store import tables as t
from connector.store.hints import MOST_RECEIPTS, Receipt
from connector.store.rows import Batch


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def bought(shelf: Shelf, *people: str) -> Batch:
    shelf.plan(*(people or ("70011",)))
    return shelf.batch()


def receive(shelf: Shelf, attempt_id: str, vendor_id: str = "v1") -> bool:
    return shelf.ledger.hints.receive(attempt_id, vendor_id, shelf.now) is not Receipt.UNKNOWN


def stored(shelf: Shelf) -> list[tuple[object, object]]:
    return [(row["vendor_id"], row["state"]) for row in shelf.all(t.hint)]


def waiting(shelf: Shelf, limit: int = 20) -> list[tuple[str, str]]:
    return [(hint.vendor_id, hint.person) for hint in shelf.ledger.hints.waiting(LENSMOR, limit)]


def is_paced(shelf: Shelf) -> bool:
    return any(row["key"] == "look:lead" for row in shelf.all(t.meta))


def test_nothing_is_known_of_a_request_that_was_never_sent(shelf: Shelf) -> None:
    assert receive(shelf, "no-such-attempt") is False
    assert stored(shelf) == []


def test_a_hint_waits_for_a_request_whose_answer_was_lost(shelf: Shelf) -> None:
    batch = bought(shelf)
    assert receive(shelf, batch.attempt_id)
    assert waiting(shelf) == []  # its own answer is still to come
    shelf.lose(batch)
    assert waiting(shelf) == [("v1", "70011")]
    assert shelf.ledger.hints.waiting(replace(LENSMOR, account="other")) == []
    assert shelf.ledger.hints.waiting(replace(LENSMOR, name="salesfinity")) == []


def test_repeats_are_one_hint(shelf: Shelf) -> None:
    batch = bought(shelf)
    shelf.lose(batch)
    for vendor_id in ("v1", "v1", "v2", "v1"):
        assert receive(shelf, batch.attempt_id, vendor_id)
    assert waiting(shelf) == [("v1", "70011"), ("v2", "70011")]
    assert waiting(shelf, limit=1) == [("v1", "70011")]


@pytest.mark.parametrize(("used", "state"), [(True, "used"), (False, "refused")])
def test_a_hint_is_done_once_and_for_all(shelf: Shelf, used: bool, state: str) -> None:
    batch = bought(shelf)
    shelf.lose(batch)
    receive(shelf, batch.attempt_id)
    receive(shelf, batch.attempt_id, "v2")
    first, _ = shelf.ledger.hints.waiting(LENSMOR)
    shelf.ledger.hints.done(first, used=used)
    receive(shelf, batch.attempt_id)  # a late repeat does not bring it back
    assert stored(shelf) == [("v1", state), ("v2", "waiting")]
    assert waiting(shelf) == [("v2", "70011")]


def test_a_known_task_is_due_at_once(shelf: Shelf) -> None:
    batch = bought(shelf)
    shelf.accept(batch, "v1")
    shelf.pass_time(30)
    assert receive(shelf, batch.attempt_id)
    assert [row["next_poll_at"] for row in shelf.all(t.task)] == [shelf.now]
    assert stored(shelf) == [("v1", "used")]


def test_a_known_task_is_made_due_once_however_often_its_callback_comes(shelf: Shelf) -> None:
    batch = bought(shelf)
    shelf.accept(batch, "v1")
    receive(shelf, batch.attempt_id)
    first = shelf.now
    shelf.ledger.follow_ups.looked("lead", shelf.now, 1.0, moved=False)
    shelf.pass_time(30)
    again = shelf.ledger.hints.receive(batch.attempt_id, "v1", shelf.now)
    assert again is Receipt.WITHOUT_EFFECT
    assert [row["next_poll_at"] for row in shelf.all(t.task)] == [first]
    assert is_paced(shelf)  # nor is its mapping looked at before its time


def test_only_a_few_are_kept_for_one_request(shelf: Shelf) -> None:
    batch, other = bought(shelf, "70011"), bought(shelf, "70012")
    shelf.lose(batch)
    shelf.lose(other)
    told = [shelf.ledger.hints.receive(batch.attempt_id, f"v{number}", shelf.now) for number in range(50)]
    assert told == [Receipt.STORED] * MOST_RECEIPTS + [Receipt.CROWDED] * (50 - MOST_RECEIPTS)
    assert len(stored(shelf)) == MOST_RECEIPTS
    assert receive(shelf, other.attempt_id, "v1")
    assert waiting(shelf)[-1] == ("v1", "70012")


def test_one_that_the_vendor_did_not_confirm_makes_room_for_the_true_one(shelf: Shelf) -> None:
    batch = bought(shelf)
    shelf.lose(batch)
    for number in range(MOST_RECEIPTS):
        receive(shelf, batch.attempt_id, f"forged-{number}")
    assert shelf.ledger.hints.receive(batch.attempt_id, "true", shelf.now) is Receipt.CROWDED
    first, *_ = shelf.ledger.hints.waiting(LENSMOR)
    shelf.ledger.hints.done(first, used=False)
    assert shelf.ledger.hints.receive(batch.attempt_id, "true", shelf.now) is Receipt.STORED
    assert len(stored(shelf)) == MOST_RECEIPTS
    assert ("true", "70011") in waiting(shelf)


def test_an_ended_task_stays_ended(shelf: Shelf) -> None:
    batch = bought(shelf)
    shelf.accept(batch, "v1")
    with shelf.ledger.database.write() as connection:
        connection.execute(sa.update(t.task).values(state="ended", next_poll_at=None))
    assert receive(shelf, batch.attempt_id)
    assert [(row["state"], row["next_poll_at"]) for row in shelf.all(t.task)] == [("ended", None)]


def test_another_id_than_the_known_tasks_is_nothing(shelf: Shelf) -> None:
    batch = bought(shelf)
    shelf.accept(batch, "v1")
    shelf.ledger.follow_ups.looked("lead", shelf.now, 1.0, moved=False)
    before = shelf.all(t.task)
    shelf.pass_time(30)
    assert receive(shelf, batch.attempt_id, "v2")
    assert shelf.all(t.task) == before
    assert stored(shelf) == []
    assert is_paced(shelf)


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_hint_makes_its_mapping_be_looked_at(shelf: Shelf, is_answered: bool) -> None:
    shelf.ledger.follow_ups.looked("lead", shelf.now, 1.0, moved=False)
    shelf.ledger.follow_ups.looked("contact", shelf.now, 1.0, moved=False)
    batch = bought(shelf)
    if is_answered:
        shelf.accept(batch, "v1")
    else:
        shelf.lose(batch)
    receive(shelf, batch.attempt_id)
    assert not is_paced(shelf)
    assert [row["key"] for row in shelf.all(t.meta) if str(row["key"]).startswith("look:")] == ["look:contact"]
    assert shelf.ledger.follow_ups.next_look("lead", shelf.now) == shelf.now


def test_a_request_that_was_sent_again_may_still_be_told_of(shelf: Shelf) -> None:
    batch = bought(shelf)
    shelf.lose(batch)
    shelf.allow_repeat(batch.unlocks["70011"])
    again = shelf.batch()
    assert again.attempt_id != batch.attempt_id
    shelf.ledger.follow_ups.looked("lead", shelf.now, 1.0, moved=False)
    assert receive(shelf, batch.attempt_id)
    assert waiting(shelf) == [("v1", "70011")]
    assert not is_paced(shelf)


def test_hints_are_offered_oldest_first(shelf: Shelf) -> None:
    first, second = bought(shelf, "70011"), bought(shelf, "70012")
    shelf.lose(second)
    shelf.lose(first)
    receive(shelf, second.attempt_id, "v2")
    shelf.now = START - timedelta(days=1)  # by arrival, whatever the clock says
    receive(shelf, first.attempt_id, "v1")
    assert waiting(shelf) == [("v2", "70012"), ("v1", "70011")]
