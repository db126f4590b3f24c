"""One driver per ledger, a lock that dies with its process, and answers that outlive a broken database."""

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
from connector.store.locks import _ALONE, SessionLocks, _number

HOLDER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], str(Path(sys.argv[2]).parent)]
from ledger_harness import open_ledger_at
ledger = open_ledger_at(Path(sys.argv[1]))
with ledger.drive() if sys.argv[3] == "drive" else ledger.locks.request_yield():
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another(path: Path, what: str = "drive") -> Iterator[Running]:
    """A process that drives the ledger, or wants it, until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(path), str(Path(__file__).parent), what]
    with started(
        command, cwd=path.parent, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def drives(path: Path) -> bool:
    """Whether this process may drive the ledger now."""
    ledger = open_ledger_at(path)
    try:
        with ledger.drive():
            return True
    except LockedError:
        return False
    finally:
        ledger.close()


def test_a_second_process_is_locked_out_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with another(path) as process:
        assert not drives(path)
        # Reading, and storing what came in, need no lock.
        harness = LedgerHarness(open_ledger_at(path))
        harness.plan("70011")
        assert len(harness.all(t.purchase)) == 1
        harness.ledger.close()
        process.communicate("\n")
    assert process.returncode == 0
    assert drives(path)


def test_the_lock_dies_with_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with another(path) as process:
        assert not drives(path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "ledger.db.lock").exists()
    assert drives(path)


def test_one_process_drives_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger_at(path)
    with ledger.drive():
        assert not drives(path)
        assert not drives(path)
    assert drives(path)
    ledger.close()


def test_a_driver_that_fails_gives_the_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger_at(path)
    with pytest.raises(RuntimeError), ledger.drive():
        raise RuntimeError
    assert drives(path)
    ledger.close()


def test_a_ledger_in_memory_needs_no_lock() -> None:
    ledger = open_ledger_at(None)
    with ledger.drive(), ledger.drive():
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


def test_processes_that_make_a_new_ledger_at_once_share_its_key(tmp_path: Path) -> None:
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


def test_a_process_is_known_as_alive_again_after_the_server_was_restarted(postgres_url: str) -> None:
    mine, other = Database(postgres_url), Database(postgres_url)
    locks, theirs = SessionLocks(mine), SessionLocks(other)
    with locks.present("me"):
        assert theirs.is_alive("me")
        with other.write(alone=False) as connection:
            ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.exec_driver_sql(f"{ended} AND datname = current_database()")
        assert not theirs.is_alive("me")
        locks.renew("me")
        assert theirs.is_alive("me")
        locks.renew("somebody else")
        assert not theirs.is_alive("somebody else")
    assert not theirs.is_alive("me")
    mine.close()
    other.close()


@pytest.fixture
def locks(postgres_url: str) -> Iterator[tuple[SessionLocks, SessionLocks]]:
    """Those of two processes."""
    databases = Database(postgres_url), Database(postgres_url)
    yield SessionLocks(databases[0]), SessionLocks(databases[1])
    for database in databases:
        database.close()


def test_who_wants_to_be_alone_waits_for_the_other(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    came = threading.Event()

    def come() -> None:
        with theirs.alone("vendor", 60):
            came.set()

    other = threading.Thread(target=come)
    with mine.alone("vendor", 60):
        other.start()
        with theirs.alone("another vendor", 60):
            pass
        assert not came.wait(0.2)
    other.join()
    assert came.is_set()


def test_nobody_waits_for_ever_for_a_process_that_stands_still(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    seen = []
    with mine.alone("vendor", 60), theirs.alone("vendor", 0.1):
        seen.append("went on")
    with theirs.alone("vendor", 0.001):  # the lock is free again at once
        seen.append("free")
    assert seen == ["went on", "free"]


def test_a_block_that_fails_lets_the_next_one_in(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    with pytest.raises(ValueError, match="vendor"), mine.alone("vendor", 60):
        raise ValueError("the vendor's answer")
    assert not theirs._is_locked(_ALONE, _number("vendor"))


def test_a_wanted_ledger_is_known_as_such_until_nobody_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    locks = open_ledger_at(path).locks
    assert not locks.yield_requested()
    with locks.request_yield(), another(path, "want") as other:
        assert locks.yield_requested()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert locks.yield_requested()
        assert drives(path)  # wanting is no more than that
    assert not locks.yield_requested()


def test_a_process_that_wanted_the_ledger_wants_it_no_more_when_it_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    locks = open_ledger_at(path).locks
    with another(path, "want") as other:
        assert locks.yield_requested()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert not locks.yield_requested()


def test_threads_that_look_at_once_do_not_take_each_other_for_somebody_who_wants_it(tmp_path: Path) -> None:
    locks = open_ledger_at(tmp_path / "ledger.db").locks
    with locks.request_yield():
        pass  # from now on there is a file to look into
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: locks.yield_requested(), range(5_000)))
    assert not any(seen)


def test_a_wanted_ledger_on_postgres(locks: tuple[SessionLocks, SessionLocks]) -> None:
    mine, theirs = locks
    assert not theirs.yield_requested()
    with mine.request_yield(), mine.request_yield():
        assert theirs.yield_requested()
        with theirs.drive(None):
            pass
    assert not theirs.yield_requested()
