"""Erases all stored data about a record and its person; credit entries stay.

All former and later ids of a converted or merged record are included. Purchases keep the vendor's identifier of the
person, because the accounting needs it and it prevents a second purchase.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.core.model import Channel, Identifier
from connector.core.states import ChannelState, PurchaseState, ReceiptState, RecordState
from connector.store import tables as t
from connector.store.rows import AnyRow, chunks, person_of

ERASED = "(forgotten)"
_MOVED = re.compile(r"the record is now \S+ (\w+)")
_P, _R, _RC, _C, _A = t.purchase.c, t.record.c, t.record_channel.c, t.change.c, t.request_item.c
_Q, _E, _H, _N, _M = t.request.c, t.job.c, t.callback_receipt.c, t.unusable_value.c, t.identity_match.c
_V = t.received_value.c
_IDENTIFIERS = (_R.identifiers, _R.resolved)
Spellings = Callable[[str], Collection[str]]


@dataclass(frozen=True, slots=True)
class _Subject:
    """The data to erase: every spelling of every id, the rows of `record`, and the person's identifiers."""

    names: frozenset[str]
    records: frozenset[int]
    people: frozenset[Identifier]


def forget(connection: sa.Connection, crm_ids: Collection[str], spellings: Spellings) -> int:
    """Erase the data about records; returns the number of rows erased or changed.

    Args:
        connection: in a transaction.
        crm_ids: any ids of the records.
        spellings: returns every form in which the CRM writes an id.
    """
    subject = _subject(connection, crm_ids, spellings)
    purchases = _purchases(connection, subject)
    count = len(subject.records) + _erase_records(connection, subject)
    _erase_people(connection, subject, purchases)
    return count + _erase_mentions(connection, subject)


def _subject(connection: sa.Connection, crm_ids: Collection[str], spellings: Spellings) -> _Subject:
    """Collect all ids of the records, by following conversions and merges in both directions."""
    names: set[str] = set()
    found: dict[int, sa.Row[tuple[object, ...]]] = {}
    new = set(crm_ids)
    while new:
        names |= {spelling for name in new for spelling in spellings(name)} | new
        for part in chunks(sorted(names), 50):
            mentioned = [_R.former_ids.contains(name, autoescape=True) for name in part]
            moved_here = [_R.reason.contains(name, autoescape=True) for name in part]
            written = sa.select(_C.record_id).where(_C.crm_id.in_(part))
            query = sa.select(t.record).where(
                sa.or_(
                    _R.crm_id.in_(part),
                    _R.id.in_(written),
                    *mentioned,
                    sa.and_(_R.reason.contains("the record is now "), sa.or_(*moved_here)),
                )
            )
            found |= {row.id: row for row in connection.execute(query)}
        written_to = connection.scalars(sa.select(_C.crm_id).where(_C.record_id.in_(found)))
        known = {name for row in found.values() for name in (row.crm_id, *row.former_ids.split())}
        known |= {name for row in found.values() for name in _MOVED.findall(row.reason)}
        new = (known | set(written_to)) - names
    people = {one for row in found.values() for one in _identifiers_of(row)} | _condensed_people(connection, names)
    return _Subject(frozenset(names), frozenset(found), frozenset(people))


def _condensed_people(connection: sa.Connection, names: Collection[str]) -> set[Identifier]:
    """The people of condensed records: those of the purchases whose values the records received."""
    query = sa.select(_P.person_kind, _P.person).join(t.received_value, _V.purchase_id == _P.id)
    rows = connection.execute(query.where(_V.crm_id.in_(names), _P.channel != Channel.EVENT.value))
    return {person_of(row) for row in rows}


def _identifiers_of(row: AnyRow) -> Iterator[Identifier]:
    for kind, value in [*row.identifiers.items(), *row.resolved.items()]:
        yield Identifier(kind, value)


def _purchases(connection: sa.Connection, subject: _Subject) -> set[int]:
    """The ids of the person's purchases: those of the records, and all others under the person's identifiers."""
    of_records = connection.scalars(sa.select(_RC.purchase_id).where(_RC.record_id.in_(subject.records)))
    mine = sa.select(_P.id).where(
        _is_one_of(_P.person_kind, _P.person, subject.people), _P.channel != Channel.EVENT.value
    )
    return (set(of_records) | set(connection.scalars(mine))) - {None}


def _erase_records(connection: sa.Connection, subject: _Subject) -> int:
    """Delete the rows about the records; returns the number of requested records and received values."""
    for table, column in (
        (t.record_channel, _RC.record_id),
        (t.run_record, t.run_record.c.record_id),
        (t.change, _C.record_id),
        (t.record, _R.id),
    ):
        connection.execute(sa.delete(table).where(column.in_(subject.records)))
    connection.execute(sa.delete(t.change).where(_C.crm_id.in_(subject.names)))
    connection.execute(sa.delete(t.unusable_value).where(_N.crm_id.in_(subject.names)))
    received = connection.execute(sa.delete(t.received_value).where(_V.crm_id.in_(subject.names))).rowcount
    requests = set(connection.scalars(sa.select(_A.request_id).where(_A.crm_id.in_(subject.names))))
    requested = connection.execute(sa.delete(t.request_item).where(_A.crm_id.in_(subject.names))).rowcount
    others = sa.select(_A.request_id)
    connection.execute(sa.delete(t.request).where(_Q.id.in_(requests), _Q.id.not_in(others)))
    _rename_requests(connection, subject)
    for job_id, chosen in connection.execute(sa.select(_E.id, _E.chosen).where(_E.chosen.is_not(None))).all():
        kept = _without(chosen, subject)
        connection.execute(sa.update(t.job).where(_E.id == job_id).values(chosen=kept))
    return requested + received


