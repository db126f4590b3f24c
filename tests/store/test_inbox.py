"""The inbox: a request is stored once, its records are due until each has its final outcome, then it is deleted."""

import functools
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_harness import KEY, START, LedgerHarness, buying, open_ledger_at, planned

from connector.core.model import RECORD_OUTCOMES, Outcome
from connector.core.plan import Skip
from connector.store import tables as t
from connector.store.database import Database
from connector.store.inbox import (
    AGAIN_AFTER_S,
    GIVEN_UP,
    KEPT,
    NOT_TAKEN,
    POSTPONED_S,
    ConflictError,
    InboundRequest,
    RequestedRecord,
)
from connector.store.ledger import Ledger
from connector.store.seal import Seal

SECOND = timedelta(seconds=1)
AGAIN_AFTER, POSTPONED_FOR = timedelta(seconds=AGAIN_AFTER_S), timedelta(seconds=POSTPONED_S)


@pytest.fixture
def harness() -> LedgerHarness:
    return LedgerHarness()


def inbound_request(request_id: str, *crm_ids: str, digest: str = "d", mapping: str = "lead") -> InboundRequest:
    return InboundRequest(request_id, digest, mapping, crm_ids or ("a",))


def accept(harness: LedgerHarness, *inbound_requests: InboundRequest) -> list[bool]:
    return harness.ledger.inbox.accept(inbound_requests, harness.now)


def due(harness: LedgerHarness, mapping: str = "lead", limit: int = 2000) -> list[str]:
    return [one.crm_id for one in harness.ledger.inbox.due(harness.now, mapping, limit)]


def offered(harness: LedgerHarness) -> list[RequestedRecord]:
    return harness.ledger.inbox.due(harness.now, "lead")


def finish(harness: LedgerHarness, request_id: str, outcome: str = "delivered") -> None:
    done = (
        sa.update(t.request_item).where(t.request_item.c.request_id == request_id).values(state="done", outcome=outcome)
    )
    with harness.ledger.database.write() as connection:
        connection.execute(done)


def requests(harness: LedgerHarness) -> list[object]:
    return [row["id"] for row in harness.all(t.request)]


# -- accept -----------------------------------------------------------------------------------------------------


def test_new_requests_are_due_at_once_and_each_record_once(harness: LedgerHarness) -> None:
    assert accept(harness, inbound_request("r1", "a", "b", "a"), inbound_request("r2", "a")) == [True, True]
    assert due(harness) == ["a", "b", "a"]
    assert due(harness, limit=2) == ["a", "b"]
    assert due(harness, "contact") == []
    assert harness.ledger.inbox.counts() == {"waiting": 3}


