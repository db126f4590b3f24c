"""The rate limit of a vendor key: requests are evenly spaced, and the vendor's headers change the limit."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_harness import open_ledger_at

from connector.store import tables as t
from connector.store.database import Database
from connector.store.limiter import Limiter

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class WaitingClock:
    """A clock that moves only while a caller waits."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.time = START
        self.reasons: list[tuple[float, str]] = []

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.elapsed

    def explain(self, seconds: float, reason: str) -> None:
        self.reasons.append((seconds, reason))

    def later(self, seconds: float) -> datetime:
        return self.time + timedelta(seconds=seconds * self.scale)

    def sleep(self, seconds: float) -> None:
        self.time = self.later(seconds)

    def pause(self, duration: timedelta) -> None:
        assert duration > timedelta()
        self.time += duration

    @property
    def elapsed(self) -> float:
        return (self.time - START).total_seconds()


@pytest.fixture(name="database")
def _database() -> Database:
    return open_ledger_at(None).database


def leaving(limiter: Limiter, clock: WaitingClock, count: int) -> list[float]:
    """Send `count` requests; returns the seconds at which they were sent."""
    times = []
    for _ in range(count):
        limiter.acquire()
        times.append(clock.elapsed)
    return times


def test_permits_are_evenly_spaced(database: Database) -> None:
    clock = WaitingClock()
    assert leaving(Limiter(database, "lensmor/default", 60, clock), clock, 5) == [0, 1, 2, 3, 4]


def test_idle_time_earns_no_burst(database: Database) -> None:
    clock = WaitingClock()
    limiter = Limiter(database, "lensmor/default", 60, clock)
    limiter.acquire()
    clock.sleep(600)
    assert leaving(limiter, clock, 3) == [600, 601, 602]


def test_a_slow_caller_does_not_wait(database: Database) -> None:
    clock = WaitingClock()
    limiter = Limiter(database, "lensmor/default", 60, clock)
    for expected in (0, 1.5, 3):
        limiter.acquire()
        assert clock.elapsed == expected
        clock.sleep(1.5)


def test_callers_of_one_key_share_the_budget_and_of_two_keys_do_not(database: Database) -> None:
    clock = WaitingClock()
    one, same = (Limiter(database, "lensmor/default", 60, clock) for _ in range(2))
    other = Limiter(database, "lensmor/second", 60, clock)
    assert [*leaving(one, clock, 1), *leaving(same, clock, 1), *leaving(one, clock, 1)] == [0, 1, 2]
    assert leaving(other, clock, 2) == [2, 3]


def test_a_new_process_continues_the_budget(tmp_path: Path) -> None:
    clock = WaitingClock()
    first = open_ledger_at(tmp_path / "ledger.db")
    leaving(Limiter(first.database, "lensmor/default", 6, clock), clock, 2)
    first.close()
    again = open_ledger_at(tmp_path / "ledger.db")
    assert leaving(Limiter(again.database, "lensmor/default", 6, clock), clock, 1) == [20]
    again.close()


def test_a_pause_applies_to_all_and_a_shorter_one_has_no_effect(database: Database) -> None:
    clock = WaitingClock()
    limiter, same = (Limiter(database, "lensmor/default", 60, clock) for _ in range(2))
    limiter.pause(30)
    limiter.pause(5)
    assert leaving(same, clock, 2) == [30, 31]


def test_a_pause_never_brings_the_next_permit_forward(database: Database) -> None:
    clock = WaitingClock()
    limiter = Limiter(database, "lensmor/default", 1, clock)
    leaving(limiter, clock, 1)
    limiter.pause(10)
    assert leaving(limiter, clock, 1) == [60]


def test_the_vendors_own_limit_wins(database: Database) -> None:
    clock = WaitingClock()
    limiter = Limiter(database, "lensmor/default", 60, clock)
    limiter.acquire()
    limiter.limit(120)
    limiter.limit(120)
    assert leaving(limiter, clock, 3) == [1, 1.5, 2]
    with database.read() as connection:
        assert connection.scalar(sa.select(t.rate_limit.c.per_minute)) == 120


def test_rehearsals_shorten_every_wait(database: Database) -> None:
    clock = WaitingClock(scale=0.01)
    limiter = Limiter(database, "lensmor/default", 60, clock)
    assert leaving(limiter, clock, 3) == [0, 0.01, 0.02]
    limiter.pause(100)
    assert leaving(limiter, clock, 1) == [1.02]


