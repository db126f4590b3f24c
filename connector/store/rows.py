"""Rows of the ledger as values for the engine, and the helpers that build them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from connector.core.model import Channel, Identifier, Outcome, Person, Purchase, PurchaseKey, Result
from connector.core.plan import FailedSource
from connector.core.spend import Cap
from connector.core.states import PurchaseState
from connector.store import tables as t
from connector.store.mark import MarkedHold

T = TypeVar("T")
AnyRow = Any  # a row of a query over some columns
_CHANNELS = {channel.value: channel for channel in Channel}  # ten times faster than `Channel(value)`
IN_CHUNK = 500  # ids in one IN list
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_R, _RC = t.record.c, t.record_channel.c
# Rows of these columns are read by place: their names cost more than the read of the row.
CHANNEL_COLUMNS = (
    *(_RC.id, _RC.channel, _RC.state, _RC.position, _RC.purchase_id, _RC.outcome, _RC.reason, _RC.keep_status),
    *(_RC.failed_sources, _RC.baseline, _RC.parked, _RC.already_filled, _RC.record_id),
)
_RECORD_COLUMNS = (
    *(_R.id, _R.mapping, _R.object, _R.crm_id, _R.identifiers, _R.grouping_keys, _R.resolved, _R.in_progress),
    *(_R.parked_version, _R.reason, _R.attention, _R.chosen, _R.stamps_due, _R.plan_id, _R.selected_by),
    *(_R.bulk_job_id, _R.due),
)
_RECORDS = sa.select(*_RECORD_COLUMNS).where(_R.id.in_(_IDS))
_CHANNEL_ROWS = sa.select(*CHANNEL_COLUMNS).where(_RC.record_id.in_(_IDS)).order_by(_RC.id)
_OUTCOMES: dict[str | None, Outcome | None] = {None: None, "": None, **{one.value: one for one in Outcome}}


def chunks(rows: Sequence[T], size: int = IN_CHUNK) -> Iterator[Sequence[T]]:
    """Split a sequence into chunks of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@dataclass(frozen=True, slots=True)
class Batch:
    """A paid request whose hold is committed and that may be sent.

    Attributes:
        attempt_id: the ledger's id of the request.
        owner: the process that may send it.
        committed_at: when the hold was committed, on the ledger's clock.
        purchases: the purchase ids by person.
        hold: the entry that holds its credits; it is marked before the request is sent.
    """

    attempt_id: str
    provider: str
    channel: Channel
    grouping_key: str | None
    owner: str
    committed_at: datetime
    purchases: dict[Identifier, int]
    hold: MarkedHold


@dataclass(frozen=True, slots=True)
class PurchaseGroup:
    """Planned purchases that one request may carry: of one channel, and of one group or of none.

    Attributes:
        size: the number of planned purchases, or the most that one request may carry.
    """

    channel: Channel
    grouping_key: str | None
    size: int


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """No purchase is affordable; `caps` has the binding cap of each mapping."""

    caps: Mapping[str, Cap]


@dataclass(frozen=True, slots=True)
class RequestAnswer:
    """The answer to a paid request.

    Attributes:
        attempt_id: the request.
        provider_task_id: the task that was started, if any.
        check: purchases outside the task whose person must be read; the value says whether they are certainly free.
        gone: purchases that the provider will never deliver, with the reason.
        back: purchases that the provider left out because of a wrong group; they are planned again.
    """

    attempt_id: str
    provider_task_id: str | None
    check: Mapping[int, bool] = field(default_factory=dict)
    gone: Mapping[int, str] = field(default_factory=dict)
    back: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class RequestRefusal:
    """A definite refusal of a paid request, or of a part of it.

    Attributes:
        attempt_id: the request.
        purchase_ids: the refused purchases of the request.
        reason: the reason, as text for people.
        not_before: the earliest time to submit these people again.
        check_at: when to read the provider's record of these people, before they are submitted again.
        whole: the whole request was refused, not only a part of it.
    """

    attempt_id: str
    purchase_ids: Sequence[int]
    reason: str
    not_before: datetime | None = None
    check_at: datetime | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class TaskRow:
    """An open task."""

    id: int
    provider: str
    channel: Channel
    provider_task_id: str
    polls: int
    submitted_at: datetime
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A purchase whose person must be read at the vendor.

    Attributes:
        checks: the number of reads so far.
        resubmitted: the number of resubmissions after a lost answer.
        sent: whether a request for it was sent.
    """

    id: int
    provider: str
    channel: Channel
    person: Identifier
    state: PurchaseState
    checks: int
    resubmitted: int
    reason: str
    due_at: datetime | None = None
    sent: bool = True


@dataclass(frozen=True, slots=True)
class RereadRow:
    """A delivered purchase whose value was erased and is needed again."""

    id: int
    provider: str
    channel: Channel
    person: Identifier
    provider_task_id: str | None


@dataclass(frozen=True, slots=True)
class FinalResult:
    """The final result of a purchase.

    Attributes:
        charged: whether the vendor took, or must be presumed to have taken, the price.
    """

    purchase_id: int
    result: Result
    reason: str = ""
    value: str | None = None
    charged: bool = False


class RecordChannelRow(NamedTuple):
    """A channel that is requested for a record, with its outcome so far."""

    id: int
    channel: Channel
    state: str
    position: int
    purchase_id: int | None
    outcome: Outcome | None
    reason: str
    keep_status: bool
    failed_sources: tuple[FailedSource, ...]
    baseline: str | None
    parked: bool = False
    already_filled: bool = False


class RecordRow(NamedTuple):
    """An open record with its channels."""

    id: int
    mapping: str
    object: str
    crm_id: str
    person: Person
    resolved: Mapping[str, str]  # the identifiers that a provider found, by kind
    in_progress: bool
    parked_version: str | None
    reason: str
    attention: str
    channels: tuple[RecordChannelRow, ...]
    chosen: bool = False  # selected by a condition or ids, regardless of its flag
    stamps_due: bool = False
    plan_id: str | None = None  # the frozen plan that it belongs to
    selected_by: str | None = None  # the run that last selected it, by its flag or by choice
    by_job: bool = False  # a job that has ended carried its update
    in_job: bool = False  # an open job carries its update


def person_of(row: AnyRow) -> Identifier:
    """Build the identifier of a purchase's person."""
    return Identifier(row.person_kind, row.person)


