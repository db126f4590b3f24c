"""Data for watching a vendor's prices: charges between two observations, and stored suspicions."""

import hashlib
import json

import sqlalchemy as sa

from connector.core.model import Channel
from connector.core.person import Source
from connector.core.price_watch import Fall, Interval, Suspicion
from connector.core.spend import EntryKind
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import get_value, put_value
from connector.store.record_sql import unindexed
from connector.store.tables.purchases import HELD_AND_FREE
from connector.store.totals import open_credits

_A, _E, _M, _O, _P = t.attempt.c, t.entry.c, t.meta.c, t.observation.c, t.purchase.c
_OBSERVATIONS = sa.select(_O.id, _O.balance, _O.last_entry).where(_O.id.in_(sa.bindparam("ids", expanding=True)))
_OBSERVATION_BEFORE = (
    sa.select(_O.id)
    .where(
        _O.provider == sa.bindparam("provider"), _O.account == sa.bindparam("account"), _O.id < sa.bindparam("until")
    )
    .order_by(_O.id.desc())
    .limit(1)
)
_ENTRIES_SINCE = (
    _E.id > sa.bindparam("last_entry"),
    _E.provider == sa.bindparam("provider"),
    _E.account == sa.bindparam("account"),
)
_CHARGED_SINCE = sa.select(sa.func.coalesce(sa.func.sum(_E.credits), 0)).where(
    *_ENTRIES_SINCE, _E.kind == EntryKind.CHARGE.value, _E.credits > 0
)
_HELD_SINCE = (
    sa.select(_A.channel, sa.func.sum(_E.credits))
    .join(t.attempt, _A.id == _E.attempt_id)
    .where(*_ENTRIES_SINCE, _E.kind == EntryKind.HOLD.value)
    .group_by(_A.channel)
)
_FREE_CREDITS = sa.select(sa.func.coalesce(sa.func.sum(_P.price_credits), 0)).where(
    HELD_AND_FREE,
    unindexed(_P.provider) == sa.bindparam("provider"),
    unindexed(_P.account) == sa.bindparam("account"),
)


class PriceWatch:
    """Reads price intervals, and stores suspicions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def interval(self, source: Source, observation_id: int) -> Interval | None:
        """Read the interval between an observation and the previous one; None if there is no previous one."""
        with self._db.read() as connection:
            since = connection.scalar(_OBSERVATION_BEFORE, _account_of(source) | {"until": observation_id})
            if since is None:
                return None
            fall = _fall(connection, source, since, observation_id)
            held = dict[str, int]()
            if fall is not None:
                held = _new_holds(connection, source, since)
            open_credits = _open_credits(connection, source)
        if fall is None:
            return None
        bought = {name: _count(credits_, source, name) for name, credits_ in held.items()}
        return Interval(
            fall, open_credits, {name: count for name, count in bought.items() if count}, sum(held.values())
        )

    def fall(self, source: Source, since: int, until: int) -> Fall | None:
        """Compute how far the balance fell between two observations; None if the first one is deleted."""
        with self._db.read() as connection:
            return _fall(connection, source, since, until)

    def suspicion(self, source: Source, channel: Channel) -> Suspicion | None:
        """Read the suspicion that the price differs from the settings; None if there is none for the present price."""
        with self._db.read() as connection:
            stored = get_value(connection, _key(source, channel))
        found = None if stored is None else Suspicion(**json.loads(stored))
        return found if found is not None and found.price == source.prices.by_channel.get(channel) else None

    def keep(self, source: Source, channel: Channel, suspicion: Suspicion | None) -> None:
        """Store a suspicion for this and later runs; None deletes it."""
        key = _key(source, channel)
        with self._db.write() as connection:
            if suspicion is None:
                connection.execute(sa.delete(t.meta).where(_M.key == key))
                return
            put_value(self._db, connection, key, json.dumps(suspicion.to_json()))


def _fall(connection: sa.Connection, source: Source, since: int, until: int) -> Fall | None:
    rows = {row.id: row for row in connection.execute(_OBSERVATIONS, {"ids": [since, until]})}
    if len(rows) < 2:
        return None
    charged = connection.scalar(_CHARGED_SINCE, _account_of(source) | {"last_entry": rows[since].last_entry})
    most = _open_credits(connection, source) + int(charged or 0)
    return Fall(since, rows[since].balance - rows[until].balance, most)


def _new_holds(connection: sa.Connection, source: Source, since: int) -> dict[str, int]:
    """Credits held since an observation, by channel."""
    first = connection.scalar(sa.select(_O.last_entry).where(_O.id == since))
    rows = connection.execute(_HELD_SINCE, _account_of(source) | {"last_entry": int(first or 0)})
    return {channel: int(credits_) for channel, credits_ in rows}


def _account_of(source: Source) -> dict[str, object]:
    return {"provider": source.name, "account": source.account}


def _open_credits(connection: sa.Connection, source: Source) -> int:
    """Credits of purchases in flight that the vendor may charge or may have charged."""
    free = int(connection.scalar(_FREE_CREDITS, _account_of(source)) or 0)
    return open_credits(connection, source.name, source.account) - free


def _count(credits_: int, source: Source, channel: str) -> int:
    """The number of purchases behind held credits; 0 for channels without a price, such as events."""
    price = source.prices.by_channel.get(Channel(channel), 0)
    return credits_ // price if price else 0


def _key(source: Source, channel: Channel) -> str:
    name = f"{source.name}/{source.account}/{channel.value}"
    return f"price:{hashlib.sha256(name.encode()).hexdigest()[:40]}"
