"""The inbox: a request is stored once, its records are offered until each has its last word, and then forgotten."""

import functools
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_shelf import KEY, START, Shelf, buying, open_ledger_at, planned

from connector.core.model import Outcome
from connector.core.plan import Skip
from connector.store import tables as t
from connector.store.database import Database
from connector.store.inbox import (
    AGAIN_AFTER_S,
    GIVEN_UP,
    KEPT,
    NOT_TAKEN,
    POSTPONED_S,
    Arrival,
    ConflictError,
    Wanted,
)
from connector.store.ledger import Ledger
from connector.store.seal import Seal

SECOND = timedelta(seconds=1)
AGAIN_AFTER, POSTPONED_FOR = timedelta(seconds=AGAIN_AFTER_S), timedelta(seconds=POSTPONED_S)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def arrival(request_id: str, *crm_ids: str, digest: str = "d", mapping: str = "lead") -> Arrival:
    return Arrival(request_id, digest, mapping, crm_ids or ("a",))


def accept(shelf: Shelf, *arrivals: Arrival) -> list[bool]:
    return shelf.ledger.inbox.accept(arrivals, shelf.now)


def due(shelf: Shelf, mapping: str = "lead", limit: int = 2000) -> list[str]:
    return [one.crm_id for one in shelf.ledger.inbox.due(shelf.now, mapping, limit)]


def offered(shelf: Shelf) -> list[Wanted]:
    return shelf.ledger.inbox.due(shelf.now, "lead")


def finish(shelf: Shelf, request_id: str, outcome: str = "delivered") -> None:
    done = sa.update(t.ask).where(t.ask.c.request_id == request_id).values(state="done", outcome=outcome)
    with shelf.ledger.database.write() as connection:
        connection.execute(done)


def requests(shelf: Shelf) -> list[object]:
    return [row["id"] for row in shelf.all(t.request)]


# -- accept -----------------------------------------------------------------------------------------------------


def test_what_arrives_is_due_at_once_and_each_record_once(shelf: Shelf) -> None:
    assert accept(shelf, arrival("r1", "a", "b", "a"), arrival("r2", "a")) == [True, True]
    assert due(shelf) == ["a", "b", "a"]
    assert due(shelf, limit=2) == ["a", "b"]
    assert due(shelf, "contact") == []
    assert shelf.ledger.inbox.counts() == {"waiting": 3}


