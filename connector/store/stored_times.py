"""Corrects stored times that a wrong clock wrote: otherwise later runs would wait too long, or for ever.

Two kinds of times are corrected. A *plan* (when to poll, when to send again) may be in the future, as far as the rule
behind it allows. A *fact* (when a purchase became final) may not be in the future. Plans are indexed and are checked in
every run. Most facts have no index and are checked only if the newest facts show that a clock was wrong.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.states import RequestItemState, TaskState
from connector.store import monthly_spend, totals
from connector.store import tables as t
from connector.store.credits import budget_day
from connector.store.database import Database
from connector.store.inbox import AGAIN_AFTER_S
from connector.store.meta import get_value, put_value

JUST_BEFORE = timedelta(seconds=1)
TOLERANCE = timedelta(seconds=5)  # between the clocks of machines that share a ledger
_LATEST_STAMP = "clock_ahead"
LONGEST_PLAN_S = 900.0  # for reads of people and postponed purchases; also the longest `Retry-After` that is obeyed


@dataclass(frozen=True, slots=True)
class Waits:
    """The longest waits that the rules allow.

    Attributes:
        longest_poll_s: by provider, the longest interval between two polls of a task, in seconds.
        mappings: the mappings whose requested records are corrected.
        scale: the factor of every wait.
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
# The rows with the highest ids show whether a clock was wrong.
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
    """Corrects the times in a ledger."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def correct(self, now: datetime, waits: Waits) -> int:
        """Correct times that are further in the future than their rules allow; returns their number."""
        with self._db.write() as connection:
            moved = _move_plans(connection, now, waits) + _reset_permits(connection, now)
            latest = _latest_fact(connection)
            if latest is not None and latest > now + TOLERANCE:
                keep_latest_stamp(self._db, connection, latest)
                moved += sum(_move_fact(connection, column, now) for column in _FACTS)
                days = sum(_move_day(connection, column, now) for column in _DAYS)
                if days:
                    totals.rebuild(self._db, connection)
                    monthly_spend.rebuild(connection)
                moved += days
        return moved


def _move_plans(connection: sa.Connection, now: datetime, waits: Waits) -> int:
    u, k, a = t.purchase.c, t.task.c, t.request_item.c
    allowed = now + timedelta(seconds=LONGEST_PLAN_S * waits.scale)
    # Reads of people and refused purchases get the latest allowed time: both prevent double payments.
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
    """Move a fact to just before this run, so that it does not count as a part of the run."""
    moved = connection.execute(
        sa.update(column.table).where(column > now + TOLERANCE).values({column.name: now - JUST_BEFORE})
    )
    return moved.rowcount


def _move_day(connection: sa.Connection, column: sa.Column[str], now: datetime) -> int:
    """Count spending with a future day on today: otherwise it would use up the cap of that day."""
    today = budget_day(now)
    return connection.execute(sa.update(column.table).where(column > today).values({column.name: today})).rowcount


def _reset_permits(connection: sa.Connection, now: datetime) -> int:
    """Reset rate limits that a clock ahead of this one wrote."""
    c = t.rate_limit.c
    moved = connection.execute(sa.update(t.rate_limit).where(c.at > now + TOLERANCE).values(tat=0, at=now))
    return moved.rowcount


def _latest_fact(connection: sa.Connection) -> datetime | None:
    newest = (connection.scalar(query) for query in _NEWEST)
    return max([one for one in newest if one is not None], default=None)


def keep_latest_stamp(database: Database, connection: sa.Connection, latest: datetime) -> None:
    """Remember that stamps in the CRM up to this time may come from this ledger, though no row has such a time."""
    known = latest_stamp(connection)
    put_value(database, connection, _LATEST_STAMP, max(latest, known or latest).isoformat())


def latest_stamp(connection: sa.Connection) -> datetime | None:
    """The latest time of rows that were corrected or erased; None if there were none."""
    found = get_value(connection, _LATEST_STAMP)
    return None if found is None else datetime.fromisoformat(found)
