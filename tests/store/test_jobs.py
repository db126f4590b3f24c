"""The queue: each job has a time, a delegated run begins once, and live workers are listed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ledger_harness import START, LedgerHarness, open_ledger_at

from connector.core.states import JobKind
from connector.jobs.schedule import next_sync, sync_began
from connector.store import tables as t
from connector.store.jobs import KEPT, Job
from connector.store.workers import ALIVE_FOR, WorkerRow

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
LEAD = {"lead": "d1"}


@pytest.fixture
def harness() -> LedgerHarness:
    return LedgerHarness()


def delegate(harness: LedgerHarness, command: str = "sync", **mappings: str) -> str:
    return harness.ledger.jobs.delegate(command, mappings or LEAD, None, harness.now)


def find(harness: LedgerHarness, job_id: str) -> Job:
    found = harness.ledger.jobs.find(job_id)
    assert found is not None
    return found


def ids(harness: LedgerHarness, *mappings: str) -> list[str]:
    return [one.id for one in harness.ledger.jobs.due(mappings or ("lead",), harness.now, 900.0)]


def bring_forward(harness: LedgerHarness, kind: JobKind, at: datetime, *mappings: str) -> None:
    with harness.ledger.database.write() as connection:
        harness.ledger.jobs.bring_forward(connection, kind, mappings or ("lead",), at)


# -- delegated runs ---------------------------------------------------------------------------------------------


def test_a_delegated_run_is_stored_completely(harness: LedgerHarness) -> None:
    chosen = {"where": "Rating = 'Hot'", "ids": ["a"], "limit": 7}
    mappings = {"lead": "d1", "contact": "d2"}
    job_id = harness.ledger.jobs.delegate("backfill", mappings, chosen, harness.now)
    assert find(harness, job_id) == Job(
        job_id, JobKind.RUN, START, mappings, START, "backfill", chosen, "waiting", progress={}
    )
    assert harness.ledger.jobs.find("other") is None


def test_an_empty_selection_differs_from_no_selection(harness: LedgerHarness) -> None:
    flagged = delegate(harness)
    none = harness.ledger.jobs.delegate("backfill", LEAD, {}, harness.now)
    assert find(harness, flagged).chosen is None
    assert find(harness, none).chosen == {}


def test_a_run_waits_for_a_process_that_knows_all_its_mappings(harness: LedgerHarness) -> None:
    second = delegate(harness)
    harness.now -= SECOND
    first = delegate(harness, lead="d1", contact="d2")
    harness.now += SECOND
    assert ids(harness, "lead", "contact", "account") == [first, second]
    assert ids(harness, "lead") == [second]
    assert ids(harness, "contact") == []


def test_a_run_begins_shows_progress_and_ends(harness: LedgerHarness) -> None:
    jobs, job_id = harness.ledger.jobs, delegate(harness)
    assert jobs.begin(job_id)
    assert find(harness, job_id).state == "running"
    jobs.show_progress(job_id, {"stage": "buying", "done": 3})
    assert find(harness, job_id).progress == {"stage": "buying", "done": 3}
    jobs.end(job_id, {"exit_code": 0})
    assert find(harness, job_id).state == "done"
    assert find(harness, job_id).result == {"exit_code": 0}
    assert ids(harness) == []


def test_a_run_that_has_ended_never_changes(harness: LedgerHarness) -> None:
    jobs, job_id = harness.ledger.jobs, delegate(harness)
    jobs.end(job_id, {"exit_code": 0})
    ended = find(harness, job_id)
    assert not jobs.begin(job_id)
    jobs.show_progress(job_id, {"stage": "buying"})
    jobs.end(job_id, {"exit_code": 1})
    assert find(harness, job_id) == ended


def test_a_run_of_a_dead_process_begins_again(harness: LedgerHarness) -> None:
    jobs, job_id = harness.ledger.jobs, delegate(harness)
    jobs.begin(job_id)
    jobs.show_progress(job_id, {"stage": "buying"})
    assert ids(harness) == [job_id]
    assert jobs.begin(job_id)
    assert find(harness, job_id).progress == {}


def test_only_a_run_that_has_not_begun_is_withdrawn(harness: LedgerHarness) -> None:
    jobs, waiting, running = harness.ledger.jobs, delegate(harness), delegate(harness)
    jobs.begin(running)
    assert jobs.withdraw(waiting)
    assert not jobs.withdraw(waiting)
    assert not jobs.begin(waiting)
    assert not jobs.withdraw(running)
    jobs.end(running, {})
    assert not jobs.withdraw(running)
    assert find(harness, running).state == "done"


def test_a_run_is_either_begun_or_withdrawn(tmp_path: Path) -> None:
    harness = LedgerHarness(open_ledger_at(tmp_path / "ledger.db"))
    jobs = harness.ledger.jobs
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            job_id = delegate(harness)
            begun, gone = pool.submit(jobs.begin, job_id), pool.submit(jobs.withdraw, job_id)
            assert begun.result() is not gone.result()
    harness.ledger.close()


def test_only_runs_that_ended_a_week_ago_are_purged(harness: LedgerHarness) -> None:
    jobs = harness.ledger.jobs
    done, running, waiting = delegate(harness), delegate(harness), delegate(harness)
    jobs.end(done, {})
    jobs.begin(running)
    bring_forward(harness, JobKind.POLL, START)
    jobs.purge(START + KEPT)
    assert len(harness.all(t.job)) == 4
    jobs.purge(START + KEPT + SECOND)
    assert {row["id"] for row in harness.all(t.job)} == {running, waiting, "poll:lead"}


# -- standing jobs ----------------------------------------------------------------------------------------------


def test_a_mapping_has_one_standing_job_of_each_kind_due_at_its_earliest_time(harness: LedgerHarness) -> None:
    for seconds in (20, 5, 10):
        bring_forward(harness, JobKind.REQUESTS, START + seconds * SECOND)
    bring_forward(harness, JobKind.POLL, START + 7 * SECOND, "lead", "contact")
    assert {row["id"] for row in harness.all(t.job)} == {"requests:lead", "poll:lead", "poll:contact"}
    assert ids(harness, "lead", "contact") == []
    harness.pass_time(5)
    assert ids(harness, "lead", "contact") == ["requests:lead"]
    harness.pass_time(2)
    assert ids(harness, "lead", "contact") == ["requests:lead", "poll:contact", "poll:lead"]
    assert ids(harness, "contact") == ["poll:contact"]


def test_the_most_urgent_kind_comes_first(harness: LedgerHarness) -> None:
    for kind in reversed(JobKind):
        if kind is JobKind.RUN:
            delegate(harness)
        else:
            bring_forward(harness, kind, harness.now)
        harness.pass_time()
    assert [one.kind for one in harness.ledger.jobs.due(("lead",), harness.now, 900.0)] == list(JobKind)


def test_a_job_without_a_time_waits_for_an_event(harness: LedgerHarness) -> None:
    bring_forward(harness, JobKind.REQUESTS, START)
    with harness.ledger.database.write() as connection:
        harness.ledger.jobs.lock(connection, JobKind.REQUESTS, "lead", START)
        harness.ledger.jobs.set_due(connection, JobKind.REQUESTS, "lead", None)
    harness.pass_time(3600)
    assert ids(harness) == []
    bring_forward(harness, JobKind.REQUESTS, harness.now)
    assert ids(harness) == ["requests:lead"]


def test_a_job_that_is_locked_first_is_created(harness: LedgerHarness) -> None:
    with harness.ledger.database.write() as connection:
        row = harness.ledger.jobs.lock(connection, JobKind.POLL, "lead", START)
    assert (row.id, row.due_at) == ("poll:lead", None)


@pytest.mark.parametrize("kind", [JobKind.REQUESTS, JobKind.POLL])
def test_a_job_beyond_the_horizon_is_due(harness: LedgerHarness, kind: JobKind) -> None:
    bring_forward(harness, kind, START + 900 * SECOND)
    assert ids(harness) == []
    bring_forward(harness, kind, START + 901 * SECOND, "contact")
    assert ids(harness, "contact") == [f"{kind}:contact"]


def test_a_schedule_may_be_due_in_a_year(harness: LedgerHarness) -> None:
    harness.ledger.jobs.schedule("lead", "0 0 1 1 *", START, START + timedelta(days=365))
    assert ids(harness) == []


# -- schedules --------------------------------------------------------------------------------------------------


def next_time(harness: LedgerHarness, cron: str = "0 * * * *") -> datetime:
    return next_sync(harness.ledger.jobs, "lead", cron, harness.now)


def test_a_new_schedule_counts_from_now(harness: LedgerHarness) -> None:
    assert next_time(harness) == START + HOUR
    harness.pass_time(60)
    assert next_time(harness) == START + HOUR
    assert ids(harness) == []


def test_a_time_that_was_missed_stays_due_until_its_sync_begins(harness: LedgerHarness) -> None:
    next_time(harness)
    harness.now = START + 5 * HOUR + SECOND
    assert next_time(harness) == START + HOUR
    assert ids(harness) == ["schedule:lead"]
    sync_began(harness.ledger.jobs, "lead", "0 * * * *", harness.now)
    assert ids(harness) == []
    assert next_time(harness) == START + 6 * HOUR


def test_a_changed_schedule_counts_from_its_last_sync(harness: LedgerHarness) -> None:
    sync_began(harness.ledger.jobs, "lead", "0 0 * * *", START)
    harness.pass_time(3 * 3600)
    assert next_time(harness) == START + HOUR
    assert ids(harness) == ["schedule:lead"]


def test_a_last_sync_that_lies_ahead_does_not_count(harness: LedgerHarness) -> None:
    sync_began(harness.ledger.jobs, "lead", "0 * * * *", START + timedelta(days=300))
    assert next_time(harness) == START + HOUR


# -- workers ----------------------------------------------------------------------------------------------------


def report_alive(harness: LedgerHarness, owner: str, kind: str = "worker", **mappings: str) -> None:
    harness.ledger.worker_list.report_alive(WorkerRow(owner, kind, mappings or LEAD), harness.now)


def test_a_worker_without_a_heartbeat_for_30_seconds_is_dead(harness: LedgerHarness) -> None:
    report_alive(harness, "a")
    report_alive(harness, "b", "serve", lead="d1", contact="d2")
    harness.now = START + ALIVE_FOR - SECOND
    report_alive(harness, "b", "serve", lead="d3")
    workers = [WorkerRow("a", "worker", LEAD), WorkerRow("b", "serve", {"lead": "d3"})]
    assert harness.ledger.worker_list.alive(harness.now) == workers
    assert harness.ledger.worker_list.alive(harness.now + SECOND) == workers[1:]


def test_a_deregistered_worker_is_removed_at_once(harness: LedgerHarness) -> None:
    report_alive(harness, "a")
    report_alive(harness, "b")
    harness.ledger.worker_list.deregister("a")
    harness.ledger.worker_list.deregister("never registered")
    assert len(harness.ledger.worker_list.alive(harness.now)) == 1


def test_workers_that_died_a_week_ago_are_purged(harness: LedgerHarness) -> None:
    report_alive(harness, "a")
    harness.ledger.worker_list.purge(START + KEPT)
    assert len(harness.all(t.worker)) == 1
    harness.ledger.worker_list.purge(START + KEPT + SECOND)
    assert harness.all(t.worker) == []
