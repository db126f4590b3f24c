"""One HTTP client per vendor: time limits, the rate budget, and answers sorted by what they mean for money.

Reads are repeated (bounded by attempts and time, obeying Retry-After); a paid request is sent once.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx
import tenacity

from connector.core.errors import (
    ConfigurationError,
    CreditsError,
    DownError,
    LostAnswerError,
    NotThereError,
    RefusedError,
    UnreachableError,
)

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
DEFAULT_RETRY_AFTER_S = 60.0
USED_SHARE = 0.95  # of the vendor's limit: what leaves evenly arrives less so, and may meet the next window's requests
LONGEST_RETRY_AFTER_S = 900.0
LARGEST_NUMBER = 10**15  # above it a vendor's number is no count of anything
READ_ATTEMPTS = 5
GIVE_UP_AFTER_S = 120.0
# After any other status, a paid request may have been taken (docs: contracts, outcome of a paid POST).
DEFINITE_REFUSALS = frozenset({400, 402, 404, 409, 422})
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Pace(Protocol):
    """The shared budget of requests of one vendor key."""

    def acquire(self) -> None:
        """Wait until a request may leave."""

    def pause(self, seconds: float) -> None:
        """Let no request leave for this long: the vendor said so."""

    def limit(self, per_minute: int) -> None:
        """Follow the vendor's own statement of its limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded 2xx answer."""

    status: int
    body: Mapping[str, Any]


class _TryAgainError(Exception):
    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s


class _WaitAsTold(tenacity.wait.wait_base):
    """Retry-After where the vendor sent one, else exponential with jitter."""

    def __init__(self) -> None:
        self._jitter = tenacity.wait_exponential_jitter(multiplier=1, max=20)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, _TryAgainError) and error.retry_after_s is not None:
            return error.retry_after_s
        return self._jitter(retry_state)