def test_a_repeat_is_not_new_and_another_digest_is_a_conflict(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a"))
    assert accept(harness, inbound_request("r1", "a")) == [False]
    with pytest.raises(ConflictError):
        accept(harness, inbound_request("r1", "b", digest="other"))
    assert due(harness) == ["a"]


def test_a_conflict_rejects_its_whole_message(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a"))
    with pytest.raises(ConflictError):
        accept(harness, inbound_request("r2", "b"), inbound_request("r1", "c", digest="other"))
    assert requests(harness) == ["r1"]
    assert due(harness) == ["a"]


def test_a_repeat_within_one_message_is_stored_once(harness: LedgerHarness) -> None:
    assert accept(harness, inbound_request("r1", "a"), inbound_request("r1", "a")) == [True, False]
    assert due(harness) == ["a"]


def test_after_a_week_the_id_of_a_done_request_is_new(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a", "b"))
    finish(harness, "r1")
    harness.now = START + KEPT
    assert accept(harness, inbound_request("r1", "a", "b")) == [False]
    harness.now += SECOND
    assert accept(harness, inbound_request("r1", "c", digest="other")) == [True]
    assert due(harness) == ["c"]
    assert [row["accepted_at"] for row in harness.all(t.request)] == [harness.now]


def test_after_a_week_a_request_with_an_open_record_is_unchanged(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a", "b"), inbound_request("r2"))
    first = harness.all(t.request_item)[0]["id"]
    with harness.ledger.database.write() as connection:
        connection.execute(
            sa.update(t.request_item).where(t.request_item.c.id == first).values(state="done", outcome="delivered")
        )
    finish(harness, "r2")
    harness.now = START + KEPT + SECOND
    assert accept(harness, inbound_request("r1", "a", "b")) == [False]
    found = harness.ledger.inbox.state_of("r1")
    assert found is not None
    assert found.states == {"done": 1, "waiting": 1}
    assert harness.ledger.inbox.state_of("r2") is not None  # another request stays too


# -- races ------------------------------------------------------------------------------------------------------


def race(works: list[Callable[[], object]]) -> list[object]:
    """Start all functions at the same time; returns their results, or the names of their errors."""
    barrier, found = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001 every error is a result
            found.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def check_one_of_many(ledger: Ledger) -> None:
    """One id is one request for simultaneous senders, before and after it expires."""
    harness = LedgerHarness(ledger)
    for begins in (START, START + KEPT + SECOND):
        harness.now = begins
        results = race([lambda: accept(harness, inbound_request("r1", "a", "b"))] * 8)
        assert sorted(map(str, results)) == ["[False]"] * 7 + ["[True]"]
        assert len(harness.all(t.request_item)) == 2
        finish(harness, "r1")
    of_two_bodies = [functools.partial(accept, harness, inbound_request("r2", digest=f"d{n % 2}")) for n in range(8)]
    results = race([*of_two_bodies])
    assert sorted(map(str, results)) == ["ConflictError"] * 4 + ["[False]"] * 3 + ["[True]"]
    assert requests(harness) == ["r1", "r2"]


def test_eight_threads_with_one_id_store_one_request(tmp_path: Path) -> None:
    ledger = open_ledger_at(tmp_path / "ledger.db")
    check_one_of_many(ledger)
    ledger.close()


def test_one_id_is_one_request_on_postgresql(postgres_url: str) -> None:
    ledger = Ledger(Database(postgres_url), Seal([KEY]), None)
    check_one_of_many(ledger)
    ledger.close()


# -- due records ------------------------------------------------------------------------------------------------


def test_the_longest_due_record_is_first(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a", "b"))
    harness.ledger.inbox.postpone(offered(harness)[:1], "no login", harness.now + POSTPONED_FOR)
    harness.pass_time()
    accept(harness, inbound_request("r2", "c"))
    assert due(harness) == ["b", "c"]
    harness.now = START + POSTPONED_FOR
    assert due(harness) == ["b", "c", "a"]


def test_postponed_records_are_deferred_with_the_reason(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a"))
    harness.ledger.inbox.postpone(offered(harness), "no login", harness.now + POSTPONED_FOR)
    (row,) = harness.all(t.request_item)
    assert (row["state"], row["outcome"], row["reason"]) == ("working", "deferred", "no login")
    assert row["not_before"] == START + POSTPONED_FOR


def test_a_done_record_is_not_postponed(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a"))
    taken = offered(harness)
    finish(harness, "r1")
    harness.ledger.inbox.postpone(taken, "no login", harness.now + POSTPONED_FOR)
    assert [(row["state"], row["outcome"]) for row in harness.all(t.request_item)] == [("done", "delivered")]


def test_has_due_respects_mappings_and_times(harness: LedgerHarness) -> None:
    inbox = harness.ledger.inbox
    assert not inbox.has_due(["lead"], harness.now)
    accept(harness, inbound_request("r1", "a"))
    assert inbox.has_due(["contact", "lead"], harness.now)
    assert not inbox.has_due(["contact"], harness.now)
    assert not inbox.has_due([], harness.now)
    assert not inbox.has_due(["lead"], harness.now - SECOND)
    assert inbox.has_due(["lead"], harness.now, harness.now - SECOND)
    assert not inbox.has_due(["lead"], harness.now, harness.now)
    finish(harness, "r1")
    assert not inbox.has_due(["lead"], harness.now)


# -- outcomes ---------------------------------------------------------------------------------------------------


def run_over(harness: LedgerHarness, outcomes: dict[str, Outcome], state: str = "finished") -> str:
    """Make a run with these outcomes by CRM id; returns its id."""
    run_id = harness.ledger.runs.start("trigger", ["lead"], harness.now)
    for crm_id, outcome in outcomes.items():
        decision = Skip("opted out") if outcome is Outcome.SKIPPED else buying(crm_id)
        harness.save(planned(crm_id, decision), run=run_id)
    records = {row["crm_id"]: row["id"] for row in harness.all(t.record)}
    values_by_id = {
        records[crm_id]: {"outcome": outcome.value, "reason": f"{outcome.value}!", "attention": ""}
        for crm_id, outcome in outcomes.items()
    }
    rows = [{"run_id": run_id, "record_id": record_id, **values} for record_id, values in values_by_id.items()]
    with harness.ledger.database.write() as connection:
        connection.execute(sa.delete(t.run_record).where(t.run_record.c.run_id == run_id))
        connection.execute(sa.insert(t.run_record), rows)
        connection.execute(sa.update(t.run).where(t.run.c.id == run_id).values(state=state))
    return run_id


def end_run(harness: LedgerHarness, taken: list[RequestedRecord], run_id: str) -> None:
    """Do what follows a run that was offered these records."""
    harness.ledger.inbox.record_outcomes(run_id, ["lead"], harness.now, harness.now + AGAIN_AFTER)
    harness.ledger.inbox.skip_unanswered(taken, run_id)


@pytest.mark.parametrize("outcome", RECORD_OUTCOMES)
def test_final_outcomes_end_a_record_and_others_are_due_again(harness: LedgerHarness, outcome: Outcome) -> None:
    accept(harness, inbound_request("r1", "a"))
    run_id = run_over(harness, {"a": outcome})
    end_run(harness, offered(harness), run_id)
    (row,) = harness.all(t.request_item)
    assert (row["outcome"], row["reason"], row["run_id"]) == (outcome.value, f"{outcome.value}!", run_id)
    is_final = outcome in {Outcome.DELIVERED, Outcome.NOT_FOUND, Outcome.FAILED, Outcome.SKIPPED}
    assert row["state"] == ("done" if is_final else "working")
    harness.now = START + AGAIN_AFTER - SECOND
    assert due(harness) == []
    harness.now = START + AGAIN_AFTER
    assert due(harness) == ([] if is_final else ["a"])


def test_a_record_that_the_run_did_not_find_is_skipped(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a", "b"))
    run_id = run_over(harness, {"a": Outcome.DELIVERED})
    end_run(harness, offered(harness), run_id)
    assert [(row["state"], row["outcome"], row["reason"]) for row in harness.all(t.request_item)] == [
        ("done", "delivered", "delivered!"),
        ("done", "skipped", NOT_TAKEN),
    ]
    found = harness.ledger.inbox.state_of("r1")
    assert found is not None
    assert (found.state, found.states, found.outcomes) == ("done", {"done": 2}, {"delivered": 1, "skipped": 1})


def test_a_record_without_an_outcome_is_unanswered(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a", "b"))
    taken = offered(harness)
    run_id = run_over(harness, {"a": Outcome.DELIVERED}, "stopped")
    harness.ledger.inbox.record_outcomes(run_id, ["lead"], harness.now, harness.now + AGAIN_AFTER)
    assert [one.crm_id for one in harness.ledger.inbox.unanswered(taken, run_id)] == ["b"]


def test_outcomes_of_another_run_do_not_count(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a"))
    run_over(harness, {"a": Outcome.DELIVERED})
    end_run(harness, offered(harness), run_over(harness, {"b": Outcome.DELIVERED}))
    assert [row["outcome"] for row in harness.all(t.request_item)] == ["skipped"]


def test_a_final_outcome_does_not_change(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a"))
    taken = offered(harness)
    end_run(harness, taken, run_over(harness, {"a": Outcome.DELIVERED}))
    end_run(harness, taken, "no such run")
    assert [(row["state"], row["outcome"]) for row in harness.all(t.request_item)] == [("done", "delivered")]


def test_two_requests_for_one_record_both_get_its_outcome(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a"), inbound_request("r2", "a"))
    end_run(harness, offered(harness), run_over(harness, {"a": Outcome.NOT_FOUND}))
    for request_id in ("r1", "r2"):
        found = harness.ledger.inbox.state_of(request_id)
        assert found is not None
        assert found.outcomes == {"not_found": 1}


def test_a_request_is_waiting_then_working_then_done(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("r1", "a", "b"))
    inbox, states = harness.ledger.inbox, []

    def state() -> str:
        found = inbox.state_of("r1")
        assert found is not None
        return found.state

    states.append(state())
    end_run(harness, offered(harness)[:1], run_over(harness, {"a": Outcome.DELIVERED}))
    states.append(state())  # one is done, the other waits: work has begun
    end_run(harness, offered(harness), run_over(harness, {"b": Outcome.WAITING}))
    states.append(state())
    finish(harness, "r1")
    states.append(state())
    assert states == ["waiting", "working", "working", "done"]
    assert inbox.state_of("r2") is None


# -- purge ------------------------------------------------------------------------------------------------------


def set_outcome(harness: LedgerHarness, request_id: str, outcome: str, state: str = "working") -> None:
    with harness.ledger.database.write() as connection:
        connection.execute(
            sa.update(t.request_item)
            .where(t.request_item.c.request_id == request_id)
            .values(state=state, outcome=outcome)
        )


def test_records_without_a_purchase_are_given_up_after_a_week(harness: LedgerHarness) -> None:
    accept(
        harness, *(inbound_request(request_id) for request_id in ("never", "deferred", "waiting", "parked", "unknown"))
    )
    for outcome in ("deferred", "waiting", "parked", "unknown"):
        set_outcome(harness, outcome, outcome)
    before = harness.all(t.request_item)
    harness.ledger.inbox.purge(START + KEPT)
    assert harness.all(t.request_item) == before
    harness.ledger.inbox.purge(START + KEPT + SECOND)
    found = {row["request_id"]: (row["state"], row["outcome"], row["reason"]) for row in harness.all(t.request_item)}
    assert found == {
        "never": ("done", "deferred", GIVEN_UP),
        "deferred": ("done", "deferred", GIVEN_UP),
        "waiting": ("working", "waiting", ""),
        "parked": ("working", "parked", ""),
        "unknown": ("working", "unknown", ""),
    }


def test_done_requests_are_deleted_after_two_weeks_and_open_ones_never(harness: LedgerHarness) -> None:
    accept(harness, inbound_request("done", "a", "b"), inbound_request("open", "a"), inbound_request("given up"))
    finish(harness, "done")
    finish(harness, "open")
    open_item = {"request_id": "open", "mapping": "lead", "crm_id": "b", "state": "working", "outcome": "waiting"}
    with harness.ledger.database.write() as connection:
        connection.execute(sa.insert(t.request_item).values(**open_item, not_before=START))
    harness.now = START + 2 * KEPT
    accept(harness, inbound_request("young"))
    finish(harness, "young")
    harness.ledger.inbox.purge(harness.now)
    assert requests(harness) == ["done", "given up", "open", "young"]
    harness.ledger.inbox.purge(harness.now + SECOND)
    assert requests(harness) == ["open", "young"]
    assert [row["request_id"] for row in harness.all(t.request_item)] == ["open", "open", "young"]
