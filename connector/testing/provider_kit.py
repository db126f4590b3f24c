"""The kit of the provider suite: a provider's registration and its simulated site."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from connector.core.model import Channel, Identifier
from connector.providers.connection import Connection
from connector.providers.interface import ItemState, Provider
from connector.providers.registration import BuiltWith, Registration
from connector.testing.faulty import FaultyTransport

SCHEDULE_S = (3.0, 5.0, 10.0, 20.0)


class OpenPace:
    """A rate limiter that never waits, and counts."""

    def __init__(self) -> None:
        self.permits = 0
        self.pauses: list[float] = []

    def acquire(self, *, first: bool = False) -> None:
        """Count a permit."""
        del first
        self.permits += 1

    def pause(self, seconds: float) -> None:
        """Record a pause."""
        self.pauses.append(seconds)

    def limit(self, per_minute: float) -> None:
        """Ignore the limit."""
        del per_minute


class ProviderKit(ABC):
    """One provider with its simulated site, in a fresh world whose clock stands still.

    Attributes:
        registration: the provider's registration.
        key: an API key that the site accepts.
        state_members: the names of JSON members with the state of a task or of a person in it.
        value_members: the names of JSON members with an email or a phone.
        unknown_task: a task id that the site never issued.
        grouping_key: the group of all people of the kit, if the provider sells only in groups.
        transport: the transport of all requests.
        pace: the rate limiter.
        slept: the waits between attempts, in seconds.
    """

    registration: ClassVar[Registration]
    key: ClassVar[str]
    state_members: ClassVar[tuple[str, ...]]
    value_members: ClassVar[tuple[str, ...]]
    unknown_task: ClassVar[str]
    grouping_key: ClassVar[str | None] = None

    def __init__(self, url: str) -> None:
        self.url = url
        self.transport = FaultyTransport()
        self.pace = OpenPace()
        self.slept: list[float] = []

    @abstractmethod
    def people(self, count: int) -> Sequence[Identifier]:
        """The identifiers of `count` people of the site, of a kind that the provider accepts; at least two batches."""

    @abstractmethod
    def script(self, person: Identifier, channel: Channel, state: ItemState) -> bool:
        """Decide how the person's next purchase ends; returns False if this vendor has no such result."""

    @abstractmethod
    def let_it_finish(self) -> None:
        """Finish all tasks."""

    @abstractmethod
    def set_balance(self, credits_left: int) -> None:
        """Set the balance of the account."""

    @abstractmethod
    def spent(self) -> int:
        """The credits that the site has charged."""

    def unresolved(self) -> Identifier | None:
        """The first person of `people` by an identifier that the provider resolves; None if it resolves none."""
        return None

    def callback(self, task_id: str, attempt_id: str) -> Mapping[str, Any] | None:
        """The body of the vendor's callback about a task; None if it never calls back."""
        del task_id, attempt_id
        return None

    def provider(self, key: str | None = None, url: str | None = None) -> Provider:
        """Build a provider as the connector does."""
        found = self.registration
        settings = found.settings.model_validate({"api_key": key or self.key, "base_url": url or self.url})
        connection = Connection(self.pace, self.slept.append, transport=None if url else self.transport)
        return found.build(settings, BuiltWith(connection, SCHEDULE_S))

    def close(self) -> None:
        """Close the connections to the site."""
        self.transport.close()
