"""Any JSON in any place of any answer: a client gives back what fits the limits, or raises one of its own errors."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from persons import match_with, pid
from vendor_calls import CALLS, PAID, Call
from vendor_harness import VendorHost, Vendors, answering

from connector.core.errors import ConnectorError, LostAnswerError, RefusedError
from connector.core.limits import MAX_CREDITS, MAX_PRICE_CREDITS, is_event_id, is_identifier, is_vendor_id
from connector.core.printable import one_line
from connector.providers.events import EventPreview
from connector.providers.interface import EventAccess, IdentityResult, Submission

HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    st.text(),
    st.sampled_from(
        ["\x00", "\ud800", "\x1b[2K", "\u202e", "9" * 150, "9" * 30, "x" * 5000, "completed", "accepted", "70011"]
    ),
)
JSON = st.recursive(
    HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


class _Recorder(httpx.BaseTransport):
    """Asks the site, and keeps its answers by path."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport(verify=False)
        self.answers: dict[str, tuple[int, object]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        body = response.read()
        self.answers[request.url.path] = (response.status_code, json.loads(body))
        return httpx.Response(response.status_code, headers={"content-type": "application/json"}, content=body)

    def close(self) -> None:
        self._inner.close()


def _spoiling(answers: Mapping[str, tuple[int, object]], place: int, value: object) -> httpx.MockTransport:
    """The same answers, with one value in each replaced."""

    def answer(request: httpx.Request) -> httpx.Response:
        status, body = answers.get(request.url.path, (404, {}))
        places = list(_places(body))
        spoilt = _replaced(body, places[place % len(places)], value)
        content = json.dumps(spoilt).encode("ascii")  # half surrogate pairs and NUL travel as escapes
        return httpx.Response(status, headers={"content-type": "application/json"}, content=content)

    return answering(answer)


def _places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    rows: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, dict):
        rows = iter(value.items())
    elif isinstance(value, list):
        rows = iter(enumerate(value))
    for key, inner in rows:
        yield from _places(inner, (*path, key))


def _replaced(body: object, path: tuple[str | int, ...], value: object) -> object:
    if not path:
        return value
    found = deepcopy(body)
    inner = found
    for key in path[:-1]:
        inner = inner[key]  # type: ignore[index]
    inner[path[-1]] = value  # type: ignore[index]
    return found


@dataclass(frozen=True)
class Recorded:
    """A call and what the site answers to it."""

    call: Call
    vendors: Vendors = field(repr=False)
    answers: Mapping[str, tuple[int, object]] = field(repr=False)


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    with VendorHost() as harness:
        made = harness.fresh()
        made.start_tasks()
        yield made


@pytest.fixture(scope="module", params=CALLS, ids=str)
def recorded(vendors: Vendors, request: pytest.FixtureRequest) -> Recorded:
    call, recorder = request.param, _Recorder()
    call.over(vendors, vendors.http(call.site, transport=recorder))
    return Recorded(call, vendors, recorder.answers)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(min_value=0, max_value=400), value=JSON)
def test_no_answer_crashes_a_client_or_brings_what_cannot_be_kept(
    recorded: Recorded, place: int, value: object
) -> None:
    call = recorded.call
    http = recorded.vendors.http(call.site, transport=_spoiling(recorded.answers, place, value))
    refused: ConnectorError | None = None
    try:
        _fits(call.over(recorded.vendors, http))
    except ConnectorError as error:
        refused = error
    assert refused is None or one_line(str(refused)) == str(refused)
    assert refused is None or call.kind != PAID or isinstance(refused, LostAnswerError)


def _fits(found: object) -> None:
    match found:
        case bool():
            raise AssertionError("no client answers so")
        case int():
            assert abs(found) <= MAX_CREDITS
        case Submission():
            assert found.task_id is None or is_vendor_id(found.task_id)
            assert set(found.skipped) <= {pid("70011")}
        case IdentityResult():
            assert found.match.identifier is None or is_identifier(found.match.identifier.value)
            assert all(map(is_event_id, found.match.grouping_keys))
        case EventAccess():
            assert one_line(found.name) == found.name
            assert 0 <= found.credits_used <= MAX_PRICE_CREDITS
        case EventPreview():
            assert all(one_line(text) == text for text in (found.access, *dataclasses.astuple(found.event)[:5]))
            assert found.event.event_id in {"52001", "9001"}
            assert 0 <= found.price_credits <= MAX_PRICE_CREDITS
    json.dumps(str(found)).encode()


def test_a_provider_of_others_cannot_bring_what_cannot_be_kept_either() -> None:
    for task_id in ("", "t\x00", "t" * 201, "\ud800"):
        with pytest.raises(LostAnswerError):
            Submission(task_id)
    for lookup in (match_with("7" * 301), match_with("7\x00"), match_with("7", ("e" * 101,))):
        with pytest.raises(RefusedError):
            IdentityResult(lookup)
    for price in (-1, MAX_PRICE_CREDITS + 1):
        with pytest.raises(LostAnswerError):
            EventAccess("52001", "", already_unlocked=False, credits_used=price, balance_after=None)
