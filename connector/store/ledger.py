"""The ledger as one object: its aggregates, its id, its keys, its locks and its journal."""

import contextlib
import uuid
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from connector.store import tables as t
from connector.store.alerts import Alerts
from connector.store.answers import Answers
from connector.store.attempts import Attempts
from connector.store.bulk_jobs import BulkJobs
from connector.store.callback_receipts import CallbackReceipts
from connector.store.credits import Credits
from connector.store.database import Database
from connector.store.ended import EndedChannels
from connector.store.identity import Identity
from connector.store.inbox import Inbox
from connector.store.job_queue import JobQueue, NoQueue
from connector.store.jobs import Jobs
from connector.store.journal import RecoveryJournal
from connector.store.keys import Keys
from connector.store.locks import FileLocks, Locks, SessionLocks
from connector.store.mark import Mark, mark_of
from connector.store.meta import LEDGER_ID
from connector.store.monitoring import Monitoring
from connector.store.moved import refuse_moved
from connector.store.operator import Operator
from connector.store.overdue import OverdueWork
from connector.store.overview import OverviewQueries
from connector.store.planning import Planning
from connector.store.planning_snapshot import PlanningSnapshots
from connector.store.plans import Plans
from connector.store.poll_backoff import PollBackoff
from connector.store.polls import Polls
from connector.store.price_watch import PriceWatch
from connector.store.records import Records
from connector.store.restored import RestoredCopy
from connector.store.results import Results
from connector.store.retention import Retention
from connector.store.run_outcomes import RunOutcomes
from connector.store.run_pages import RunPages
from connector.store.runs import Runs
from connector.store.seal import Seal
from connector.store.stored_times import StoredTimes
from connector.store.task_times import StoredTaskTimes
from connector.store.workers import WorkerRow, Workers


class Ledger:
    """Everything that must survive a crash.

    Args:
        database: a migrated database.
        seal: a seal with the keys of this ledger.
        path: the database file, or for PostgreSQL a name in the working directory; the lock and journal files are
            created beside it. None for a ledger in memory.
        queue: delivers jobs to workers; by default there are none.

    Attributes:
        id: a random id that is stored in the ledger; files outside the database are named after it.

    Raises:
        ConfigurationError: the seal lacks a key that the ledger needs.
    """

    def __init__(self, database: Database, seal: Seal, path: Path | None, queue: JobQueue | None = None) -> None:
        queue = queue or NoQueue()
        self.database = database
        self.seal = seal
        self.locks: Locks = FileLocks(path and _beside(path, ".lock")) if database.is_sqlite else SessionLocks(database)
        self.keys = Keys(database, seal)
        self.keys.check()
        self.id = self._identify()
        former = path and _beside(path, ".spill")  # the journal of versions before 0.3
        self.journal = RecoveryJournal(path and path.parent, self.id, former)
        self.alerts = Alerts(database)
        self.answers = Answers(database)
        self.attempts = Attempts(database)
        self.credits = Credits(database)
        self.jobs = Jobs(database, queue)
        self.poll_backoff = PollBackoff(database, self.jobs)
        self.bulk_jobs = BulkJobs(database, seal)
        self.callback_receipts = CallbackReceipts(database, self.jobs)
        self.ended = EndedChannels(database)
        self.identity = Identity(database)
        self.inbox = Inbox(database, self.jobs)
        self.operator = Operator(database)
        self.overdue = OverdueWork(database)
        self.planning = Planning(database)
        self.plans = Plans(database)
        self.polls = Polls(database)
        self.prices = PriceWatch(database)
        self.records = Records(database, seal)
        self.results = Results(database, seal)
        self.retention = Retention(database)
        self.run_outcomes = RunOutcomes(database)
        self.run_pages = RunPages(database)
        self.overview = OverviewQueries(database)
        self.runs = Runs(database, seal, self.jobs, self.poll_backoff)
        self.snapshots = PlanningSnapshots(database)
        self.task_times = StoredTaskTimes(database)
        self.monitoring = Monitoring(database)
        self.times = StoredTimes(database)
        self.restored = RestoredCopy(database)
        self.worker_list = Workers(database)
        self.mark = Mark(None) if path is None else mark_of(path.parent, self.id)

    def _identify(self) -> str:
        key = t.meta.c.key
        with self.database.write() as connection:
            new_id = self.database.insert(t.meta).values(key=LEDGER_ID, value=uuid.uuid4().hex)
            connection.execute(new_id.on_conflict_do_nothing(index_elements=["key"]))
            return str(connection.scalar(sa.select(t.meta.c.value).where(key == LEDGER_ID)))

    @contextlib.contextmanager
    def hold_run_lock(self, mappings: Collection[str] | None = None) -> Iterator[None]:
        """Hold the run lock of these mappings, or of the whole ledger, while the block runs.

        The lock ends with the process.

        Args:
            mappings: the mappings to lock; None locks the whole ledger, as does every lock of an embedded ledger.

        Raises:
            LockedError: another process holds the run lock.
            ConfigurationError: the ledger was moved to another database after this process opened it.
        """
        with self.locks.hold_run_lock(mappings):
            if self.database.is_sqlite:
                refuse_moved(self.database)
            yield

    def is_run_lock_held(self) -> bool:
        """Whether a process holds the run lock of the ledger or of any mapping."""
        return self.locks.is_run_lock_held()

    def workers(self, now: datetime) -> list[WorkerRow]:
        """List the live workers: those with a recent heartbeat whose lock is still held."""
        found = self.worker_list.alive(now)
        if self.database.is_sqlite:
            return found if found and self.is_run_lock_held() else []
        return [one for one in found if self.locks.is_alive(one.owner)]

    def erase_expired(self, undo_ends: datetime) -> None:
        """Erase before-images older than the undo time, and values that no record waits for."""
        self.runs.erase_before_images(undo_ends)
        self.records.erase_unused()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()


def _beside(path: Path, suffix: str) -> Path:
    """The path of a file that belongs to this ledger only."""
    return path.with_name(path.name + suffix)
