"""Who drives a ledger, and which processes are alive: locks that die with the process that holds them.

An embedded ledger has one driver, by a lock on a file beside it. On PostgreSQL runs of different mappings may be driven
at the same time, by sessions that hold advisory locks: one for each mapping, one for the whole ledger where a command
needs it alone, and one for each process that sends paid requests. More locks tell that a command waits for the ledger,
and keep requests to a vendor apart that wants one at a time.
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

HELD = "another run drives this ledger; wait for it to finish"
# Any fixed numbers: the kinds of advisory locks.
_LEDGER, _MAPPING, _OWNER, _ALONE, _WANTED = 7_226_003, 7_226_004, 7_226_005, 7_226_006, 7_226_007
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL: Appendix A, error codes


class Locks(Protocol):
    """The locks of one ledger."""

    def drive(self, mappings: Collection[str] | None) -> contextlib.AbstractContextManager[None]:
        """Drive these mappings, or the whole ledger (None), while the block runs.

        Raises:
            LockedError: somebody else does.
        """

    def is_held(self) -> bool:
        """Whether anybody drives anything."""

    def is_driven(self, mapping: str) -> bool:
        """Whether anybody drives this mapping."""

    def request_yield(self) -> contextlib.AbstractContextManager[None]:
        """Ask whoever works for others to let go of the ledger as soon as it can, until the block ends."""

    def yield_requested(self) -> bool:
        """Whether anybody asks for that."""

    def alone(self, name: str, longest_s: float) -> contextlib.AbstractContextManager[None]:
        """Run the block while no other block of this name runs.

        After `longest_s` seconds it runs all the same: whoever holds up the others for so long stands still.
        """

    def present(self, owner: str) -> contextlib.AbstractContextManager[None]:
        """Be known as alive under this name while the block runs."""

    def renew(self, owner: str) -> None:
        """Be known again, where the database went away meanwhile; now and then."""

    def is_alive(self, owner: str) -> bool:
        """Whether that process may still send what it has taken."""


class FileLocks:
    """One driver at a time, so whoever drives knows that no other process is at work.

    Args:
        path: the lock file; None for a ledger in memory, which nobody else can reach.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._wanted = None if path is None else path.with_name(f"{path.name}.wanted")
        self._looking = threading.Lock()  # threads that look at once would take each other for somebody who wants it
        self._present: set[str] = set()

    @contextlib.contextmanager
    def drive(self, mappings: Collection[str] | None) -> Iterator[None]:
        """Hold the file's lock."""
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

    def is_held(self) -> bool:
        """Whether the file is locked at this moment."""
        try:
            with self.drive(None):
                return False
        except LockedError:
            return True

    def is_driven(self, mapping: str) -> bool:
        """Whether somebody drives everything."""
        del mapping
        return self.is_held()

    @contextlib.contextmanager
    def request_yield(self) -> Iterator[None]:
        """Share the lock of a second file."""
        if self._wanted is None:
            yield
            return
        with _opened(self._wanted) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def yield_requested(self) -> bool:
        """Whether anybody shares it; only the one driver looks, so no other process's look is in the way."""
        if self._wanted is None or not self._wanted.exists():
            return False
        with self._looking, _opened(self._wanted) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def alone(self, name: str, longest_s: float) -> contextlib.AbstractContextManager[None]:
        """Nothing to wait for: only the one driver asks vendors."""
        del name, longest_s
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def present(self, owner: str) -> Iterator[None]:
        """Remember our own name: only the driver sends, so whoever asks asks about itself or about the dead."""
        self._present.add(owner)
        try:
            yield
        finally:
            self._present.discard(owner)

    def renew(self, owner: str) -> None:
        """Nothing: a file's lock lasts."""

    def is_alive(self, owner: str) -> bool:
        """Whether it is ourselves, in another thread."""
        return owner in self._present


def _opened(path: Path) -> TextIO:
    """A lock file; made for its owner only, since a lock that others hold would stop every run."""
    return open(path, "a", encoding="ascii", opener=open_private)


