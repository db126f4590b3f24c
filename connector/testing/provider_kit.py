"""What the provider suite must know to try a provider: its registration and its simulated site."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from connector.core.model import Channel, Identifier
from connector.providers.http import Connection
from connector.providers.interface import ItemState, Provider
from connector.providers.registration import BuiltWith, Registration
from connector.testing.faulty import FaultyTransport

SCHEDULE_S = (3.0, 5.0, 10.0, 20.0)


class OpenPace:
    """A rate budget that lets everything pass and counts."""

    def __init__(self) -> None:
        self.permits = 0
        self.pauses: list[float] = []

    def acquire(self) -> None:
        """Count a permit."""
        self.permits += 1

    def pause(self, seconds: float) -> None:
        """Note a pause."""
        self.pauses.append(seconds)

    def limit(self, per_minute: int) -> None:
        """Follow nothing."""
        del per_minute


class ProviderKit(ABC):
    """One provider before its simulated site, in a fresh world whose clock stands still.

    Attributes:
        registration: of the provider.
        key: an API key that the site takes.
        state_members: the names of JSON members that hold the state of a task or of a person in it.
        value_members: those that hold an email or a phone.
        unknown_task: an id that the site never gave.
        grouping_key: what all people of the kit have in common, where the provider groups.
        transport: what all requests go through.
        pace: the rate budget.
        slept: the waits between tries, in seconds.
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
        """So many people whom the site knows, by an identifier that the provider accepts; at least two batches."""

    @abstractmethod
    def script(self, person: Identifier, channel: Channel, state: ItemState) -> bool:
        """Decide how the person's next purchase ends; False where this vendor has no such end."""

    @abstractmethod
    def let_it_finish(self) -> None:
        """Let every task come to its end."""

    @abstractmethod
    def set_balance(self, credits_left: int) -> None:
        """Give the account so many credits."""

    @abstractmethod
    def spent(self) -> int:
        """Credits that the site has charged."""

    def unresolved(self) -> Identifier | None:
        """The first person of `people` by an identifier that the provider resolves; None where it resolves none."""
        return None

    def callback(self, task_id: str, attempt_id: str) -> Mapping[str, Any] | None:
        """The body of a callback about a task, as the vendor sends it; None where it never calls back."""
        del task_id, attempt_id
        return None

    def provider(self, key: str | None = None, url: str | None = None) -> Provider:
        """A new provider, as the connector would build it."""
        found = self.registration
        settings = found.settings.model_validate({"api_key": key or self.key, "base_url": url or self.url})
        connection = Connection(self.pace, self.slept.append, transport=None if url else self.transport)
        return found.build(settings, BuiltWith(connection, SCHEDULE_S))

    def close(self) -> None:
        """Close the connections to the site."""
        self.transport.close()
