"""The values every stage speaks of: channels, persons, records, purchases, results and outcomes.

All are immutable. Times are aware and UTC; credits are integers; identifiers are strings exactly as their owner
wrote them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from connector.core.states import PurchaseState

FieldValue = str | bool | int | float | None


class Channel(StrEnum):
    """One kind of contact datum, bought on its own."""

    WORK_EMAIL = "work_email"
    PERSONAL_EMAIL = "personal_email"
    PHONE = "phone"
    EVENT = "event"  # access to an event: bought by an operator's command, never through a mapping


CONTACT_CHANNELS = (Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL, Channel.PHONE)


class Outcome(StrEnum):
    """The end of a record, or of one of its channels, in a run.

    A record with several channels takes the first outcome, in this order, that any of them has.
    """

    UNKNOWN = "unknown"
    PARKED = "parked"
    DEFERRED = "deferred"
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    SKIPPED = "skipped"
    ALREADY_FILLED = "already_filled"  # of a channel only: the field had a value; such a record is skipped


# The one definition of open: the flag stays, and a later run goes on. Every other outcome is final.
OPEN_OUTCOMES = frozenset({Outcome.UNKNOWN, Outcome.PARKED, Outcome.DEFERRED, Outcome.WAITING})
FINAL_OUTCOMES = frozenset(Outcome) - OPEN_OUTCOMES
RECORD_OUTCOMES = tuple(outcome for outcome in Outcome if outcome is not Outcome.ALREADY_FILLED)


def outcome_of_record(outcomes: list[Outcome]) -> Outcome:
    """The outcome of a record from those of its channels; a record without channels is skipped."""
    order = list(Outcome)
    found = min(outcomes, key=order.index, default=Outcome.SKIPPED)
    return Outcome.SKIPPED if found is Outcome.ALREADY_FILLED else found


class Result(StrEnum):
    """What a final purchase brought."""

    DELIVERED = "delivered"
    NOT_FOUND = "not_found"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Identifier:
    """By what a provider knows a person: the kind (`core/identifiers.py`) and the normalised value."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a record stands for, as its fields say.

    Attributes:
        identifiers: by kind.
        grouping_keys: by kind, what groups the person's purchases, such as an event.
        problems: by kind, why what is present cannot be used, in plain words.
    """

    identifiers: Mapping[str, str] = field(default_factory=dict)
    grouping_keys: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CrmRecord:
    """One CRM row at one version.

    Attributes:
        id: the CRM's full id.
        version: changes whenever anybody changes the row.
        values: the mapped fields; a field that the row lacks is absent.
        moved_to: where the row's person lives now, as (object, id), when the row was converted or merged.
    """

    id: str
    version: str
    values: Mapping[str, FieldValue]
    moved_to: tuple[str, str] | None = None

    def text(self, name: str | None) -> str:
        """The trimmed text of a field; empty when unset or unmapped. A whole number has no `.0`."""
        value = self.values.get(name) if name else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value).strip() if value is not None and value is not False else ""

    def truthy(self, name: str | None) -> bool:
        """Whether a checkbox is ticked, or a field of another type is set."""
        return bool(name) and self.values.get(str(name)) not in (None, False, "")


@dataclass(frozen=True, slots=True)
class PurchaseKey:
    """The identity under which a purchase is unique, but for its generation."""

    provider: str
    account: str
    channel: Channel
    person: Identifier


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the ledger knows of one purchase, for planning.

    Attributes:
        id: row in the ledger.
        generation: 1 for the first purchase of this key, one more for each repeated purchase.
        final_at: when the result became final.
        not_before: no submission before this time.
        value_hash: keyed hash of the delivered value, kept after the value itself was erased.
        reason: why it is as it is, in plain words.
        repeat_allowed: an operator lets a failed one be bought again.
        lost_before: the answer to an earlier request was lost, and it is not known yet whether that was charged.
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
        identifier: by which the provider sells; None where it knows no such person.
        grouping_keys: of the person, the likeliest first.
        at: when it was given; None for one that is just being given.
    """

    identifier: Identifier | None
    grouping_keys: tuple[str, ...] = ()
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field as it is and as it shall be."""

    field: str
    before: FieldValue
    after: FieldValue


@dataclass(frozen=True, slots=True)
class Attention:
    """Something a person should look at: which record, why, and what to do."""

    reason: str
    next: str
    record_id: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Prices:
    """What one purchase of each channel costs at one provider, in that provider's credits."""

    by_channel: Mapping[Channel, int] = field(default_factory=dict)

    def of(self, channel: Channel) -> int:
        """Credits for one purchase of the channel."""
        return self.by_channel[channel]
