"""What a plan collects of each record, in a temporary database: in memory while it is small, on disk beyond that.

SQLite removes the file of such a database from its folder as soon as it has opened it, so no other program sees it, and
nothing is left after a crash (https://www.sqlite.org/inmemorydb.html, "Temporary Databases", November 2026). It has ids
and versions of records as the plan itself has them; people are in it as hashes only.
"""

import hashlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from connector.core.errors import StopError
from connector.core.frozen import FrozenRecord, PlanRecords

_KEY_BYTES = 16
_SCHEMA = """
PRAGMA journal_mode=OFF;
PRAGMA cache_size=-16000;
CREATE TABLE record (
    place INTEGER PRIMARY KEY, mapping TEXT NOT NULL, id TEXT NOT NULL, version TEXT NOT NULL, buy TEXT NOT NULL,
    UNIQUE (mapping, id) ON CONFLICT IGNORE
);
CREATE INDEX of_mapping ON record (mapping, place);
CREATE TABLE seen (key BLOB PRIMARY KEY ON CONFLICT IGNORE) WITHOUT ROWID;
"""


class Spool(PlanRecords):
    """The records of one plan, and what it has seen; its end closes it. Safe to share between threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._db.close)
        with self._using() as db:
            db.executescript(_SCHEMA)

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def add(self, mapping: str, records: Iterable[FrozenRecord]) -> None:
        """Add records of a mapping; the first one with an id counts."""
        rows = [(mapping, one.id, one.version, json.dumps(one.buy)) for one in records]
        with self._using() as db:
            db.executemany("INSERT INTO record (mapping, id, version, buy) VALUES (?, ?, ?, ?)", rows)

    def is_new(self, *key: str) -> bool:
        """Whether this key is seen for the first time."""
        digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=_KEY_BYTES).digest()
        with self._using() as db:
            return db.execute("INSERT INTO seen VALUES (?)", (digest,)).rowcount == 1

    def count(self, mapping: str | None = None) -> int:
        """The number of records of a mapping, or of the plan."""
        query = "SELECT count(*) FROM record WHERE mapping = coalesce(?, mapping)"
        with self._using() as db:
            return int(db.execute(query, (mapping,)).fetchone()[0])

    def pages(self, mapping: str, size: int) -> Iterator[list[FrozenRecord]]:
        """The records of a mapping in the order in which they were added, `size` at a time."""
        query = "SELECT place, id, version, buy FROM record WHERE mapping = ? AND place > ? ORDER BY place LIMIT ?"
        after = 0
        while True:
            with self._using() as db:
                rows = db.execute(query, (mapping, after, size)).fetchall()
            if not rows:
                return
            yield [_record_of(row[1:]) for row in rows]
            after = rows[-1][0]

    def get(self, mapping: str, record_id: str) -> FrozenRecord | None:
        """A record of the plan."""
        query = "SELECT id, version, buy FROM record WHERE mapping = ? AND id = ?"
        with self._using() as db:
            row = db.execute(query, (mapping, record_id)).fetchone()
        return None if row is None else _record_of(row)

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The database, for one thread.

        Raises:
            StopError: its file cannot be written.
        """
        with self._guard:
            try:
                yield self._db
            except sqlite3.OperationalError as error:
                raise StopError(
                    f"the plan's temporary data cannot be stored ({error}): make room in the temporary folder (TMPDIR)"
                ) from error


def _record_of(row: Sequence[str]) -> FrozenRecord:
    return FrozenRecord(id=row[0], version=row[1], buy=json.loads(row[2]))