class SessionLocks:
    """Advisory locks of PostgreSQL, each held by a session of its own outside any transaction."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine.execution_options(isolation_level="AUTOCOMMIT", beside=True)
        self._present: dict[str, contextlib.ExitStack] = {}

    @contextlib.contextmanager
    def drive(self, mappings: Collection[str] | None) -> Iterator[None]:
        """Hold the mappings' locks, or the ledger's alone."""
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

    def is_held(self) -> bool:
        """Whether anybody drives any mapping."""
        return self._is_locked(_LEDGER, 0)

    def is_driven(self, mapping: str) -> bool:
        """Whether anybody drives this mapping."""
        return self._is_locked(_MAPPING, _number(mapping))

    @contextlib.contextmanager
    def request_yield(self) -> Iterator[None]:
        """Share a lock."""
        with self._session() as session:
            _try(session, "pg_try_advisory_lock_shared", _WANTED, 0)
            yield

    def yield_requested(self) -> bool:
        """Whether anybody shares it."""
        return self._is_locked(_WANTED, 0)

    @contextlib.contextmanager
    def alone(self, name: str, longest_s: float) -> Iterator[None]:
        """Queue for a lock; the server serves those who wait in the order in which they came."""
        with self._session() as session:
            _queue(session, _number(name), longest_s)
            yield

    @contextlib.contextmanager
    def present(self, owner: str) -> Iterator[None]:
        """Hold a lock under this name."""
        with contextlib.ExitStack() as sessions:
            self._hold(sessions, owner)
            self._present[owner] = sessions
            try:
                yield
            finally:
                del self._present[owner]

    def renew(self, owner: str) -> None:
        """Hold it in another session, where a restart of the server has ended the one that held it."""
        sessions = self._present.get(owner)
        if sessions is not None and not self.is_alive(owner):
            self._hold(sessions, owner)

    def _hold(self, sessions: contextlib.ExitStack, owner: str) -> None:
        session = sessions.enter_context(self._session())
        _try(session, "pg_try_advisory_lock_shared", _OWNER, _number(owner))

    def is_alive(self, owner: str) -> bool:
        """Whether some session holds the lock of that name."""
        return self._is_locked(_OWNER, _number(owner))

    def _is_locked(self, kind: int, number: int) -> bool:
        """Looked up, not tried: a lock taken for a moment would turn away whoever wants it in that moment."""
        with self._engine.connect() as connection:
            return bool(connection.execute(_LOCKED, {"kind": kind, "number": number % 2**32}).scalar())

    @contextlib.contextmanager
    def _session(self) -> Iterator[sa.Connection]:
        """A connection whose end releases all its locks: at once when the block ends, else when the server notices."""
        with self._engine.connect() as connection:
            connection.detach()
            try:
                yield connection
            finally:
                with contextlib.suppress(sa.exc.SQLAlchemyError):  # a session that is gone holds nothing
                    connection.execute(sa.text("SELECT pg_advisory_unlock_all()"))


# Locks of two numbers have a subid of 2, and show the second as an unsigned number.
_LOCKED = sa.text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid::bigint = :kind AND objid::bigint = :number)"
)


def _try(session: sa.Connection, function: str, kind: int, number: int) -> bool:
    return bool(
        session.execute(sa.text(f"SELECT {function}(:kind, :number)"), {"kind": kind, "number": number}).scalar()
    )


def _queue(session: sa.Connection, number: int, longest_s: float) -> None:
    longest = {"longest": f"{longest_s * 1000:.0f}ms"}
    session.execute(sa.text("SELECT set_config('lock_timeout', :longest, false)"), longest)
    try:
        session.execute(sa.text("SELECT pg_advisory_lock(:kind, :number)"), {"kind": _ALONE, "number": number})
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise


def _number(name: str) -> int:
    """A name as PostgreSQL's signed 32-bit number; two names that meet only wait for each other."""
    return zlib.crc32(name.encode()) - 2**31
