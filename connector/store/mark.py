"""A mark outside the database: the newest hold under which this machine has sent a paid request.

A ledger that lacks this hold, or has another one under its number, is an older copy: a restored backup, or a replica
that lacks the newest transactions. In every other case the ledger has the marked hold, because the mark is written
after the hold is committed and before the request is sent.

An older copy that was detected keeps the id of its detection, and the mark names that id from then on. So a second
restore of the same backup is detected too, and so is the return to a ledger that does not know what the copy did.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex

import sqlalchemy as sa

from connector.core.errors import JournalError, OlderCopyError
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import get_value, put_value
from connector.store.private import OWNER_ONLY

LONGEST_BYTES = 4096  # one block
_DETECTIONS = "detections of an older copy"
REPLACED = (
    "the ledger was replaced by an older copy while this command was running, so nothing more is bought; the next run "
    "reads each person at the vendor first"
)


@dataclass(frozen=True, slots=True)
class MarkedHold:
    """An entry of the ledger that holds credits for a request.

    Attributes:
        entry: the number of the entry; later entries have higher numbers.
        attempt_id: the request.
        detection: the latest detection of an older copy that the ledger must know; empty if there was none.
        moved_to: where the ledger is now, if it was moved from a file to a server: a file with the same ledger's id is
            a backup from before the move. Empty if it was not moved.
    """

    entry: int
    attempt_id: str
    detection: str = ""
    moved_to: str = ""


NO_ENTRY = 0  # the entry of a mark that names no hold, only a detection
UNREADABLE = MarkedHold(-1, "")


class Mark:
    """The mark of one ledger on this machine.

    Args:
        path: the file of the mark; None for ledgers in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def path(self) -> Path | None:
        """The file, which may not exist yet."""
        return self._path

    def advance(self, hold: MarkedHold, database: Database) -> None:
        """Mark a hold, unless a newer one is marked: other processes of this machine share the file.

        Raises:
            JournalError: the file cannot be written.
            OlderCopyError: the ledger lacks the hold that was marked before.
        """
        if self._path is None:
            return
        try:
            with _locked(self._path) as handle:
                known = _read(handle)
                if not _has(database, known):
                    raise OlderCopyError(REPLACED)
                if known is None or known.entry < hold.entry:
                    kept = known or MarkedHold(NO_ENTRY, "")
                    _write(handle, replace(hold, detection=kept.detection, moved_to=kept.moved_to))
        except OSError as error:
            raise JournalError(
                f"the file {self._path} cannot be written ({error.strerror or type(error).__name__}), so nothing is "
                "bought: it shows whether the ledger is an older copy. Let the connector's user write it, then run "
                "again"
            ) from error

    def is_missing_in(self, database: Database) -> bool:
        """Whether the ledger lacks the marked hold, and so is an older copy; also True for a damaged mark.

        Raises:
            JournalError: the file exists and cannot be opened.
        """
        return not _has(database, self._known())

    def reset(self, database: Database, detection: str) -> None:
        """Mark the newest hold of the ledger, after the older copy was detected and the id of its detection stored."""
        if self._path is None:
            return
        e = t.entry.c
        with database.read() as connection:
            newest = connection.execute(sa.select(e.id, e.attempt_id).order_by(e.id.desc()).limit(1)).one_or_none()
        with _locked(self._path) as handle:
            known = _read(handle)
            entry, attempt_id = (NO_ENTRY, "") if newest is None else (newest.id, newest.attempt_id)
            _write(handle, MarkedHold(entry, attempt_id, detection, "" if known is None else known.moved_to))

    def moved_to(self) -> str:
        """Where the ledger was moved to from the file beside this mark; empty if it was not moved.

        Raises:
            JournalError: the mark exists and cannot be opened.
        """
        known = self._known()
        return "" if known is None else known.moved_to

    def _known(self) -> MarkedHold | None:
        """Read the mark; None if there is none."""
        if self._path is None or not self._path.exists():
            return None
        try:
            with _locked(self._path) as handle:
                return _read(handle)
        except OSError as error:
            raise JournalError(
                f"the file {self._path} cannot be opened ({error.strerror or type(error).__name__}); let the "
                "connector's user read and write it"
            ) from error

    def record_move(self, place: str) -> None:
        """Record that the ledger is at another place now, so that a backup of its file is recognised here."""
        if self._path is None:
            return
        with _locked(self._path) as handle:
            known = _read(handle) or MarkedHold(NO_ENTRY, "")
            _write(handle, replace(known, moved_to=place))

    def copy_to(self, other: "Mark") -> None:
        """Copy the mark into another folder, unless a newer hold is marked there."""
        known = self._known()
        if known is None or other.path is None:
            return
        with _locked(other.path) as handle:
            theirs = _read(handle)
            if theirs is None or theirs.entry < known.entry:
                _write(handle, known)


def mark_of(folder: Path, ledger_id: str) -> Mark:
    """The mark of a ledger whose files are in this folder."""
    return Mark(folder / f"connector-{ledger_id}.mark")


def _has(database: Database, known: MarkedHold | None) -> bool:
    """Whether the ledger has the marked hold and knows the marked detection; True if nothing is marked."""
    if known is None:
        return True
    query = sa.select(t.entry.c.attempt_id).where(t.entry.c.id == known.entry)
    with database.read() as connection:
        if known.detection and known.detection not in _detections(connection):
            return False
        return known.entry == NO_ENTRY or connection.scalar(query) == known.attempt_id


def add_detection(database: Database, connection: sa.Connection) -> str:
    """Store that the ledger was found to be an older copy; returns the id of the detection, which it keeps for good."""
    detection = token_hex(8)
    put_value(database, connection, _DETECTIONS, json.dumps([*_detections(connection), detection]))
    return detection


def _detections(connection: sa.Connection) -> list[str]:
    found: list[str] = json.loads(get_value(connection, _DETECTIONS) or "[]")
    return found


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _read(handle: int) -> MarkedHold | None:
    """Read the mark: None if there is none yet, `UNREADABLE`, which no ledger has, if it is damaged."""
    data = os.pread(handle, LONGEST_BYTES, 0)
    if not data:  # the machine went down after the file was created and before it was written
        return None
    try:
        found = json.loads(data)
        detection, moved_to = (str(found.get(name, "")) for name in ("detection", "moved_to"))
        return MarkedHold(int(found["entry"]), str(found["attempt_id"]), detection, moved_to)
    except (ValueError, KeyError, TypeError):
        return UNREADABLE


def _write(handle: int, hold: MarkedHold) -> None:
    """Write in place, in one block, without a flush: with an outdated mark, fewer older copies are detected."""
    data = json.dumps(asdict(hold)).encode() + b"\n"
    os.pwrite(handle, data, 0)
    os.ftruncate(handle, len(data))
