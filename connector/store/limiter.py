"""A rate limit for each vendor key, shared by all threads and processes of a ledger.

The generic cell rate algorithm on one row: each permit moves the theoretical arrival time forward by one interval, and
the caller sleeps outside the transaction. The limits in a vendor's response headers change the same row. The row also
counts the permits, for displays of the rate.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.clock import Clock
from connector.store import tables as t
from connector.store.database import Database
from connector.store.stored_times import TOLERANCE

_MINUTE_US = 60_000_000
_R = t.rate_limit.c
# A row that was written by a clock ahead of this one does not count.
_IS_AHEAD = sa.and_(_R.tat > sa.bindparam("now_us", type_=_R.tat.type), _R.at <= sa.bindparam("latest"))
_TAKE_PERMIT = (
    sa.update(t.rate_limit)
    .where(_R.key == sa.bindparam("of_key"))
    .values(
        tat=sa.case((_IS_AHEAD, _R.tat), else_=sa.bindparam("now_us", type_=_R.tat.type))
        + sa.bindparam("interval_us", type_=_R.tat.type),
        at=sa.bindparam("now"),
        sent=_R.sent + 1,
    )
    .returning(_R.tat)
)


class Limiter:
    """Permits for one vendor key.

    Args:
        database: the ledger's database.
        key: provider and account.
        per_minute: the operator's setting, used until the vendor's headers give another limit.
        clock: the time and the waits; its scale shortens the interval in rehearsals.
    """

    def __init__(self, database: Database, key: str, per_minute: int, clock: Clock) -> None:
        self._db = database
        self._key = key
        self._vendor = key.partition("/")[0]
        self._clock = clock
        self._per_minute = per_minute
        with database.write(exclusive=False) as connection:
            connection.execute(
                database.insert(t.rate_limit)
                .values(key=key, tat=0, at=clock.now(), per_minute=per_minute)
                .on_conflict_do_update(index_elements=["key"], set_={"per_minute": per_minute})
            )

    def acquire(self) -> None:
        """Wait until a request may be sent."""
        now = self._clock.now()
        now_us = _us(now)
        interval_us = round(_MINUTE_US / self._per_minute * self._clock.scale)
        values = {
            "of_key": self._key,
            "now": now,
            "now_us": now_us,
            "latest": now + TOLERANCE,
            "interval_us": interval_us,
        }
        with self._db.write(exclusive=False) as connection:
            at_us = connection.execute(_TAKE_PERMIT, values).scalar_one()
        wait_us = at_us - interval_us - now_us
        if wait_us > 0:
            self._clock.explain(wait_us / 1_000_000, f"{self._vendor} allows no request before then")
            self._clock.pause(timedelta(microseconds=wait_us))

    def pause(self, seconds: float) -> None:
        """Send no request for this long, because the vendor demands it."""
        now = self._clock.now()
        until_us = _us(now) + round(seconds * 1_000_000 * self._clock.scale)
        with self._db.write(exclusive=False) as connection:
            connection.execute(
                sa.update(t.rate_limit).where(_R.key == self._key, _R.tat < until_us).values(tat=until_us, at=now)
            )

    def limit(self, per_minute: int) -> None:
        """Apply the limit from the vendor's headers."""
        if per_minute == self._per_minute:
            return
        self._per_minute = per_minute
        with self._db.write(exclusive=False) as connection:
            connection.execute(sa.update(t.rate_limit).where(_R.key == self._key).values(per_minute=per_minute))


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
