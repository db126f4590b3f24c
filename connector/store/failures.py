"""External failures that end a run, such as a lost database connection or a full disk.

Every sent request is in the ledger or is verified by the next run, so the queue is intact. An SQL statement that the
database rejects as invalid is a fault of the connector and is not covered here.
"""

import errno
from collections.abc import Iterator

import sqlalchemy as sa

from connector.core.errors import ConfigurationError, ConnectorError, StopError

MOVED = "this ledger was moved to "  # begins the text of `store/moved.py`, also in the triggers of such a ledger
_NEXT = "the queue is intact, and nothing that was sent is lost"
_SQLITE = {  # by the prefix of SQLite's error name
    "SQLITE_FULL": f"the disk of the ledger is full: {_NEXT}; free some space, then run again",
    "SQLITE_IOERR": f"the disk of the ledger is full or fails: {_NEXT}; free some space, or check the disk, then run "
    "again",
    "SQLITE_READONLY": f"the ledger cannot be written any more: {_NEXT}; check whether its file or its file system has "
    "become read-only, then run again",
    "SQLITE_CANTOPEN": f"the ledger cannot be opened any more: {_NEXT}; check its file and folder, then run again",
    "SQLITE_PERM": f"the ledger cannot be opened any more: {_NEXT}; check its permissions, then run again",
    "SQLITE_BUSY": f"another program has locked the ledger for too long: {_NEXT}; end that program (a backup, a "
    "database browser), then run again",
    "SQLITE_LOCKED": f"another program has locked the ledger for too long: {_NEXT}; end that program, then run again",
    "SQLITE_PROTOCOL": f"another program has locked the ledger for too long: {_NEXT}; end that program, then run again",
    "SQLITE_NOMEM": f"the machine has no memory left for the ledger: {_NEXT}; run again later",
}
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_DAMAGED_TEXT = (
    "the ledger's file is damaged: start no run; keep the file, restore the last backup, and see docs/deployment.md"
)
_GONE = f"the ledger's database went away: {_NEXT}; check that PostgreSQL runs and can be reached, then run again"
_POSTGRES = {  # by the prefix of the SQLSTATE (postgresql.org, appendix A)
    "08": _GONE,
    "25006": f"the ledger's database is read-only (a standby server?): {_NEXT}; connect to the primary, then run again",
    "28": f"the ledger's database refuses the login: {_NEXT}; check CONNECTOR_DATABASE_URL, then run again",
    "3D000": _GONE,
    "40": f"the ledger's database rolled back a transaction that conflicted with others: {_NEXT}; run again",
    "53100": f"the disk of the ledger's database is full: {_NEXT}; free some space, then run again",
    "53300": f"the ledger's database takes no more connections: {_NEXT}; allow more, or start fewer workers",
    "53": f"the ledger's database has no resources left: {_NEXT}; run again later",
    "55P03": f"the ledger's database is locked by another program: {_NEXT}; run again later",
    "57": _GONE,
    "58": f"the disk of the ledger's database fails: {_NEXT}; check the disk, then run again",
}
_SYSTEM = {
    errno.ENOSPC: f"the disk is full: {_NEXT}; free some space, then run again",
    errno.EDQUOT: f"the disk quota is used up: {_NEXT}; free some space, then run again",
    errno.EROFS: f"the file system is read-only: {_NEXT}; make it writable, then run again",
    errno.EIO: f"the disk fails: {_NEXT}; check the disk, then run again",
}


def outage(error: BaseException) -> ConnectorError | None:
    """The external failure that caused an error, with text for an admin; None if there is none.

    Returns:
        A `StopError` (exit 4) if the same command may be run again, a `ConfigurationError` if the ledger is damaged
        or was moved.
    """
    for one in _causes(error):
        if isinstance(one, sa.exc.TimeoutError):
            return StopError(_GONE)
        found = _of_driver(getattr(one, "orig", None) or one)
        if found is not None:
            return found
        if isinstance(one, sa.exc.DBAPIError) and one.connection_invalidated:
            return StopError(_GONE)
        if isinstance(one, OSError) and one.errno in _SYSTEM:
            return StopError(_SYSTEM[one.errno])
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__


def _of_driver(error: BaseException) -> ConnectorError | None:
    """Classify a driver's error by SQLite's error name or PostgreSQL's SQLSTATE."""
    name = getattr(error, "sqlite_errorname", None)
    if isinstance(name, str):
        if name == "SQLITE_CONSTRAINT_TRIGGER" and str(error).startswith(MOVED):
            return ConfigurationError(str(error))
        if name.startswith(_DAMAGED):
            return ConfigurationError(_DAMAGED_TEXT)
        return next((StopError(text) for start, text in _SQLITE.items() if name.startswith(start)), None)
    if not type(error).__module__.startswith("psycopg"):
        return None
    state = getattr(error, "sqlstate", None)
    if state is None:  # no answer from the server: the connection is lost
        return StopError(_GONE) if type(error).__name__ in {"OperationalError", "InterfaceError"} else None
    return next((StopError(text) for start, text in _POSTGRES.items() if state.startswith(start)), None)
