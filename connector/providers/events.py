"""The catalogue of a provider that sells access to events: the interface of `connector events`.

Only an operator's command ever buys an event; the purchase itself is the engine's (`engine/event_purchase.py`).
"""

from dataclasses import dataclass
from typing import Protocol

from connector.providers.interface import EventAccess


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a search finds; an empty text does not restrict it.

    Attributes:
        starts_from: the first day, as YYYY-MM-DD.
    """

    keyword: str = ""
    country: str = ""
    city: str = ""
    starts_from: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the catalogue."""

    event_id: str
    name: str
    starts: str
    ends: str
    place: str
    exhibitors: int | None


@dataclass(frozen=True, slots=True)
class EventPreview:
    """The access to an event, and the offer to unlock it.

    Attributes:
        access: preview or full, as the provider names it.
        total: people of the event.
        visible: people that can be listed now.
        locked: people that only an unlock would list.
        price_credits: the present price of the unlock; 0 when the event is unlocked already.
    """

    event: Event
    access: str
    total: int | None
    visible: int | None
    locked: int | None
    price_credits: int


class EventCatalogue(Protocol):
    """The event routes of one provider account."""

    def search(self, wanted: EventFilter, page: int = 1, page_size: int = 20) -> tuple[list[Event], int]:
        """One page of events, and the number of all that match."""

    def preview(self, event_id: str) -> EventPreview:
        """The event with its access, its counts and its price; free.

        Raises:
            NotThereError: no such event.
            RefusedError: the answer is about another event, or has a price beyond the limits.
        """

    def unlock(self, event_id: str) -> EventAccess:
        """Buy access to the event, or learn that the account has it.

        Raises:
            LostAnswerError: the request may or may not have taken effect.
        """

    def close(self) -> None:
        """Close idle connections."""
