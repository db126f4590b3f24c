"""A page of records as it was decided, and the rows of the ledger that it becomes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.model import Channel, Outcome, Person, PurchaseKey
from connector.core.plan import AttachToPending, Buy, Decision, Defer, ResolveIdentity, Reuse, Skip, SourcesExhausted
from connector.core.states import ChannelState
from connector.store.rows import failures_to_json


@dataclass(frozen=True, slots=True)
class PlanScope:
    """Whose records are planned: by which run, under which mapping, of which CRM and object.

    Attributes:
        chosen: the records were taken by a condition or ids, whatever their flag.
        read_first: providers whose record of a person is read before the person is bought.
    """

    run_id: str
    mapping: str
    object: str
    crm: str
    chosen: bool = False
    read_first: Collection[str] = ()


LATE = 1_000_000_000  # the place of what is decided only while the run is in progress


@dataclass(frozen=True, slots=True)
class PurchaseTerms:
    """On whose account, and in which order, planned purchases are to be made.

    Attributes:
        run_id: that makes them.
        mapping: whose caps they count against.
        now: the ledger's time.
        first_place: counts the records before these.
        read_first: providers whose record of a person is read before the person is bought.
    """

    run_id: str
    mapping: str
    now: datetime
    first_place: int = LATE
    read_first: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class PlannedChannel:
    """The decision for one channel, and the keyed hash of its field as it is now."""

    channel: Channel
    decision: Decision
    baseline: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """A record as it was read, and what to do for it."""

    crm_id: str
    person: Person
    channels: tuple[PlannedChannel, ...]
    resolved: Mapping[str, str] = field(default_factory=dict)  # identifiers that are not on the record yet, by kind
    version: str = ""  # the CRM's, as it was read


def places_of(records: Sequence[PlannedRecord], first: int) -> dict[PurchaseKey, int]:
    """Each person's place in the run's order: that of the first record that stands for them."""
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
    """The row of a channel of a record, with its decision."""
    state, outcome, reason, keep, position, purchase_id = _verdict(record_channel.decision, purchase_ids)
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


def _verdict(
    decision: Decision, purchase_ids: Mapping[PurchaseKey, int]
) -> tuple[ChannelState, Outcome | None, str, bool, int, int | None]:
    """(state, outcome, reason, keep_status, position, purchase id) of a channel."""
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


def attention_of(record: PlannedRecord) -> str:
    """What a person should do about a record; empty where nothing is."""
    texts = (
        record_channel.decision.attention
        for record_channel in record.channels
        if isinstance(record_channel.decision, Defer)
    )
    return next((text for text in texts if text), "")
