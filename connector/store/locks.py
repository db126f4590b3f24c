"""The run lock, and the locks that show which processes are alive; all end with the process that holds them.

An embedded ledger has one run lock, on a file beside it. On PostgreSQL, sessions hold it as advisory locks: a lock for
each mapping, so that runs of different mappings can overlap, or one for the whole ledger. Further locks mark processes
that send paid requests, announce that a command waits for the run lock, and serialise the requests to a vendor that
accepts one at a time.
"""

import contextlib
import fcntl
import threading
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol, TextIO

import sqlalchemy as sa

from connector.core.errors import LockedError
from connector.store.database import Database
from connector.store.private import open_private

HELD = "another run holds this ledger's run lock; wait for it to finish"
# The kinds of advisory locks: arbitrary fixed numbers.
_LEDGER, _MAPPING, _OWNER, _EXCLUSIVE, _YIELD = 7_226_003, 7_226_004, 7_226_005, 7_226_006, 7_226_007
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL: Appendix A, error codes


class Locks(Protocol):
    """The locks of one ledger."""

    def hold_run_lock(self, mappings: Collection[str] | None) -> contextlib.AbstractContextManager[None]:
        """Hold the run lock of these mappings, or of the whole ledger (None), while the block runs.

        Raises:
            LockedError: another process holds it.
        """

    def is_run_lock_held(self) -> bool:
        """Whether a process holds the run lock of the ledger or of any mapping."""

    def is_mapping_locked(self, mapping: str) -> bool:
        """Whether a process holds the run lock of this mapping."""

    def request_yield(self) -> contextlib.AbstractContextManager[None]:
        """Ask `serve` and the workers to release the run lock soon, and not to take it until the block ends."""

    def yield_requested(self) -> bool:
        """Whether a process asks for the run lock with `request_yield`."""

    def exclusive(self, name: str, longest_s: float) -> contextlib.AbstractContextManager[None]:
        """Run the block while no other block of this name runs.

        After `longest_s` seconds of waiting, the block runs anyway: a process that blocks the others that long is
        frozen.
        """

    def present(self, owner: str) -> contextlib.AbstractContextManager[None]:
        """Mark this owner as alive while the block runs."""

    def renew(self, owner: str) -> None:
        """Mark this owner as alive again, if the connection to the database was lost; call it regularly."""

    def is_alive(self, owner: str) -> bool:
        """Whether the process of this owner may still send its paid requests."""


class FileLocks:
    """The locks of an embedded ledger: the process that holds the run lock is the only one that works.

    Args:
        path: the lock file; None for a ledger in memory, which no other process can open.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._yield_path = None if path is None else path.with_name(f"{path.name}.wanted")
        self._testing = threading.Lock()  # `yield_requested` takes the file's lock, which another thread would see
        self._present: set[str] = set()

    @contextlib.contextmanager
    def hold_run_lock(self, mappings: Collection[str] | None) -> Iterator[None]:
        """Lock the file."""
        del mappings
        if self._path is None:
            yield
            return
        with _opened(self._path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError(HELD) from error
            yield

    def is_run_lock_held(self) -> bool:
        """Whether the file is locked."""
        try:
            with self.hold_run_lock(None):
                return False
        except LockedError:
            return True

    def is_mapping_locked(self, mapping: str) -> bool:
        """Whether the file is locked: the one lock covers all mappings."""
        del mapping
        return self.is_run_lock_held()

    @contextlib.contextmanager
    def request_yield(self) -> Iterator[None]:
        """Hold a shared lock of a second file."""
        if self._yield_path is None:
            yield
            return
        with _opened(self._yield_path) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def yield_requested(self) -> bool:
        """Whether a process holds the shared lock; only the process with the run lock calls this."""
        if self._yield_path is None or not self._yield_path.exists():
            return False
        with self._testing, _opened(self._yield_path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def exclusive(self, name: str, longest_s: float) -> contextlib.AbstractContextManager[None]:
        """Do not wait: only the process with the run lock sends requests to vendors."""
        del name, longest_s
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def present(self, owner: str) -> Iterator[None]:
        """Remember the owner: only the process with the run lock sends, so any other owner is dead."""
        self._present.add(owner)
        try:
            yield
        finally:
            self._present.discard(owner)

    def renew(self, owner: str) -> None:
        """Do nothing: a file's lock cannot be lost."""

    def is_alive(self, owner: str) -> bool:
        """Whether the owner is a thread of this process."""
        return owner in self._present


def _opened(path: Path) -> TextIO:
    """Open a lock file, readable by its owner only: a lock held by another user would block every run."""
    return open(path, "a", encoding="ascii", opener=open_private)


