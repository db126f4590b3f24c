"""Next polls: when to continue the open work of earlier runs.

A mapping with open records has a job for the next poll. It is due with the next task, person, callback receipt or
result of these records. After a poll without a result, the job waits longer: a minute at first, then twice as long
after each, and a quarter of an hour at most. A callback ends that wait.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.states import (
    AttemptState,
    ChannelState,
    JobKind,
    PurchaseState,
    ReceiptState,
    RecordState,
    TaskState,
)
from connector.store import tables as t
from connector.store.database import Database
from connector.store.jobs import Jobs

FIRST_BACKOFF_S, LAST_BACKOFF_S = 60.0, 900.0
_A, _H, _K, _R, _P, _RC = (
    t.attempt.c,
    t.callback_receipt.c,
    t.task.c,
    t.record.c,
    t.purchase.c,
    t.record_channel.c,
)
_OPEN = t.record.join(t.record_channel, _RC.record_id == _R.id).join(t.purchase, _P.id == _RC.purchase_id)


class PollBackoff:
    """Sets the times of the next polls."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._db = database
        self._jobs = jobs

    def run_begins(self, connection: sa.Connection, mappings: Collection[str], now: datetime) -> None:
        """Make the next poll due at once, in case this run's process dies; the end of the run sets the right time."""
        self._jobs.bring_forward(connection, JobKind.POLL, mappings, now)

    def run_ends(self, connection: sa.Connection, mappings: Collection[str], since: datetime, now: datetime) -> None:
        """Set the next polls of a run's mappings, and of mappings that wait for a result that the run brought."""
        open_records = (_R.state == RecordState.OPEN, _R.mapping > "")  # in the form of the index of open records
        waiting = (*open_records, _R.mapping.not_in(mappings), _RC.state == ChannelState.OPEN)
        results = sa.select(_R.mapping).select_from(_OPEN).where(*waiting, _P.final_at >= since).distinct()
        for mapping in sorted({*mappings, *connection.scalars(results)}):
            self._refresh(connection, mapping, now)

    def refresh(self, now: datetime) -> None:
        """Set the next poll of each mapping again, after a change outside a run."""
        with self._db.write() as connection:
            waiting = sa.select(_R.mapping).where(_R.state == RecordState.OPEN).distinct()
            for mapping in sorted(connection.scalars(waiting)):
                self._refresh(connection, mapping, now)

    def polled(self, mapping: str, now: datetime, scale: float, *, moved: bool) -> None:
        """Set the next poll after a poll.

        Args:
            mapping: the mapping that was polled.
            now: the ledger's time.
            scale: the factor of every wait.
            moved: whether the poll brought a result for any record.
        """
        with self._db.write() as connection:
            row = self._jobs.lock(connection, JobKind.POLL, mapping, now)
            last_s = FIRST_BACKOFF_S / 2 if row.backoff_s is None else row.backoff_s
            backoff_s = FIRST_BACKOFF_S if moved else min(LAST_BACKOFF_S, 2 * last_s)
            not_before = now + timedelta(seconds=backoff_s * scale)
            due = next_due(connection, mapping, now)
            self._jobs.set_due(connection, JobKind.POLL, mapping, due, backoff_s=backoff_s, not_before=not_before)

    def _refresh(self, connection: sa.Connection, mapping: str, now: datetime) -> None:
        self._jobs.lock(connection, JobKind.POLL, mapping, now)
        self._jobs.set_due(connection, JobKind.POLL, mapping, next_due(connection, mapping, now))


_MINE = (_R.state == RecordState.OPEN, _R.mapping == sa.bindparam("mapping"), _RC.state == ChannelState.OPEN)
_FINAL = sa.select(_RC.id).select_from(_OPEN).where(*_MINE, _P.state == PurchaseState.FINAL.value).limit(1)
_RECEIPTS = _OPEN.join(t.callback_receipt, _H.attempt_id.in_((_P.attempt_id, _P.prior_attempt_id)))
_CONFIRMABLE = (
    sa.select(_RC.id)
    .select_from(_RECEIPTS.join(t.attempt, _A.id == _H.attempt_id))
    .where(*_MINE, _H.state == ReceiptState.WAITING, _A.state == AttemptState.LOST)
    .limit(1)
)
_NEXT_POLL = (
    sa.select(sa.func.min(_K.next_poll_at))
    .select_from(_OPEN.join(t.task, _K.id == _P.task_id))
    .where(*_MINE, _K.state == TaskState.OPEN, _P.state != PurchaseState.FINAL.value)
)
_NEXT_CHECK = (
    sa.select(sa.func.min(_P.check_at)).select_from(_OPEN).where(*_MINE, _P.state != PurchaseState.FINAL.value)
)


def next_due(connection: sa.Connection, mapping: str, now: datetime) -> datetime | None:
    """The earliest time at which a mapping's open records can get a result."""
    parameters = {"mapping": mapping}
    if any(connection.execute(query, parameters).first() is not None for query in (_FINAL, _CONFIRMABLE)):
        return now
    times = [connection.scalar(query, parameters) for query in (_NEXT_POLL, _NEXT_CHECK)]
    return min((time for time in times if time is not None), default=None)
