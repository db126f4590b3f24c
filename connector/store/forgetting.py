"""Erasing everything that the ledger keeps of a record and of the person behind it; money entries stay.

A record is known by every id that it has had: a converted or merged record is followed both ways. Purchases keep the
vendor's identifier of the person: the accounting needs them, and they prevent a second purchase.
"""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import sqlalchemy as sa

from connector.core.model import Channel, UnlockState
from connector.store import tables as t
from connector.store.rows import chunks

ERASED = "(forgotten)"
_MOVED = re.compile(r"the record is now \S+ (\w+)")
_U, _R, _W, _C, _A = t.unlock.c, t.record.c, t.want.c, t.change.c, t.ask.c
_Q, _E, _H, _N, _L = t.request.c, t.job.c, t.callback_receipt.c, t.unusable_value.c, t.lookup.c
Spellings = Callable[[str], Collection[str]]


@dataclass(frozen=True, slots=True)
class _Subject:
    """Who is forgotten: every spelling of every id, the rows of `record`, and the person's identifiers."""

    names: frozenset[str]
    records: frozenset[int]
    people: frozenset[str]


def forget(connection: sa.Connection, crm_ids: Collection[str], spellings: Spellings) -> int:
    """Erase what is stored about records; how many rows were erased or changed.

    Args:
        connection: in a transaction.
        crm_ids: any ids of the records.
        spellings: every way in which the CRM writes an id.
    """
    subject = _subject(connection, crm_ids, spellings)
    unlocks = _purchases(connection, subject)
    count = len(subject.records) + _erase_records(connection, subject)
    _erase_people(connection, subject, unlocks)
    return count + _erase_mentions(connection, subject)


def _subject(connection: sa.Connection, crm_ids: Collection[str], spellings: Spellings) -> _Subject:
    """Follow conversions and merges both ways, until no further id turns up."""
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
    people = {one for row in found.values() for one in (row.linkedin, row.personnel_id, row.resolved_id) if one}
    return _Subject(frozenset(names), frozenset(found), frozenset(people))


def _purchases(connection: sa.Connection, subject: _Subject) -> set[int]:
    """What was bought, or is planned to be, for the person: by the records, and by sources asked before."""
    of_records = connection.scalars(sa.select(_W.unlock_id).where(_W.record_id.in_(subject.records)))
    mine = sa.select(_U.id).where(_U.person.in_(subject.people), _U.channel != Channel.EVENT.value)
    return (set(of_records) | set(connection.scalars(mine))) - {None}


def _erase_records(connection: sa.Connection, subject: _Subject) -> int:
    """The rows about the records; how many of them came from requests."""
    for table, column in (
        (t.want, _W.record_id),
        (t.run_record, t.run_record.c.record_id),
        (t.change, _C.record_id),
        (t.record, _R.id),
    ):
        connection.execute(sa.delete(table).where(column.in_(subject.records)))
    connection.execute(sa.delete(t.change).where(_C.crm_id.in_(subject.names)))
    connection.execute(sa.delete(t.unusable_value).where(_N.crm_id.in_(subject.names)))
    requests = set(connection.scalars(sa.select(_A.request_id).where(_A.crm_id.in_(subject.names))))
    asked = connection.execute(sa.delete(t.ask).where(_A.crm_id.in_(subject.names))).rowcount
    others = sa.select(_A.request_id)
    connection.execute(sa.delete(t.request).where(_Q.id.in_(requests), _Q.id.not_in(others)))
    _rename_requests(connection, subject)
    for job_id, chosen in connection.execute(sa.select(_E.id, _E.chosen).where(_E.chosen.is_not(None))).all():
        kept = _without(json.loads(chosen), subject)
        connection.execute(sa.update(t.job).where(_E.id == job_id).values(chosen=json.dumps(kept)))
    return asked


