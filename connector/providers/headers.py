"""Reads a vendor's response headers defensively: absurd numbers and dates count as absent."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DEFAULT_RETRY_AFTER_S = 60.0
LONGEST_RETRY_AFTER_S = 900.0
ABSURD_S = 86_400.0  # a wait of more than a day, or in the past, is an error in the header
LONGEST_HEADER = 64  # characters; no number or date needs more
MOST_REQUESTS_PER_MINUTE = 100_000
LARGEST_SHARE, LEAST_SHARE = 0.98, 0.95  # of a limit; the second for limits so small that one request is more


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Seconds to wait before the next request: `Retry-After`, within bounds, or the default.

    Args:
        headers: the headers of the answer.
        now: an aware time; by default the machine's.
    """
    text = headers.get("Retry-After", "").strip()
    if not text or not text.isascii() or len(text) > LONGEST_HEADER:
        return DEFAULT_RETRY_AFTER_S
    seconds = _number(text)
    if seconds is None:
        seconds = _until(text, now or datetime.now(UTC))
    if seconds is None or not 0 <= seconds <= ABSURD_S:
        return DEFAULT_RETRY_AFTER_S
    return min(seconds, LONGEST_RETRY_AFTER_S)


def requests_per_minute(headers: Mapping[str, str]) -> int | None:
    """The value of `X-RateLimit-Limit`; None if it is absent or not a sensible count."""
    found = _count(headers, "X-RateLimit-Limit")
    return found if found and found <= MOST_REQUESTS_PER_MINUTE else None


def usable_rate(limit: int) -> float:
    """The requests a minute that may leave evenly spaced under a limit for each minute.

    A request that waits on its way falls between two others, or into the next window. With one request a minute less
    than the limit, no window is used up before it ends; a large limit leaves room for the waits of many requests.
    """
    return min(LARGEST_SHARE * limit, max(LEAST_SHARE * limit, limit - 1))


def window_ends_in_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds until more requests are allowed; None if the window still has room or the headers are absent.

    The header holds a Unix time. A time in the past counts as now, because clocks differ a little.
    """
    left, reset = _count(headers, "X-RateLimit-Remaining"), _count(headers, "X-RateLimit-Reset")
    if left != 0 or reset is None:
        return None
    seconds = reset - (now or datetime.now(UTC)).timestamp()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if seconds <= ABSURD_S else None


def trace_of(headers: Mapping[str, str]) -> str:
    """`, trace X` for messages if the answer has a trace id; empty otherwise."""
    trace = headers.get("X-Request-ID", "")[:LONGEST_HEADER]
    return f", trace {trace}" if trace.isascii() and trace.replace("-", "").isalnum() else ""


def _number(text: str) -> float | None:
    whole, _, fraction = text.partition(".")
    if not whole.isdecimal() or (fraction and not fraction.isdecimal()):
        return None
    seconds = float(text)
    return seconds if math.isfinite(seconds) else None


def _until(text: str, now: datetime) -> float | None:
    try:
        return (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # not a date, without a time zone, or a year out of range
        return None


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None
