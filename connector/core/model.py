"""The values every stage speaks of: channels, persons, records, unlocks, results and outcomes.

All are immutable. Times are aware and UTC; credits are integers; identifiers are strings exactly as their owner
wrote them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

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


OPEN_OUTCOMES = frozenset({Outcome.UNKNOWN, Outcome.PARKED, Outcome.DEFERRED, Outcome.WAITING})
RECORD_OUTCOMES = tuple(outcome for outcome in Outcome if outcome is not Outcome.ALREADY_FILLED)


def outcome_of_record(outcomes: list[Outcome]) -> Outcome:
    """The outcome of a record from those of its channels; a record without channels is skipped."""
    order = list(Outcome)
    found = min(outcomes, key=order.index, default=Outcome.SKIPPED)
    return Outcome.SKIPPED if found is Outcome.ALREADY_FILLED else found


class UnlockState(StrEnum):
    """Where an unlock stands; `core/task.py` holds the allowed moves."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    FINAL = "final"


class Result(StrEnum):
    """What a final unlock brought."""

    DELIVERED = "delivered"
    NOT_FOUND = "not_found"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a record stands for, as its identifier fields say.

    Attributes:
        personnel_id: the provider's own id of the person, decimal digits.
        event_id: an event the person belongs to; groups purchases.
        linkedin: the normalised LinkedIn name (what stands behind `/in/`).
        problems: why an identifier that was present cannot be used, in plain words.
        bad_personnel_id: the field of the id holds something that is no id.
        bad_linkedin: the field of the address holds something that is no person's address.
    """

    personnel_id: str | None = None
    event_id: str | None = None
    linkedin: str | None = None
    problems: tuple[str, ...] = ()
    bad_personnel_id: bool = field(default=False, compare=False)
    bad_linkedin: bool = field(default=False, compare=False)


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
class UnlockKey:
    """The identity under which a purchase is unique, but for its generation."""

    provider: str
    account: str
    channel: Channel
    person: str


@dataclass(frozen=True, slots=True)
class Unlock:
    """What the ledger knows of one purchase, for planning.

    Attributes:
        id: row in the ledger.
        generation: 1 for the first purchase of this key, one more for each repeated purchase.
        final_at: when the result became final.
        not_before: no submission before this time.
        value_hash: keyed hash of the delivered value, kept after the value itself was erased.
        reason: why it is as it is, in plain words.
        repeat_allowed: an operator lets a failed one be bought anew.
        lost_before: the answer to an earlier request was lost, and it is not known yet whether that was charged.
    """

    id: int
    key: UnlockKey
    generation: int
    state: UnlockState
    result: Result | None = None
    final_at: datetime | None = None
    not_before: datetime | None = None
    value_hash: str | None = None
    reason: str = ""
    repeat_allowed: bool = False
    lost_before: bool = False


@dataclass(frozen=True, slots=True)
class Lookup:
    """A remembered answer to "who is behind this LinkedIn name": the id and events, or nobody.

    Attributes:
        at: when it was given; None for one that is just being given.
    """

    personnel_id: str | None
    events: tuple[str, ...] = ()
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
    """What one unlock of each channel costs at one provider, in that provider's credits."""

    by_channel: Mapping[Channel, int] = field(default_factory=dict)

    def of(self, channel: Channel) -> int:
        """Credits for one unlock of the channel."""
        return self.by_channel[channel]
