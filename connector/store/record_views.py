"""Records and their channels as the write stage sees them, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.core.model import Outcome, Result
from connector.core.states import PurchaseState
from connector.store.rows import RecordChannelRow


@dataclass(frozen=True, slots=True)
class EndedChannel:
    """A channel whose purchase is final: a value to write, or the next source to ask."""

    record_channel: RecordChannelRow
    record_id: int
    mapping: str
    provider: str
    result: Result
    has_value: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PurchaseView:
    """A purchase as the records that use it see it."""

    provider: str
    state: PurchaseState
    result: Result | None
    reason: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Finish:
    """What became of a record in a write.

    Attributes:
        channels: outcome and reason of each channel that is settled now, by id of the channel.
        closes: the record is finished.
        in_progress: the CRM now shows our word for work in progress.
        parked_version: where a paid value could not be written: the version of everything that may have to change.
        parked: the channels whose value could not be written, with the reason; None leaves them as they are.
        shown: outcome and reason of every channel in this run, by id of the channel.
        stamps_due: a value was written on its own, and its stamps are still to be written.
    """

    record_id: int
    outcome: Outcome
    reason: str
    channels: Mapping[int, tuple[Outcome, str]]
    closes: bool
    in_progress: bool = False
    parked_version: str | None = None
    attention: str = ""
    parked: Mapping[int, str] | None = None
    shown: Mapping[int, tuple[Outcome, str]] = field(default_factory=dict)
    stamps_due: bool = False


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A record of the run that no write reached, with the outcome of each of its channels."""

    record_id: int
    outcome: Outcome
    reason: str
    shown: Mapping[int, tuple[Outcome, str]]