def test_a_repeat_is_known_and_another_digest_is_a_conflict(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a"))
    assert accept(shelf, arrival("r1", "a")) == [False]
    with pytest.raises(ConflictError):
        accept(shelf, arrival("r1", "b", digest="other"))
    assert due(shelf) == ["a"]


def test_one_conflict_leaves_nothing_of_its_message(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a"))
    with pytest.raises(ConflictError):
        accept(shelf, arrival("r2", "b"), arrival("r1", "c", digest="other"))
    assert requests(shelf) == ["r1"]
    assert due(shelf) == ["a"]


def test_a_repeat_within_one_message_is_stored_once(shelf: Shelf) -> None:
    assert accept(shelf, arrival("r1", "a"), arrival("r1", "a")) == [True, False]
    assert due(shelf) == ["a"]


def test_after_a_week_a_finished_request_is_a_new_one(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a", "b"))
    finish(shelf, "r1")
    shelf.now = START + KEPT
    assert accept(shelf, arrival("r1", "a", "b")) == [False]
    shelf.now += SECOND
    assert accept(shelf, arrival("r1", "c", digest="other")) == [True]
    assert due(shelf) == ["c"]
    assert [row["accepted_at"] for row in shelf.all(t.request)] == [shelf.now]


def test_after_a_week_a_request_with_an_open_record_is_still_the_same_and_whole(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a", "b"), arrival("r2"))
    first = shelf.all(t.ask)[0]["id"]
    with shelf.ledger.database.write() as connection:
        connection.execute(sa.update(t.ask).where(t.ask.c.id == first).values(state="done", outcome="delivered"))
    finish(shelf, "r2")
    shelf.now = START + KEPT + SECOND
    assert accept(shelf, arrival("r1", "a", "b")) == [False]
    found = shelf.ledger.inbox.look("r1")
    assert found is not None
    assert found.states == {"done": 1, "waiting": 1}
    assert shelf.ledger.inbox.look("r2") is not None  # nor does it touch another


# -- races ------------------------------------------------------------------------------------------------------


def race(works: list[Callable[[], object]]) -> list[object]:
    """What all of them give when they start at once; an error is a result too."""
    barrier, found = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001 whatever it is, it is what came of it
            found.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def check_one_of_many(ledger: Ledger) -> None:
    """One id is one request, whoever brings it when, before and after it expires."""
    shelf = Shelf(ledger)
    for begins in (START, START + KEPT + SECOND):
        shelf.now = begins
        told = race([lambda: accept(shelf, arrival("r1", "a", "b"))] * 8)
        assert sorted(map(str, told)) == ["[False]"] * 7 + ["[True]"]
        assert len(shelf.all(t.ask)) == 2
        finish(shelf, "r1")
    of_two_bodies = [functools.partial(accept, shelf, arrival("r2", digest=f"d{n % 2}")) for n in range(8)]
    told = race([*of_two_bodies])
    assert sorted(map(str, told)) == ["ConflictError"] * 4 + ["[False]"] * 3 + ["[True]"]
    assert requests(shelf) == ["r1", "r2"]


def test_eight_threads_with_one_id_store_one_request(tmp_path: Path) -> None:
    ledger = open_ledger_at(tmp_path / "ledger.db")
    check_one_of_many(ledger)
    ledger.close()


def test_on_postgresql_too_one_id_is_one_request(postgres_url: str) -> None:
    ledger = Ledger(Database(postgres_url), Seal([KEY]), None)
    check_one_of_many(ledger)
    ledger.close()


# -- what is due ------------------------------------------------------------------------------------------------


def test_the_longest_waiting_is_offered_first(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a", "b"))
    shelf.ledger.inbox.postpone(offered(shelf)[:1], "no login", shelf.now + POSTPONED_FOR)
    shelf.pass_time()
    accept(shelf, arrival("r2", "c"))
    assert due(shelf) == ["b", "c"]
    shelf.now = START + POSTPONED_FOR
    assert due(shelf) == ["b", "c", "a"]


def test_postponed_records_wait_with_their_reason(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a"))
    shelf.ledger.inbox.postpone(offered(shelf), "no login", shelf.now + POSTPONED_FOR)
    (row,) = shelf.all(t.ask)
    assert (row["state"], row["outcome"], row["reason"]) == ("working", "deferred", "no login")
    assert row["not_before"] == START + POSTPONED_FOR


def test_what_is_done_is_not_postponed(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a"))
    taken = offered(shelf)
    finish(shelf, "r1")
    shelf.ledger.inbox.postpone(taken, "no login", shelf.now + POSTPONED_FOR)
    assert [(row["state"], row["outcome"]) for row in shelf.all(t.ask)] == [("done", "delivered")]


def test_it_is_known_whether_anything_is_asked_and_since_when(shelf: Shelf) -> None:
    inbox = shelf.ledger.inbox
    assert not inbox.is_asked(["lead"], shelf.now)
    accept(shelf, arrival("r1", "a"))
    assert inbox.is_asked(["contact", "lead"], shelf.now)
    assert not inbox.is_asked(["contact"], shelf.now)
    assert not inbox.is_asked([], shelf.now)
    assert not inbox.is_asked(["lead"], shelf.now - SECOND)
    assert inbox.is_asked(["lead"], shelf.now, shelf.now - SECOND)
    assert not inbox.is_asked(["lead"], shelf.now, shelf.now)
    finish(shelf, "r1")
    assert not inbox.is_asked(["lead"], shelf.now)


# -- settle -----------------------------------------------------------------------------------------------------


def run_over(shelf: Shelf, words: dict[str, Outcome], state: str = "finished") -> str:
    """A run that has had its say on these records."""
    run_id = shelf.ledger.runs.start("trigger", ["lead"], shelf.now)
    for crm_id, word in words.items():
        decision = Skip("opted out") if word is Outcome.SKIPPED else buying(crm_id)
        shelf.save(planned(crm_id, decision), run=run_id)
    records = {row["crm_id"]: row["id"] for row in shelf.all(t.record)}
    told = {
        records[crm_id]: {"outcome": word.value, "reason": f"{word.value}!", "attention": ""}
        for crm_id, word in words.items()
    }
    rows = [{"run_id": run_id, "record_id": record_id, **values} for record_id, values in told.items()]
    with shelf.ledger.database.write() as connection:
        connection.execute(sa.delete(t.run_record).where(t.run_record.c.run_id == run_id))
        connection.execute(sa.insert(t.run_record), rows)
        connection.execute(sa.update(t.run).where(t.run.c.id == run_id).values(state=state))
    return run_id


def settle(shelf: Shelf, taken: list[Wanted], run_id: str) -> None:
    """What the end of a run does, and then whoever offered it these records."""
    shelf.ledger.inbox.follow(run_id, ["lead"], shelf.now, shelf.now + AGAIN_AFTER)
    shelf.ledger.inbox.settle(taken, run_id)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_final_words_end_a_record_and_others_are_offered_again(shelf: Shelf, outcome: Outcome) -> None:
    accept(shelf, arrival("r1", "a"))
    run_id = run_over(shelf, {"a": outcome})
    settle(shelf, offered(shelf), run_id)
    (row,) = shelf.all(t.ask)
    assert (row["outcome"], row["reason"], row["run_id"]) == (outcome.value, f"{outcome.value}!", run_id)
    is_final = outcome in {Outcome.DELIVERED, Outcome.NOT_FOUND, Outcome.FAILED, Outcome.SKIPPED}
    assert row["state"] == ("done" if is_final else "working")
    shelf.now = START + AGAIN_AFTER - SECOND
    assert due(shelf) == []
    shelf.now = START + AGAIN_AFTER
    assert due(shelf) == ([] if is_final else ["a"])


def test_a_record_that_the_run_did_not_find_is_skipped(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a", "b"))
    run_id = run_over(shelf, {"a": Outcome.DELIVERED})
    settle(shelf, offered(shelf), run_id)
    assert [(row["state"], row["outcome"], row["reason"]) for row in shelf.all(t.ask)] == [
        ("done", "delivered", "delivered!"),
        ("done", "skipped", NOT_TAKEN),
    ]
    found = shelf.ledger.inbox.look("r1")
    assert found is not None
    assert (found.state, found.states, found.outcomes) == ("done", {"done": 2}, {"delivered": 1, "skipped": 1})


def test_a_record_that_a_run_had_not_come_to_is_known(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a", "b"))
    taken = offered(shelf)
    run_id = run_over(shelf, {"a": Outcome.DELIVERED}, "stopped")
    shelf.ledger.inbox.follow(run_id, ["lead"], shelf.now, shelf.now + AGAIN_AFTER)
    assert [one.crm_id for one in shelf.ledger.inbox.unanswered(taken, run_id)] == ["b"]


def test_the_words_of_another_run_do_not_count(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a"))
    run_over(shelf, {"a": Outcome.DELIVERED})
    settle(shelf, offered(shelf), run_over(shelf, {"b": Outcome.DELIVERED}))
    assert [row["outcome"] for row in shelf.all(t.ask)] == ["skipped"]


def test_a_last_word_is_the_last(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a"))
    taken = offered(shelf)
    settle(shelf, taken, run_over(shelf, {"a": Outcome.DELIVERED}))
    settle(shelf, taken, "no such run")
    assert [(row["state"], row["outcome"]) for row in shelf.all(t.ask)] == [("done", "delivered")]


def test_two_requests_for_one_record_both_hear_of_it(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a"), arrival("r2", "a"))
    settle(shelf, offered(shelf), run_over(shelf, {"a": Outcome.NOT_FOUND}))
    for request_id in ("r1", "r2"):
        found = shelf.ledger.inbox.look(request_id)
        assert found is not None
        assert found.outcomes == {"not_found": 1}


def test_a_request_is_waiting_then_working_then_done(shelf: Shelf) -> None:
    accept(shelf, arrival("r1", "a", "b"))
    inbox, states = shelf.ledger.inbox, []

    def state() -> str:
        found = inbox.look("r1")
        assert found is not None
        return found.state

    states.append(state())
    settle(shelf, offered(shelf)[:1], run_over(shelf, {"a": Outcome.DELIVERED}))
    states.append(state())  # one is done, the other waits: work has begun
    settle(shelf, offered(shelf), run_over(shelf, {"b": Outcome.WAITING}))
    states.append(state())
    finish(shelf, "r1")
    states.append(state())
    assert states == ["waiting", "working", "working", "done"]
    assert inbox.look("r2") is None


# -- tidy -------------------------------------------------------------------------------------------------------


def set_outcome(shelf: Shelf, request_id: str, outcome: str, state: str = "working") -> None:
    with shelf.ledger.database.write() as connection:
        connection.execute(
            sa.update(t.ask).where(t.ask.c.request_id == request_id).values(state=state, outcome=outcome)
        )


def test_what_nothing_could_be_bought_for_is_given_up_after_a_week(shelf: Shelf) -> None:
    accept(shelf, *(arrival(request_id) for request_id in ("never", "deferred", "waiting", "parked", "unknown")))
    for outcome in ("deferred", "waiting", "parked", "unknown"):
        set_outcome(shelf, outcome, outcome)
    before = shelf.all(t.ask)
    shelf.ledger.inbox.tidy(START + KEPT)
    assert shelf.all(t.ask) == before
    shelf.ledger.inbox.tidy(START + KEPT + SECOND)
    found = {row["request_id"]: (row["state"], row["outcome"], row["reason"]) for row in shelf.all(t.ask)}
    assert found == {
        "never": ("done", "deferred", GIVEN_UP),
        "deferred": ("done", "deferred", GIVEN_UP),
        "waiting": ("working", "waiting", ""),
        "parked": ("working", "parked", ""),
        "unknown": ("working", "unknown", ""),
    }


def test_done_requests_are_forgotten_after_two_weeks_and_open_ones_never(shelf: Shelf) -> None:
    accept(shelf, arrival("done", "a", "b"), arrival("open", "a", "b"), arrival("given up"))
    finish(shelf, "done")
    finish(shelf, "open")
    last = shelf.rows(sa.select(t.ask.c.id).where(t.ask.c.request_id == "open"))[-1]["id"]
    with shelf.ledger.database.write() as connection:
        connection.execute(sa.update(t.ask).where(t.ask.c.id == last).values(state="working", outcome="waiting"))
    shelf.now = START + 2 * KEPT
    accept(shelf, arrival("young"))
    finish(shelf, "young")
    shelf.ledger.inbox.tidy(shelf.now)
    assert requests(shelf) == ["done", "given up", "open", "young"]
    shelf.ledger.inbox.tidy(shelf.now + SECOND)
    assert requests(shelf) == ["open", "young"]
    assert [row["request_id"] for row in shelf.all(t.ask)] == ["open", "open", "young"]
