"""Callback receipts: a callback is stored until the vendor's own answer confirms it, and makes its mapping due."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledger_harness import LENSMOR, START, LedgerHarness
from persons import pid

from connector.store import tables as t
from connector.store.callback_receipts import MOST_RECEIPTS, ReceiptOutcome
from connector.store.rows import Batch


@pytest.fixture
def harness() -> LedgerHarness:
    return LedgerHarness()


def bought(harness: LedgerHarness, *people: str) -> Batch:
    harness.plan(*(people or ("70011",)))
    return harness.batch()


def outcome_of(harness: LedgerHarness, attempt_id: str, provider_task_id: str = "v1") -> ReceiptOutcome:
    return harness.ledger.callback_receipts.receive("lensmor", attempt_id, provider_task_id, harness.now)


def receive(harness: LedgerHarness, attempt_id: str, provider_task_id: str = "v1") -> bool:
    return outcome_of(harness, attempt_id, provider_task_id) is not ReceiptOutcome.UNKNOWN


def stored(harness: LedgerHarness) -> list[tuple[object, object]]:
    return [(row["provider_task_id"], row["state"]) for row in harness.all(t.callback_receipt)]


def waiting(harness: LedgerHarness, limit: int = 20) -> list[tuple[str, str]]:
    return [
        (callback_receipt.provider_task_id, callback_receipt.person.value)
        for callback_receipt in harness.ledger.callback_receipts.waiting(LENSMOR, limit)
    ]


def is_backed_off(harness: LedgerHarness) -> bool:
    job = harness.ledger.jobs.find("poll:lead")
    return job is not None and job.not_before is not None


def test_callback_for_an_unknown_request_is_not_stored(harness: LedgerHarness) -> None:
    assert receive(harness, "no-such-attempt") is False
    assert stored(harness) == []


def test_receipt_waits_once_the_answer_is_lost(harness: LedgerHarness) -> None:
    batch = bought(harness)
    assert receive(harness, batch.attempt_id)
    assert waiting(harness) == []  # its own answer may still arrive
    harness.lose(batch)
    assert waiting(harness) == [("v1", "70011")]
    assert harness.ledger.callback_receipts.waiting(replace(LENSMOR, account="other")) == []
    assert harness.ledger.callback_receipts.waiting(replace(LENSMOR, name="salesfinity")) == []


def test_repeated_callback_is_one_receipt(harness: LedgerHarness) -> None:
    batch = bought(harness)
    harness.lose(batch)
    for provider_task_id in ("v1", "v1", "v2", "v1"):
        assert receive(harness, batch.attempt_id, provider_task_id)
    assert waiting(harness) == [("v1", "70011"), ("v2", "70011")]
    assert waiting(harness, limit=1) == [("v1", "70011")]


@pytest.mark.parametrize(("used", "state"), [(True, "used"), (False, "refused")])
def test_closed_receipt_stays_closed(harness: LedgerHarness, used: bool, state: str) -> None:
    batch = bought(harness)
    harness.lose(batch)
    receive(harness, batch.attempt_id)
    receive(harness, batch.attempt_id, "v2")
    first, _ = harness.ledger.callback_receipts.waiting(LENSMOR)
    harness.ledger.callback_receipts.done(first, used=used)
    receive(harness, batch.attempt_id)  # a late repeat does not reopen it
    assert stored(harness) == [("v1", state), ("v2", "waiting")]
    assert waiting(harness) == [("v2", "70011")]


def test_callback_makes_a_known_task_due(harness: LedgerHarness) -> None:
    batch = bought(harness)
    harness.accept(batch, "v1")
    harness.pass_time(30)
    assert receive(harness, batch.attempt_id)
    assert [row["next_poll_at"] for row in harness.all(t.task)] == [harness.now]
    assert stored(harness) == [("v1", "used")]


def test_repeated_callback_makes_a_task_due_only_once(harness: LedgerHarness) -> None:
    batch = bought(harness)
    harness.accept(batch, "v1")
    receive(harness, batch.attempt_id)
    first = harness.now
    harness.ledger.poll_backoff.polled("lead", harness.now, 1.0, moved=False)
    harness.pass_time(30)
    assert outcome_of(harness, batch.attempt_id) is ReceiptOutcome.WITHOUT_EFFECT
    assert [row["next_poll_at"] for row in harness.all(t.task)] == [first]
    assert is_backed_off(harness)  # the next poll of its mapping is not due earlier either


def test_receipts_per_request_are_limited(harness: LedgerHarness) -> None:
    batch, other = bought(harness, "70011"), bought(harness, "70012")
    harness.lose(batch)
    harness.lose(other)
    outcomes = [outcome_of(harness, batch.attempt_id, f"v{number}") for number in range(50)]
    assert outcomes == [ReceiptOutcome.STORED] * MOST_RECEIPTS + [ReceiptOutcome.CROWDED] * (50 - MOST_RECEIPTS)
    assert len(stored(harness)) == MOST_RECEIPTS
    assert receive(harness, other.attempt_id, "v1")
    assert waiting(harness)[-1] == ("v1", "70012")


def test_refused_receipt_makes_room_for_another(harness: LedgerHarness) -> None:
    batch = bought(harness)
    harness.lose(batch)
    for number in range(MOST_RECEIPTS):
        receive(harness, batch.attempt_id, f"forged-{number}")
    assert outcome_of(harness, batch.attempt_id, "true") is ReceiptOutcome.CROWDED
    first, *_ = harness.ledger.callback_receipts.waiting(LENSMOR)
    harness.ledger.callback_receipts.done(first, used=False)
    assert outcome_of(harness, batch.attempt_id, "true") is ReceiptOutcome.STORED
    assert len(stored(harness)) == MOST_RECEIPTS
    assert ("true", "70011") in waiting(harness)


def test_callback_does_not_reopen_an_ended_task(harness: LedgerHarness) -> None:
    batch = bought(harness)
    harness.accept(batch, "v1")
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.task).values(state="ended", next_poll_at=None))
    assert receive(harness, batch.attempt_id)
    assert [(row["state"], row["next_poll_at"]) for row in harness.all(t.task)] == [("ended", None)]


def test_callback_with_another_task_id_has_no_effect(harness: LedgerHarness) -> None:
    batch = bought(harness)
    harness.accept(batch, "v1")
    harness.ledger.poll_backoff.polled("lead", harness.now, 1.0, moved=False)
    before = harness.all(t.task)
    harness.pass_time(30)
    assert receive(harness, batch.attempt_id, "v2")
    assert harness.all(t.task) == before
    assert stored(harness) == []
    assert is_backed_off(harness)


@pytest.mark.parametrize("is_answered", [True, False])
def test_callback_makes_its_mapping_due(harness: LedgerHarness, is_answered: bool) -> None:
    harness.ledger.poll_backoff.polled("lead", harness.now, 1.0, moved=False)
    harness.ledger.poll_backoff.polled("contact", harness.now, 1.0, moved=False)
    batch = bought(harness)
    if is_answered:
        harness.accept(batch, "v1")
    else:
        harness.lose(batch)
    receive(harness, batch.attempt_id)
    assert not is_backed_off(harness)
    contact = harness.ledger.jobs.find("poll:contact")
    assert contact is not None
    assert contact.not_before is not None
    assert [job.id for job in harness.ledger.jobs.due(["lead", "contact"], harness.now, 900.0)] == ["poll:lead"]


def test_callback_for_the_first_request_of_a_repeat_is_stored(harness: LedgerHarness) -> None:
    batch = bought(harness)
    harness.lose(batch)
    harness.allow_repeat(batch.purchases[pid("70011")])
    again = harness.batch()
    assert again.attempt_id != batch.attempt_id
    harness.ledger.poll_backoff.polled("lead", harness.now, 1.0, moved=False)
    assert receive(harness, batch.attempt_id)
    assert waiting(harness) == [("v1", "70011")]
    assert not is_backed_off(harness)


def test_receipts_are_listed_oldest_first(harness: LedgerHarness) -> None:
    first, second = bought(harness, "70011"), bought(harness, "70012")
    harness.lose(second)
    harness.lose(first)
    receive(harness, second.attempt_id, "v2")
    harness.now = START - timedelta(days=1)  # the order of arrival counts, not the clock
    receive(harness, first.attempt_id, "v1")
    assert waiting(harness) == [("v2", "70012"), ("v1", "70011")]
