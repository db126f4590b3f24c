"""The processes that work on the queue's jobs, with the time of their last heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.store import tables as t
from connector.store.database import Database

ALIVE_FOR = timedelta(seconds=30)  # a worker without a heartbeat for this long is dead
KEPT = timedelta(days=7)
_W = t.worker.c


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A process that works on queued jobs, with the name and digest of each mapping that it has."""

    owner: str
    kind: str
    mappings: Mapping[str, str]


class Workers:
    """Heartbeats of the processes that work on queued jobs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def report_alive(self, worker: WorkerRow, now: datetime) -> None:
        """Store a heartbeat."""
        values = {"kind": worker.kind, "mappings": dict(worker.mappings), "beat_at": now}
        with self._db.write(exclusive=False) as connection:
            connection.execute(
                self._db.insert(t.worker)
                .values(owner=worker.owner, **values)
                .on_conflict_do_update(index_elements=["owner"], set_=values)
            )

    def deregister(self, owner: str) -> None:
        """Remove a process that stops."""
        with self._db.write(exclusive=False) as connection:
            connection.execute(sa.delete(t.worker).where(_W.owner == owner))

    def alive(self, now: datetime) -> list[WorkerRow]:
        """List the workers with a heartbeat in the last 30 seconds."""
        with self._db.read() as connection:
            rows = connection.execute(
                sa.select(_W.owner, _W.kind, _W.mappings).where(_W.beat_at > now - ALIVE_FOR).order_by(_W.owner)
            )
            return [WorkerRow(row.owner, row.kind, row.mappings) for row in rows]

    def purge(self, now: datetime) -> None:
        """Delete workers without a heartbeat for a week."""
        with self._db.write(exclusive=False) as connection:
            connection.execute(sa.delete(t.worker).where(_W.beat_at < now - KEPT))