class SessionLocks:
    """Advisory locks of PostgreSQL, each held by a session of its own outside any transaction."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine.execution_options(isolation_level="AUTOCOMMIT", concurrent=True)
        self._present: dict[str, contextlib.ExitStack] = {}

    @contextlib.contextmanager
    def hold_run_lock(self, mappings: Collection[str] | None) -> Iterator[None]:
        """Hold the locks of the mappings and a shared lock of the ledger, or an exclusive lock of the ledger."""
        with self._session() as session:
            if mappings is None:
                taken = _try(session, "pg_try_advisory_lock", _LEDGER, 0)
            else:
                taken = _try(session, "pg_try_advisory_lock_shared", _LEDGER, 0) and all(
                    _try(session, "pg_try_advisory_lock", _MAPPING, _number(one)) for one in sorted(set(mappings))
                )
            if not taken:
                raise LockedError(HELD)
            yield

    def is_run_lock_held(self) -> bool:
        """Whether a session holds a shared or exclusive lock of the ledger."""
        return self._is_locked(_LEDGER, 0)

    def is_mapping_locked(self, mapping: str) -> bool:
        """Whether a session holds the lock of this mapping."""
        return self._is_locked(_MAPPING, _number(mapping))

    @contextlib.contextmanager
    def request_yield(self) -> Iterator[None]:
        """Hold a shared lock."""
        with self._session() as session:
            _try(session, "pg_try_advisory_lock_shared", _YIELD, 0)
            yield

    def yield_requested(self) -> bool:
        """Whether a session holds the shared lock."""
        return self._is_locked(_YIELD, 0)

    @contextlib.contextmanager
    def exclusive(self, name: str, longest_s: float) -> Iterator[None]:
        """Wait for a lock; the server grants it in the order of the requests."""
        with self._session() as session:
            _wait_for_lock(session, _number(name), longest_s)
            yield

    @contextlib.contextmanager
    def present(self, owner: str) -> Iterator[None]:
        """Hold a lock named after the owner."""
        with contextlib.ExitStack() as sessions:
            self._hold(sessions, owner)
            self._present[owner] = sessions
            try:
                yield
            finally:
                del self._present[owner]

    def renew(self, owner: str) -> None:
        """Take the lock again in a new session, if a restart of the server ended the former one."""
        sessions = self._present.get(owner)
        if sessions is not None and not self.is_alive(owner):
            self._hold(sessions, owner)

    def _hold(self, sessions: contextlib.ExitStack, owner: str) -> None:
        session = sessions.enter_context(self._session())
        _try(session, "pg_try_advisory_lock_shared", _OWNER, _number(owner))

    def is_alive(self, owner: str) -> bool:
        """Whether a session holds the lock named after the owner."""
        return self._is_locked(_OWNER, _number(owner))

    def _is_locked(self, kind: int, number: int) -> bool:
        """Read the list of locks; a trial lock would make other processes fail while it is held."""
        with self._engine.connect() as connection:
            return bool(connection.execute(_LOCKED, {"kind": kind, "number": number % 2**32}).scalar())

    @contextlib.contextmanager
    def _session(self) -> Iterator[sa.Connection]:
        """A connection that releases all its locks when the block ends, or when the server detects that it is lost."""
        with self._engine.connect() as connection:
            connection.detach()
            try:
                yield connection
            finally:
                with contextlib.suppress(sa.exc.SQLAlchemyError):  # a lost session holds no lock
                    connection.execute(sa.text("SELECT pg_advisory_unlock_all()"))


# Locks with two keys have an objsubid of 2; the second key is shown as an unsigned number.
_LOCKED = sa.text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid::bigint = :kind AND objid::bigint = :number)"
)


def _try(session: sa.Connection, function: str, kind: int, number: int) -> bool:
    return bool(
        session.execute(sa.text(f"SELECT {function}(:kind, :number)"), {"kind": kind, "number": number}).scalar()
    )


def _wait_for_lock(session: sa.Connection, number: int, longest_s: float) -> None:
    longest = {"longest": f"{longest_s * 1000:.0f}ms"}
    session.execute(sa.text("SELECT set_config('lock_timeout', :longest, false)"), longest)
    try:
        session.execute(sa.text("SELECT pg_advisory_lock(:kind, :number)"), {"kind": _EXCLUSIVE, "number": number})
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise


def _number(name: str) -> int:
    """Hash a name to a signed 32-bit number for PostgreSQL; names with the same number only wait for each other."""
    return zlib.crc32(name.encode()) - 2**31