def _rename_requests(connection: sa.Connection, subject: _Subject) -> None:
    """A sender may have named its request after the record."""
    named = sa.or_(*(_Q.id.contains(name, autoescape=True) for name in subject.names))
    for row in connection.execute(sa.select(t.request).where(named)).all():
        new_id = f"forgotten-{row.digest[:40]}-{row.accepted_at.timestamp():.6f}"
        connection.execute(sa.insert(t.request).values(id=new_id, digest=row.digest, accepted_at=row.accepted_at))
        connection.execute(sa.update(t.ask).where(_A.request_id == row.id).values(request_id=new_id))
        connection.execute(sa.delete(t.request).where(_Q.id == row.id))


def _without(chosen: dict[str, object], subject: _Subject) -> dict[str, object]:
    """The records that a run was asked for, less the forgotten one; a condition that names it finds nothing."""
    ids, where = chosen.get("ids"), chosen.get("where")
    if isinstance(ids, list):
        chosen["ids"] = [one for one in ids if one not in subject.names]
    if isinstance(where, str) and any(name in where for name in (*subject.names, *subject.people)):
        chosen |= {"where": None, "ids": []}
    return chosen


def _erase_people(connection: sa.Connection, subject: _Subject, unlocks: Collection[int]) -> None:
    """Detach the purchases and erase their values; the person's identifier stays and prevents a second purchase."""
    wanted = sa.select(_W.unlock_id).join(t.record, _R.id == _W.record_id).where(_W.unlock_id.in_(unlocks))
    waiting = set(connection.scalars(wanted.where(_W.state != "done", _R.state == "open")))
    shared = set(connection.scalars(wanted))
    used = _used(connection, subject.people)
    shared |= set(connection.scalars(sa.select(_U.id).where(_U.id.in_(unlocks), _U.person.in_(used))))
    alone = set(unlocks) - shared
    connection.execute(sa.update(t.unlock).where(_U.id.in_(set(unlocks) - waiting)).values(value=None))
    connection.execute(sa.update(t.unlock).where(_U.id.in_(alone)).values(value_hash=None))
    _erase_receipts(connection, alone)
    never_sent = (_U.state == UnlockState.PLANNED.value, _U.attempt_id.is_(None), _U.prior_attempt_id.is_(None))
    connection.execute(sa.delete(t.unlock).where(_U.id.in_(alone), *never_sent))
    gone = sa.or_(_L.linkedin.in_(subject.people - used), _L.personnel_id.in_(subject.people - used))
    connection.execute(sa.delete(t.lookup).where(gone))


def _used(connection: sa.Connection, people: Collection[str]) -> set[str]:
    """Those of the identifiers that a record still names."""
    found: set[str] = set()
    for column in (_R.linkedin, _R.personnel_id, _R.resolved_id):
        found |= {str(one) for one in connection.scalars(sa.select(column).where(column.in_(people)))}
    return found


def _erase_receipts(connection: sa.Connection, unlocks: Collection[int]) -> None:
    """What a vendor sent back about a request that was for this person alone."""
    attempts = [
        one
        for row in connection.execute(sa.select(_U.attempt_id, _U.prior_attempt_id).where(_U.id.in_(unlocks)))
        for one in row
        if one
    ]
    others = sa.select(_U.id).where(_U.id.not_in(unlocks), _H.attempt_id.in_((_U.attempt_id, _U.prior_attempt_id)))
    connection.execute(
        sa.delete(t.callback_receipt).where(
            _H.attempt_id.in_(attempts), _H.state != "waiting", ~sa.exists(others.correlate(t.callback_receipt))
        )
    )


def _erase_mentions(connection: sa.Connection, subject: _Subject) -> int:
    """Replace the ids in every text of every table: reasons, advice, reports, whatever comes later; how many rows."""
    count = 0
    for table in t.metadata.sorted_tables:
        for column in table.columns:
            if not isinstance(column.type, sa.String) or column.primary_key or column.foreign_keys:
                continue
            for name in sorted(subject.names, key=len, reverse=True):  # the longer spelling contains the shorter one
                changed = connection.execute(
                    sa.update(table)
                    .where(column.contains(name, autoescape=True))
                    .values({column.name: sa.func.replace(column, name, ERASED)})
                )
                count += changed.rowcount
    return count
