"""Records and their channels as values for the write stage, and the results of a write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from connector.core.model import Outcome, Result
from connector.core.states import PurchaseState
from connector.store.rows import RecordChannelRow


class EndedChannel(NamedTuple):
    """A channel whose purchase is final: it has a value to write, or needs the next source."""

    record_channel: RecordChannelRow
    record_id: int
    mapping: str
    provider: str
    result: Result
    has_value: bool
    reason: str


class PurchaseView(NamedTuple):
    """The state of a purchase for the records that use it, with the opened value."""

    provider: str
    state: PurchaseState
    result: Result | None
    reason: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Finish:
    """The result of a write for one record.

    Attributes:
        channels: the outcome and reason of each channel that is final now, by id of the channel.
        closes: the record is closed.
        in_progress: a status field of the record now shows that it is in progress.
        parked_version: for a parked value, the version of the record, its mapping and its fields; the write is tried
            again when it changes.
        parked: the reason of each channel whose value could not be written; None leaves the parked channels unchanged.
        shown: the outcome and reason of every channel in this run, by id of the channel.
        stamps_due: a value was written on its own, and its stamps are not written yet.
        refused: the CRM refused a field in the end.
        again: the record is to be written again in this run.
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
    refused: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A record that this run did not write, with the outcome of each of its channels."""

    record_id: int
    outcome: Outcome
    reason: str
    shown: Mapping[int, tuple[Outcome, str]]
