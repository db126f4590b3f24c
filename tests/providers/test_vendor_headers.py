"""Headers of vendors, read alone: the clock passed in, no absurd value believed, nothing raised."""

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.providers.headers import (
    DEFAULT_RETRY_AFTER_S,
    LONGEST_RETRY_AFTER_S,
    requests_per_minute,
    retry_after_s,
    trace_of,
    usable_rate,
    window_ends_in_s,
)

NOW = datetime(2026, 11, 20, 7, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 20 Nov 2026 07:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 08:00:00 +0100", 0.0),
        ("Fri, 20 Nov 2026 09:00:00 GMT", LONGEST_RETRY_AFTER_S),
        ("Fri, 20 Nov 2026 06:59:59 GMT", DEFAULT_RETRY_AFTER_S),
        ("Sun, 22 Nov 2026 07:00:00 GMT", DEFAULT_RETRY_AFTER_S),
        ("٣٠", DEFAULT_RETRY_AFTER_S),
        ("３０", DEFAULT_RETRY_AFTER_S),
        ("²", DEFAULT_RETRY_AFTER_S),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    assert retry_after_s({"Retry-After": text}, NOW) == seconds


@pytest.mark.parametrize(
    ("offset", "factor", "seconds"),
    [
        (30, 1, 30.0),
        (-5, 1, 0.0),
        (3600, 1, LONGEST_RETRY_AFTER_S),
        (86_400, 1, LONGEST_RETRY_AFTER_S),
        (86_401, 1, None),
        (-86_401, 1, 0.0),
        (30, 1000, None),
    ],
)
def test_the_end_of_a_window(offset: int, factor: int, seconds: float | None) -> None:
    reset = (int(NOW.timestamp()) + offset) * factor
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
    assert window_ends_in_s(headers, NOW) == seconds
    assert window_ends_in_s(headers | {"X-RateLimit-Remaining": "1"}, NOW) is None


@given(st.text(max_size=80) | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str))
def test_no_header_raises_or_asks_for_an_absurd_wait(text: str) -> None:
    names = ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID")
    headers = dict.fromkeys(names, text)
    assert 0 <= retry_after_s(headers, NOW) <= LONGEST_RETRY_AFTER_S
    assert (requests_per_minute(headers) or 1) in range(1, 100_001)
    assert 0 <= (window_ends_in_s(headers, NOW) or 0.0) <= LONGEST_RETRY_AFTER_S
    assert len(trace_of(headers)) <= len(", trace ") + 64


def test_bytes_that_are_no_text_are_read_as_a_header_all_the_same() -> None:
    headers = httpx.Headers([(b"retry-after", b"\xff\xfe\x80"), (b"x-request-id", b"\xc3\x28")])
    assert retry_after_s(headers, NOW) == DEFAULT_RETRY_AFTER_S
    assert trace_of(headers) == ""


def test_the_usable_rate_leaves_a_request_of_each_window_and_most_of_the_limit() -> None:
    limits = (1, 5, 30, 120, 600, 100_000)
    assert [usable_rate(limit) for limit in limits] == [0.95, 4.75, 29.0, 117.6, 588.0, 98_000.0]
    for limit in limits[2:]:
        assert int(usable_rate(limit)) < limit  # evenly spaced, no window of a minute holds more
