"""The causes of alerts, so that each is sent once a day, however many processes notice it.

A process sends only what it has claimed. If it dies, or cannot send, another may claim the message a little later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.alerts import Cause
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import get_value, put_value

CLAIMED_FOR = timedelta(minutes=5)
_LAST_SUCCESS = "last_success"  # the key in table `meta`
_A = t.alert.c
# A claim that ends later than any claim of now was made by a wrong clock.
_UNCLAIMED = sa.or_(
    _A.claimed_until.is_(None),
    _A.claimed_until < sa.bindparam("at_time"),
    _A.claimed_until > sa.bindparam("latest"),
)


@dataclass(frozen=True, slots=True)
class OpenCause:
    """A cause that held when it was last checked."""

    key: str
    title: str


class Alerts:
    """The table `alert` of a ledger."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def claim(self, cause: Cause, now: datetime) -> bool:
        """Note that a cause holds; whether this process should send its message now."""
        day = _day(now)
        with self._db.write() as connection:
            row = self._db.insert(t.alert).values(cause=cause.key, title=cause.title, since=now, is_open=True)
            connection.execute(row.on_conflict_do_nothing(index_elements=["cause"]))
            reopened = {"since": now, "is_open": True, "title": cause.title}
            again = sa.update(t.alert).where(_A.cause == cause.key, _A.is_open.is_(False))
            connection.execute(again.values(**reopened))
            due = [_A.cause == cause.key, sa.or_(_A.sent_day.is_(None), _A.sent_day != day), _UNCLAIMED]
            if cause.patience:
                due.append(_A.since < _midnight(now))
            claim = sa.update(t.alert).where(*due).values(claimed_until=now + CLAIMED_FOR)
            return connection.execute(claim, _times(now)).rowcount == 1

    def claim_end(self, key: str, now: datetime) -> str | None:
        """Note that a cause does not hold; the title of the cause if this process should send that it is over."""
        day = _day(now)
        mine = (_A.cause == key, _A.is_open.is_(True))
        with self._db.write() as connection:
            title: str | None = connection.scalar(sa.select(_A.title).where(*mine))
            if title is None:
                return None
            was_sent = sa.and_(_A.sent_day.is_not(None), sa.or_(_A.over_day.is_(None), _A.over_day != day))
            claim = sa.update(t.alert).where(*mine, was_sent, _UNCLAIMED).values(claimed_until=now + CLAIMED_FOR)
            if connection.execute(claim, _times(now)).rowcount == 1:
                return title
            unsent = sa.or_(_A.sent_day.is_(None), _A.over_day == day)
            connection.execute(sa.update(t.alert).where(*mine, unsent).values(is_open=False))
            return None

    def sent(self, key: str, now: datetime) -> None:
        """The message of a cause was sent; the next one is due on another day."""
        with self._db.write() as connection:
            done = sa.update(t.alert).where(_A.cause == key).values(sent_day=_day(now), claimed_until=None)
            connection.execute(done)

    def sent_end(self, key: str, now: datetime) -> None:
        """The message that a cause is over was sent."""
        with self._db.write() as connection:
            values = {"over_day": _day(now), "is_open": False, "claimed_until": None}
            connection.execute(sa.update(t.alert).where(_A.cause == key).values(**values))

    def open_causes(self) -> list[OpenCause]:
        """The causes that hold, the oldest first."""
        query = sa.select(_A.cause, _A.title).where(_A.is_open.is_(True)).order_by(_A.since)
        with self._db.read() as connection:
            return [OpenCause(cause, title) for cause, title in connection.execute(query)]

    def note_success(self, now: datetime) -> None:
        """A run was successful."""
        with self._db.write() as connection:
            put_value(self._db, connection, _LAST_SUCCESS, now.isoformat())

    def last_success(self, now: datetime) -> datetime:
        """The time of the last successful run; before the first one, the time of the first question."""
        with self._db.read() as connection:
            found = get_value(connection, _LAST_SUCCESS)
        if found is None:
            self.note_success(now)
            return now
        return min(now, datetime.fromisoformat(found))


def _times(now: datetime) -> dict[str, datetime]:
    return {"at_time": now, "latest": now + CLAIMED_FOR}


def _day(now: datetime) -> str:
    return now.strftime("%Y-%m-%d")


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
