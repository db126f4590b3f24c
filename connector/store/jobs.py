"""Jobs queued for the process that drives the ledger, ticks of schedules, and the workers that are alive."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.core.states import JobState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.job_queue import JobQueue
from connector.store.stored_times import TOLERANCE

ALIVE_FOR = timedelta(seconds=30)  # a worker that gave no sign for so long is gone
KEPT = timedelta(days=7)  # longer than anybody waits for an answer
RECEIPTS_KEPT = timedelta(days=30)
ANY_VERSION = ""  # instead of a digest: the schedule means the mapping as it is when its sync is made
_E, _W, _M = t.job.c, t.worker.c, t.meta.c


@dataclass(frozen=True, slots=True)
class Job:
    """A run that one process delegates to another.

    Attributes:
        mappings: name and digest of each mapping file that is meant.
        chosen: which records; None means the flagged ones.
        result: what came of it, once it is done.
    """

    id: str
    command: str
    mappings: Mapping[str, str]
    chosen: Mapping[str, Any] | None
    state: str
    progress: Mapping[str, Any]
    result: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A process that works on queued jobs, with name and digest of each mapping that it knows."""

    owner: str
    kind: str
    mappings: Mapping[str, str]


class Jobs:
    """The ledger's queue of jobs.

    Args:
        database: the ledger's.
        queue: notified in the transaction that stores a job.
    """

    def __init__(self, database: Database, queue: JobQueue) -> None:
        self._db = database
        self._queue = queue

    # -- delegated runs ------------------------------------------------------------------------------------

    def ask(self, command: str, mappings: Mapping[str, str], chosen: Mapping[str, Any] | None, now: datetime) -> str:
        """Ask for a run; its id."""
        with self._db.write(alone=False) as connection:
            return self._ask(connection, command, mappings, chosen, now)

    def _ask(
        self,
        connection: sa.Connection,
        command: str,
        mappings: Mapping[str, str],
        chosen: Mapping[str, Any] | None,
        now: datetime,
    ) -> str:
        job_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        connection.execute(
            sa.insert(t.job).values(
                id=job_id,
                command=command,
                mappings=dict(mappings),
                chosen=None if chosen is None else dict(chosen),
                state=JobState.WAITING,
                asked_at=now,
            )
        )
        self._queue.work(connection, min(mappings))
        return job_id

    def find(self, job_id: str) -> Job | None:
        """The present state of a job."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(t.job).where(_E.id == job_id)).one_or_none()
        return None if row is None else _job_of(row)

    def waiting(self, mappings: Collection[str]) -> list[Job]:
        """Unfinished jobs whose mappings are all among these, oldest first.

        One that says `running` is listed too: whoever takes it up drives its mappings, so its former runner is dead.
        """
        with self._db.read() as connection:
            rows = connection.execute(
                sa.select(t.job).where(_E.state != JobState.DONE).order_by(_E.asked_at, _E.id)
            ).all()
        return [found for found in map(_job_of, rows) if found.mappings.keys() <= set(mappings)]

    def begin(self, job_id: str) -> bool:
        """Start a job; False when it has ended or was withdrawn."""
        return self._set(job_id, state=JobState.RUNNING, progress={})

    def name_records(self, job_id: str, ids: Sequence[str]) -> None:
        """From now on these records are meant, whatever chose them."""
        self._set(job_id, chosen={"where": None, "ids": list(ids), "limit": None})

    def tell(self, job_id: str, progress: Mapping[str, Any]) -> None:
        """Say how far it is."""
        self._set(job_id, progress=dict(progress))

    def end(self, job_id: str, result: Mapping[str, Any]) -> None:
        """Say what came of it."""
        self._set(job_id, state=JobState.DONE, result=dict(result))

    def withdraw(self, job_id: str) -> bool:
        """Remove a job that no process has started."""
        with self._db.write(alone=False) as connection:
            gone = connection.execute(sa.delete(t.job).where(_E.id == job_id, _E.state == JobState.WAITING))
        return gone.rowcount == 1

    def _set(self, job_id: str, **values: object) -> bool:
        with self._db.write(alone=False) as connection:
            changed = connection.execute(
                sa.update(t.job).where(_E.id == job_id, _E.state != JobState.DONE).values(**values)
            )
        return changed.rowcount == 1

    def purge(self, now: datetime) -> None:
        """Delete jobs that ended long ago, workers that are gone, and callback receipts that can serve no purpose."""
        with self._db.write() as connection:
            connection.execute(sa.delete(t.job).where(_E.state == JobState.DONE, _E.asked_at < now - KEPT))
            connection.execute(sa.delete(t.worker).where(_W.beat_at < now - KEPT))
            connection.execute(
                sa.delete(t.callback_receipt).where(t.callback_receipt.c.received_at < now - RECEIPTS_KEPT)
            )

    # -- the schedule ----------------------------------------------------------------------------------------

    def last_tick(self, mapping: str, now: datetime) -> datetime:
        """When a mapping's schedule last began a run; a schedule that is new begins to count now."""
        key = f"tick:{mapping}"
        with self._db.read() as connection:
            found = connection.scalar(sa.select(_M.value).where(_M.key == key))
        if found is not None and datetime.fromisoformat(found) <= now + TOLERANCE:
            return datetime.fromisoformat(found)
        with self._db.write(alone=False) as connection:
            connection.execute(
                self._db.insert(t.meta)
                .values(key=key, value=now.isoformat())
                .on_conflict_do_nothing(index_elements=["key"])
            )
            # A tick that lies ahead was written by a clock that was wrong: the schedule counts from now.
            connection.execute(sa.update(t.meta).where(_M.key == key, _M.value == found).values(value=now.isoformat()))
        return now

    def tick(self, mapping: str, last: datetime, now: datetime) -> bool:
        """Claim the tick that is due and ask for its sync; False when somebody else has it."""
        with self._db.write(alone=False) as connection:
            moved = connection.execute(
                sa.update(t.meta)
                .where(_M.key == f"tick:{mapping}", _M.value == last.isoformat())
                .values(value=now.isoformat())
            )
            if moved.rowcount == 1:
                self._ask(connection, "sync", {mapping: ANY_VERSION}, None, now)
        return moved.rowcount == 1

    # -- who is there ----------------------------------------------------------------------------------------

    def report_alive(self, owner: str, kind: str, mappings: Mapping[str, str], now: datetime) -> None:
        """Be seen as alive."""
        values = {"kind": kind, "mappings": dict(mappings), "beat_at": now}
        with self._db.write(alone=False) as connection:
            connection.execute(
                self._db.insert(t.worker)
                .values(owner=owner, **values)
                .on_conflict_do_update(index_elements=["owner"], set_=values)
            )

    def deregister(self, owner: str) -> None:
        """Be gone, in good order."""
        with self._db.write(alone=False) as connection:
            connection.execute(sa.delete(t.worker).where(_W.owner == owner))

    def workers(self, now: datetime) -> list[WorkerRow]:
        """Who gave a sign of life not long ago."""
        with self._db.read() as connection:
            rows = connection.execute(
                sa.select(_W.owner, _W.kind, _W.mappings).where(_W.beat_at > now - ALIVE_FOR).order_by(_W.owner)
            )
            return [WorkerRow(row.owner, row.kind, row.mappings) for row in rows]


def _job_of(row: sa.Row[tuple[object, ...]]) -> Job:
    return Job(
        row.id,
        row.command,
        row.mappings,
        row.chosen,
        row.state,
        row.progress,
        row.result,
    )
