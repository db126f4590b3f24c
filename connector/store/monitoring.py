"""Figures for monitors: small values in table `meta`, each changed by the transaction of what it counts.

A scrape reads all of them by their keys, so that its cost depends on the numbers of mappings, providers and channels
only. They begin with the first run of a version that keeps them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Channel, Outcome
from connector.core.person import Source
from connector.core.task_seconds import TaskSeconds
from connector.store import tables as t
from connector.store.database import Database
from connector.store.dialects import insert_into
from connector.store.meta import get_value, put_value
from connector.store.rows import chunks

_M, _R, _RC, _RR = t.meta.c, t.record.c, t.record_channel.c, t.run_record.c
_LOOK_AT = (Outcome.UNKNOWN.value, Outcome.PARKED.value)
_CLOSED = (
    sa.select(_R.mapping, _RC.channel, _RC.shown_outcome, sa.func.count())
    .join(t.record, _R.id == _RC.record_id)
    .where(_R.id.in_(sa.bindparam("ids", expanding=True)), _R.closed_at == sa.bindparam("now"))
    .where(_RC.shown_outcome.is_not(None))
    .group_by(_R.mapping, _RC.channel, _RC.shown_outcome)
)
_NEEDS_ATTENTION = (
    sa.select(_R.mapping, sa.func.count())
    .select_from(t.run_record)
    .join(t.record, _RR.record_id == _R.id)
    .where(_RR.run_id == sa.bindparam("run_id"), sa.or_(_RR.outcome.in_(_LOOK_AT), _RR.attention != ""))
    .group_by(_R.mapping)
)


@dataclass(frozen=True, slots=True)
class LastRun:
    """What the last runs of a mapping have left.

    Attributes:
        success_at: when its last successful run ended.
        attention: the records of its last ended run that a person should look at.
    """

    success_at: datetime | None = None
    attention: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """A vendor's balance, and when its last observation began."""

    credits: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Monitored:
    """All figures.

    Attributes:
        outcomes: the channels of closed records by (mapping, channel, outcome).
        runs: by mapping.
        balances: by provider, those that were observed.
        corrected: by provider, the credits of charges that were reversed.
        tasks: by (provider, channel), those with an ended task.
    """

    outcomes: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    runs: Mapping[str, LastRun] = field(default_factory=dict)
    balances: Mapping[str, Balance] = field(default_factory=dict)
    corrected: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[tuple[str, str], TaskSeconds] = field(default_factory=dict)


# -- changes, each within the transaction of what it counts -------------------------------------------------------


def records_closed(database: Database, connection: sa.Connection, record_ids: Sequence[int], now: datetime) -> None:
    """Count the channels of records that this transaction has closed."""
    new: dict[str, Counter[str]] = {}
    for part in chunks(record_ids):
        for mapping, channel, outcome, count in connection.execute(_CLOSED, {"ids": list(part), "now": now}):
            new.setdefault(mapping, Counter())[f"{channel} {outcome}"] += count
    for mapping, counts in sorted(new.items()):
        key = _of_outcomes(mapping)
        before = json.loads(get_value(connection, key) or "{}")
        put_value(database, connection, key, json.dumps(Counter(before) + counts))


def run_ended(
    database: Database, connection: sa.Connection, run_id: str, mappings: Iterable[str], success_at: datetime | None
) -> None:
    """Store what a run leaves; `success_at` is None if it was not successful."""
    attention = {mapping: count for mapping, count in connection.execute(_NEEDS_ATTENTION, {"run_id": run_id})}  # noqa: C416 rows are not pairs
    for mapping in sorted(mappings):
        key = _of_runs(mapping)
        before = _last_run(get_value(connection, key))
        at = success_at or before.success_at
        stored = {"success_at": at.isoformat() if at else None, "attention": attention.get(mapping, 0)}
        put_value(database, connection, key, json.dumps(stored))


def balance_seen(database: Database, connection: sa.Connection, provider: str, account: str, balance: Balance) -> None:
    """Store the balance that a vendor shows now."""
    stored = {"credits": balance.credits, "at": balance.at.isoformat()}
    put_value(database, connection, _of_balance(provider, account), json.dumps(stored))


def charge_reversed(connection: sa.Connection, provider: str, credits_: int) -> None:
    """Add reversed charges, so that the sum of all charges ever made can be computed from the entries' sum."""
    insert = insert_into(t.meta, connection.dialect.name).values(key=_of_corrections(provider), value=str(credits_))
    total = sa.cast(_M.value, sa.BigInteger) + sa.cast(insert.excluded.value, sa.BigInteger)
    connection.execute(insert.on_conflict_do_update(index_elements=["key"], set_={"value": sa.cast(total, sa.Text)}))


def tasks_ended(
    database: Database, connection: sa.Connection, source: Source, channel: Channel, durations_s: Iterable[float]
) -> None:
    """Add the durations of ended tasks."""
    key = _of_tasks(source.name, source.account, channel)
    found = TaskSeconds.from_json(get_value(connection, key)).add(durations_s)
    put_value(database, connection, key, found.to_json())


# -- the scrape ---------------------------------------------------------------------------------------------------


class Monitoring:
    """Reads all figures in one statement."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def read(self, mappings: Sequence[str], sources: Iterable[Source]) -> Monitored:
        """Read the figures of some mappings and provider accounts."""
        accounts = {one.name: one.account for one in sources}
        keys = [key for name in mappings for key in (_of_outcomes(name), _of_runs(name))]
        for name, account in accounts.items():
            keys += [_of_balance(name, account), _of_corrections(name)]
            keys += [_of_tasks(name, account, channel) for channel in Channel]
        with self._db.read() as connection:
            rows = connection.execute(sa.select(_M.key, _M.value).where(_M.key.in_(keys))).all()
        values = {str(row.key): str(row.value) for row in rows}
        balances = {name: values.get(_of_balance(name, account)) for name, account in accounts.items()}
        tasks = {(n, c.value): values.get(_of_tasks(n, a, c)) for n, a in accounts.items() for c in Channel}
        return Monitored(
            outcomes={
                (name, *key.split(" ", 1)): int(count)
                for name in mappings
                for key, count in json.loads(values.get(_of_outcomes(name), "{}")).items()
            },
            runs={name: _last_run(values[_of_runs(name)]) for name in mappings if _of_runs(name) in values},
            balances={name: _balance(text) for name, text in balances.items() if text is not None},
            corrected={name: int(values.get(_of_corrections(name), "0")) for name in accounts},
            tasks={key: TaskSeconds.from_json(text) for key, text in tasks.items() if text is not None},
        )


def _last_run(text: str | None) -> LastRun:
    stored = json.loads(text or "{}")
    at = stored.get("success_at")
    return LastRun(None if at is None else datetime.fromisoformat(at), int(stored.get("attention", 0)))


def _balance(text: str) -> Balance:
    stored = json.loads(text)
    return Balance(int(stored["credits"]), datetime.fromisoformat(stored["at"]))


# A key has 60 characters, a mapping's or provider's name 40; an account's name may be longer.


def _of_outcomes(mapping: str) -> str:
    return f"outcomes of mapping:{mapping}"


def _of_runs(mapping: str) -> str:
    return f"runs of mapping:{mapping}"


def _of_corrections(provider: str) -> str:
    return f"reversed charges:{provider}"


def _of_balance(provider: str, account: str) -> str:
    return f"balance:{_hash(provider, account)}"


def _of_tasks(provider: str, account: str, channel: Channel) -> str:
    return f"task seconds:{_hash(provider, account, channel.value)}"


def _hash(*names: str) -> str:
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:40]
