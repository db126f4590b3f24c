"""Stored times are not trusted: a clock that was wrong must not make later runs wait, or wait for ever.

Two kinds of times are corrected. A *plan* (when to poll, when to send again) may lie ahead as far as the rule that
wrote it allows. A *fact* (when a purchase became final) may not lie ahead at all. Plans are looked up by their indexes,
at every run. Facts are looked up only when the newest ones show that a clock was wrong, for most have no index.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.states import RequestItemState, TaskState
from connector.store import tables as t
from connector.store.credits import budget_day
from connector.store.database import Database
from connector.store.inbox import AGAIN_AFTER_S
from connector.store.meta import get_value, put_value

JUST_BEFORE = timedelta(seconds=1)
TOLERANCE = timedelta(seconds=5)  # between the clocks of machines that share a ledger
_LATEST_STAMP = "clock_ahead"
LONGEST_PLAN_S = 900.0  # reads of people and postponed purchases; also the longest `Retry-After` that is obeyed


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits whose times may be stored.

    Attributes:
        longest_poll_s: by provider, the longest interval between two polls of a task, in seconds.
        mappings: whose requested records wait.
        scale: of every wait.
    """

    longest_poll_s: Mapping[str, float]
    mappings: Collection[str]
    scale: float


_FACTS: Sequence[sa.Column[datetime]] = (
    t.purchase.c.state_at,
    t.purchase.c.final_at,
    t.attempt.c.created_at,
    t.task.c.submitted_at,
    t.record.c.opened_at,
    t.record.c.closed_at,
    t.run.c.started_at,
    t.run.c.finished_at,
    t.identity_match.c.at,
    t.request.c.accepted_at,
    t.job.c.asked_at,
    t.worker.c.beat_at,
    t.callback_receipt.c.received_at,
)
_DAYS: Sequence[sa.Column[str]] = (t.entry.c.budget_day, t.attempt.c.budget_day)
# The newest rows, by number, show whether a clock was wrong.
_NEWEST = tuple(
    sa.select(time).order_by(number.desc()).limit(1)
    for number, time in (
        (t.entry.c.id, t.entry.c.at),
        (t.task.c.id, t.task.c.submitted_at),
        (t.record.c.id, t.record.c.opened_at),
        (t.observation.c.id, t.observation.c.began_at),
        (t.change.c.id, t.change.c.at),
    )
)


class StoredTimes:
    """The ledger's side of a clock that was wrong."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def correct(self, now: datetime, waits: Waits) -> int:
        """Move times that lie further ahead than their rules allow; how many there were."""
        with self._db.write() as connection:
            moved = _move_plans(connection, now, waits) + _reset_permits(connection, now)
            latest = _latest_fact(connection)
            if latest is not None and latest > now + TOLERANCE:
                keep_latest_stamp(self._db, connection, latest)
                moved += sum(_move_fact(connection, column, now) for column in _FACTS)
                moved += sum(_move_day(connection, column, now) for column in _DAYS)
        return moved


def _move_plans(connection: sa.Connection, now: datetime, waits: Waits) -> int:
    u, k, a = t.purchase.c, t.task.c, t.request_item.c
    allowed = now + timedelta(seconds=LONGEST_PLAN_S * waits.scale)
    # A read of a person, and a purchase that was refused, are rather late than early: both guard against paying twice.
    moved = _move(connection, u.check_at, allowed, allowed, u.provider.in_(waits.longest_poll_s))
    moved += _move(connection, u.not_before, allowed, allowed)
    requested = now + timedelta(seconds=AGAIN_AFTER_S * waits.scale)
    moved += _move(
        connection, a.not_before, requested, now, a.mapping.in_(waits.mappings), a.state != RequestItemState.DONE
    )
    for provider, longest_s in waits.longest_poll_s.items():
        polled = now + timedelta(seconds=max(longest_s, LONGEST_PLAN_S) * waits.scale)
        moved += _move(connection, k.next_poll_at, polled, now, k.provider == provider, k.state == TaskState.OPEN)
    return moved


def _move(
    connection: sa.Connection,
    column: sa.Column[datetime],
    allowed: datetime,
    corrected: datetime,
    *where: sa.ColumnElement[bool],
) -> int:
    beyond = sa.and_(*where, column > allowed + TOLERANCE)
    return connection.execute(sa.update(column.table).where(beyond).values({column.name: corrected})).rowcount


def _move_fact(connection: sa.Connection, column: sa.Column[datetime], now: datetime) -> int:
    """Before the run that corrects it, so that it counts neither as that run's own nor as newer."""
    moved = connection.execute(
        sa.update(column.table).where(column > now + TOLERANCE).values({column.name: now - JUST_BEFORE})
    )
    return moved.rowcount


def _move_day(connection: sa.Connection, column: sa.Column[str], now: datetime) -> int:
    """Count on today what a clock ahead has spent: else a later day's cap would be used up until then."""
    today = budget_day(now)
    return connection.execute(sa.update(column.table).where(column > today).values({column.name: today})).rowcount


def _reset_permits(connection: sa.Connection, now: datetime) -> int:
    """Request permits that were written by a clock ahead of this one."""
    c = t.rate_limit.c
    moved = connection.execute(sa.update(t.rate_limit).where(c.at > now + TOLERANCE).values(tat=0, at=now))
    return moved.rowcount


def _latest_fact(connection: sa.Connection) -> datetime | None:
    newest = (connection.scalar(query) for query in _NEWEST)
    return max([one for one in newest if one is not None], default=None)


def keep_latest_stamp(database: Database, connection: sa.Connection, latest: datetime) -> None:
    """Stamps in the CRM up to this time may be the ledger's own, though no row of it holds such a time any more."""
    known = latest_stamp(connection)
    put_value(database, connection, _LATEST_STAMP, max(latest, known or latest).isoformat())


def latest_stamp(connection: sa.Connection) -> datetime | None:
    """The latest time that rows held which were corrected or erased since; None where there were none."""
    found = get_value(connection, _LATEST_STAMP)
    return None if found is None else datetime.fromisoformat(found)
