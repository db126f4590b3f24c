"""What the engine may ask of a vendor of channels: the values that pass, and one abstract class.

A provider speaks HTTP and translates; it decides nothing. Its errors are those of `core/errors.py`:

- `RefusedError`: the request certainly had no effect.
- `LostAnswerError`: it may have had one.
- `CreditsError`: refused for lack of credits, nothing started.
- `NotThereError`: the vendor does not know the id.
- `DownError`: not reachable, or the login was refused.
- `ConfigurationError`: the login was refused by the very first request.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from connector.core.errors import LostAnswerError, RefusedError, UnsupportedError
from connector.core.limits import balance_of, is_event_id, is_identifier, is_vendor_id, price_of
from connector.core.model import Channel, Identifier, IdentityMatch
from connector.core.person import Source
from connector.core.recover import ProviderState
from connector.core.vendor_values import shown_word, value_of


class SkipReason(StrEnum):
    """Why a vendor left a person of a batch out of its task."""

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
        task_id: the vendor's handle, exactly as sent; None when nothing chargeable was started.
        skipped: people of the batch that are not in the task, and why.

    Raises:
        LostAnswerError: the handle is beyond the limits of `core/limits.py`: it could not be kept.
    """

    task_id: str | None
    skipped: Mapping[Identifier, SkipReason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task_id is not None and not is_vendor_id(self.task_id):
            raise LostAnswerError("the vendor accepted a paid request with a task id that cannot be kept")


class ItemState(StrEnum):
    """What a task says of one person."""

    RUNNING = "running"
    DELIVERED = "delivered"
    NO_VALUE = "no_value"
    NOT_FOUND = "not_found"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Item:
    """One person's line in a task.

    Attributes:
        value: only with delivered, and never anything but an address or a number; see `brought`.
        detail: the vendor's error code.
        unknown_word: a state that this version does not know, for people; it counts as running.
    """

    state: ItemState
    value: str | None = None
    detail: str = ""
    unknown_word: str = ""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """A task as it is now; people without a line are absent from `items`.

    Attributes:
        unknown_word: a state of the task that this version does not know, for people; it counts as running. Of a task
            that has ended: a word for the value it found; the value is not used.
    """

    ended: bool
    items: Mapping[Identifier, Item]
    unknown_word: str = ""


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel in the vendor's record of a person; the attributes are those of `Item`.

    A state that this version does not know is shown as unreadable: nothing is concluded from it.
    """

    view: ProviderState
    value: str | None = None
    unknown_word: str = ""


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """The provider's identifier of a person, with what the vendor already shows of the person.

    Raises:
        RefusedError: an id is beyond the limits of `core/limits.py`: it could not be kept.
    """

    match: IdentityMatch
    statuses: Mapping[Channel, ChannelStatus] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found, keys = self.match.identifier, self.match.grouping_keys
        if (found is not None and not is_identifier(found.value)) or not all(map(is_event_id, keys)):
            raise RefusedError("the vendor's answer to a question for a person has an id that cannot be kept")


@dataclass(frozen=True, slots=True)
class EventAccess:
    """The answer to a request for access to an event.

    Attributes:
        already_unlocked: the account had access before this request; nothing was charged for it.
        credits_used: the price that this request was charged.
        balance_after: of the account; None where the vendor does not show it.

    Raises:
        LostAnswerError: the price is beyond the limits of `core/limits.py`: it could not be kept.
    """

    event_id: str
    name: str
    already_unlocked: bool
    credits_used: int
    balance_after: int | None

    def __post_init__(self) -> None:
        if price_of(self.credits_used) is None:
            raise LostAnswerError("the vendor's answer to an event unlock has a price that cannot be kept")


@dataclass(frozen=True, slots=True)
class CallbackParts:
    """What the body of a callback names: the provider's task, and our id of the request where it echoes one.

    Everything else in the body counts for nothing: the provider is asked.
    """

    task_id: str
    attempt_id: str | None = None


# From the least to the most: where a task lists a person twice, the best line counts.
_RANKS = (ItemState.FAILED, ItemState.NOT_FOUND, ItemState.RUNNING, ItemState.NO_VALUE, ItemState.DELIVERED)
ANOTHER_LOOKUP = "of another lookup"  # instead of a state, where an answer cannot be about ours
EMAIL_TYPE = "email type "  # begins a word for the type of an email, instead of a state
UNREADABLE_WORD = "no word"  # a state that is no text, or holds nothing that may be shown


def brought(channel: Channel, raw: object) -> Item:
    """A line that the vendor calls finished: delivered only with a usable value."""
    value = value_of(channel, raw)
    return Item(ItemState.NO_VALUE) if value is None else Item(ItemState.DELIVERED, value)


def shown(channel: Channel, raw: object) -> ChannelStatus:
    """A record that the vendor calls unlocked: delivered only with a usable value."""
    value = value_of(channel, raw)
    return ChannelStatus(ProviderState.NO_VALUE) if value is None else ChannelStatus(ProviderState.DELIVERED, value)


def better(one: Item | None, other: Item) -> Item:
    """The better of a person's two lines, the first where they are equal: a result is never lowered."""
    return other if one is None or _RANKS.index(other.state) > _RANKS.index(one.state) else one


def unknown_word(value: object) -> str:
    """How an unknown state is reported; never empty."""
    return shown_word(value) or UNREADABLE_WORD


class Provider(ABC):
    """One vendor account.

    Attributes:
        source: its name, account, prices and how it identifies people.
        keeps_records: whether `read_person` can tell what was bought; else a lost answer can only be resolved by a
            callback or an operator.
        charges_failures: whether an item that failed must be presumed charged.
        poll_schedule_s: seconds before each poll of a task; the last repeats.
        parallel: how many requests may be under way at once.
        calls_back: whether it may tell of a task's end of its own accord.
    """

    source: Source
    keeps_records: bool
    charges_failures: bool
    poll_schedule_s: tuple[float, ...]
    parallel: int
    calls_back: bool = False

    @property
    def name(self) -> str:
        """As mappings call it."""
        return self.source.name

    def price_setting(self, channel: Channel) -> str:
        """The setting that holds the price of a channel; empty where the price is fixed."""
        del channel
        return ""

    @abstractmethod
    def batch_size(self, channel: Channel) -> int:
        """The most people one paid request may carry."""

    @abstractmethod
    def balance(self) -> int:
        """Credits left on the account, free."""

    def observed_balance(self) -> int:
        """`balance`, within the limits of `core/limits.py`.

        Raises:
            RefusedError: it is beyond them.
        """
        found = balance_of(self.balance())
        if found is None:
            raise RefusedError(f"{self.name}'s balance is beyond the limits of a number of credits")
        return found

    @abstractmethod
    def wait_turn(self) -> None:
        """Wait until the rate budget lets a paid request leave; called before its hold is taken."""

    @abstractmethod
    def submit(
        self, channel: Channel, people: Sequence[Identifier], grouping_key: str | None, attempt_id: str
    ) -> Submission:
        """Send one paid request. Never repeated from within.

        Args:
            channel: what to buy.
            people: distinct identifiers of a kind that the source accepts, at most `batch_size`.
            grouping_key: what they have in common, of the kind that the source groups by; None where it is not known.
            attempt_id: the ledger's id of this request, echoed by vendors that can.

        Raises:
            RefusedError, CreditsError, LostAnswerError, DownError.
        """

    @abstractmethod
    def read_task(self, channel: Channel, task_id: str, people: Sequence[Identifier]) -> TaskReport:
        """Read a task, free and repeatable.

        Args:
            channel: what the task buys; some vendors keep each channel's tasks apart.
            task_id: as the submission named it.
            people: for whom the task was made.

        Raises:
            NotThereError: the vendor does not know it.
        """

    def knows_task(self, task_id: str, attempt_id: str, person: Identifier) -> bool:
        """Whether the vendor itself says that this task is of that request, for that person; free.

        Raises:
            NotThereError: the vendor does not know the task.
        """
        raise UnsupportedError(self.name, "tasks that name their request")

    def read_person(self, person: Identifier) -> Mapping[Channel, ChannelStatus]:
        """What the vendor's own record of a person shows, free.

        Raises:
            NotThereError: no such person.
        """
        raise UnsupportedError(self.name, "a readable record of people")

    def resolve_identity(self, identifier: Identifier) -> IdentityResult:
        """The provider's own identifier of the person who has this one, free; an answer without one means nobody."""
        raise UnsupportedError(self.name, "a search for a person's identifier")

    def grouping_keys_of(self, person: Identifier) -> tuple[str, ...]:
        """What the person's purchases may be grouped by, free; needed where the vendor sells only in groups."""
        raise UnsupportedError(self.name, "groups of a person")

    @abstractmethod
    def close(self) -> None:
        """Give back connections."""