class VendorHttp:
    """Requests to one vendor, with its errors in our words.

    Args:
        name: the provider, for messages.
        base_url: the vendor's address, without a path.
        headers: sent with every request.
        pace: the rate budget.
        sleep: waits a number of seconds (scaled in rehearsals).
        key_setting: the setting that holds the key, named when a login is refused.
        transport: replaces the network in tests of this layer.

    Raises:
        ConfigurationError: the key has characters that no HTTP header can carry.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        headers: Mapping[str, str],
        pace: Pace,
        sleep: Callable[[float], None],
        key_setting: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._pace = pace
        self._sleep = sleep
        self._key_setting = key_setting
        self._logged_in = False
        if not all(text.isascii() and text.isprintable() and text == text.strip() for text in headers.values()):
            raise ConfigurationError(f"{key_setting} holds spaces or characters that no key has; copy the key again")
        self._client = httpx.Client(
            base_url=base_url,
            headers=dict(headers),
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=READ_TIMEOUT_S),
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=10),
            trust_env=False,
            follow_redirects=False,
            transport=transport,
        )

    def read(self, path: str, params: Mapping[str, str] | None = None, timeout_s: float = READ_TIMEOUT_S) -> Answer:
        """GET something free; repeated while that can help.

        Raises:
            NotThereError: 404.
            RefusedError: another definite refusal.
            DownError: no readable answer in several attempts.
        """
        return self._repeat(lambda: self._once("GET", path, params=params, timeout_s=timeout_s))

    def repeatable_post(self, path: str) -> Answer:
        """POST something that the vendor documents as idempotent; repeated like a read."""
        return self._repeat(lambda: self._once("POST", path, timeout_s=READ_TIMEOUT_S))

    def pay(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST a paid request, once. The caller holds the permit of the rate budget already.

        Raises:
            RefusedError: certainly without effect; `retry_after_s` is set where the same request may be tried later.
            LostAnswerError: the effect is unknown.
        """
        try:
            return self._once("POST", path, body=body, timeout_s=READ_TIMEOUT_S, permit=False)
        except NotThereError as error:
            raise RefusedError(str(error), status=404) from error
        except _TryAgainError as error:
            if isinstance(error.__cause__, _NEVER_LEFT):
                raise UnreachableError(f"{self.name} cannot be reached: {error.why}") from error
            if error.retry_after_s is not None:
                raise RefusedError(f"{self.name} asks to wait", retry_after_s=error.retry_after_s) from error
            raise LostAnswerError(f"{self.name}: {error.why}") from error

    def wait_turn(self) -> None:
        """Wait until a paid request may leave."""
        self._pace.acquire()

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _repeat(self, send: Callable[[], Answer]) -> Answer:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(READ_ATTEMPTS) | tenacity.stop_after_delay(GIVE_UP_AFTER_S),
            wait=_WaitAsTold(),
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(send)
        except _TryAgainError as error:
            raise DownError(f"{self.name} cannot be reached: {error.why}; run again later") from error

    def _once(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        permit: bool = True,
    ) -> Answer:
        if permit:
            self._pace.acquire()
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=READ_TIMEOUT_S)
        try:
            response = self._client.request(method, path, params=params, json=body, timeout=timeout)
        except httpx.TransportError as error:
            raise _TryAgainError(f"no answer ({type(error).__name__})") from error
        except (httpx.InvalidURL, httpx.DecodingError) as error:
            raise _TryAgainError(f"unreadable answer ({type(error).__name__})") from error
        self._follow_headers(response)
        return self._sort(response, paid=not permit)

    def _sort(self, response: httpx.Response, *, paid: bool) -> Answer:
        status = response.status_code
        if 200 <= status < 300:
            self._logged_in = True
            return Answer(status, self._object(response))
        if status == 401 or (status == 403 and not paid):
            self._refuse_login(status)
        trace = _trace(response)
        if status == 429:
            wait = _retry_after_s(response)
            self._pace.pause(wait)
            raise _TryAgainError(f"too many requests{trace}", wait)
        if status not in DEFINITE_REFUSALS:
            raise _TryAgainError(f"HTTP {status}{trace}")
        if status == 402:
            raise CreditsError(f"{self.name} says that the credits are used up (HTTP 402{trace})")
        if status == 404:
            raise NotThereError(f"{self.name} does not know it (HTTP 404{trace})")
        raise RefusedError(
            f"{self.name} refused the request (HTTP {status}{trace})", reread=status == 409, status=status
        )

    def _refuse_login(self, status: int) -> None:
        remedy = f"{self.name} refuses the API key (HTTP {status}); check {self._key_setting}"
        raise (DownError if self._logged_in else ConfigurationError)(remedy)

    def _object(self, response: httpx.Response) -> Mapping[str, Any]:
        try:
            body = response.json()
            json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is text that nobody can keep
        except (ValueError, RecursionError) as error:  # no JSON, or numbers and nesting beyond what can be read
            raise _TryAgainError("the answer is not JSON") from error
        if not isinstance(body, dict):
            raise _TryAgainError("the answer is not a JSON object")
        if "errorKey" in body:
            # Documented on other routes of Lensmor: 200 with an error body. Nobody says whether the effect was taken.
            raise _TryAgainError(f"an error within HTTP {response.status_code}{_trace(response)}")
        return body

    def _follow_headers(self, response: httpx.Response) -> None:
        limit = _count(response, "X-RateLimit-Limit")
        if limit:
            self._pace.limit(max(1, int(limit * USED_SHARE)))
        left, reset = _count(response, "X-RateLimit-Remaining"), _count(response, "X-RateLimit-Reset")
        if left == 0 and response.status_code != 429 and reset is not None:
            seconds = reset - datetime.now(UTC).timestamp()
            self._pace.pause(min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S))


def whole(value: object) -> int | None:
    """A number of a vendor's JSON as a whole number; None for anything else, the infinite and the absurd included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) < LARGEST_NUMBER else None


def _count(response: httpx.Response, header: str) -> int | None:
    text = response.headers.get(header, "").strip()
    return int(text) if text.isdecimal() and len(text) <= len(str(LARGEST_NUMBER)) else None


def _trace(response: httpx.Response) -> str:
    trace = response.headers.get("X-Request-ID", "")
    plain = trace[:64] if trace.replace("-", "").isalnum() else ""
    return f", trace {plain}" if plain else ""


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "").strip()
    seconds = DEFAULT_RETRY_AFTER_S
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            seconds = DEFAULT_RETRY_AFTER_S
    if not math.isfinite(seconds):
        seconds = DEFAULT_RETRY_AFTER_S
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)
