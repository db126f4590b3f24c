"""What a plan changes in the ledger: records, what is wanted for them, and what is to be bought."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.model import Channel, Lookup, Outcome, Person, UnlockKey, UnlockState
from connector.core.person import Source, names_same
from connector.core.plan import AttachToPending, Buy, Decision, Defer, ResolveIdentity, Reuse, Skip, SourcesExhausted
from connector.store import tables as t
from connector.store.database import Database
from connector.store.planned import PlannedRecord, PlannedWant
from connector.store.planning_snapshot import SnapshotReader
from connector.store.record_sql import plan_of
from connector.store.repeats import join_late_tasks
from connector.store.rows import chunks, tried_to

_U, _R, _W, _L = t.unlock.c, t.record.c, t.want.c, t.lookup.c
ROWS_PER_INSERT = 500
AnyRow = Any  # a row of a query over some columns
ANOTHER_PERSON = "the record names another person now; it begins anew"
LATE = 1_000_000_000  # the place of what is decided only while the run is at work
_NOT_BOUGHT = UnlockState.PLANNED.value


class Planning(SnapshotReader):
    """The ledger's side of planning: what is known, and what a plan makes of it."""

    def remember(self, source: Source, linkedin: str, lookup: Lookup, now: datetime) -> None:
        """Keep the answer to a LinkedIn lookup."""
        values = {"personnel_id": lookup.personnel_id, "events": json.dumps(lookup.events), "at": now}
        with self._db.write() as connection:
            connection.execute(
                self._db.insert(t.lookup)
                .values(provider=source.name, account=source.account, linkedin=linkedin, **values)
                .on_conflict_do_update(index_elements=["provider", "account", "linkedin"], set_=values)
            )

    def save(
        self,
        run_id: str,
        mapping: str,
        object_name: str,
        records: Sequence[PlannedRecord],
        now: datetime,
        first_place: int = 0,
        *,
        chosen: bool = False,
        read_first: Collection[str] = (),
    ) -> None:
        """Write the plan of a page of records in one transaction; `first_place` counts the records before it.

        `chosen` are records taken by a condition or ids, whatever their flag. `read_first` are providers whose record
        of a person is read before the person is bought.

        A record that is open from an earlier run keeps what was bought for it, and its baselines; only what was not
        bought yet is decided anew.
        """
        with self._db.write() as connection:
            existing = _open_records(connection, mapping, records, now)
            old = _wants_of(connection, [row.id for row in existing.values()])
            wanted = [_what_changes(record, old.get(_id_of(existing, record), {})) for record in records]
            unlock_ids = _ensure_unlocks(self._db, connection, run_id, mapping, wanted, now, first_place, read_first)
            fresh = [record for record in wanted if record.crm_id not in existing]
            new_ids = _insert_records(connection, run_id, mapping, object_name, fresh, now, chosen=chosen)
            rows: list[dict[str, object]] = []
            for record in wanted:
                if record.crm_id in existing:
                    record_id = existing[record.crm_id].id
                    rows += _take_up(
                        connection, record_id, record, run_id, unlock_ids, old.get(record_id, {}), chosen=chosen
                    )
                else:
                    record_id = new_ids[record.crm_id]
                    rows += [_want_row(record_id, want, unlock_ids) for want in record.wants]
            for part in chunks(rows, ROWS_PER_INSERT):
                connection.execute(sa.insert(t.want), list(part))

    def redecide(
        self,
        want_id: int,
        run_id: str,
        mapping: str,
        channel: Channel,
        decision: Decision,
        now: datetime,
        resolved: str | None = None,
        read_first: Collection[str] = (),
    ) -> None:
        """Replace a want's decision: its lookup was answered, or its source ended without a value.

        `resolved` is a personnel id that was found on the way, to be stamped on the record.
        """
        planned = PlannedWant(channel, decision)
        with self._db.write() as connection:
            unlock_ids = _ensure_unlocks(
                self._db, connection, run_id, mapping, [PlannedRecord("", Person(), (planned,))], now, LATE, read_first
            )
            row = _want_row(0, planned, unlock_ids)
            del row["record_id"], row["baseline"]
            connection.execute(
                sa.update(t.want).where(_W.id == want_id, _W.state.in_(("lookup", "open", "held"))).values(**row)
            )
            if resolved is not None:
                record_id = sa.select(_W.record_id).where(_W.id == want_id).scalar_subquery()
                connection.execute(
                    sa.update(t.record)
                    .where(_R.id == record_id, _R.personnel_id.is_(None), _R.resolved_id.is_(None))
                    .values(resolved_id=resolved)
                )


