"""The figures of a working run come from the ledger, for every process alike, and their counts take little time."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_harness import RUN, LedgerHarness, open_ledger_at
from test_rate_limiter import WaitingClock

from connector.core.run_figures import CrmCalls, ProviderFigures, RunCounts
from connector.store import tables as t
from connector.store.database import Database
from connector.store.limiter import Limiter
from connector.store.run_progress import RunStart, RunWatch

ACCOUNTS = {"lensmor": "default"}


@pytest.fixture(name="harness")
def _harness(tmp_path: Path) -> Iterator[LedgerHarness]:
    harness = LedgerHarness(open_ledger_at(tmp_path / "ledger.db"))
    yield harness
    harness.ledger.close()


def watched(harness: LedgerHarness, run: str = RUN, clock: WaitingClock | None = None) -> RunWatch:
    return RunWatch.begin(harness.ledger.database, run, ACCOUNTS, None, clock or WaitingClock(), lambda: None)


def counts(watch: RunWatch) -> RunCounts:
    """Count now, as the first reader of another process."""
    return RunWatch(watch._db, watch.start, WaitingClock(), lambda: None).read().counts


def test_the_counts_follow_a_record(harness: LedgerHarness) -> None:
    watch = watched(harness)
    assert counts(watch) == RunCounts()
    first, _, _ = harness.plan("1", "2", "3")
    assert counts(watch) == RunCounts(3, unsent={"lensmor": 3})
    batch = harness.batch(size=2)
    assert counts(watch) == RunCounts(3, unsent={"lensmor": 1}, waiting={"lensmor": 2})
    harness.lose(batch)  # an unknown purchase still waits
    assert counts(watch) == RunCounts(3, unsent={"lensmor": 1}, waiting={"lensmor": 2})
    harness.accept(batch)
    harness.finalize(first)
    assert counts(watch) == RunCounts(3, unsent={"lensmor": 1}, waiting={"lensmor": 1})
    harness.finish(harness.record_id("lead-1"), *(int(str(c["id"])) for c in harness.channels("lead-1")))
    assert counts(watch) == RunCounts(3, 1, unsent={"lensmor": 1}, waiting={"lensmor": 1})


def test_credits_are_those_since_the_start(harness: LedgerHarness) -> None:
    harness.plan("1", "2")
    batch = harness.batch()
    harness.accept(batch)
    harness.finalize(batch.purchases[next(iter(batch.purchases))])
    watch = watched(harness, "run-2")
    assert watch.read().providers == (ProviderFigures("lensmor", 0, 15),)
    harness.finalize(*batch.purchases.values())  # the other one, by the later run
    harness.plan("3", run="run-2")
    harness.batch(run="run-2")
    assert watch.read().providers == (ProviderFigures("lensmor", 15, 15),)


def test_a_resumed_run_counts_what_it_has_adopted(harness: LedgerHarness) -> None:
    harness.plan("1", "2", "3")
    harness.accept(harness.batch(size=2))
    harness.ledger.records.adopt("run-2", ["lead"], harness.now)
    assert counts(watched(harness, "run-2")) == RunCounts(2, waiting={"lensmor": 2})
    assert counts(watched(harness)) == RunCounts(1, unsent={"lensmor": 1})


def test_another_process_reads_the_same_figures(harness: LedgerHarness, tmp_path: Path) -> None:
    harness.plan("0")
    done = harness.batch()
    harness.accept(done)
    harness.finalize(*done.purchases.values())
    own = watched(harness)
    start = RunStart.from_json(own.start.to_json())
    other = open_ledger_at(tmp_path / "ledger.db")
    second = RunWatch(other.database, start, WaitingClock(), lambda: CrmCalls("CRM", 3))
    harness.plan("1", "2")
    harness.accept(harness.batch(size=1), "task-2")
    found = second.read()
    assert (found.counts, found.providers) == (own.read().counts, own.read().providers)
    assert found.providers == (ProviderFigures("lensmor", 0, 15),)
    assert found.crm == CrmCalls("CRM", 3)
    other.close()


def test_requests_of_the_last_minute_are_counted_over_all_processes(harness: LedgerHarness) -> None:
    clock, database = WaitingClock(), harness.ledger.database
    one, other = (Limiter(database, "lensmor/default", 60, clock) for _ in range(2))
    one.acquire()
    watch = watched(harness, clock=clock)
    assert watch.read().providers == (ProviderFigures("lensmor", sent=None, per_minute=60),)
    for _ in range(10):
        one.acquire()
        other.acquire()
    assert watch.read().providers[0].sent == 20
    for _ in range(10):
        clock.sleep(30)
        one.acquire()
        found = watch.read().providers[0].sent
    assert found == 2
    clock.sleep(120)
    assert watch.read().providers[0].sent == 0


def test_a_provider_without_a_limit_has_no_rate(harness: LedgerHarness) -> None:
    clock = WaitingClock()
    watch = watched(harness, clock=clock)
    watch.read()
    clock.sleep(10)
    assert watch.read().providers == (ProviderFigures("lensmor", sent=None, per_minute=None),)


def test_counting_takes_two_percent_of_the_time(harness: LedgerHarness) -> None:
    """A count of three seconds is repeated after 147 more seconds, while the cheap figures are always read."""
    clock, counted = WaitingClock(), list[float]()

    def slow(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM change" in statement:
            counted.append(clock.elapsed)
            clock.sleep(3)

    watch = watched(harness, clock=clock)
    sa.event.listen(harness.ledger.database.engine, "before_cursor_execute", slow)
    for _ in range(400):
        watch.read()
        clock.sleep(1)
    assert [after - before for before, after in itertools.pairwise(counted)] == [150] * 2
    harness.plan("1")
    harness.batch()
    assert watch.read().providers[0].held == 15


def test_a_small_run_is_counted_every_second(harness: LedgerHarness) -> None:
    clock = WaitingClock()
    watch = watched(harness, clock=clock)
    assert watch.read().counts.records == 0
    harness.plan("1")
    assert watch.read().counts.records == 0
    clock.sleep(1)
    assert watch.read().counts.records == 1


def test_a_reader_in_mid_read_does_not_stop_a_writer(harness: LedgerHarness) -> None:
    watch = watched(harness)

    def write(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM change" in statement:
            harness.plan("1")

    sa.event.listen(harness.ledger.database.engine, "after_cursor_execute", write)
    assert watch.read().counts.records == 0
    assert len(harness.all(t.record)) == 1


def test_postgresql_gives_the_same_figures(postgres_url: str) -> None:
    clock, database = WaitingClock(), Database(postgres_url)
    limiter = Limiter(database, "lensmor/default", 60, clock)
    watch = RunWatch.begin(database, RUN, ACCOUNTS, ["lead"], clock, lambda: None)
    assert watch.read().counts == RunCounts()
    clock.sleep(1)
    limiter.acquire()
    assert watch.read().providers == (ProviderFigures("lensmor", sent=1, per_minute=60),)
    database.close()
