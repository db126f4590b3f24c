"""Writes a plan to the ledger: records, the channels requested for them, and the planned purchases."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Identifier, IdentityMatch, Outcome, Person, PurchaseKey
from connector.core.person import Source, names_same
from connector.core.plan import AttachToPending, Buy, Decision, ResolveIdentity, Reuse
from connector.core.states import UNFINISHED_CHANNEL, ChannelState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.batches import execute_many
from connector.store.database import Database
from connector.store.dialects import add_new_to
from connector.store.planned import (
    PlannedRecord,
    PlanScope,
    PurchaseTerms,
    Redecision,
    attention_of,
    channel_row,
    is_ready,
    places_of,
)
from connector.store.record_sql import MARK_READY, plan_of
from connector.store.repeats import attach_to_late_tasks
from connector.store.rows import AnyRow, chunks, person_of

_P, _R, _RC = t.purchase.c, t.record.c, t.record_channel.c
ROWS_PER_INSERT = 500
ANOTHER_PERSON = "the record names another person now; it starts again"
_NOT_BOUGHT = PurchaseState.PLANNED.value


class Planning:
    """Stores plans and identity matches."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def remember(self, source: Source, matches: Mapping[Identifier, IdentityMatch], now: datetime) -> None:
        """Store a provider's answers to the question who has an identifier."""
        rows = [
            {
                "provider": source.name,
                "account": source.account,
                "kind": identifier.kind,
                "value": identifier.value,
                "matched_kind": None if match.identifier is None else match.identifier.kind,
                "matched": None if match.identifier is None else match.identifier.value,
                "grouping_keys": list(match.grouping_keys),
                "at": now,
            }
            for identifier, match in matches.items()
        ]
        if not rows:
            return
        new = self._db.insert(t.identity_match)
        answer = {name: new.excluded[name] for name in ("matched_kind", "matched", "grouping_keys", "at")}
        key = ["provider", "account", "kind", "value"]
        with self._db.write() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=key, set_=answer), rows)

    def save(self, scope: PlanScope, records: Sequence[PlannedRecord], now: datetime, first_place: int = 0) -> None:
        """Write the plan of a page of records in one transaction.

        A record that is open from an earlier run keeps its purchases and its baselines; only channels without a sent
        purchase get the new decision.

        Args:
            scope: the run and mapping of the records.
            records: the page.
            now: the ledger's time.
            first_place: the number of records before the page in the run.
        """
        with self._db.write() as connection:
            existing = _open_records(connection, scope.mapping, records, now)
            old = _channels_of(connection, [row.id for row in existing.values()])
            changed = [_changed_channels(record, old.get(_id_of(existing, record), {})) for record in records]
            terms = PurchaseTerms(scope.run_id, scope.mapping, now, first_place, scope.read_first)
            purchase_ids = _ensure_purchases(connection, terms, changed)
            new_records = [record for record in changed if record.crm_id not in existing]
            new_ids = _insert_records(connection, scope, new_records, now)
            rows = [
                channel_row(new_ids[record.crm_id], record_channel, purchase_ids)
                for record in new_records
                for record_channel in record.channels
            ]
            known = [(existing[record.crm_id], record) for record in changed if record.crm_id in existing]
            rows += _take_up(connection, scope, known, purchase_ids, old)
            for part in chunks(rows, ROWS_PER_INSERT):
                execute_many(connection, _ADD_CHANNEL, part)
            for part in chunks([row.id for row in existing.values()]):
                connection.execute(MARK_READY, {"ids": list(part)})

    def redecide(self, decisions: Sequence[Redecision], terms: PurchaseTerms) -> None:
        """Replace the decisions on channels, after a lookup was answered or a source ended without a value.

        Args:
            decisions: the new decisions.
            terms: the terms of planned purchases.
        """
        if not decisions:
            return
        with self._db.write() as connection:
            planned = PlannedRecord("", Person(), tuple(one.planned for one in decisions))
            purchase_ids = _ensure_purchases(connection, terms, [planned])
            rows = [channel_row(0, one.planned, purchase_ids) for one in decisions]
            values = [
                {"key": one.record_channel_id} | {f"new_{name}": row[name] for name in _DECIDED}
                for one, row in zip(decisions, rows, strict=True)
            ]
            execute_many(connection, _REDECIDE, values)
            for part in chunks(sorted({one.record_id for one in decisions})):
                connection.execute(MARK_READY, {"ids": list(part)})
            _add_resolved(connection, decisions)


