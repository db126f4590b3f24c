"""Lensmor's events: search, preview and unlock. Only a person's explicit command ever buys one.

Unlocking is documented as idempotent (`alreadyUnlocked`, `creditsUsed: 0`), so a lost answer may be asked for again.
"""

from urllib.parse import quote

from connector.core.errors import LostAnswerError, RefusedError
from connector.core.limits import price_of
from connector.providers.events import Event, EventCatalogue, EventFilter, EventPreview
from connector.providers.http import VendorHttp
from connector.providers.interface import EventAccess
from connector.providers.lensmor.bodies import EventAnswer, EventItem, EventPage, EventUnlockResult, PersonnelPage

PRICE_CREDITS = 2000


class LensmorEvents(EventCatalogue):
    """The event routes of one Lensmor account."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    def search(self, wanted: EventFilter, page: int = 1, page_size: int = 20) -> tuple[list[Event], int]:
        """One page of events, and the number of all that match."""
        filters = {
            "keyword": wanted.keyword,
            "country": wanted.country,
            "city": wanted.city,
            "date_start_from": wanted.starts_from,
        }
        given = {name: text for name, text in filters.items() if text}
        params = {**given, "page": str(page), "pageSize": str(page_size)}
        found = EventPage.model_validate(self._http.read("/external/events/list", params, operation="list events").body)
        events = [_event(row) for row in found.items]
        return events, found.total or len(events)

    def preview(self, event_id: str) -> EventPreview:
        """The event with its access mode, counts and price; free.

        Raises:
            NotThereError: no such event.
            RefusedError: the answer is about another event, or has a price beyond the limits.
        """
        answer = self._http.read(f"/external/events/{quote(event_id, safe='')}", operation="read event")
        row = EventAnswer.model_validate(answer.body).event
        if row is None:
            raise RefusedError("lensmor's answer about the event cannot be read")
        if not row.is_about(event_id):
            raise RefusedError("lensmor's answer is about another event than was asked about")
        event = _event(row)
        params = {"event_id": event.event_id, "pageSize": "1"}
        listed = self._http.read("/external/personnel/list", params, operation="count people of event")
        semantics = PersonnelPage.model_validate(listed.body).semantics
        counts, stated = semantics.counts, semantics.unlock.credits
        price = PRICE_CREDITS if stated is None else price_of(stated)
        if semantics.access_mode == "full":
            price = 0
        if price is None:
            raise RefusedError("lensmor's price of the event cannot be read: it is no number within the limits")
        return EventPreview(
            event,
            semantics.access_mode or "unknown",
            counts.actual_total,
            counts.visible_total,
            counts.remaining_locked_count,
            price,
        )

    def unlock(self, event_id: str) -> EventAccess:
        """Buy the event, or learn that it is bought already."""
        answer = self._http.repeatable_post(f"/external/events/{quote(event_id, safe='')}/unlock", "unlock event")
        found = EventUnlockResult.model_validate(answer.body)
        if not found.success or found.credits_used is None or not found.is_about(event_id):
            raise LostAnswerError("lensmor's answer to the event unlock cannot be read")
        return EventAccess(
            event_id,
            found.event.name,
            found.already_unlocked,
            found.credits_used,
            found.balance_after.total_balance,
        )

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()


def _event(row: EventItem) -> Event:
    place = ", ".join(text for text in (row.venue, row.city, row.country) if text)
    return Event(row.usable_id or "", row.name, row.date_start, row.date_end, place, row.exhibitor_count)
