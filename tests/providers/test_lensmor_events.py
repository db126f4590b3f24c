"""Lensmor's events: search, preview and unlock, whose repetition is free."""

import json
from collections.abc import Iterator

import httpx
import pytest
from vendor_harness import VendorHost, Vendors, answering

from connector.core.errors import CreditsError, LostAnswerError, NotThereError, RefusedError
from connector.providers.events import Event, EventFilter, EventPreview
from connector.providers.interface import EventAccess
from connector.providers.lensmor.events import PRICE_CREDITS, LensmorEvents

EXPO = Event("52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht, Netherlands", 0)


@pytest.fixture(scope="module")
def harness() -> Iterator[VendorHost]:
    with VendorHost() as harness:
        yield harness


@pytest.fixture
def vendors(harness: VendorHost) -> Vendors:
    return harness.fresh()


def told(vendors: Vendors, body: object) -> LensmorEvents:
    """A client whose vendor always gives this answer."""
    content = json.dumps(body).encode()
    return vendors.events(vendors.http("lensmor", transport=answering(lambda _: httpx.Response(200, content=content))))


def test_search(vendors: Vendors) -> None:
    found, total = vendors.events().search(EventFilter("robotics"), page=1, page_size=5)
    assert (found, total) == ([EXPO], 1)
    assert vendors.arrivals[0].path == "/external/events/list?keyword=robotics&page=1&pageSize=5"
    assert vendors.events().search(EventFilter("nothing of that name")) == ([], 0)


def test_search_pages(vendors: Vendors) -> None:
    first, total = vendors.events().search(EventFilter(), page=1, page_size=1)
    second, _ = vendors.events().search(EventFilter(), page=2, page_size=1)
    assert total == 2
    assert {event.event_id for event in first + second} == {"52001", "52017"}


@pytest.mark.parametrize("body", [{}, {"items": 5}, {"items": [None, 5, []], "total": "many"}, {"total": True}])
def test_an_unreadable_page_of_events_is_empty(vendors: Vendors, body: dict[str, object]) -> None:
    assert told(vendors, body).search(EventFilter()) == ([], 0)


def test_an_event_with_hardly_any_facts(vendors: Vendors) -> None:
    page = {"items": [{"id": 9001, "name": None, "exhibitorCount": 1e999}], "total": 1e999}
    assert told(vendors, page).search(EventFilter()) == ([Event("9001", "", "", "", "", None)], 1)


def test_preview_before_and_after_the_unlock(vendors: Vendors) -> None:
    before = vendors.events().preview("52001")
    assert before == EventPreview(EXPO, "preview", 60, 50, 10, 2000)
    vendors.events().unlock("52001")
    after = vendors.events().preview("52001")
    assert after == EventPreview(EXPO, "full", 60, 60, 0, 0)


def test_an_unlock_that_would_show_nothing_more_still_has_its_price(vendors: Vendors) -> None:
    preview = vendors.events().preview("52017")
    assert (preview.access, preview.locked, preview.price_credits) == ("preview", 0, 2000)
    assert vendors.events().unlock("52017").credits_used == preview.price_credits


def test_the_catalogue_number_leads_to_the_event_number(vendors: Vendors) -> None:
    vendors.events().preview("9001")
    assert [arrival.path for arrival in vendors.arrivals] == [
        "/external/events/9001",
        "/external/personnel/list?event_id=52001&pageSize=1",
    ]


def test_a_preview_of_an_unknown_event(vendors: Vendors) -> None:
    with pytest.raises(NotThereError):
        vendors.events().preview("1")


@pytest.mark.parametrize("body", [{}, {"event": None}, {"event": ["52001"]}, {"event": "52001"}])
def test_a_preview_that_cannot_be_read(vendors: Vendors, body: dict[str, object]) -> None:
    with pytest.raises(RefusedError, match="cannot be read"):
        told(vendors, body).preview("52001")


def test_a_preview_without_counts_names_the_usual_price(vendors: Vendors) -> None:
    preview = told(vendors, {"event": {"eventId": "52001"}, "semantics": []}).preview("52001")
    assert (preview.access, preview.total, preview.locked) == ("unknown", None, None)
    assert preview.price_credits == PRICE_CREDITS


def test_unlock_is_paid_once_and_free_ever_after(vendors: Vendors) -> None:
    name = "Example Robotics Expo 2027"
    assert vendors.events().unlock("52001") == EventAccess("52001", name, False, 2000, 98_000)
    assert vendors.events().unlock("52001") == EventAccess("52001", name, True, 0, None)
    assert vendors.sim.charges.total() == 2000
    assert [arrival.body for arrival in vendors.arrivals] == [None, None]


@pytest.mark.parametrize("action", ["drop_after", "html", "truncated", "error_after"])
def test_a_lost_answer_is_asked_for_again_and_paid_once(vendors: Vendors, action: str) -> None:
    vendors.arm("lensmor", "unlockEvent", action)
    assert vendors.events().unlock("52001").already_unlocked
    assert vendors.count("lensmor", "unlockEvent") == 2
    assert vendors.sim.charges.total() == 2000


def test_an_unlock_without_credits(vendors: Vendors) -> None:
    vendors.sim.lensmor.balance = 1999
    with pytest.raises(CreditsError):
        vendors.events().unlock("52001")
    assert vendors.sim.charges.total() == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"success": True},
        {"success": "true", "creditsUsed": 0},
        {"success": False, "creditsUsed": 0},
        {"success": True, "creditsUsed": None},
        {"success": True, "creditsUsed": float("nan")},
        {"success": True, "creditsUsed": True},
    ],
)
def test_an_unlock_that_cannot_be_read_may_have_taken_effect(vendors: Vendors, body: dict[str, object]) -> None:
    with pytest.raises(LostAnswerError, match="cannot be read"):
        told(vendors, body).unlock("52001")


def test_an_event_id_stays_one_part_of_the_path(vendors: Vendors) -> None:
    with pytest.raises(NotThereError):
        vendors.events().unlock("52001/../9002?x#y")
    assert vendors.arrivals[0].path == "/external/events/52001%2F..%2F9002%3Fx%23y/unlock"
    assert vendors.sim.charges.total() == 0