def purchase_of(row: sa.Row[tuple[object, ...]]) -> Purchase:
    """Convert a row of `purchase` to the value that planning uses."""
    return Purchase(
        id=row.id,
        key=PurchaseKey(row.provider, row.account, _CHANNELS[row.channel], person_of(row)),
        generation=row.generation,
        state=PurchaseState(row.state),
        result=Result(row.result) if row.result else None,
        final_at=row.final_at,
        not_before=row.not_before,
        value_hash=row.value_hash,
        reason=row.reason,
        repeat_allowed=row.repeat_allowed,
        lost_before=row.prior_attempt_id is not None,
    )


def record_channel_of(row: AnyRow) -> RecordChannelRow:
    """Convert a row that begins with `CHANNEL_COLUMNS`."""
    (key, channel, state, position, purchase_id, outcome, reason, keep_status, failed, baseline, parked, filled) = row[
        :12
    ]
    sources = failures_from_json(failed) if failed else ()
    return RecordChannelRow(
        key,
        _CHANNELS[channel],
        state,
        position,
        purchase_id,
        _OUTCOMES[outcome],
        reason,
        keep_status,
        sources,
        baseline,
        parked,
        filled,
    )


def failures_to_json(failed_sources: Iterable[FailedSource]) -> list[list[str]]:
    """Convert failed sources to JSON: [source, result, reason] each."""
    return [[one.source, one.result.value, one.reason] for one in failed_sources]


def failures_from_json(rows: Iterable[Sequence[str]]) -> tuple[FailedSource, ...]:
    """The reverse of `failures_to_json`."""
    return tuple(FailedSource(source, Result(result), reason) for source, result, reason in rows)


def records_with_channels(connection: sa.Connection, record_ids: Sequence[int]) -> list[RecordRow]:
    """Read records with all their channels, in the order of the ids; unknown ids are left out."""
    records: dict[int, AnyRow] = {}
    channels: dict[int, list[RecordChannelRow]] = {}
    for part in chunks(record_ids):
        for row in connection.execute(_RECORDS, {"ids": list(part)}).all():
            records[row[0]] = row
        for row in connection.execute(_CHANNEL_ROWS, {"ids": list(part)}).all():
            channels.setdefault(row[12], []).append(record_channel_of(row))
    return [_record_of(records[key], channels.get(key, [])) for key in record_ids if key in records]


def _record_of(row: AnyRow, channels: list[RecordChannelRow]) -> RecordRow:
    key, mapping, object_name, crm_id, identifiers, groups, resolved, in_progress, parked, reason, attention = row[:11]
    chosen, stamps_due, plan_id, selected_by, bulk_job_id, due = row[11:]
    return RecordRow(
        key,
        mapping,
        object_name,
        crm_id,
        Person(identifiers, groups),
        resolved,
        in_progress,
        parked,
        reason,
        attention,
        tuple(channels),
        chosen,
        stamps_due,
        plan_id,
        selected_by,
        by_job=bulk_job_id is not None and due,
        in_job=bulk_job_id is not None and not due,
    )
