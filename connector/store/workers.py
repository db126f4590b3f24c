"""The processes that work on the queue's jobs, as far as they are alive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.store import tables as t
from connector.store.database import Database

ALIVE_FOR = timedelta(seconds=30)  # a worker without a sign of life for this long is dead
KEPT = timedelta(days=7)
_W = t.worker.c


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A process that works on queued jobs, with name and digest of each mapping that it knows."""

    owner: str
    kind: str
    mappings: Mapping[str, str]


class Workers:
    """The ledger's list of working processes."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def report_alive(self, worker: WorkerRow, now: datetime) -> None:
        """Give a sign of life."""
        values = {"kind": worker.kind, "mappings": dict(worker.mappings), "beat_at": now}
        with self._db.write(alone=False) as connection:
            connection.execute(
                self._db.insert(t.worker)
                .values(owner=worker.owner, **values)
                .on_conflict_do_update(index_elements=["owner"], set_=values)
            )

    def deregister(self, owner: str) -> None:
        """Leave the list in good order."""
        with self._db.write(alone=False) as connection:
            connection.execute(sa.delete(t.worker).where(_W.owner == owner))

    def alive(self, now: datetime) -> list[WorkerRow]:
        """The workers that gave a sign of life within the last half minute."""
        with self._db.read() as connection:
            rows = connection.execute(
                sa.select(_W.owner, _W.kind, _W.mappings).where(_W.beat_at > now - ALIVE_FOR).order_by(_W.owner)
            )
            return [WorkerRow(row.owner, row.kind, row.mappings) for row in rows]

    def purge(self, now: datetime) -> None:
        """Delete workers that died long ago."""
        with self._db.write(alone=False) as connection:
            connection.execute(sa.delete(t.worker).where(_W.beat_at < now - KEPT))