def _open_records(
    connection: sa.Connection, mapping: str, records: Sequence[PlannedRecord], now: datetime
) -> dict[str, AnyRow]:
    """Open rows of these records; one that stood for another person is closed, and its record begins anew."""
    found: dict[str, AnyRow] = {}
    people = {record.crm_id: record.person for record in records}
    for part in chunks(list(people)):
        query = sa.select(_R.id, _R.crm_id, _R.personnel_id, _R.linkedin, _R.resolved_id).where(
            _R.mapping == mapping, _R.state == "open", _R.crm_id.in_(part)
        )
        found |= {row.crm_id: row for row in connection.execute(query)}
    others = [row.id for row in found.values() if not _same_person(row, people[row.crm_id])]
    for some in chunks(others):
        connection.execute(
            sa.update(t.record)
            .where(_R.id.in_(some))
            .values(state="closed", outcome=Outcome.SKIPPED.value, reason=ANOTHER_PERSON, closed_at=now)
        )
    return {crm_id: row for crm_id, row in found.items() if row.id not in others}


def _same_person(row: AnyRow, person: Person) -> bool:
    """Whether the record still names whom it named, and has lost no identifier."""
    before = Person(row.personnel_id, None, row.linkedin)
    lost_id = row.personnel_id is not None and person.personnel_id is None
    lost_link = row.linkedin is not None and person.linkedin is None
    return names_same(before, row.resolved_id, person) and not lost_id and not lost_link


def _id_of(existing: Mapping[str, AnyRow], record: PlannedRecord) -> int:
    row = existing.get(record.crm_id)
    return 0 if row is None else int(row.id)


def _wants_of(connection: sa.Connection, record_ids: Sequence[int]) -> dict[int, dict[str, AnyRow]]:
    """By record and channel, what is wanted already and how far it is."""
    found: dict[int, dict[str, AnyRow]] = {}
    for part in chunks(record_ids):
        query = (
            sa.select(
                _W.id, _W.record_id, _W.channel, _W.state, _W.outcome, _W.baseline, _U.state.label("unlock_state")
            )
            .outerjoin(t.unlock, _U.id == _W.unlock_id)
            .where(_W.record_id.in_(part))
        )
        for row in connection.execute(query):
            found.setdefault(row.record_id, {})[row.channel] = row
    return found


def _what_changes(record: PlannedRecord, old: Mapping[str, AnyRow]) -> PlannedRecord:
    """The record with only those wants that are new or decided anew: nothing is bought for a want that stays."""
    kept = tuple(want for want in record.wants if _is_decided_anew(want.decision, old.get(want.channel.value)))
    return replace(record, wants=kept)


def _is_decided_anew(decision: Decision, old: AnyRow | None) -> bool:
    if old is None:
        return True
    if old.state == "done":  # skipped for a reason that no longer holds
        return old.outcome == Outcome.SKIPPED.value and isinstance(
            decision, Buy | AttachToPending | Reuse | ResolveIdentity
        )
    return old.unlock_state in {None, _NOT_BOUGHT}


def _insert_records(
    connection: sa.Connection,
    run_id: str,
    mapping: str,
    object_name: str,
    records: list[PlannedRecord],
    now: datetime,
    *,
    chosen: bool,
) -> dict[str, int]:
    rows = [
        {
            "mapping": mapping,
            "object": object_name,
            "crm_id": record.crm_id,
            "state": "open",
            "run_id": run_id,
            "personnel_id": record.person.personnel_id,
            "event_id": record.person.event_id,
            "linkedin": record.person.linkedin,
            "resolved_id": record.resolved,
            "attention": _attention(record),
            "chosen": chosen,
            "opened_at": now,
        }
        for record in records
    ]
    for part in chunks(rows, ROWS_PER_INSERT):
        connection.execute(sa.insert(t.record).values(plan_id=plan_of(run_id)), list(part))
    ids: dict[str, int] = {}
    for some in chunks([record.crm_id for record in records]):
        query = sa.select(_R.crm_id, _R.id).where(_R.mapping == mapping, _R.state == "open", _R.crm_id.in_(some))
        ids |= {row.crm_id: row.id for row in connection.execute(query)}
    return ids


def _attention(record: PlannedRecord) -> str:
    texts = (want.decision.attention for want in record.wants if isinstance(want.decision, Defer))
    return next((text for text in texts if text), "")


def _take_up(
    connection: sa.Connection,
    record_id: int,
    record: PlannedRecord,
    run_id: str,
    unlock_ids: Mapping[UnlockKey, int],
    old: Mapping[str, AnyRow],
    *,
    chosen: bool,
) -> list[dict[str, object]]:
    """Bring an open record into this run; returns wants that it did not have yet."""
    connection.execute(
        sa.update(t.record)
        .where(_R.id == record_id)
        .values(
            run_id=run_id,
            plan_id=sa.func.coalesce(plan_of(run_id), _R.plan_id),
            personnel_id=record.person.personnel_id,
            event_id=record.person.event_id,
            linkedin=record.person.linkedin,
            resolved_id=sa.func.coalesce(_R.resolved_id, record.resolved),
            attention=_attention(record),
            chosen=sa.or_(_R.chosen, sa.literal(chosen)),
        )
    )
    new: list[dict[str, object]] = []
    for want in record.wants:
        row = _want_row(record_id, want, unlock_ids)
        before = old.get(want.channel.value)
        if before is None:
            new.append(row)
        else:
            row["baseline"] = before.baseline or row["baseline"]
            connection.execute(sa.update(t.want).where(_W.id == before.id).values(**row))
    return new


