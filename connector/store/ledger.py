"""The ledger as the engine holds it: its parts under one name, its key, its lock and its spill file.

The spill file takes answers to paid requests that could not be committed (database gone, disk full): one line each,
flushed to disk, read first by the next start. It holds the vendor's task id and ours, nothing about people.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from connector.core.errors import ConfigurationError, LockedError
from connector.store import tables as t
from connector.store.attempts import Attempts
from connector.store.credits import Credits
from connector.store.database import Database
from connector.store.operator import Operator
from connector.store.planning import Planning
from connector.store.records import Records
from connector.store.results import Results
from connector.store.runs import Runs
from connector.store.seal import Seal


class Ledger:
    """Everything that must survive a crash.

    Args:
        database: migrated.
        seal: with the keys of this ledger.
        path: the database file, beside which the lock and spill files stand; None for a ledger in memory.

    Raises:
        ConfigurationError: the keys are not those the ledger was sealed with.
    """

    def __init__(self, database: Database, seal: Seal, path: Path | None) -> None:
        self.database = database
        self.seal = seal
        self._path = path
        self._check_key()
        self.attempts = Attempts(database)
        self.credits = Credits(database)
        self.operator = Operator(database)
        self.planning = Planning(database)
        self.records = Records(database, seal)
        self.results = Results(database, seal)
        self.runs = Runs(database, seal)

    def _check_key(self) -> None:
        key = t.meta.c.key
        with self.database.write() as connection:
            known = connection.scalar(sa.select(t.meta.c.value).where(key == "key_fingerprints"))
            fingerprints = set(json.loads(known)) if known else set()
            if fingerprints and not fingerprints & set(self.seal.fingerprints):
                raise ConfigurationError(
                    "the ledger was sealed with another key: restore CONNECTOR_SECRET_KEY (several keys may be listed, "
                    "newest first) or the key file beside the ledger"
                )
            value = json.dumps(sorted(fingerprints | set(self.seal.fingerprints)))
            connection.execute(
                self.database.insert(t.meta)
                .values(key="key_fingerprints", value=value)
                .on_conflict_do_update(index_elements=["key"], set_={"value": value})
            )

    def rotate(self) -> int:
        """Seal under the newest key whatever an older one has sealed, so that the older one may go; how many rows.

        Hashes stay under the key that made them: keep the older key listed for as long as runs can be undone.

        Raises:
            ConfigurationError: something is sealed under a key that is no longer listed.
        """
        key, newest = t.meta.c.key, self.seal.fingerprints[0]
        with self.database.write() as connection:
            if connection.scalar(sa.select(t.meta.c.value).where(key == "sealed_under")) == newest:
                return 0
            count = 0
            for table, column in ((t.unlock, t.unlock.c.value), (t.change, t.change.c.before)):
                for row_id, sealed in connection.execute(
                    sa.select(table.c.id, column).where(column.is_not(None))
                ).all():
                    resealed = self.seal.reseal(sealed)
                    connection.execute(sa.update(table).where(table.c.id == row_id).values({column: resealed}))
                    count += 1
            connection.execute(
                self.database.insert(t.meta)
                .values(key="sealed_under", value=newest)
                .on_conflict_do_update(index_elements=["key"], set_={"value": newest})
            )
        return count

    @contextlib.contextmanager
    def drive(self) -> Iterator[None]:
        """Be the one driver of this ledger while the block runs; the lock dies with its process.

        Raises:
            LockedError: another process is the driver.
        """
        if self._path is None:
            yield
            return
        with _beside(self._path, ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError("another run drives this ledger; wait for it to finish") from error
            yield

    def is_driven(self) -> bool:
        """Whether some process drives this ledger at this moment."""
        try:
            with self.drive():
                return False
        except LockedError:
            return True

    def spill(self, answer: Mapping[str, object]) -> None:
        """Keep the answer to a paid request when the database cannot."""
        if self._path is None:
            return
        with _beside(self._path, ".spill").open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(dict(answer)) + "\n")  # first ends a line that a full disk may have cut off
            file.flush()
            os.fsync(file.fileno())

    def spilled(self) -> list[dict[str, object]]:
        """Answers that could not be committed; a line cut off by a crash is left out."""
        if self._path is None:
            return []
        path = _beside(self._path, ".spill")
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found: list[dict[str, object]] = []
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return found

    def spill_adopted(self) -> None:
        """Everything that was spilled is committed."""
        if self._path is not None:
            _beside(self._path, ".spill").unlink(missing_ok=True)

    def erase_expired(self, undo_ends: datetime) -> None:
        """Erase before-images older than the undo time, and values that nobody waits for."""
        self.runs.forget_images(undo_ends)
        self.records.erase_unwanted()

    def close(self) -> None:
        """Give back all connections."""
        self.database.close()


def _beside(path: Path, suffix: str) -> Path:
    """A file of this ledger alone, whatever other ledgers stand in the folder."""
    return path.with_name(path.name + suffix)
