"""Lensmor's events: search, preview and unlock. Only a person's explicit command ever buys one.

Unlocking is documented as idempotent (`alreadyUnlocked`, `creditsUsed: 0`), so a lost answer may be asked for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connector.core.errors import LostAnswerError, RefusedError
from connector.core.limits import balance_of, count_of, is_event_id, price_of
from connector.core.printable import one_line
from connector.core.vendor_values import id_of
from connector.providers.http import VendorHttp
from connector.providers.interface import EventAccess

PRICE_CREDITS = 2000
LONGEST_TEXT = 200  # of a name or a place


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
class Preview:
    """What an event shows, and what unlocking it would show.

    Attributes:
        access: preview or full, in the vendor's word.
        total: people of the event.
        visible: people that can be listed now.
        locked: people that only an unlock would list.
        price_credits: what the unlock costs now; 0 when the event is unlocked already.
    """

    event: Event
    access: str
    total: int | None
    visible: int | None
    locked: int | None
    price_credits: int


class LensmorEvents:
    """The event routes of one Lensmor account."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    def search(self, filters: Mapping[str, str], page: int = 1, page_size: int = 20) -> tuple[list[Event], int]:
        """One page of events and the total; `filters` are the vendor's own names (keyword, country, city, ...)."""
        params = {**filters, "page": str(page), "pageSize": str(page_size)}
        body = self._http.read("/external/events/list", params).body
        rows = body.get("items")
        events = [_event(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return events, count_of(body.get("total")) or len(events)

    def preview(self, event_id: str) -> Preview:
        """The event with its access mode, counts and price; free.

        Raises:
            NotThereError: no such event.
            RefusedError: the answer is about another event, or has a price beyond the limits.
        """
        row = self._http.read(f"/external/events/{quote(event_id, safe='')}").body.get("event")
        if not isinstance(row, dict):
            raise RefusedError("lensmor's answer about the event cannot be read")
        event = _event(row)
        if not _is_about(row, event_id):
            raise RefusedError("lensmor's answer is about another event than was asked about")
        listed = self._http.read("/external/personnel/list", {"event_id": event.event_id, "pageSize": "1"}).body
        semantics = _mapping(listed.get("semantics"))
        counts, unlock = _mapping(semantics.get("counts")), _mapping(semantics.get("unlock"))
        access = _text(semantics.get("accessMode")) or "unknown"
        stated = unlock.get("credits")
        price = PRICE_CREDITS if stated is None else price_of(stated)
        if access == "full":
            price = 0
        if price is None:
            raise RefusedError("lensmor's price of the event cannot be read: it is no number within the limits")
        return Preview(
            event,
            access,
            count_of(counts.get("actualTotal")),
            count_of(counts.get("visibleTotal")),
            count_of(counts.get("remainingLockedCount")),
            price,
        )

    def unlock(self, event_id: str) -> EventAccess:
        """Buy the event, or learn that it is bought already."""
        body = self._http.repeatable_post(f"/external/events/{quote(event_id, safe='')}/unlock").body
        event, balance = _mapping(body.get("event")), _mapping(body.get("balanceAfter"))
        used = price_of(body.get("creditsUsed"))
        if body.get("success") is not True or used is None or not _is_about({"eventId": event_id, **event}, event_id):
            raise LostAnswerError("lensmor's answer to the event unlock cannot be read")
        already = body.get("alreadyUnlocked") is True
        found_id, balance_after = _id(event) or event_id, balance_of(balance.get("totalBalance"))
        return EventAccess(found_id, _text(event.get("name")), already, used, balance_after)


def _event(row: Mapping[str, Any]) -> Event:
    place = ", ".join(text for key in ("venue", "city", "country") if (text := _text(row.get(key))))
    return Event(
        _id(row),
        _text(row.get("name")),
        _text(row.get("dateStart")),
        _text(row.get("dateEnd")),
        place,
        count_of(row.get("exhibitorCount")),
    )


def _id(row: Mapping[str, Any]) -> str:
    """The event's id, empty where there is none within the limits."""
    found = id_of(row.get("eventId") or row.get("id"))
    return found if found is not None and is_event_id(found) else ""


def _is_about(row: Mapping[str, Any], event_id: str) -> bool:
    """Whether a row is that of an event, by either of its two ids."""
    return event_id in {id_of(row.get("eventId")), id_of(row.get("id"))}


def _text(value: object) -> str:
    """A text for people: one line, whatever the vendor sent; empty where it is no text."""
    return one_line(value, LONGEST_TEXT).strip() if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
