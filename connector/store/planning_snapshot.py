"""What planning must know of the ledger: purchases, lookups, and whom they have served."""

import json
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from connector.core.model import Channel, Lookup, Person, Unlock, UnlockKey
from connector.core.person import Source
from connector.core.plan import PlanningSnapshot
from connector.store import tables as t
from connector.store.database import Database
from connector.store.rows import chunks, unlock_of

_U, _R, _W, _L = t.unlock.c, t.record.c, t.want.c, t.lookup.c


class SnapshotReader:
    """Reads, for planning."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def snapshot(self, mapping: str, people: Mapping[str, Person], sources: Iterable[Source]) -> PlanningSnapshot:
        """Everything in the ledger that may matter for these records.

        Args:
            mapping: whose records they are.
            people: persons by CRM id.
            sources: the providers that the mapping asks.
        """
        with self._db.read() as connection:
            lookups: dict[tuple[str, str], Lookup] = {}
            unlocks: dict[UnlockKey, Unlock] = {}
            names = sorted({p.linkedin for p in people.values() if p.linkedin})
            ids = {p.personnel_id for p in people.values() if p.personnel_id}
            for source in sources:
                if source.looks_up_linkedin:
                    lookups |= _lookups(connection, source, names)
                found = {
                    it.personnel_id for (name, _), it in lookups.items() if name == source.name and it.personnel_id
                }
                unlocks |= _unlocks(connection, source, sorted({*ids, *found, *names}))
            served = _served(connection, mapping, list(people)) if unlocks else set()
            in_progress = _in_progress(connection, mapping, list(people))
            baselines = _baselines(connection, mapping, list(people))
            unusable = _unusable(connection, mapping, list(people)) if unlocks else {}
        return PlanningSnapshot(unlocks, lookups, served, in_progress, baselines, unusable)

    def unlocks_of(self, source: Source, person: str) -> dict[UnlockKey, Unlock]:
        """The newest generation of everything bought, or planned to be, for one person from one source."""
        with self._db.read() as connection:
            return _unlocks(connection, source, [person])


def _lookups(connection: sa.Connection, source: Source, names: list[str]) -> dict[tuple[str, str], Lookup]:
    found: dict[tuple[str, str], Lookup] = {}
    for part in chunks(names):
        rows = connection.execute(
            sa.select(_L.linkedin, _L.personnel_id, _L.events, _L.at).where(
                _L.provider == source.name, _L.account == source.account, _L.linkedin.in_(part)
            )
        )
        for row in rows:
            found[source.name, row.linkedin] = Lookup(row.personnel_id, tuple(json.loads(row.events)), row.at)
    return found


def _unlocks(connection: sa.Connection, source: Source, people: list[str]) -> dict[UnlockKey, Unlock]:
    """The newest generation of everything bought for these people from this source."""
    newest: dict[UnlockKey, Unlock] = {}
    for part in chunks(people):
        rows = connection.execute(
            sa.select(t.unlock)
            .where(_U.provider == source.name, _U.account == source.account, _U.person.in_(part))
            .order_by(_U.generation)
        )
        for row in rows:
            unlock = unlock_of(row)
            newest[unlock.key] = unlock
    return newest


def _served(connection: sa.Connection, mapping: str, crm_ids: list[str]) -> set[tuple[str, int]]:
    served: set[tuple[str, int]] = set()
    for part in chunks(crm_ids):
        rows = connection.execute(
            sa.select(_R.crm_id, _W.unlock_id)
            .join(t.want, _W.record_id == _R.id)
            .where(_R.mapping == mapping, _R.crm_id.in_(part), _W.unlock_id.is_not(None), _W.state == "done")
        )
        served |= {(row.crm_id, row.unlock_id) for row in rows}
    return served


def _in_progress(connection: sa.Connection, mapping: str, crm_ids: list[str]) -> set[str]:
    found: set[str] = set()
    for part in chunks(crm_ids):
        query = sa.select(_R.crm_id).where(_R.mapping == mapping, _R.crm_id.in_(part), _R.in_progress)
        found |= set(connection.scalars(query))
    return found


def _baselines(connection: sa.Connection, mapping: str, crm_ids: list[str]) -> dict[tuple[str, Channel], str]:
    found: dict[tuple[str, Channel], str] = {}
    for part in chunks(crm_ids):
        query = (
            sa.select(_R.crm_id, _W.channel, _W.baseline)
            .join(t.want, _W.record_id == _R.id)
            .where(_R.mapping == mapping, _R.crm_id.in_(part), _R.state == "open", _W.baseline.is_not(None))
        )
        found |= {(row.crm_id, Channel(row.channel)): row.baseline for row in connection.execute(query)}
    return found


def _unusable(connection: sa.Connection, mapping: str, crm_ids: list[str]) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    n = t.unusable_value.c
    for part in chunks(crm_ids):
        query = sa.select(n.crm_id, n.unlock_id, n.reason).where(n.mapping == mapping, n.crm_id.in_(part))
        found |= {(row.crm_id, row.unlock_id): row.reason for row in connection.execute(query)}
    return found
