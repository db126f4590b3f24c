"""A rate limit for each vendor key, shared by all threads and processes of a ledger.

The generic cell rate algorithm on one row: each permit moves the theoretical arrival time forward by one interval, and
the caller sleeps outside the transaction. The limits in a vendor's response headers change the same row. The row also
counts the permits, for displays of the rate.

Where the limit is so high that several requests leave in a few hundredths of a second, a process takes the permits of
that time in one block, as many as it has used of the block before. A permit that is not used in its time is lost.
"""

import threading
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.clock import Clock
from connector.store import tables as t
from connector.store.database import Database
from connector.store.stored_times import TOLERANCE

_MINUTE_US = 60_000_000
BLOCK_US = 50_000  # the longest time whose permits are taken at once, and the longest delay of their use
_R = t.rate_limit.c
# A row that was written by a clock ahead of this one does not count.
_IS_AHEAD = sa.and_(_R.tat > sa.bindparam("now_us", type_=_R.tat.type), _R.at <= sa.bindparam("latest"))
_TAKE_PERMITS = (
    sa.update(t.rate_limit)
    .where(_R.key == sa.bindparam("of_key"))
    .values(
        tat=sa.case((_IS_AHEAD, _R.tat), else_=sa.bindparam("now_us", type_=_R.tat.type))
        + sa.bindparam("block_us", type_=_R.tat.type),
        at=sa.bindparam("now"),
        sent=_R.sent + sa.bindparam("permits", type_=_R.sent.type),
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

    Attributes:
        waiting: the threads of this process that wait for their turn to take a permit.
    """

    def __init__(self, database: Database, key: str, per_minute: int, clock: Clock) -> None:
        self._db = database
        self._key = key
        self._vendor = key.partition("/")[0]
        self._clock = clock
        self._per_minute: float = per_minute
        self.waiting = 0
        self._turn = threading.Condition()
        self._is_taken = False  # a thread waits for its permit
        self._first_waiting = 0  # the threads that go before the others
        self._guard = threading.Lock()
        self._left = self._used = 0  # the permits of the block that are left, and that are used
        self._next_us = 0  # the time of its next permit
        with database.write(exclusive=False) as connection:
            connection.execute(
                database.insert(t.rate_limit)
                .values(key=key, tat=0, at=clock.now(), per_minute=per_minute)
                .on_conflict_do_update(index_elements=["key"], set_={"per_minute": per_minute})
            )

    def acquire(self, *, first: bool = False) -> None:
        """Wait until a request may be sent.

        One thread at a time waits for a permit; the others hold none, so that none is taken long before its use.

        Args:
            first: go before the threads that wait without it, as paid requests do.
        """
        with self._turn:
            self.waiting += 1
            self._first_waiting += first
            try:
                self._turn.wait_for(lambda: not self._is_taken and (first or not self._first_waiting))
                self._is_taken = True
            finally:
                self.waiting -= 1
                self._first_waiting -= first
        try:
            self._wait_for_permit()
        finally:
            with self._turn:
                self._is_taken = False
                self._turn.notify_all()

    def _wait_for_permit(self) -> None:
        with self._guard:
            now = self._clock.now()
            wait_us = self._next_permit(now) - _us(now)
        if wait_us > 0:
            self._clock.explain(wait_us / 1_000_000, f"{self._vendor} allows no request before then")
            self._clock.pause(timedelta(microseconds=wait_us))

    def _next_permit(self, now: datetime) -> int:
        """Use the next permit of the block, or of a new block if it has none; returns its time."""
        interval_us = round(_MINUTE_US / self._per_minute * self._clock.scale)
        if not self._left or _us(now) > self._next_us + BLOCK_US:
            self._take_block(now, interval_us)
        at_us = self._next_us
        self._left, self._used, self._next_us = self._left - 1, self._used + 1, at_us + interval_us
        return at_us

    def _take_block(self, now: datetime, interval_us: int) -> None:
        """Take the permits that this process is likely to use: twice those of a block that it has used up."""
        wanted = self._used if self._left else 2 * self._used
        permits = max(1, min(wanted, BLOCK_US // max(1, interval_us)))
        values = {
            "of_key": self._key,
            "now": now,
            "now_us": _us(now),
            "latest": now + TOLERANCE,
            "block_us": permits * interval_us,
            "permits": permits,
        }
        with self._db.write(exclusive=False) as connection:
            ends_us = connection.execute(_TAKE_PERMITS, values).scalar_one()
        self._left, self._used, self._next_us = permits, 0, ends_us - permits * interval_us

    def _drop_block(self) -> None:
        """Use no more permits of the block, because they are not valid any more."""
        with self._guard:
            self._left = 0

    def pause(self, seconds: float) -> None:
        """Send no request for this long, because the vendor demands it."""
        self._drop_block()
        now = self._clock.now()
        until_us = _us(now) + round(seconds * 1_000_000 * self._clock.scale)
        with self._db.write(exclusive=False) as connection:
            connection.execute(
                sa.update(t.rate_limit).where(_R.key == self._key, _R.tat < until_us).values(tat=until_us, at=now)
            )
        self._drop_block()  # another thread may have taken one meanwhile

    def limit(self, per_minute: float) -> None:
        """Apply the limit from the vendor's headers; the row shows it without a fraction."""
        if per_minute == self._per_minute:
            return
        self._drop_block()
        self._per_minute = per_minute
        shown = max(1, int(per_minute))
        with self._db.write(exclusive=False) as connection:
            connection.execute(sa.update(t.rate_limit).where(_R.key == self._key).values(per_minute=shown))


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
