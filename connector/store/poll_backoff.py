"""When to go on with open work of earlier runs: tasks, people to be read, callback receipts, results of other runs.

A mapping with something open is looked at when the next of it is due, but not more often than its pace: a minute at
first, twice as long after each look that moved nothing, a quarter of an hour at most. A callback resets the pace.
"""

import json
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.states import AttemptState, ChannelState, PurchaseState, ReceiptState, RecordState, TaskState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import put_value

FIRST_PACE_S, LAST_PACE_S = 60.0, 900.0
_A, _H, _K, _M, _R, _P, _RC = (
    t.attempt.c,
    t.callback_receipt.c,
    t.task.c,
    t.meta.c,
    t.record.c,
    t.purchase.c,
    t.record_channel.c,
)
_OPEN = t.record.join(t.record_channel, _RC.record_id == _R.id).join(t.purchase, _P.id == _RC.purchase_id)


class PollBackoff:
    """The ledger's side of looking again."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def next_poll(self, mapping: str, now: datetime, longest_poll_s: float = LAST_PACE_S) -> datetime | None:
        """When a mapping's open records are worth a look; None while nothing of theirs is under way.

        Args:
            mapping: whose records.
            now: the ledger's time.
            longest_poll_s: the longest interval between two polls of a task.
        """
        with self._db.read() as connection:
            due = next_due(connection, mapping, now)
            value = connection.scalar(sa.select(_M.value).where(_M.key == _key(mapping)))
        if due is None:
            return None
        found = max(due, datetime.fromisoformat(json.loads(value)["not_before"])) if value else due
        # Nothing is planned further ahead: a clock was wrong, and the next run corrects the ledger.
        return now if found > now + timedelta(seconds=max(longest_poll_s, LAST_PACE_S)) else found

    def looked(self, mapping: str, now: datetime, scale: float, *, moved: bool) -> None:
        """A look was made; did anything move?"""
        with self._db.write(alone=False) as connection:
            value = connection.scalar(sa.select(_M.value).where(_M.key == _key(mapping)))
            last_s = float(json.loads(value)["pace_s"]) if value else FIRST_PACE_S / 2
            pace_s = FIRST_PACE_S if moved else min(LAST_PACE_S, 2 * last_s)
            not_before = now + timedelta(seconds=pace_s * scale)
            kept = json.dumps({"pace_s": pace_s, "not_before": not_before.isoformat()})
            put_value(self._db, connection, _key(mapping), kept)


_MINE = (_R.state == RecordState.OPEN, _R.mapping == sa.bindparam("mapping"), _RC.state == ChannelState.OPEN)
_SETTLED = sa.select(_RC.id).select_from(_OPEN).where(*_MINE, _P.state == PurchaseState.FINAL.value).limit(1)
_RECEIPTS = _OPEN.join(t.callback_receipt, _H.attempt_id.in_((_P.attempt_id, _P.prior_attempt_id)))
_HINTED = (
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
    """The earliest moment at which something of a mapping's open records can be known."""
    mine = {"mapping": mapping}
    if any(connection.execute(query, mine).first() is not None for query in (_SETTLED, _HINTED)):
        return now
    times = [connection.scalar(query, mine) for query in (_NEXT_POLL, _NEXT_CHECK)]
    return min((time for time in times if time is not None), default=None)


def reset_pace(connection: sa.Connection, mapping: str) -> None:
    """Something was told about a mapping's open records: look at once."""
    connection.execute(sa.delete(t.meta).where(_M.key == _key(mapping)))


def _key(mapping: str) -> str:
    return f"look:{mapping}"