_DECIDED = ("state", "position", "purchase_id", "outcome", "reason", "keep_status", "failed_sources", "already_filled")
_REDECIDE = (
    sa.update(t.record_channel)
    .where(_RC.id == sa.bindparam("key"), sa.or_(*(_RC.state == state for state in UNFINISHED_CHANNEL)))
    .values({name: sa.bindparam(f"new_{name}") for name in _DECIDED})
)


_ADD_RECORD = sa.insert(t.record).values(plan_id=plan_of(sa.bindparam("of_run")))
_ADD_CHANNEL = sa.insert(t.record_channel)
_TAKE_UP_RECORD = (
    sa.update(t.record)
    .where(_R.id == sa.bindparam("key"))
    .values(
        run_id=sa.bindparam("new_run"),
        selected_by=sa.bindparam("new_run"),
        plan_id=sa.func.coalesce(plan_of(sa.bindparam("new_run")), _R.plan_id),
        identifiers=sa.bindparam("new_identifiers"),
        grouping_keys=sa.bindparam("new_groups"),
        resolved=sa.bindparam("new_resolved"),
        attention=sa.bindparam("new_attention"),
        chosen=sa.or_(_R.chosen, sa.bindparam("is_chosen", type_=sa.Boolean)),
    )
)
_CHANNEL_COLUMNS = (*_DECIDED, "baseline")
_TAKE_UP_CHANNEL = (
    sa.update(t.record_channel)
    .where(_RC.id == sa.bindparam("key"))
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANNEL_COLUMNS})
)
_TAKE_UP_PURCHASE = (
    sa.update(t.purchase)
    .where(_P.id == sa.bindparam("key"), _P.state == _NOT_BOUGHT)
    .values(
        run_id=sa.bindparam("new_run"),
        mapping=sa.bindparam("new_mapping"),
        # A person of an earlier page keeps the place on that page.
        place=sa.case(
            (
                sa.and_(_P.run_id == sa.bindparam("new_run"), _P.place < sa.bindparam("new_place", type_=sa.Integer)),
                _P.place,
            ),
            else_=sa.bindparam("new_place", type_=sa.Integer),
        ),
    )
)
_ADD_RESOLVED = (
    sa.update(t.record)
    .where(_R.id == sa.bindparam("key"))
    .values(resolved=sa.bindparam("new_resolved", type_=_R.resolved.type))
)


def _add_resolved(connection: sa.Connection, decisions: Sequence[Redecision]) -> None:
    """Add identifiers that were found to the records; those found earlier stay."""
    found: dict[int, dict[str, str]] = {}
    for one in decisions:
        if one.resolved:
            found[one.record_id] = {**one.resolved, **found.get(one.record_id, {})}
    for part in chunks(sorted(found)):
        stored = connection.execute(sa.select(_R.id, _R.resolved).where(_R.id.in_(part))).all()
        rows = [{"key": row.id, "new_resolved": {**found[row.id], **(row.resolved or {})}} for row in stored]
        execute_many(connection, _ADD_RESOLVED, rows)


