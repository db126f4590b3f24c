"""Lensmor's events: search, preview and unlock. Only a person's explicit command ever buys one.

Unlocking is documented as idempotent (`alreadyUnlocked`, `creditsUsed: 0`), so a lost answer may be asked for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connector.core.errors import LostAnswerError, RefusedError
from connector.providers.http import VendorHttp, whole
from connector.providers.interface import EventAccess

PRICE_CREDITS = 2000


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
        return events, whole(body.get("total")) or len(events)

    def preview(self, event_id: str) -> Preview:
        """The event with its access mode, counts and price; free.

        Raises:
            NotThereError: no such event.
        """
        row = self._http.read(f"/external/events/{quote(event_id, safe='')}").body.get("event")
        if not isinstance(row, dict):
            raise RefusedError("lensmor's answer about the event cannot be read")
        event = _event(row)
        listed = self._http.read("/external/personnel/list", {"event_id": event.event_id, "pageSize": "1"}).body
        semantics = _mapping(listed.get("semantics"))
        counts, unlock = _mapping(semantics.get("counts")), _mapping(semantics.get("unlock"))
        access = str(semantics.get("accessMode") or "unknown")
        price = whole(unlock.get("credits"))
        return Preview(
            event,
            access,
            whole(counts.get("actualTotal")),
            whole(counts.get("visibleTotal")),
            whole(counts.get("remainingLockedCount")),
            0 if access == "full" else PRICE_CREDITS if price is None else price,
        )

    def unlock(self, event_id: str) -> EventAccess:
        """Buy the event, or learn that it is bought already."""
        body = self._http.repeatable_post(f"/external/events/{quote(event_id, safe='')}/unlock").body
        event, balance = _mapping(body.get("event")), _mapping(body.get("balanceAfter"))
        used = whole(body.get("creditsUsed"))
        if body.get("success") is not True or used is None:
            raise LostAnswerError("lensmor's answer to the event unlock cannot be read")
        name = str(event.get("name") or "")
        already = body.get("alreadyUnlocked") is True
        return EventAccess(
            str(event.get("eventId") or event_id), name, already, used, whole(balance.get("totalBalance"))
        )


def _event(row: Mapping[str, Any]) -> Event:
    place = ", ".join(str(row[key]) for key in ("venue", "city", "country") if row.get(key))
    return Event(
        str(row.get("eventId") or row.get("id") or ""),
        str(row.get("name") or ""),
        str(row.get("dateStart") or ""),
        str(row.get("dateEnd") or ""),
        place,
        whole(row.get("exhibitorCount")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