def _ensure_unlocks(
    database: Database,
    connection: sa.Connection,
    run_id: str,
    mapping: str,
    records: Sequence[PlannedRecord],
    now: datetime,
    first_place: int,
    read_first: Collection[str],
) -> dict[UnlockKey, int]:
    """Rows for everything that shall be bought, made or found; planned ones are taken into this run."""
    buys = {w.decision.key: w.decision for r in records for w in r.wants if isinstance(w.decision, Buy)}
    places = _places(records, first_place)
    joins = {
        w.decision.unlock.key: w.decision.unlock
        for r in records
        for w in r.wants
        if isinstance(w.decision, AttachToPending | Reuse)
    }
    rows = [
        {
            "provider": key.provider,
            "account": key.account,
            "channel": key.channel.value,
            "person": key.person,
            "generation": buy.generation,
            "state": _NOT_BOUGHT,
            "event_id": buy.event_id,
            "mapping": mapping,
            "run_id": run_id,
            "place": places[key],
            "price_credits": buy.price_credits,
            "state_at": now,
            "check_at": now if key.provider in read_first else None,
        }
        for key, buy in buys.items()
    ]
    for part in chunks(rows, ROWS_PER_INSERT):
        connection.execute(database.insert(t.unlock).on_conflict_do_nothing(), list(part))
    ids = {key: unlock.id for key, unlock in joins.items()}
    ids |= _newest_ids(connection, buys)
    join_late_tasks(connection, [ids[key] for key, buy in buys.items() if buy.generation > 1], now)
    planned = [
        {"key": unlock.id, "new_place": places[key]}
        for key, unlock in joins.items()
        if unlock.state is UnlockState.PLANNED
    ]
    if planned:
        connection.execute(
            sa.update(t.unlock)
            .where(_U.id == sa.bindparam("key"), _U.state == _NOT_BOUGHT)
            .values(
                run_id=run_id,
                mapping=mapping,
                # A person of an earlier page keeps that page's place.
                place=sa.case(
                    (sa.and_(_U.run_id == run_id, _U.place < sa.bindparam("new_place")), _U.place),
                    else_=sa.bindparam("new_place"),
                ),
            ),
            planned,
        )
    return ids


def _places(records: Sequence[PlannedRecord], first: int) -> dict[UnlockKey, int]:
    """Each person's place in the run's order: that of the first record that stands for them."""
    places: dict[UnlockKey, int] = {}
    for place, record in enumerate(records, first):
        for want in record.wants:
            if isinstance(want.decision, Buy):
                places.setdefault(want.decision.key, place)
            elif isinstance(want.decision, AttachToPending | Reuse):
                places.setdefault(want.decision.unlock.key, place)
    return places


def _newest_ids(connection: sa.Connection, buys: Mapping[UnlockKey, Buy]) -> dict[UnlockKey, int]:
    groups: dict[tuple[str, str, str], list[UnlockKey]] = {}
    for key in buys:
        groups.setdefault((key.provider, key.account, key.channel.value), []).append(key)
    ids: dict[UnlockKey, int] = {}
    for (provider, account, channel), keys in groups.items():
        by_person = {key.person: key for key in keys}
        for part in chunks(list(by_person)):
            rows = connection.execute(
                sa.select(_U.person, _U.id)
                .where(_U.provider == provider, _U.account == account, _U.channel == channel, _U.person.in_(part))
                .order_by(_U.generation)
            )
            for row in rows:
                ids[by_person[row.person]] = row.id
    return ids


def _want_row(record_id: int, want: PlannedWant, unlock_ids: Mapping[UnlockKey, int]) -> dict[str, object]:
    state, outcome, reason, keep, position, unlock_id = _verdict(want.decision, unlock_ids)
    return {
        "record_id": record_id,
        "channel": want.channel.value,
        "state": state,
        "position": position,
        "unlock_id": unlock_id,
        "outcome": None if outcome is None else outcome.value,
        "reason": reason,
        "keep_status": keep,
        "tried": tried_to(want.decision.tried),
        "baseline": want.baseline,
        "already_filled": isinstance(want.decision, Skip) and want.decision.already_filled,
    }


def _verdict(
    decision: Decision, unlock_ids: Mapping[UnlockKey, int]
) -> tuple[str, Outcome | None, str, bool, int, int | None]:
    """(state, outcome, reason, keep_status, position, unlock id) of a want."""
    match decision:
        case Buy():
            return "open", None, "", False, decision.position, unlock_ids[decision.key]
        case AttachToPending() | Reuse():
            return "open", None, "", False, decision.position, decision.unlock.id
        case ResolveIdentity():
            return "lookup", None, "", False, decision.position, None
        case Skip():
            return "ready", Outcome.SKIPPED, decision.reason, decision.keep_status, 0, None
        case Defer():
            return "held", Outcome.DEFERRED, decision.reason, True, 0, None
        case SourcesExhausted():
            return "ready", Outcome(decision.result.value), decision.reason, False, 0, None
