"""Jobs: a run is made once, a tick is claimed by one process, and the workers that are alive are known."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ledger_harness import START, LedgerHarness, open_ledger_at

from connector.store import tables as t
from connector.store.jobs import ALIVE_FOR, ANY_VERSION, KEPT, Job, WorkerRow

SECOND = timedelta(seconds=1)
LEAD = {"lead": "d1"}


@pytest.fixture
def harness() -> LedgerHarness:
    return LedgerHarness()


def ask(harness: LedgerHarness, command: str = "sync", **mappings: str) -> str:
    return harness.ledger.jobs.ask(command, mappings or LEAD, None, harness.now)


def find(harness: LedgerHarness, job_id: str) -> Job:
    found = harness.ledger.jobs.find(job_id)
    assert found is not None
    return found


def ids(harness: LedgerHarness, *mappings: str) -> list[str]:
    return [one.id for one in harness.ledger.jobs.waiting(mappings or ("lead",))]


def test_an_errand_is_found_as_it_was_asked_for(harness: LedgerHarness) -> None:
    chosen = {"where": "Rating = 'Hot'", "ids": ["a"], "limit": 7}
    job_id = harness.ledger.jobs.ask("backfill", {"lead": "d1", "contact": "d2"}, chosen, harness.now)
    assert find(harness, job_id) == Job(
        job_id, "backfill", {"lead": "d1", "contact": "d2"}, chosen, "waiting", {}, None
    )
    assert harness.ledger.jobs.find("other") is None


def test_choosing_nothing_is_not_the_same_as_choosing_none(harness: LedgerHarness) -> None:
    flagged = ask(harness)
    none = harness.ledger.jobs.ask("backfill", LEAD, {}, harness.now)
    assert find(harness, flagged).chosen is None
    assert find(harness, none).chosen == {}


def test_errands_wait_for_whoever_knows_all_their_mappings_oldest_first(harness: LedgerHarness) -> None:
    second = ask(harness)
    harness.now -= SECOND
    first = ask(harness, lead="d1", contact="d2")
    assert ids(harness, "lead", "contact", "account") == [first, second]
    assert ids(harness, "lead") == [second]
    assert ids(harness, "contact") == []


def test_an_errand_is_begun_told_of_and_ended(harness: LedgerHarness) -> None:
    jobs, job_id = harness.ledger.jobs, ask(harness)
    assert jobs.begin(job_id)
    assert find(harness, job_id).state == "running"
    jobs.tell(job_id, {"stage": "buying", "done": 3})
    assert find(harness, job_id).progress == {"stage": "buying", "done": 3}
    jobs.end(job_id, {"exit_code": 0})
    assert find(harness, job_id).state == "done"
    assert find(harness, job_id).result == {"exit_code": 0}
    assert ids(harness) == []


def test_an_end_is_the_end(harness: LedgerHarness) -> None:
    jobs, job_id = harness.ledger.jobs, ask(harness)
    jobs.end(job_id, {"exit_code": 0})
    ended = find(harness, job_id)
    assert not jobs.begin(job_id)
    jobs.tell(job_id, {"stage": "buying"})
    jobs.end(job_id, {"exit_code": 1})
    assert find(harness, job_id) == ended


def test_an_errand_of_a_dead_runner_is_taken_up_anew(harness: LedgerHarness) -> None:
    jobs, job_id = harness.ledger.jobs, ask(harness)
    jobs.begin(job_id)
    jobs.tell(job_id, {"stage": "buying"})
    assert ids(harness) == [job_id]
    assert jobs.begin(job_id)
    assert find(harness, job_id).progress == {}


def test_only_what_nobody_has_begun_is_taken_back(harness: LedgerHarness) -> None:
    jobs, waiting, running = harness.ledger.jobs, ask(harness), ask(harness)
    jobs.begin(running)
    assert jobs.withdraw(waiting)
    assert not jobs.withdraw(waiting)
    assert not jobs.begin(waiting)
    assert not jobs.withdraw(running)
    jobs.end(running, {})
    assert not jobs.withdraw(running)
    assert find(harness, running).state == "done"


def test_an_errand_is_either_begun_or_taken_back(tmp_path: Path) -> None:
    harness = LedgerHarness(open_ledger_at(tmp_path / "ledger.db"))
    jobs = harness.ledger.jobs
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            job_id = ask(harness)
            begun, gone = pool.submit(jobs.begin, job_id), pool.submit(jobs.withdraw, job_id)
            assert begun.result() is not gone.result()
    harness.ledger.close()


# -- the schedule -----------------------------------------------------------------------------------------------


def last_tick(harness: LedgerHarness) -> datetime:
    return harness.ledger.jobs.last_tick("lead", harness.now)


def tick(harness: LedgerHarness, last: datetime) -> bool:
    return harness.ledger.jobs.tick("lead", last, harness.now)


def test_a_new_schedule_begins_to_count_now(harness: LedgerHarness) -> None:
    assert last_tick(harness) == START
    harness.pass_time(60)
    assert last_tick(harness) == START
    assert ids(harness) == []


def test_a_tick_asks_for_one_sync(harness: LedgerHarness) -> None:
    last = last_tick(harness)
    harness.pass_time(0.123456)
    assert tick(harness, last)
    assert not tick(harness, last)
    assert last_tick(harness) == harness.now
    (job,) = harness.ledger.jobs.waiting(["lead"])
    assert (job.command, job.mappings, job.chosen) == ("sync", {"lead": ANY_VERSION}, None)


def test_of_eight_who_see_a_tick_one_has_it(tmp_path: Path) -> None:
    harness = LedgerHarness(open_ledger_at(tmp_path / "ledger.db"))
    last, barrier, had = last_tick(harness), threading.Barrier(8), []
    harness.pass_time(60)

    def see() -> None:
        barrier.wait()
        had.append(tick(harness, last))

    threads = [threading.Thread(target=see) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(had) == [False] * 7 + [True]
    assert len(ids(harness)) == 1
    harness.ledger.close()


# -- who is there -----------------------------------------------------------------------------------------------


def report_alive(harness: LedgerHarness, owner: str, kind: str = "worker", **mappings: str) -> None:
    harness.ledger.jobs.report_alive(owner, kind, mappings or LEAD, harness.now)


def test_who_gives_no_sign_for_half_a_minute_is_gone(harness: LedgerHarness) -> None:
    report_alive(harness, "a")
    report_alive(harness, "b", "serve", lead="d1", contact="d2")
    harness.now = START + ALIVE_FOR - SECOND
    report_alive(harness, "b", "serve", lead="d3")
    there = [WorkerRow("a", "worker", LEAD), WorkerRow("b", "serve", {"lead": "d3"})]
    assert harness.ledger.jobs.workers(harness.now) == there
    assert harness.ledger.jobs.workers(harness.now + SECOND) == there[1:]


def test_who_leaves_is_gone_at_once(harness: LedgerHarness) -> None:
    report_alive(harness, "a")
    report_alive(harness, "b")
    harness.ledger.jobs.deregister("a")
    harness.ledger.jobs.deregister("never there")
    assert len(harness.ledger.jobs.workers(harness.now)) == 1


def test_only_what_ended_a_day_ago_is_forgotten(harness: LedgerHarness) -> None:
    jobs = harness.ledger.jobs
    done, running, waiting = ask(harness), ask(harness), ask(harness)
    jobs.end(done, {})
    jobs.begin(running)
    report_alive(harness, "a")
    jobs.purge(START + KEPT)
    assert len(harness.all(t.job)) == 3
    assert len(harness.all(t.worker)) == 1
    jobs.purge(START + KEPT + SECOND)
    assert {row["id"] for row in harness.all(t.job)} == {running, waiting}
    assert harness.all(t.worker) == []