def _rename_requests(connection: sa.Connection, subject: _Subject) -> None:
    """Replace request ids that contain an id of the record."""
    named = sa.or_(*(_Q.id.contains(name, autoescape=True) for name in subject.names))
    for row in connection.execute(sa.select(t.request).where(named)).all():
        new_id = f"forgotten-{row.digest[:40]}-{row.accepted_at.timestamp():.6f}"
        connection.execute(sa.insert(t.request).values(id=new_id, digest=row.digest, accepted_at=row.accepted_at))
        connection.execute(sa.update(t.request_item).where(_A.request_id == row.id).values(request_id=new_id))
        connection.execute(sa.delete(t.request).where(_Q.id == row.id))


def _without(chosen: dict[str, object], subject: _Subject) -> dict[str, object]:
    """Remove the record from the selection of a delegated run; a condition that names it then selects nothing."""
    ids, where = chosen.get("ids"), chosen.get("where")
    if isinstance(ids, list):
        chosen["ids"] = [one for one in ids if one not in subject.names]
    if isinstance(where, str) and any(
        name in where for name in (*subject.names, *(person.value for person in subject.people))
    ):
        chosen |= {"where": None, "ids": []}
    return chosen


def _erase_people(connection: sa.Connection, subject: _Subject, purchases: Collection[int]) -> None:
    """Erase the values of the purchases; the person's identifier stays and prevents a second purchase."""
    others = sa.select(_RC.purchase_id).join(t.record, _R.id == _RC.record_id).where(_RC.purchase_id.in_(purchases))
    waiting = set(connection.scalars(others.where(_RC.state != ChannelState.DONE, _R.state == RecordState.OPEN)))
    shared = set(connection.scalars(others))
    used = _used(connection, subject.people)
    theirs = _is_one_of(_P.person_kind, _P.person, used)
    shared |= set(connection.scalars(sa.select(_P.id).where(_P.id.in_(purchases), theirs)))
    unshared = set(purchases) - shared
    connection.execute(sa.update(t.purchase).where(_P.id.in_(set(purchases) - waiting)).values(value=None))
    connection.execute(sa.update(t.purchase).where(_P.id.in_(unshared)).values(value_hash=None))
    _erase_receipts(connection, unshared)
    never_sent = (_P.state == PurchaseState.PLANNED.value, _P.attempt_id.is_(None), _P.prior_attempt_id.is_(None))
    connection.execute(sa.delete(t.purchase).where(_P.id.in_(unshared), *never_sent))
    gone = subject.people - used
    either = sa.or_(_is_one_of(_M.kind, _M.value, gone), _is_one_of(_M.matched_kind, _M.matched, gone))
    connection.execute(sa.delete(t.identity_match).where(either))


def _used(connection: sa.Connection, people: Collection[Identifier]) -> set[Identifier]:
    """The identifiers that another record still has."""
    found: set[Identifier] = set()
    for person in people:
        text = json.dumps(person.value)
        named = sa.or_(*(sa.cast(column, sa.Text).contains(text, autoescape=True) for column in _IDENTIFIERS))
        for row in connection.execute(sa.select(*_IDENTIFIERS).where(named)):
            found |= set(_identifiers_of(row)) & {person}
    return found


def _is_one_of(
    kind: sa.ColumnElement[str], value: sa.ColumnElement[str], people: Collection[Identifier]
) -> sa.ColumnElement[bool]:
    """The condition that two columns have the kind and value of one of these identifiers."""
    pairs = [sa.and_(kind == person.kind, value == person.value) for person in people]
    return sa.or_(sa.false(), *pairs)


def _erase_receipts(connection: sa.Connection, purchases: Collection[int]) -> None:
    """Delete closed callback receipts of requests that were for this person only."""
    attempts = [
        one
        for row in connection.execute(sa.select(_P.attempt_id, _P.prior_attempt_id).where(_P.id.in_(purchases)))
        for one in row
        if one
    ]
    others = sa.select(_P.id).where(_P.id.not_in(purchases), _H.attempt_id.in_((_P.attempt_id, _P.prior_attempt_id)))
    connection.execute(
        sa.delete(t.callback_receipt).where(
            _H.attempt_id.in_(attempts),
            _H.state != ReceiptState.WAITING,
            ~sa.exists(others.correlate(t.callback_receipt)),
        )
    )


def _erase_mentions(connection: sa.Connection, subject: _Subject) -> int:
    """Replace the ids in every text column of every table; returns the number of changed rows."""
    count = 0
    for table in t.metadata.sorted_tables:
        for column in table.columns:
            is_json = isinstance(column.type, sa.JSON)
            if not (is_json or isinstance(column.type, sa.String)) or column.primary_key or column.foreign_keys:
                continue
            text = sa.cast(column, sa.Text) if is_json else column
            for name in sorted(subject.names, key=len, reverse=True):  # a longer spelling contains the shorter one
                erased = sa.func.replace(text, name, ERASED)
                changed = connection.execute(
                    sa.update(table)
                    .where(text.contains(name, autoescape=True))
                    .values({column.name: _as_json(connection, erased) if is_json else erased})
                )
                count += changed.rowcount
    return count


def _as_json(connection: sa.Connection, text: sa.ColumnElement[str]) -> sa.ColumnElement[Any]:
    """A text as the value of a JSON column: SQLite stores it unchanged, PostgreSQL needs a cast."""
    is_sqlite = connection.dialect.name == "sqlite"
    return sa.type_coerce(text, sa.Text) if is_sqlite else sa.cast(text, sa.JSON)