def test_threads_get_permits_of_their_own(tmp_path: Path) -> None:
    ledger = open_ledger_at(tmp_path / "ledger.db")
    waits: list[float] = []

    class StoppedClock(WaitingClock):
        """A clock that never moves, so that the waits show the permits."""

        def pause(self, duration: timedelta) -> None:
            waits.append(duration.total_seconds())

    limiter = Limiter(ledger.database, "lensmor/default", 60, StoppedClock())

    def send() -> None:
        for _ in range(10):
            limiter.acquire()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == list(range(1, 40))
    ledger.close()


def test_a_permit_of_a_clock_ahead_blocks_no_request(database: Database) -> None:
    ahead = WaitingClock()
    ahead.sleep(3600)
    limiter = Limiter(database, "lensmor/default", 60, ahead)
    limiter.acquire()
    limiter.pause(900)
    clock = WaitingClock()
    assert leaving(Limiter(database, "lensmor/default", 60, clock), clock, 3) == [0, 1, 2]


def test_a_long_wait_for_a_permit_has_a_reason(database: Database) -> None:
    clock = WaitingClock()
    limiter = Limiter(database, "lensmor/default", 60, clock)
    limiter.pause(30)
    limiter.acquire()
    assert clock.reasons == [(30, "lensmor allows no request before then")]


def test_permits_of_a_high_limit_are_taken_in_blocks_and_stay_evenly_spaced(database: Database) -> None:
    clock, written = WaitingClock(), _permit_blocks(database)
    limiter = Limiter(database, "lensmor/default", 60_000, clock)
    times = leaving(limiter, clock, 500)
    assert times == pytest.approx([number / 1000 for number in range(500)])
    assert len(written) < 20
    assert max(written) == 50  # those of 50 ms
    with database.read() as connection:
        assert connection.scalar(sa.select(t.rate_limit.c.sent)) == sum(written) >= 500


def test_two_processes_with_blocks_keep_one_rate(database: Database) -> None:
    clock = WaitingClock()
    both = [Limiter(database, "lensmor/default", 60_000, clock) for _ in range(2)]
    times = sorted(time for _ in range(100) for one in both for time in leaving(one, clock, 3))
    assert len(times) / (times[-1] - times[0] + 0.05) <= 1001


def test_permits_that_were_not_used_in_time_are_lost(database: Database) -> None:
    clock, written = WaitingClock(), _permit_blocks(database)
    limiter = Limiter(database, "lensmor/default", 60_000, clock)
    leaving(limiter, clock, 3)
    assert written == [1, 2]
    leaving(limiter, clock, 1)
    clock.sleep(10)
    assert leaving(limiter, clock, 3) == pytest.approx([10.003, 10.004, 10.005])
    assert written == [1, 2, 4, 1, 2]


def test_a_pause_ends_a_block(database: Database) -> None:
    clock = WaitingClock()
    limiter = Limiter(database, "lensmor/default", 60_000, clock)
    leaving(limiter, clock, 4)
    limiter.pause(30)
    assert leaving(limiter, clock, 1)[0] >= 30


def test_paid_requests_go_before_those_that_wait(database: Database) -> None:
    waiting, go_on, order = threading.Event(), threading.Event(), list[str]()

    class HeldClock(WaitingClock):
        """The first wait lasts until the others are waiting too."""

        def pause(self, duration: timedelta) -> None:
            waiting.set()
            assert go_on.wait(20)
            super().pause(duration)

    clock = HeldClock()
    limiter = Limiter(database, "lensmor/default", 60, clock)
    limiter.acquire()

    def send(name: str, *, first: bool) -> None:
        limiter.acquire(first=first)
        order.append(name)

    threads = [threading.Thread(target=send, args=("the one before",), kwargs={"first": False})]
    threads[0].start()
    assert waiting.wait(20)
    for name, first in (("poll", False), ("lookup", False), ("paid", True)):
        threads.append(threading.Thread(target=send, args=(name,), kwargs={"first": first}))
        threads[-1].start()
    while limiter.waiting < 3:
        threading.Event().wait(0.01)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert order[:2] == ["the one before", "paid"]
    assert sorted(order[2:]) == ["lookup", "poll"]


def _permit_blocks(database: Database) -> list[int]:
    """The number of permits of each block that is taken from now on."""
    found: list[int] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        if statement.startswith("UPDATE rate_limit SET tat"):
            found.extend(value for value in parameters[-2:-1] if isinstance(value, int))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    return found
