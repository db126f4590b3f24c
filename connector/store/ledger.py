"""The ledger as the engine holds it: its parts under one name, its id, its key, its locks and its journal."""

import contextlib
import uuid
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from connector.store import tables as t
from connector.store.answers import Answers
from connector.store.attempts import Attempts
from connector.store.callback_receipts import CallbackReceipts
from connector.store.credits import Credits
from connector.store.database import Database
from connector.store.identity import Identity
from connector.store.inbox import Inbox
from connector.store.job_queue import JobQueue, NoQueue
from connector.store.jobs import Jobs
from connector.store.journal import RecoveryJournal
from connector.store.keys import Keys
from connector.store.locks import FileLocks, Locks, SessionLocks
from connector.store.mark import Mark
from connector.store.operator import Operator
from connector.store.overdue import OverdueWork
from connector.store.planning import Planning
from connector.store.planning_snapshot import PlanningSnapshots
from connector.store.plans import Plans
from connector.store.poll_backoff import PollBackoff
from connector.store.polls import Polls
from connector.store.price_watch import PriceWatch
from connector.store.records import Records
from connector.store.restored import RestoredCopy
from connector.store.results import Results
from connector.store.run_outcomes import RunOutcomes
from connector.store.runs import Runs
from connector.store.seal import Seal
from connector.store.stored_times import StoredTimes
from connector.store.workers import WorkerRow, Workers

LEDGER_ID = "ledger_id"  # the key of the ledger's id in table `meta`


class Ledger:
    """Everything that must survive a crash.

    Args:
        database: migrated.
        seal: with the keys of this ledger.
        path: beside which the lock and journal files stand: the database file, or for PostgreSQL a name in the folder
            that the process works in; None for a ledger in memory.
        queue: delivers jobs to workers, where there are any.

    Attributes:
        id: random, made once for each ledger and kept in it; files outside the database are named after it.

    Raises:
        ConfigurationError: the keys are not those the ledger was sealed with.
    """

    def __init__(self, database: Database, seal: Seal, path: Path | None, queue: JobQueue | None = None) -> None:
        queue = queue or NoQueue()
        self.database = database
        self.seal = seal
        self.locks: Locks = FileLocks(path and _beside(path, ".lock")) if database.is_sqlite else SessionLocks(database)
        self.keys = Keys(database, seal)
        self.keys.check()
        self.id = self._identify()
        former = path and _beside(path, ".spill")  # where versions before 0.3 kept the answers
        self.journal = RecoveryJournal(path and path.parent, self.id, former)
        self.answers = Answers(database)
        self.attempts = Attempts(database)
        self.credits = Credits(database)
        self.jobs = Jobs(database, queue)
        self.poll_backoff = PollBackoff(database, self.jobs)
        self.callback_receipts = CallbackReceipts(database, self.jobs)
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
        self.run_outcomes = RunOutcomes(database)
        self.runs = Runs(database, seal, self.jobs, self.poll_backoff)
        self.snapshots = PlanningSnapshots(database)
        self.times = StoredTimes(database)
        self.restored = RestoredCopy(database)
        self.worker_list = Workers(database)
        self.mark = Mark(path and path.parent / f"connector-{self.id}.mark")

    def _identify(self) -> str:
        key = t.meta.c.key
        with self.database.write() as connection:
            made = self.database.insert(t.meta).values(key=LEDGER_ID, value=uuid.uuid4().hex)
            connection.execute(made.on_conflict_do_nothing(index_elements=["key"]))
            return str(connection.scalar(sa.select(t.meta.c.value).where(key == LEDGER_ID)))

    @contextlib.contextmanager
    def drive(self, mappings: Collection[str] | None = None) -> Iterator[None]:
        """Drive these mappings, or the whole ledger, while the block runs; the lock dies with the process.

        Args:
            mappings: on PostgreSQL others may be driven meanwhile; an embedded ledger has one driver at a time.

        Raises:
            LockedError: another process is the driver.
        """
        with self.locks.drive(mappings):
            yield

    def is_driven(self) -> bool:
        """Whether some process drives this ledger at this moment."""
        return self.locks.is_held()

    def workers(self, now: datetime) -> list[WorkerRow]:
        """Processes that do work for others at this moment; the dead are known by their locks, not only by silence."""
        seen = self.worker_list.alive(now)
        if self.database.is_sqlite:
            return seen if seen and self.is_driven() else []
        return [one for one in seen if self.locks.is_alive(one.owner)]

    def erase_expired(self, undo_ends: datetime) -> None:
        """Erase before-images older than the undo time, and values that nobody waits for."""
        self.runs.forget_images(undo_ends)
        self.records.erase_unused()

    def close(self) -> None:
        """Give back all connections."""
        self.database.close()


def _beside(path: Path, suffix: str) -> Path:
    """A file of this ledger alone, whatever other ledgers stand in the folder."""
    return path.with_name(path.name + suffix)
