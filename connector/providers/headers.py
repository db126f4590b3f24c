"""What a vendor's response headers say, read so that no header can harm: absurd numbers and dates count as absent."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DEFAULT_RETRY_AFTER_S = 60.0
LONGEST_RETRY_AFTER_S = 900.0
ABSURD_S = 86_400.0  # a wait of more than a day, or in the past, is a fault of the header
LONGEST_HEADER = 64  # characters; no number and no date needs more
MOST_REQUESTS_PER_MINUTE = 100_000


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Seconds to wait before the next request: `Retry-After`, within bounds, or the default.

    Args:
        headers: of the answer.
        now: aware; the machine's time unless given.
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
    """`X-RateLimit-Limit`; None when it is absent or no sensible count."""
    found = _count(headers, "X-RateLimit-Limit")
    return found if found and found <= MOST_REQUESTS_PER_MINUTE else None


def window_ends_in_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds until more requests are allowed; None while the window has room, or when the headers do not say.

    The time is in seconds of the epoch. One in the past means now: the clocks differ a little.
    """
    left, reset = _count(headers, "X-RateLimit-Remaining"), _count(headers, "X-RateLimit-Reset")
    if left != 0 or reset is None:
        return None
    seconds = reset - (now or datetime.now(UTC)).timestamp()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if seconds <= ABSURD_S else None


def trace_of(headers: Mapping[str, str]) -> str:
    """`, trace X` for messages, where the vendor names one; empty otherwise."""
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
    except (ValueError, TypeError, OverflowError):  # no date, a date without a zone, a year beyond all calendars
        return None


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None
