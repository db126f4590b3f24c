"""Errands: a run is made once by whoever takes it up, a tick is claimed by one, and the living are known."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ledger_shelf import START, Shelf, open_ledger_at

from connector.store import tables as t
from connector.store.errands import ALIVE_FOR, ANY_VERSION, KEPT, Errand, WorkerRow

SECOND = timedelta(seconds=1)
LEAD = {"lead": "d1"}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def ask(shelf: Shelf, command: str = "sync", **mappings: str) -> str:
    return shelf.ledger.errands.ask(command, mappings or LEAD, None, shelf.now)


def find(shelf: Shelf, errand_id: str) -> Errand:
    found = shelf.ledger.errands.find(errand_id)
    assert found is not None
    return found


def ids(shelf: Shelf, *mappings: str) -> list[str]:
    return [one.id for one in shelf.ledger.errands.waiting(mappings or ("lead",))]


def test_an_errand_is_found_as_it_was_asked_for(shelf: Shelf) -> None:
    chosen = {"where": "Rating = 'Hot'", "ids": ["a"], "limit": 7}
    errand_id = shelf.ledger.errands.ask("backfill", {"lead": "d1", "contact": "d2"}, chosen, shelf.now)
    assert find(shelf, errand_id) == Errand(
        errand_id, "backfill", {"lead": "d1", "contact": "d2"}, chosen, "waiting", {}, None
    )
    assert shelf.ledger.errands.find("other") is None


def test_choosing_nothing_is_not_the_same_as_choosing_none(shelf: Shelf) -> None:
    flagged = ask(shelf)
    none = shelf.ledger.errands.ask("backfill", LEAD, {}, shelf.now)
    assert find(shelf, flagged).chosen is None
    assert find(shelf, none).chosen == {}


def test_errands_wait_for_whoever_knows_all_their_mappings_oldest_first(shelf: Shelf) -> None:
    second = ask(shelf)
    shelf.now -= SECOND
    first = ask(shelf, lead="d1", contact="d2")
    assert ids(shelf, "lead", "contact", "account") == [first, second]
    assert ids(shelf, "lead") == [second]
    assert ids(shelf, "contact") == []


def test_an_errand_is_begun_told_of_and_ended(shelf: Shelf) -> None:
    errands, errand_id = shelf.ledger.errands, ask(shelf)
    assert errands.begin(errand_id)
    assert find(shelf, errand_id).state == "running"
    errands.tell(errand_id, {"stage": "buying", "done": 3})
    assert find(shelf, errand_id).progress == {"stage": "buying", "done": 3}
    errands.end(errand_id, {"exit_code": 0})
    assert find(shelf, errand_id).state == "done"
    assert find(shelf, errand_id).result == {"exit_code": 0}
    assert ids(shelf) == []


def test_an_end_is_the_end(shelf: Shelf) -> None:
    errands, errand_id = shelf.ledger.errands, ask(shelf)
    errands.end(errand_id, {"exit_code": 0})
    ended = find(shelf, errand_id)
    assert not errands.begin(errand_id)
    errands.tell(errand_id, {"stage": "buying"})
    errands.end(errand_id, {"exit_code": 1})
    assert find(shelf, errand_id) == ended


def test_an_errand_of_a_dead_runner_is_taken_up_anew(shelf: Shelf) -> None:
    errands, errand_id = shelf.ledger.errands, ask(shelf)
    errands.begin(errand_id)
    errands.tell(errand_id, {"stage": "buying"})
    assert ids(shelf) == [errand_id]
    assert errands.begin(errand_id)
    assert find(shelf, errand_id).progress == {}


def test_only_what_nobody_has_begun_is_taken_back(shelf: Shelf) -> None:
    errands, waiting, running = shelf.ledger.errands, ask(shelf), ask(shelf)
    errands.begin(running)
    assert errands.take_back(waiting)
    assert not errands.take_back(waiting)
    assert not errands.begin(waiting)
    assert not errands.take_back(running)
    errands.end(running, {})
    assert not errands.take_back(running)
    assert find(shelf, running).state == "done"


def test_an_errand_is_either_begun_or_taken_back(tmp_path: Path) -> None:
    shelf = Shelf(open_ledger_at(tmp_path / "ledger.db"))
    errands = shelf.ledger.errands
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            errand_id = ask(shelf)
            begun, gone = pool.submit(errands.begin, errand_id), pool.submit(errands.take_back, errand_id)
            assert begun.result() is not gone.result()
    shelf.ledger.close()


# -- the schedule -----------------------------------------------------------------------------------------------


def last_tick(shelf: Shelf) -> datetime:
    return shelf.ledger.errands.last_tick("lead", shelf.now)


def tick(shelf: Shelf, last: datetime) -> bool:
    return shelf.ledger.errands.tick("lead", last, shelf.now)


def test_a_new_schedule_begins_to_count_now(shelf: Shelf) -> None:
    assert last_tick(shelf) == START
    shelf.pass_time(60)
    assert last_tick(shelf) == START
    assert ids(shelf) == []


def test_a_tick_asks_for_one_sync(shelf: Shelf) -> None:
    last = last_tick(shelf)
    shelf.pass_time(0.123456)
    assert tick(shelf, last)
    assert not tick(shelf, last)
    assert last_tick(shelf) == shelf.now
    (errand,) = shelf.ledger.errands.waiting(["lead"])
    assert (errand.command, errand.mappings, errand.chosen) == ("sync", {"lead": ANY_VERSION}, None)


def test_of_eight_who_see_a_tick_one_has_it(tmp_path: Path) -> None:
    shelf = Shelf(open_ledger_at(tmp_path / "ledger.db"))
    last, barrier, had = last_tick(shelf), threading.Barrier(8), []
    shelf.pass_time(60)

    def see() -> None:
        barrier.wait()
        had.append(tick(shelf, last))

    threads = [threading.Thread(target=see) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(had) == [False] * 7 + [True]
    assert len(ids(shelf)) == 1
    shelf.ledger.close()


# -- who is there -----------------------------------------------------------------------------------------------


def beat(shelf: Shelf, owner: str, kind: str = "worker", **mappings: str) -> None:
    shelf.ledger.errands.beat(owner, kind, mappings or LEAD, shelf.now)


def test_who_gives_no_sign_for_half_a_minute_is_gone(shelf: Shelf) -> None:
    beat(shelf, "a")
    beat(shelf, "b", "serve", lead="d1", contact="d2")
    shelf.now = START + ALIVE_FOR - SECOND
    beat(shelf, "b", "serve", lead="d3")
    there = [WorkerRow("a", "worker", LEAD), WorkerRow("b", "serve", {"lead": "d3"})]
    assert shelf.ledger.errands.workers(shelf.now) == there
    assert shelf.ledger.errands.workers(shelf.now + SECOND) == there[1:]


def test_who_leaves_is_gone_at_once(shelf: Shelf) -> None:
    beat(shelf, "a")
    beat(shelf, "b")
    shelf.ledger.errands.leave("a")
    shelf.ledger.errands.leave("never there")
    assert len(shelf.ledger.errands.workers(shelf.now)) == 1


def test_only_what_ended_a_day_ago_is_forgotten(shelf: Shelf) -> None:
    errands = shelf.ledger.errands
    done, running, waiting = ask(shelf), ask(shelf), ask(shelf)
    errands.end(done, {})
    errands.begin(running)
    beat(shelf, "a")
    errands.tidy(START + KEPT)
    assert len(shelf.all(t.errand)) == 3
    assert len(shelf.all(t.worker)) == 1
    errands.tidy(START + KEPT + SECOND)
    assert {row["id"] for row in shelf.all(t.errand)} == {running, waiting}
    assert shelf.all(t.worker) == []
