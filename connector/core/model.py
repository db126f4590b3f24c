"""The values that all stages share: channels, persons, records, purchases, results and outcomes.

All are immutable. Times are aware and in UTC; credits are integers; identifiers are strings, unchanged from their
source.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from connector.core.states import PurchaseState

FieldValue = str | bool | int | float | None


class Channel(StrEnum):
    """One kind of contact data, bought separately."""

    WORK_EMAIL = "work_email"
    PERSONAL_EMAIL = "personal_email"
    PHONE = "phone"
    EVENT = "event"  # access to an event; bought only by an operator's command


CONTACT_CHANNELS = (Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL, Channel.PHONE)


class Outcome(StrEnum):
    """The outcome of a record, or of one of its channels, in a run.

    A record with several channels takes the first outcome in this order that any of its channels has.
    """

    UNKNOWN = "unknown"
    PARKED = "parked"
    DEFERRED = "deferred"
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    SKIPPED = "skipped"
    ALREADY_FILLED = "already_filled"  # only of a channel whose field had a value; the record counts as skipped


# The definition of an open record: the flag stays, and a later run continues. All other outcomes are final.
OPEN_OUTCOMES = frozenset({Outcome.UNKNOWN, Outcome.PARKED, Outcome.DEFERRED, Outcome.WAITING})
FINAL_OUTCOMES = frozenset(Outcome) - OPEN_OUTCOMES
RECORD_OUTCOMES = tuple(outcome for outcome in Outcome if outcome is not Outcome.ALREADY_FILLED)


def outcome_of_record(outcomes: list[Outcome]) -> Outcome:
    """Combine the outcomes of a record's channels; a record without channels is skipped."""
    order = list(Outcome)
    found = min(outcomes, key=order.index, default=Outcome.SKIPPED)
    return Outcome.SKIPPED if found is Outcome.ALREADY_FILLED else found


class Result(StrEnum):
    """The result of a final purchase."""

    DELIVERED = "delivered"
    NOT_FOUND = "not_found"
    FAILED = "failed"


class Identifier(NamedTuple):
    """An identifier of a person: the kind (`core/identifiers.py`) and the normalised value."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Person:
    """The person that a record represents, read from its fields.

    Attributes:
        identifiers: normalised values by kind.
        grouping_keys: the groups in which the person may be bought, such as an event, by kind.
        problems: the reason why a present value cannot be used, by kind.
    """

    identifiers: Mapping[str, str] = field(default_factory=dict)
    grouping_keys: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CrmRecord:
    """One CRM row at one version.

    Attributes:
        id: the CRM's full id.
        version: changes with every change of the row.
        values: the mapped fields; a field that the row lacks is absent.
        moved_to: the (object, id) of the row that replaced this one, if it was converted or merged.
    """

    id: str
    version: str
    values: Mapping[str, FieldValue]
    moved_to: tuple[str, str] | None = None

    def text(self, name: str | None) -> str:
        """The trimmed text of a field; empty if unset or unmapped. A whole number has no `.0`."""
        value = self.values.get(name) if name else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value).strip() if value is not None and value is not False else ""

    def truthy(self, name: str | None) -> bool:
        """Whether a checkbox is ticked, or a field of another type is set."""
        return bool(name) and self.values.get(str(name)) not in (None, False, "")


class PurchaseKey(NamedTuple):
    """The identity of a purchase, unique together with its generation."""

    provider: str
    account: str
    channel: Channel
    person: Identifier


@dataclass(frozen=True, slots=True)
class Purchase:
    """The ledger's view of one purchase, for planning.

    Attributes:
        id: the row id in the ledger.
        generation: 1 for the first purchase under this key, one more for each repeated purchase.
        final_at: when the result became final.
        not_before: the earliest time of the next submission.
        value_hash: keyed hash of the delivered value; it outlives the value itself.
        reason: the reason for the state, for people.
        repeat_allowed: whether an operator allowed a failed purchase to be repeated.
        lost_before: whether the answer to an earlier request was lost, and its charge is still unknown.
    """

    id: int
    key: PurchaseKey
    generation: int
    state: PurchaseState
    result: Result | None = None
    final_at: datetime | None = None
    not_before: datetime | None = None
    value_hash: str | None = None
    reason: str = ""
    repeat_allowed: bool = False
    lost_before: bool = False


@dataclass(frozen=True, slots=True)
class IdentityMatch:
    """A provider's answer to "who has this identifier?": its own identifier of the person, or none.

    Attributes:
        identifier: the identifier by which the provider sells; None if it has no such person.
        grouping_keys: the person's groups, the most likely first.
        at: when the provider answered; None for a new answer.
    """

    identifier: Identifier | None
    grouping_keys: tuple[str, ...] = ()
    at: datetime | None = None


class FieldChange(NamedTuple):
    """The present and the new value of one field."""

    field: str
    before: FieldValue
    after: FieldValue


@dataclass(frozen=True, slots=True)
class Attention:
    """An entry of the attention list: the record, the reason and the next step."""

    reason: str
    next: str
    record_id: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of one purchase of each channel at one provider, in that provider's credits."""

    by_channel: Mapping[Channel, int] = field(default_factory=dict)

    def of(self, channel: Channel) -> int:
        """The credits for one purchase of the channel."""
        return self.by_channel[channel]
