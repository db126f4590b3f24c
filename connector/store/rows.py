"""Rows of the ledger as the engine sees them, and the small helpers that make them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from connector.core.model import Channel, Outcome, Person, Result, Unlock, UnlockKey, UnlockState
from connector.core.plan import FailedSource
from connector.core.spend import Cap
from connector.store import tables as t
from connector.store.mark import MarkedHold

T = TypeVar("T")
_CHANNELS = {channel.value: channel for channel in Channel}  # a lookup is ten times faster than the enumeration's call
IN_CHUNK = 500  # ids in one IN list
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_RECORDS = sa.select(t.record).where(t.record.c.id.in_(_IDS))
_WANTS = sa.select(t.want).where(t.want.c.record_id.in_(_IDS)).order_by(t.want.c.id)


def chunks(rows: Sequence[T], size: int = IN_CHUNK) -> Iterator[Sequence[T]]:
    """Cut a sequence into pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@dataclass(frozen=True, slots=True)
class Batch:
    """A paid request that has its hold and may leave now.

    Attributes:
        attempt_id: the ledger's id of the request.
        owner: who may send it.
        committed_at: when the hold was committed, on the ledger's clock.
        unlocks: unlock ids by person.
        hold: the entry that holds its credits, to be marked before it leaves.
    """

    attempt_id: str
    provider: str
    channel: Channel
    event_id: str | None
    owner: str
    committed_at: datetime
    unlocks: dict[str, int]
    hold: MarkedHold


@dataclass(frozen=True, slots=True)
class PurchaseGroup:
    """Planned purchases that one request may carry: of one channel, and of one event or of none.

    Attributes:
        size: how many are planned, or how many a request may carry at most.
    """

    channel: Channel
    event_id: str | None
    size: int


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """Nothing can be taken: by mapping, the cap that forbids it."""

    caps: Mapping[str, Cap]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A vendor's job that has not ended."""

    id: int
    provider: str
    channel: Channel
    vendor_id: str
    polls: int
    submitted_at: datetime
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckRow:
    """An unlock whose person is to be read at the vendor.

    Attributes:
        checks: reads of this kind done so far.
        resubmitted: how often it was sent again after a lost answer.
        sent: whether a request for it has left.
    """

    id: int
    provider: str
    channel: Channel
    person: str
    state: UnlockState
    checks: int
    resubmitted: int
    reason: str
    due_at: datetime | None = None
    sent: bool = True


@dataclass(frozen=True, slots=True)
class RereadRow:
    """A delivered unlock whose erased value is wanted once more."""

    id: int
    provider: str
    channel: Channel
    person: str
    vendor_task_id: str | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A final result for an unlock.

    Attributes:
        charged: whether the vendor took, or must be presumed to have taken, its price.
    """

    unlock_id: int
    result: Result
    reason: str = ""
    value: str | None = None
    charged: bool = False


@dataclass(frozen=True, slots=True)
class WantRow:
    """One channel wanted for a record, with what has come of it."""

    id: int
    channel: Channel
    state: str
    position: int
    unlock_id: int | None
    outcome: Outcome | None
    reason: str
    keep_status: bool
    tried: tuple[FailedSource, ...]
    baseline: str | None
    parked: bool = False
    already_filled: bool = False


@dataclass(frozen=True, slots=True)
class RecordRow:
    """An open record with its wants."""

    id: int
    mapping: str
    object: str
    crm_id: str
    person: Person
    resolved_id: str | None
    in_progress: bool
    parked_version: str | None
    reason: str
    attention: str
    wants: tuple[WantRow, ...]
    chosen: bool = False  # by a condition or ids, whatever its flag
    stamps_due: bool = False
    plan_id: str | None = None  # the frozen plan that it is part of


def unlock_of(row: sa.Row[tuple[object, ...]]) -> Unlock:
    """A row of `unlock` as planning sees it."""
    return Unlock(
        id=row.id,
        key=UnlockKey(row.provider, row.account, Channel(row.channel), row.person),
        generation=row.generation,
        state=UnlockState(row.state),
        result=Result(row.result) if row.result else None,
        final_at=row.final_at,
        not_before=row.not_before,
        value_hash=row.value_hash,
        reason=row.reason,
        repeat_allowed=row.repeat_allowed,
        lost_before=row.prior_attempt_id is not None,
    )


def want_of(row: sa.Row[tuple[object, ...]]) -> WantRow:
    """A row of `want`."""
    return WantRow(
        id=row.id,
        channel=_CHANNELS[row.channel],
        state=row.state,
        position=row.position,
        unlock_id=row.unlock_id,
        outcome=Outcome(row.outcome) if row.outcome else None,
        reason=row.reason,
        keep_status=row.keep_status,
        tried=() if row.tried == "[]" else tried_from(row.tried),
        baseline=row.baseline,
        parked=row.parked,
        already_filled=row.already_filled,
    )


def tried_to(tried: Iterable[FailedSource]) -> str:
    """Sources that ended without a value, as JSON."""
    return json.dumps([[t.source, t.result.value, t.reason] for t in tried])


def tried_from(text: str) -> tuple[FailedSource, ...]:
    """The reverse of `tried_to`."""
    return tuple(FailedSource(source, Result(result), reason) for source, result, reason in json.loads(text))


def records_with_wants(connection: sa.Connection, record_ids: Sequence[int]) -> list[RecordRow]:
    """The named records with all their wants, in the order of the ids."""
    records: dict[int, sa.Row[tuple[object, ...]]] = {}
    wants: dict[int, list[WantRow]] = {}
    for part in chunks(record_ids):
        for row in connection.execute(_RECORDS, {"ids": list(part)}):
            records[row.id] = row
        for row in connection.execute(_WANTS, {"ids": list(part)}):
            wants.setdefault(row.record_id, []).append(want_of(row))
    return [_record_of(records[key], wants.get(key, [])) for key in record_ids if key in records]


def _record_of(row: sa.Row[tuple[object, ...]], wants: list[WantRow]) -> RecordRow:
    return RecordRow(
        id=row.id,
        mapping=row.mapping,
        object=row.object,
        crm_id=row.crm_id,
        person=Person(row.personnel_id, row.event_id, row.linkedin),
        resolved_id=row.resolved_id,
        in_progress=row.in_progress,
        parked_version=row.parked_version,
        reason=row.reason,
        attention=row.attention,
        wants=tuple(wants),
        chosen=row.chosen,
        stamps_due=row.stamps_due,
        plan_id=row.plan_id,
    )
