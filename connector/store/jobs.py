"""The queue of jobs: delegated runs, schedules, requests and next polls, each with the time at which it is due.

A delegated run has its own row. A mapping has one standing job of each other kind. The transaction that creates work
also sets the time of the standing job, so no work is without a time, even if the process dies. The job then reads its
work from the ledger; a job without any work costs one query.

Both drivers take their jobs from here. The embedded driver polls for due jobs. The distributed driver is notified, with
the name of the mapping, in the transaction that sets a time.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.core.states import JobKind, JobState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.job_queue import JobQueue

KEPT = timedelta(days=7)  # longer than any command waits for its delegated run
_J = t.job.c
_URGENCY = {kind: position for position, kind in enumerate(JobKind)}


@dataclass(frozen=True, slots=True)
class Job:
    """A unit of queued work.

    Attributes:
        due_at: when the job is due; None while it waits for an event.
        not_before: the earliest time of the next poll after polls without a result.
        mappings: the name and digest of each mapping file of a delegated run; other kinds have no digest.
        command: the command of a delegated run.
        chosen: the records of a delegated run; None selects the flagged ones.
        result: the report or the error of a delegated run that has ended.
        schedule: the cron expression from which `due_at` was computed.
        asked_at: when the job was queued; for a schedule, when its last sync began.
    """

    id: str
    kind: JobKind
    due_at: datetime | None
    mappings: Mapping[str, str]
    asked_at: datetime
    command: str = ""
    chosen: Mapping[str, Any] | None = None
    state: str = JobState.WAITING
    progress: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    schedule: str | None = None
    not_before: datetime | None = None

    @property
    def home(self) -> str:
        """The mapping under whose name the job is delivered: the first by name."""
        return min(self.mappings)


class Jobs:
    """The ledger's queue.

    Args:
        database: the ledger's database.
        queue: is notified in the transaction that stores a job.
    """

    def __init__(self, database: Database, queue: JobQueue) -> None:
        self._db = database
        self._queue = queue

    def due(self, mappings: Collection[str], now: datetime, horizon_s: float) -> list[Job]:
        """List the due jobs whose mappings are all among these: the most urgent kind first, then the oldest.

        Runs in state `running` are included: a process that takes one up holds the run lock, so the former process is
        dead.

        Args:
            mappings: the mappings of this process.
            now: the ledger's time.
            horizon_s: how far ahead a standing job may be planned, in seconds; a job beyond it was planned by a wrong
                clock, and is due.
        """
        plans = _J.kind.in_((JobKind.REQUESTS, JobKind.POLL))
        beyond = sa.and_(plans, _J.due_at > now + timedelta(seconds=horizon_s))
        backoff_over = sa.or_(
            _J.not_before.is_(None), _J.not_before <= now, _J.not_before > now + timedelta(seconds=horizon_s)
        )
        query = sa.select(t.job).where(_J.state != JobState.DONE, sa.or_(_J.due_at <= now, beyond), backoff_over)
        with self._db.read() as connection:
            found = [_job_of(row) for row in connection.execute(query.order_by(_J.due_at, _J.id))]
        return sorted(
            (one for one in found if one.mappings.keys() <= set(mappings)), key=lambda one: _URGENCY[one.kind]
        )

    def find(self, job_id: str) -> Job | None:
        """Read one job; None if there is none with this id."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(t.job).where(_J.id == job_id)).one_or_none()
        return None if row is None else _job_of(row)

    # -- delegated runs ------------------------------------------------------------------------------------

    def delegate(
        self, command: str, mappings: Mapping[str, str], chosen: Mapping[str, Any] | None, now: datetime
    ) -> str:
        """Queue a run; returns the job's id."""
        job_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        with self._db.write(exclusive=False) as connection:
            connection.execute(
                sa.insert(t.job).values(
                    id=job_id,
                    kind=JobKind.RUN,
                    due_at=now,
                    command=command,
                    mappings=dict(mappings),
                    chosen=None if chosen is None else dict(chosen),
                    state=JobState.WAITING,
                    asked_at=now,
                )
            )
            self._queue.work(connection, min(mappings))
        return job_id

    def begin(self, job_id: str) -> bool:
        """Mark a delegated run as running; False if it has ended or was withdrawn."""
        return self._set(job_id, state=JobState.RUNNING, progress={})

    def name_records(self, job_id: str, ids: Sequence[str]) -> None:
        """Replace the condition of a run by these records."""
        self._set(job_id, chosen={"where": None, "ids": list(ids), "limit": None})

    def show_progress(self, job_id: str, progress: Mapping[str, Any]) -> None:
        """Store the progress, which the waiting process displays."""
        self._set(job_id, progress=dict(progress))

    def end(self, job_id: str, result: Mapping[str, Any]) -> None:
        """Mark a run as ended and store its report or error."""
        self._set(job_id, state=JobState.DONE, result=dict(result))

    def withdraw(self, job_id: str) -> bool:
        """Delete a run that no process has started; False if one has."""
        with self._db.write(exclusive=False) as connection:
            deleted = connection.execute(sa.delete(t.job).where(_J.id == job_id, _J.state == JobState.WAITING))
        return deleted.rowcount == 1

    def purge(self, now: datetime) -> None:
        """Delete ended runs that were queued more than a week ago."""
        with self._db.write(exclusive=False) as connection:
            connection.execute(sa.delete(t.job).where(_J.state == JobState.DONE, _J.asked_at < now - KEPT))

    def invite_helpers(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """Invite free workers to help with a run that begins."""
        self._queue.assist(connection, run_id, mappings)

    def _set(self, job_id: str, **values: object) -> bool:
        with self._db.write(exclusive=False) as connection:
            changed = connection.execute(
                sa.update(t.job).where(_J.id == job_id, _J.state != JobState.DONE).values(**values)
            )
        return changed.rowcount == 1

    # -- standing jobs -------------------------------------------------------------------------------------

    def bring_forward(
        self, connection: sa.Connection, kind: JobKind, mappings: Collection[str], at: datetime, **values: object
    ) -> None:
        """Make standing jobs due at a time, unless they are due earlier; missing jobs are created.

        Args:
            connection: the transaction that creates the work; call this last, because it locks the rows of the jobs.
            kind: the kind of the jobs.
            mappings: the mappings of the jobs; their rows are always locked in the same order.
            at: the time.
            values: further columns to set.
        """
        for mapping in sorted(mappings):
            added = self._db.insert(t.job).values(**_standing(kind, mapping, at), due_at=at)
            earlier = sa.case((_J.due_at < added.excluded.due_at, _J.due_at), else_=added.excluded.due_at)
            connection.execute(added.on_conflict_do_update(index_elements=["id"], set_={"due_at": earlier, **values}))
            self._queue.work(connection, mapping)  # now: a notification for a later time may be queued already

    def lock(self, connection: sa.Connection, kind: JobKind, mapping: str, now: datetime) -> sa.Row[Any]:
        """Read and lock the row of a standing job until the transaction ends; create the row if it is missing."""
        query = sa.select(t.job).where(_J.id == _id(kind, mapping)).with_for_update()
        found = connection.execute(query).one_or_none()
        if found is None:
            added = self._db.insert(t.job).values(_standing(kind, mapping, now))
            connection.execute(added.on_conflict_do_nothing(index_elements=["id"]))
            found = connection.execute(query).one()
        return found

    def set_due(
        self, connection: sa.Connection, kind: JobKind, mapping: str, at: datetime | None, **values: object
    ) -> None:
        """Set the time of a standing job whose row is locked; with None it waits for an event."""
        connection.execute(sa.update(t.job).where(_J.id == _id(kind, mapping)).values(due_at=at, **values))
        if at is not None:
            self._queue.work(connection, mapping, at)

    # -- schedules -----------------------------------------------------------------------------------------

    def scheduled(self, mapping: str) -> Job | None:
        """Read the job for the next sync of a mapping's schedule."""
        return self.find(_id(JobKind.SCHEDULE, mapping))

    def schedule(self, mapping: str, cron: str, began_at: datetime, due_at: datetime) -> None:
        """Set the next sync of a mapping's schedule.

        Args:
            mapping: the name of the mapping.
            cron: the expression from which `due_at` was computed.
            began_at: when the last sync began; for a new schedule, when it was first seen.
            due_at: when the next sync is due.
        """
        with self._db.write(exclusive=False) as connection:
            self.lock(connection, JobKind.SCHEDULE, mapping, began_at)
            self.set_due(connection, JobKind.SCHEDULE, mapping, due_at, schedule=cron, asked_at=began_at)


def _id(kind: JobKind, mapping: str) -> str:
    return f"{kind}:{mapping}"


def _standing(kind: JobKind, mapping: str, now: datetime) -> dict[str, object]:
    return {
        "id": _id(kind, mapping),
        "kind": kind,
        "command": "",
        "mappings": {mapping: ""},
        "state": JobState.WAITING,
        "asked_at": now,
    }


def _job_of(row: sa.Row[Any]) -> Job:
    return Job(
        row.id,
        JobKind(row.kind),
        row.due_at,
        row.mappings,
        row.asked_at,
        row.command,
        row.chosen,
        row.state,
        row.progress,
        row.result,
        row.schedule,
        row.not_before,
    )
