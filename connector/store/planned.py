"""The plan of a page of records, and its conversion to rows of the ledger."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.model import Channel, Outcome, Person, PurchaseKey
from connector.core.plan import AttachToPending, Buy, Decision, Defer, ResolveIdentity, Reuse, Skip, SourcesExhausted
from connector.core.states import ChannelState
from connector.store.rows import failures_to_json


@dataclass(frozen=True, slots=True)
class PlanScope:
    """The run, mapping, object and CRM of the planned records.

    Attributes:
        chosen: the records were selected by a condition or ids, regardless of their flag.
        read_first: the providers whose record of a person is read before the person is bought.
    """

    run_id: str
    mapping: str
    object: str
    crm: str
    chosen: bool = False
    read_first: Collection[str] = ()


LATE = 1_000_000_000  # the place of purchases that are planned during the run


@dataclass(frozen=True, slots=True)
class PurchaseTerms:
    """The run, the budget and the order of planned purchases.

    Attributes:
        run_id: the run that makes them.
        mapping: the mapping whose caps they count against.
        now: the ledger's time.
        first_place: the number of records before these in the run.
        read_first: the providers whose record of a person is read before the person is bought.
    """

    run_id: str
    mapping: str
    now: datetime
    first_place: int = LATE
    read_first: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class PlannedChannel:
    """The decision for one channel, and the keyed hash of its field's current value."""

    channel: Channel
    decision: Decision
    baseline: str | None = None


@dataclass(frozen=True, slots=True)
class Redecision:
    """A new decision on a channel of a record in the ledger.

    Attributes:
        record_channel_id: the channel; it stays as it is if its state does not allow a new decision.
        record_id: its record.
        resolved: identifiers that were found meanwhile, by kind, to be stamped on the record.
    """

    record_channel_id: int
    record_id: int
    planned: PlannedChannel
    resolved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """A record as it was read, with the decision for each channel."""

    crm_id: str
    person: Person
    channels: tuple[PlannedChannel, ...]
    resolved: Mapping[str, str] = field(default_factory=dict)  # identifiers that are not on the record yet, by kind
    version: str = ""  # the CRM's version of the record


def places_of(records: Sequence[PlannedRecord], first: int) -> dict[PurchaseKey, int]:
    """Each purchase's place in the run's order: the place of the person's first record."""
    places: dict[PurchaseKey, int] = {}
    for place, record in enumerate(records, first):
        for record_channel in record.channels:
            if isinstance(record_channel.decision, Buy):
                places.setdefault(record_channel.decision.key, place)
            elif isinstance(record_channel.decision, AttachToPending | Reuse):
                places.setdefault(record_channel.decision.purchase.key, place)
    return places


def channel_row(
    record_id: int, record_channel: PlannedChannel, purchase_ids: Mapping[PurchaseKey, int]
) -> dict[str, object]:
    """Build the row of `record_channel` for a decision."""
    state, outcome, reason, keep, position, purchase_id = _columns_of(record_channel.decision, purchase_ids)
    return {
        "record_id": record_id,
        "channel": record_channel.channel.value,
        "state": state,
        "position": position,
        "purchase_id": purchase_id,
        "outcome": None if outcome is None else outcome.value,
        "reason": reason,
        "keep_status": keep,
        "failed_sources": failures_to_json(record_channel.decision.failed_sources),
        "baseline": record_channel.baseline,
        "already_filled": isinstance(record_channel.decision, Skip) and record_channel.decision.already_filled,
    }


def _columns_of(
    decision: Decision, purchase_ids: Mapping[PurchaseKey, int]
) -> tuple[ChannelState, Outcome | None, str, bool, int, int | None]:
    """(state, outcome, reason, keep_status, position, purchase id) of a channel with this decision."""
    match decision:
        case Buy():
            return ChannelState.OPEN, None, "", False, decision.position, purchase_ids[decision.key]
        case AttachToPending() | Reuse():
            return ChannelState.OPEN, None, "", False, decision.position, decision.purchase.id
        case ResolveIdentity():
            return ChannelState.RESOLVING, None, "", False, decision.position, None
        case Skip():
            return ChannelState.READY, Outcome.SKIPPED, decision.reason, decision.keep_status, 0, None
        case Defer():
            return ChannelState.DEFERRED, Outcome.DEFERRED, decision.reason, True, 0, None
        case SourcesExhausted():
            return ChannelState.READY, Outcome(decision.result.value), decision.reason, False, 0, None


def is_ready(record: PlannedRecord) -> bool:
    """Whether a new record can be written at once, because none of its channels waits for anything."""
    return all(isinstance(one.decision, Skip | SourcesExhausted) for one in record.channels)


def attention_of(record: PlannedRecord) -> str:
    """The advice to a person about a record; empty if there is none."""
    texts = (
        record_channel.decision.attention
        for record_channel in record.channels
        if isinstance(record_channel.decision, Defer)
    )
    return next((text for text in texts if text), "")