def _open_records(
    connection: sa.Connection, mapping: str, records: Sequence[PlannedRecord], now: datetime
) -> dict[str, AnyRow]:
    """Read the open rows of these records, by CRM id; rows that represent another person are closed."""
    found: dict[str, AnyRow] = {}
    people = {record.crm_id: record.person for record in records}
    for part in chunks(list(people)):
        query = sa.select(_R.id, _R.crm_id, _R.identifiers, _R.resolved).where(
            _R.mapping == mapping, _R.state == RecordState.OPEN, _R.crm_id.in_(part)
        )
        found |= {row.crm_id: row for row in connection.execute(query)}
    others = [row.id for row in found.values() if not _same_person(row, people[row.crm_id])]
    for some in chunks(others):
        connection.execute(
            sa.update(t.record)
            .where(_R.id.in_(some))
            .values(state=RecordState.CLOSED, outcome=Outcome.SKIPPED.value, reason=ANOTHER_PERSON, closed_at=now)
        )
    return {crm_id: row for crm_id, row in found.items() if row.id not in others}


def _same_person(row: AnyRow, person: Person) -> bool:
    """Whether the record still represents the same person, and has lost no identifier."""
    return (
        names_same(Person(row.identifiers), row.resolved, person)
        and row.identifiers.keys() <= person.identifiers.keys()
    )


def _id_of(existing: Mapping[str, AnyRow], record: PlannedRecord) -> int:
    row = existing.get(record.crm_id)
    return 0 if row is None else int(row.id)


def _channels_of(connection: sa.Connection, record_ids: Sequence[int]) -> dict[int, dict[str, AnyRow]]:
    """By record and channel, the stored channels with the state of their purchase."""
    found: dict[int, dict[str, AnyRow]] = {}
    for part in chunks(record_ids):
        query = (
            sa.select(
                _RC.id,
                _RC.record_id,
                _RC.channel,
                _RC.state,
                _RC.outcome,
                _RC.baseline,
                _P.state.label("purchase_state"),
            )
            .outerjoin(t.purchase, _P.id == _RC.purchase_id)
            .where(_RC.record_id.in_(part))
        )
        for row in connection.execute(query):
            found.setdefault(row.record_id, {})[row.channel] = row
    return found


def _changed_channels(record: PlannedRecord, old: Mapping[str, AnyRow]) -> PlannedRecord:
    """The record with only the channels that are new or get a new decision; the others stay as they are."""
    changed = tuple(
        record_channel
        for record_channel in record.channels
        if _gets_new_decision(record_channel.decision, old.get(record_channel.channel.value))
    )
    return replace(record, channels=changed)


def _gets_new_decision(decision: Decision, old: AnyRow | None) -> bool:
    if old is None:
        return True
    if old.state == ChannelState.DONE:  # unless it was skipped for a reason that no longer holds
        return old.outcome == Outcome.SKIPPED.value and isinstance(
            decision, Buy | AttachToPending | Reuse | ResolveIdentity
        )
    return old.purchase_state in {None, _NOT_BOUGHT}


def _insert_records(
    connection: sa.Connection,
    scope: PlanScope,
    records: list[PlannedRecord],
    now: datetime,
) -> dict[str, int]:
    rows = [
        {
            "crm": scope.crm,
            "mapping": scope.mapping,
            "object": scope.object,
            "crm_id": record.crm_id,
            "state": RecordState.OPEN,
            "run_id": scope.run_id,
            "of_run": scope.run_id,
            "identifiers": dict(record.person.identifiers),
            "grouping_keys": dict(record.person.grouping_keys),
            "resolved": dict(record.resolved),
            "attention": attention_of(record),
            "chosen": scope.chosen,
            "selected_by": scope.run_id,
            "due": is_ready(record),
            "opened_at": now,
        }
        for record in records
    ]
    for part in chunks(rows, ROWS_PER_INSERT):
        execute_many(connection, _ADD_RECORD, part)
    ids: dict[str, int] = {}
    for some in chunks([record.crm_id for record in records]):
        query = sa.select(_R.crm_id, _R.id).where(
            _R.mapping == scope.mapping, _R.state == RecordState.OPEN, _R.crm_id.in_(some)
        )
        ids |= {row.crm_id: row.id for row in connection.execute(query)}
    return ids


