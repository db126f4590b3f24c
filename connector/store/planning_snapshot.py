"""Reads the planning snapshot: purchases, identity matches, and the records that got a value from them."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import sqlalchemy as sa

from connector.core.model import Channel, Identifier, IdentityMatch, Person, Purchase, PurchaseKey
from connector.core.person import Source
from connector.core.plan import PlanningSnapshot
from connector.core.states import ChannelState, RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.rows import chunks, purchase_of

_CHANNELS = tuple(channel.value for channel in Channel)  # without them, the key of a purchase is no index
_P, _R, _RC, _M, _V = t.purchase.c, t.record.c, t.record_channel.c, t.identity_match.c, t.received_value.c


class PlanningSnapshots:
    """Reads planning snapshots."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def read(self, mapping: str, people: Mapping[str, Person], sources: Iterable[Source]) -> PlanningSnapshot:
        """Read all data of the ledger that may affect the plan of these records.

        Args:
            mapping: the mapping of the records.
            people: the persons by CRM id.
            sources: the providers of the mapping.
        """
        with self._db.read() as connection:
            matches: dict[tuple[str, Identifier], IdentityMatch] = {}
            purchases: dict[PurchaseKey, Purchase] = {}
            given = _identifiers(people.values())
            for source in sources:
                for kind in source.resolves:
                    matches |= _matches(connection, source, kind.name, given.get(kind.name, set()))
                found = {
                    it.identifier.value for (name, _), it in matches.items() if name == source.name and it.identifier
                }
                accepted = set().union(*(given.get(kind.name, set()) for kind in source.accepts))
                purchases |= _purchases(connection, source, sorted(accepted | found))
            served = _served(connection, mapping, list(people)) if purchases else set()
            in_progress = _in_progress(connection, mapping, list(people))
            baselines = _baselines(connection, mapping, list(people))
            unusable = _unusable(connection, mapping, list(people)) if purchases else {}
        return PlanningSnapshot(purchases, matches, served, in_progress, baselines, unusable)

    def purchases_of(self, source: Source, people: Collection[Identifier]) -> dict[PurchaseKey, Purchase]:
        """Read the newest generation of each purchase for these people from one source, planned ones included."""
        with self._db.read() as connection:
            found = _purchases(connection, source, sorted({person.value for person in people}))
        return {key: purchase for key, purchase in found.items() if key.person in people}


def _identifiers(people: Iterable[Person]) -> dict[str, set[str]]:
    """The identifiers of these people, by kind."""
    found: dict[str, set[str]] = {}
    for person in people:
        for kind, value in person.identifiers.items():
            found.setdefault(kind, set()).add(value)
    return found


def _matches(
    connection: sa.Connection, source: Source, kind: str, values: Collection[str]
) -> dict[tuple[str, Identifier], IdentityMatch]:
    found: dict[tuple[str, Identifier], IdentityMatch] = {}
    for part in chunks(sorted(values)):
        rows = connection.execute(
            sa.select(_M.value, _M.matched_kind, _M.matched, _M.grouping_keys, _M.at).where(
                _M.provider == source.name, _M.account == source.account, _M.kind == kind, _M.value.in_(part)
            )
        )
        for row in rows:
            identifier = None if row.matched_kind is None else Identifier(row.matched_kind, row.matched)
            found[source.name, Identifier(kind, row.value)] = IdentityMatch(
                identifier, tuple(row.grouping_keys), row.at
            )
    return found


def _purchases(connection: sa.Connection, source: Source, people: Sequence[str]) -> dict[PurchaseKey, Purchase]:
    """The newest generation of each purchase from this source with one of these identifiers, of any kind."""
    newest: dict[PurchaseKey, Purchase] = {}
    for part in chunks(people):
        rows = connection.execute(
            sa.select(t.purchase)
            .where(_P.provider == source.name, _P.account == source.account, _P.channel.in_(_CHANNELS))
            .where(_P.person.in_(part))
            .order_by(_P.generation)
        )
        for row in rows:
            purchase = purchase_of(row)
            newest[purchase.key] = purchase
    return newest


def _served(connection: sa.Connection, mapping: str, crm_ids: list[str]) -> set[tuple[str, int]]:
    served: set[tuple[str, int]] = set()
    for part in chunks(crm_ids):
        rows = connection.execute(
            sa.select(_R.crm_id, _RC.purchase_id)
            .join(t.record_channel, _RC.record_id == _R.id)
            .where(
                _R.mapping == mapping, _R.crm_id.in_(part), _RC.purchase_id.is_not(None), _RC.state == ChannelState.DONE
            )
        )
        served |= {(row.crm_id, row.purchase_id) for row in rows}
        condensed = sa.select(_V.crm_id, _V.purchase_id).where(_V.mapping == mapping, _V.crm_id.in_(part))
        served |= {(row.crm_id, row.purchase_id) for row in connection.execute(condensed)}
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
            sa.select(_R.crm_id, _RC.channel, _RC.baseline)
            .join(t.record_channel, _RC.record_id == _R.id)
            .where(_R.mapping == mapping, _R.crm_id.in_(part), _R.state == RecordState.OPEN, _RC.baseline.is_not(None))
        )
        found |= {(row.crm_id, Channel(row.channel)): row.baseline for row in connection.execute(query)}
    return found


def _unusable(connection: sa.Connection, mapping: str, crm_ids: list[str]) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    n = t.unusable_value.c
    for part in chunks(crm_ids):
        query = sa.select(n.crm_id, n.purchase_id, n.reason).where(n.mapping == mapping, n.crm_id.in_(part))
        found |= {(row.crm_id, row.purchase_id): row.reason for row in connection.execute(query)}
    return found
