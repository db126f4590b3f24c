"""The run lock, which ends with its process, and the other locks of a ledger."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import clean_environment
from forked_commands import Running, started
from ledger_harness import LedgerHarness, open_ledger_at

from connector.core.errors import LockedError
from connector.store import tables as t
from connector.store.database import Database
from connector.store.locks import _EXCLUSIVE, SessionLocks, _number

HOLDER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], str(Path(sys.argv[2]).parent)]
from ledger_harness import open_ledger_at
ledger = open_ledger_at(Path(sys.argv[1]))
with ledger.hold_run_lock() if sys.argv[3] == "hold" else ledger.locks.request_yield():
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another(path: Path, action: str = "hold") -> Iterator[Running]:
    """A process that holds the run lock, or requests a yield, until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(path), str(Path(__file__).parent), action]
    with started(
        command, cwd=path.parent, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def can_lock(path: Path) -> bool:
    """Whether this process can hold the run lock now."""
    ledger = open_ledger_at(path)
    try:
        with ledger.hold_run_lock():
            return True
    except LockedError:
        return False
    finally:
        ledger.close()


def test_a_second_process_is_locked_out_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with another(path) as process:
        assert not can_lock(path)
        # Reading and planning need no lock.
        harness = LedgerHarness(open_ledger_at(path))
        harness.plan("70011")
        assert len(harness.all(t.purchase)) == 1
        harness.ledger.close()
        process.communicate("\n")
    assert process.returncode == 0
    assert can_lock(path)


def test_the_lock_dies_with_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with another(path) as process:
        assert not can_lock(path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "ledger.db.lock").exists()
    assert can_lock(path)


def test_one_process_holds_the_run_lock_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger_at(path)
    with ledger.hold_run_lock():
        assert not can_lock(path)
        assert not can_lock(path)
    assert can_lock(path)
    ledger.close()


def test_a_failure_releases_the_run_lock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger_at(path)
    with pytest.raises(RuntimeError), ledger.hold_run_lock():
        raise RuntimeError
    assert can_lock(path)
    ledger.close()


def test_a_ledger_in_memory_needs_no_lock() -> None:
    ledger = open_ledger_at(None)
    with ledger.hold_run_lock(), ledger.hold_run_lock():
        pass


# -- first starts at once ---------------------------------------------------------------------------------------

OPENER = """
import os, sys
os.chdir(sys.argv[1])
from connector.app.wiring import configure, open_ledger
print("ready", flush=True)
sys.stdin.readline()
print(*open_ledger(configure(None)).seal.fingerprints)
"""


def test_simultaneous_first_starts_share_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENER, str(tmp_path)]
    processes = [
        started(command, cwd=tmp_path, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(set(found)) == 1
    assert found[0]
    assert sorted(file.name for file in tmp_path.glob("*.key*")) == ["connector.db.key"]


def test_an_owner_is_alive_again_after_a_server_restart(postgres_url: str) -> None:
    mine, other = Database(postgres_url), Database(postgres_url)
    locks, theirs = SessionLocks(mine), SessionLocks(other)
    with locks.present("me"):
        assert theirs.is_alive("me")
        with other.write(exclusive=False) as connection:
            ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.exec_driver_sql(f"{ended} AND datname = current_database()")
        assert not theirs.is_alive("me")
        locks.renew("me")
        assert theirs.is_alive("me")
        locks.renew("another")
        assert not theirs.is_alive("another")
    assert not theirs.is_alive("me")
    mine.close()
    other.close()


@pytest.fixture
def locks(postgres_url: str) -> Iterator[tuple[SessionLocks, SessionLocks]]:
    """The locks of two processes."""
    databases = Database(postgres_url), Database(postgres_url)
    yield SessionLocks(databases[0]), SessionLocks(databases[1])
    for database in databases:
        database.close()


def test_exclusive_blocks_of_one_name_wait_for_each_other(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    entered = threading.Event()

    def enter() -> None:
        with theirs.exclusive("vendor", 60):
            entered.set()

    other = threading.Thread(target=enter)
    with mine.exclusive("vendor", 60):
        other.start()
        with theirs.exclusive("another vendor", 60):
            pass
        assert not entered.wait(0.2)
    other.join()
    assert entered.is_set()


def test_the_wait_for_a_frozen_process_is_limited(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    seen = []
    with mine.exclusive("vendor", 60), theirs.exclusive("vendor", 0.1):
        seen.append("continued")
    with theirs.exclusive("vendor", 0.001):  # the lock is free again at once
        seen.append("free")
    assert seen == ["continued", "free"]


def test_a_failed_block_releases_its_lock(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    with pytest.raises(ValueError, match="vendor"), mine.exclusive("vendor", 60):
        raise ValueError("the vendor's answer")
    assert not theirs._is_locked(_EXCLUSIVE, _number("vendor"))


def test_a_yield_is_requested_until_the_last_request_ends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    locks = open_ledger_at(path).locks
    assert not locks.yield_requested()
    with locks.request_yield(), another(path, "yield") as other:
        assert locks.yield_requested()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert locks.yield_requested()
        assert can_lock(path)  # a request does not hold the run lock
    assert not locks.yield_requested()


def test_the_yield_request_of_a_dead_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    locks = open_ledger_at(path).locks
    with another(path, "yield") as other:
        assert locks.yield_requested()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert not locks.yield_requested()


def test_threads_that_check_at_once_see_no_yield_request(tmp_path: Path) -> None:
    locks = open_ledger_at(tmp_path / "ledger.db").locks
    with locks.request_yield():
        pass  # from now on the file exists
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: locks.yield_requested(), range(5_000)))
    assert not any(seen)


def test_a_yield_request_on_postgresql(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    assert not theirs.yield_requested()
    with mine.request_yield(), mine.request_yield():
        assert theirs.yield_requested()
        with theirs.hold_run_lock(None):
            pass
    assert not theirs.yield_requested()