def _take_up(
    connection: sa.Connection,
    scope: PlanScope,
    known: Sequence[tuple[AnyRow, PlannedRecord]],
    purchase_ids: Mapping[PurchaseKey, int],
    old: Mapping[int, Mapping[str, AnyRow]],
) -> list[dict[str, object]]:
    """Assign open records to this run and update their channels; returns the rows of their new channels."""
    records = [
        {
            "key": row.id,
            "new_run": scope.run_id,
            "new_identifiers": dict(record.person.identifiers),
            "new_groups": dict(record.person.grouping_keys),
            "new_resolved": {**record.resolved, **row.resolved},
            "new_attention": attention_of(record),
            "is_chosen": scope.chosen,
        }
        for row, record in known
    ]
    execute_many(connection, _TAKE_UP_RECORD, records)
    new: list[dict[str, object]] = []
    updates: list[dict[str, object]] = []
    for row, record in known:
        for record_channel in record.channels:
            values = channel_row(row.id, record_channel, purchase_ids)
            before = old.get(row.id, {}).get(record_channel.channel.value)
            if before is None:
                new.append(values)
                continue
            values["baseline"] = before.baseline or values["baseline"]
            updates.append({"key": before.id, **{f"new_{name}": values[name] for name in _CHANNEL_COLUMNS}})
    execute_many(connection, _TAKE_UP_CHANNEL, updates)
    return new


def _ensure_purchases(
    connection: sa.Connection,
    terms: PurchaseTerms,
    records: Sequence[PlannedRecord],
) -> dict[PurchaseKey, int]:
    """Create or find the purchases of the decisions; planned ones are assigned to this run. Returns their ids."""
    buys = {c.decision.key: c.decision for r in records for c in r.channels if isinstance(c.decision, Buy)}
    places = places_of(records, terms.first_place)
    attached = {
        c.decision.purchase.key: c.decision.purchase
        for r in records
        for c in r.channels
        if isinstance(c.decision, AttachToPending | Reuse)
    }
    rows = [
        {
            "provider": key.provider,
            "account": key.account,
            "channel": key.channel.value,
            "person_kind": key.person.kind,
            "person": key.person.value,
            "generation": buy.generation,
            "state": _NOT_BOUGHT,
            "grouping_key": buy.grouping_key,
            "mapping": terms.mapping,
            "run_id": terms.run_id,
            "place": places[key],
            "price_credits": buy.price_credits,
            "state_at": terms.now,
            "check_at": terms.now if key.provider in terms.read_first else None,
        }
        for key, buy in buys.items()
    ]
    for part in chunks(rows, ROWS_PER_INSERT):
        execute_many(connection, add_new_to(t.purchase, connection.dialect.name), part)
    ids = {key: purchase.id for key, purchase in attached.items()}
    ids |= _newest_ids(connection, buys)
    attach_to_late_tasks(connection, [ids[key] for key, buy in buys.items() if buy.generation > 1], terms.now)
    planned = [
        {"key": purchase.id, "new_run": terms.run_id, "new_mapping": terms.mapping, "new_place": places[key]}
        for key, purchase in attached.items()
        if purchase.state is PurchaseState.PLANNED
    ]
    execute_many(connection, _TAKE_UP_PURCHASE, planned)
    return ids


def _newest_ids(connection: sa.Connection, buys: Mapping[PurchaseKey, Buy]) -> dict[PurchaseKey, int]:
    groups: dict[tuple[str, str, str], list[PurchaseKey]] = {}
    for key in buys:
        groups.setdefault((key.provider, key.account, key.channel.value), []).append(key)
    ids: dict[PurchaseKey, int] = {}
    for (provider, account, channel), keys in groups.items():
        by_person = {key.person: key for key in keys}
        for part in chunks(sorted({person.value for person in by_person})):
            rows = connection.execute(
                sa.select(_P.person_kind, _P.person, _P.id)
                .where(_P.provider == provider, _P.account == account, _P.channel == channel, _P.person.in_(part))
                .order_by(_P.generation)
            )
            for row in rows:
                if person_of(row) in by_person:
                    ids[by_person[person_of(row)]] = row.id
    return ids
