"""The interface between the engine and a vendor of channels: one abstract class, and the values that it exchanges.

A provider sends HTTP requests and translates the answers; it decides nothing. Its errors are those of `core/errors.py`:

- `RefusedError`: the request certainly had no effect.
- `LostAnswerError`: the request may or may not have taken effect.
- `CreditsError`: refused for lack of credits; nothing was started.
- `NotThereError`: the vendor has nothing with this id.
- `DownError`: the vendor cannot be reached, or refused the login.
- `ConfigurationError`: the vendor refused the login on the first request.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from connector.core.errors import LostAnswerError, RefusedError, UnsupportedError
from connector.core.limits import balance_of, is_event_id, is_identifier, is_vendor_id, price_of
from connector.core.model import Channel, Identifier, IdentityMatch
from connector.core.person import Source
from connector.core.poll_times import PollSchedule
from connector.core.recover import ProviderState
from connector.core.vendor_values import shown_word, value_of


class SkipReason(StrEnum):
    """The reason why a vendor left a person of a batch out of its task."""

    ALREADY_UNLOCKED = "already_unlocked"
    UNLOCKING = "unlocking"
    INVALID = "invalid"
    MISSING = "missing"
    UNLINKED = "unlinked"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to a paid request.

    Attributes:
        task_id: the id of the vendor's task, unchanged; None if nothing chargeable was started.
        skipped: the reason for each person of the batch that is not in the task.

    Raises:
        LostAnswerError: the task id exceeds the limits of `core/limits.py` and cannot be stored.
    """

    task_id: str | None
    skipped: Mapping[Identifier, SkipReason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task_id is not None and not is_vendor_id(self.task_id):
            raise LostAnswerError("the vendor accepted a paid request with a task id that cannot be stored")


class ItemState(StrEnum):
    """The state of one person in a task."""

    RUNNING = "running"
    DELIVERED = "delivered"
    NO_VALUE = "no_value"
    NOT_FOUND = "not_found"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Item:
    """One person's line in a task.

    Attributes:
        value: set only if delivered, and always a valid address or number; see `brought`.
        detail: the vendor's error code.
        unknown_word: a state that this version does not know, as text for people; it counts as running.
    """

    state: ItemState
    value: str | None = None
    detail: str = ""
    unknown_word: str = ""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """The current state of a task; people without a line are absent from `items`.

    Attributes:
        unknown_word: a state of the task that this version does not know, as text for people; it counts as running. If
            the task has ended: an unknown kind of value, which is not used.
    """

    ended: bool
    items: Mapping[Identifier, Item]
    unknown_word: str = ""


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel in the vendor's record of a person; the attributes are those of `Item`.

    A state that this version does not know counts as unreadable: nothing is concluded from it.
    """

    view: ProviderState
    value: str | None = None
    unknown_word: str = ""


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """The provider's identifier of a person, with the channels that the vendor already shows.

    Raises:
        RefusedError: an id exceeds the limits of `core/limits.py` and cannot be stored.
    """

    match: IdentityMatch
    statuses: Mapping[Channel, ChannelStatus] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found, keys = self.match.identifier, self.match.grouping_keys
        if (found is not None and not is_identifier(found.value)) or not all(map(is_event_id, keys)):
            raise RefusedError("the vendor's answer to a search for a person has an id that cannot be stored")


@dataclass(frozen=True, slots=True)
class EventAccess:
    """The answer to a request for access to an event.

    Attributes:
        already_unlocked: the account had access before this request; nothing was charged.
        credits_used: the credits that this request cost.
        balance_after: the balance of the account; None if the vendor does not show it.

    Raises:
        LostAnswerError: the price exceeds the limits of `core/limits.py` and cannot be stored.
    """

    event_id: str
    name: str
    already_unlocked: bool
    credits_used: int
    balance_after: int | None

    def __post_init__(self) -> None:
        if price_of(self.credits_used) is None:
            raise LostAnswerError("the vendor's answer to an event unlock has a price that cannot be stored")


@dataclass(frozen=True, slots=True)
class CallbackParts:
    """The ids in the body of a callback: the provider's task, and our attempt id if the provider echoes it.

    Everything else in the body is ignored: the provider is polled instead.
    """

    task_id: str
    attempt_id: str | None = None


# From worst to best: if a task lists a person twice, the better line counts.
_RANKS = (ItemState.FAILED, ItemState.NOT_FOUND, ItemState.RUNNING, ItemState.NO_VALUE, ItemState.DELIVERED)
ANOTHER_LOOKUP = "of another lookup"  # replaces a state if the answer belongs to another request
EMAIL_TYPE = "email type "  # prefix of an unknown type of email, in place of a state
UNREADABLE_WORD = "no word"  # for a state that is not text, or has no character that may be shown


def brought(channel: Channel, raw: object) -> Item:
    """The item for a line that the vendor reports as finished: delivered only if its value is usable."""
    value = value_of(channel, raw)
    return Item(ItemState.NO_VALUE) if value is None else Item(ItemState.DELIVERED, value)


def shown(channel: Channel, raw: object) -> ChannelStatus:
    """The status of a channel that the vendor reports as unlocked: delivered only if its value is usable."""
    value = value_of(channel, raw)
    return ChannelStatus(ProviderState.NO_VALUE) if value is None else ChannelStatus(ProviderState.DELIVERED, value)


def better(one: Item | None, other: Item) -> Item:
    """The better of two lines about a person, or the first if they are equal: a result is never downgraded."""
    return other if one is None or _RANKS.index(other.state) > _RANKS.index(one.state) else one


def unknown_word(value: object) -> str:
    """An unknown state as printable text for reports; never empty."""
    return shown_word(value) or UNREADABLE_WORD


class Provider(ABC):
    """One vendor account.

    Attributes:
        source: its name, account, prices and kinds of identifiers.
        keeps_records: whether `read_person` shows the purchases; if not, only a callback or an operator can resolve a
            lost answer.
        charges_failures: whether a failed item must be presumed charged.
        poll_schedule_s: seconds before each poll of a task; the last value repeats.
        polls_exactly: the operator has set this schedule, and no poll is left out.
        parallel: the most requests in flight at the same time.
        calls_back: whether it may announce the end of a task by a callback.
    """

    source: Source
    keeps_records: bool
    charges_failures: bool
    poll_schedule_s: tuple[float, ...]
    polls_exactly: bool = False
    parallel: int
    calls_back: bool = False

    @property
    def name(self) -> str:
        """The provider's name in mapping files."""
        return self.source.name

    @property
    def poll_rules(self) -> PollSchedule:
        """The rules for the polls of its tasks."""
        return PollSchedule(self.poll_schedule_s, self.polls_exactly)

    def price_setting(self, channel: Channel) -> str:
        """The name of the setting for a channel's price; empty if the price is fixed."""
        del channel
        return ""

    @abstractmethod
    def batch_size(self, channel: Channel) -> int:
        """The most people in one paid request."""

    @abstractmethod
    def balance(self) -> int:
        """Read the credits left on the account; free."""

    def observed_balance(self) -> int:
        """Read the balance and check it against the limits of `core/limits.py`.

        Raises:
            RefusedError: the balance exceeds the limits.
        """
        found = balance_of(self.balance())
        if found is None:
            raise RefusedError(f"{self.name}'s balance exceeds the limit for a number of credits")
        return found

    @abstractmethod
    def wait_turn(self) -> None:
        """Wait until the rate limiter lets a paid request leave; called before its hold is taken."""

    @abstractmethod
    def submit(
        self, channel: Channel, people: Sequence[Identifier], grouping_key: str | None, attempt_id: str
    ) -> Submission:
        """Send one paid request. An implementation never repeats it.

        Args:
            channel: the channel to buy.
            people: distinct identifiers of a kind that the source accepts, at most `batch_size`.
            grouping_key: the group of the people, of the kind that the source groups by; None if it is unknown.
            attempt_id: the ledger's id of this request; some vendors echo it.

        Raises:
            RefusedError, CreditsError, LostAnswerError, DownError.
        """

    @abstractmethod
    def read_task(self, channel: Channel, task_id: str, people: Sequence[Identifier]) -> TaskReport:
        """Poll a task; free and repeatable.

        Args:
            channel: the channel that the task buys; some vendors separate tasks by channel.
            task_id: the id from the submission.
            people: the people of the task.

        Raises:
            NotThereError: the vendor has no such task.
        """

    def knows_task(self, task_id: str, attempt_id: str, person: Identifier) -> bool:
        """Whether the vendor confirms that this task belongs to that request for that person; free.

        Raises:
            NotThereError: the vendor has no such task.
        """
        raise UnsupportedError(self.name, "tasks that name their request")

    def read_person(self, person: Identifier) -> Mapping[Channel, ChannelStatus]:
        """Read the vendor's own record of a person; free.

        Returns:
            The status of each channel in the record.

        Raises:
            NotThereError: the vendor has no such person.
        """
        raise UnsupportedError(self.name, "a readable record of people")

    def resolve_identity(self, identifier: Identifier) -> IdentityResult:
        """Find the provider's own identifier of a person; free. A result without one means that there is no match."""
        raise UnsupportedError(self.name, "a search for a person's identifier")

    def grouping_keys_of(self, person: Identifier) -> tuple[str, ...]:
        """Read the groups that a person may be bought in; free. Needed if the vendor sells only in groups."""
        raise UnsupportedError(self.name, "groups of a person")

    @abstractmethod
    def close(self) -> None:
        """Close the provider's connections."""
