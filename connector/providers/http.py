"""One HTTP client per vendor: the rate budget, and answers sorted by what they mean for money.

Reads are repeated (bounded by attempts and time, obeying Retry-After) on connections that are kept open; a paid request
is sent once, on a connection of its own. Time and size of each request are bounded by `connector.net`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Never, Protocol

import httpx
import tenacity

from connector.core.errors import (
    ConfigurationError,
    ConnectorError,
    CreditsError,
    DownError,
    LostAnswerError,
    NotThereError,
    RefusedError,
    UnreachableError,
)
from connector.net import Budget, ExchangeError, NetworkSettings, NoAnswerError, RedirectError, Reply, exchange
from connector.net.deadline import Monotonic
from connector.providers.headers import (
    DEFAULT_RETRY_AFTER_S,
    LONGEST_RETRY_AFTER_S,
    requests_per_minute,
    retry_after_s,
    trace_of,
    window_ends_in_s,
)

__all__ = ["DEFAULT_RETRY_AFTER_S", "LONGEST_RETRY_AFTER_S", "Answer", "Connection", "Pace", "VendorHttp"]

READ_TIMEOUT_S = 30.0  # for a whole request, from the connection to the last byte of the answer
MAX_BYTES = 4 * 2**20  # of an answer, unpacked
USED_SHARE = 0.95  # of the vendor's limit: what leaves evenly arrives less so, and may meet the next window's requests
READ_ATTEMPTS = 5
GIVE_UP_AFTER_S = 120.0
# After any other status, a paid request may have been taken (docs: contracts, outcome of a paid POST).
DEFINITE_REFUSALS = frozenset({400, 402, 404, 409, 422})
PASSING_4XX = frozenset({408, 425, 429})  # of a read: any other 4xx would be the same a moment later
_HEADERS = {"Accept": "application/json", "User-Agent": "crm-enrichment-connector"}


class Pace(Protocol):
    """The shared budget of requests of one vendor key."""

    def acquire(self) -> None:
        """Wait until a request may leave."""

    def pause(self, seconds: float) -> None:
        """Let no request leave for this long: the vendor said so."""

    def limit(self, per_minute: int) -> None:
        """Follow the vendor's own statement of its limit."""


Explain = Callable[[float, str], None]


def _silent(_seconds: float, _reason: str) -> None:
    """Say nothing."""


def _no_error(_body: Mapping[str, Any]) -> bool:
    """Of a vendor that never answers 2xx with an error in the body."""
    return False


@dataclass(frozen=True)
class Connection:
    """What the requests of one provider account go through.

    Attributes:
        pace: the rate budget.
        sleep: waits a number of seconds (scaled in rehearsals).
        explain: gets the seconds and the reason of each wait between tries.
        network: proxies and trusted certificates.
        transport: replaces the network in tests.
        clock: monotonic seconds, for the deadline of each request.
    """

    pace: Pace
    sleep: Callable[[float], None]
    explain: Explain = _silent
    network: NetworkSettings = field(default_factory=NetworkSettings)
    transport: httpx.BaseTransport | None = None
    clock: Monotonic = time.monotonic


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded 2xx answer."""

    status: int
    body: Mapping[str, Any]


class _TryAgainError(Exception):
    """No usable answer, this time.

    Attributes:
        why: a predicate that follows the vendor's name.
        retry_after_s: the vendor asked to wait, and did nothing.
        left: whether a byte of the request may have reached the vendor.
    """

    def __init__(self, why: str, retry_after_s: float | None = None, *, left: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s
        self.left = left


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
        connection: what the requests go through.
        is_error: whether the body of a 2xx answer is the vendor's form of an error.

    Raises:
        ConfigurationError: the key has characters that no HTTP header can carry, or the network settings are wrong.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        headers: Mapping[str, str],
        connection: Connection,
        is_error: Callable[[Mapping[str, Any]], bool] = _no_error,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._pace = connection.pace
        self._sleep = connection.sleep
        self._explain = connection.explain
        self._key_setting = f"{name.upper()}_API_KEY"
        self._clock = connection.clock
        self._is_error = is_error
        self._logged_in = False
        if not all(text.isascii() and text.isprintable() and text == text.strip() for text in headers.values()):
            raise ConfigurationError(
                f"{self._key_setting} holds spaces or characters that no key has; copy the key again"
            )
        self._headers = {**_HEADERS, **headers}
        self._transport = connection.transport or connection.network.transport(base_url)
        self._fresh = connection.transport or connection.network.transport(base_url, reuse=False)

    def read(self, path: str, params: Mapping[str, str] | None = None, timeout_s: float = READ_TIMEOUT_S) -> Answer:
        """GET something free; repeated while that can help.

        Raises:
            NotThereError: 404.
            RefusedError: another definite refusal.
            DownError: no readable answer in several attempts.
        """
        return self._repeat(lambda: self._once("GET", path, params=params, timeout_s=timeout_s))

    def repeatable_post(self, path: str) -> Answer:
        """POST something that the vendor documents as idempotent; repeated like a read.

        Raises:
            LostAnswerError: one of the requests may have taken effect, and none was answered with success.
            ConnectorError: any other: certainly without effect.
        """
        lost = ""

        def send() -> Answer:
            nonlocal lost
            try:
                return self._once("POST", path, timeout_s=READ_TIMEOUT_S)
            except _TryAgainError as error:
                if error.left and error.retry_after_s is None:
                    lost = error.why
                raise

        try:
            return self._repeat(send)
        except ConnectorError as error:
            if lost:
                raise LostAnswerError(f"{self.name} {lost}") from error
            raise

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
            if not error.left:
                raise UnreachableError(f"{self.name} {error.why}") from error
            if error.retry_after_s is not None:
                raise RefusedError(f"{self.name} asks to wait", retry_after_s=error.retry_after_s) from error
            raise LostAnswerError(f"{self.name} {error.why}") from error

    def wait_turn(self) -> None:
        """Wait until a paid request may leave."""
        self._pace.acquire()

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()
        self._fresh.close()

    def _repeat(self, send: Callable[[], Answer]) -> Answer:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(READ_ATTEMPTS) | tenacity.stop_after_delay(GIVE_UP_AFTER_S),
            wait=_WaitAsTold(),
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            sleep=self._sleep,
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            return retrying(send)
        except _TryAgainError as error:
            raise DownError(f"{self.name} {error.why}; run again later") from error

    def _before_sleep(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TryAgainError) and state.next_action is not None:
            self._explain(state.next_action.sleep, f"{self.name} {error.why}")

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
        url = httpx.URL(self._base_url + path)
        request = httpx.Request(method, url, params=params, headers=self._headers, json=body)
        transport = self._transport
        if method == "POST":  # each may cost credits: a kept connection may have been closed by the vendor just now
            transport = self._fresh
            request.headers["Connection"] = "close"
        try:
            reply = exchange(transport, request, Budget(timeout_s, MAX_BYTES), self._clock)
        except NoAnswerError as error:
            if error.lasting and permit:
                self._refuse(f"{self.name} {error.why}", error)
            raise _TryAgainError(error.why, left=error.left) from error
        except RedirectError as error:
            if permit:
                remedy = f"check {self.name.upper()}_BASE_URL, and that nothing on the way asks for a login"
                self._refuse(f"{self.name} {error.why}; {remedy}", error)
            raise _TryAgainError(error.why) from error
        except ExchangeError as error:
            raise _TryAgainError(error.why) from error
        self._follow_headers(reply)
        return self._sort(reply, paid=not permit)

    def _sort(self, reply: Reply, *, paid: bool) -> Answer:
        status = reply.status
        if 200 <= status < 300:
            body = self._object(reply)
            self._logged_in = True
            return Answer(status, body)
        if status == 401 or (status == 403 and not paid):
            self._refuse(f"{self.name} refuses the API key (HTTP {status}); check {self._key_setting}")
        trace = trace_of(reply.headers)
        if status == 429:
            wait_s = retry_after_s(reply.headers)
            self._pace.pause(wait_s)
            raise _TryAgainError(f"asks to wait: too many requests (HTTP 429{trace})", wait_s)
        if status == 402:
            raise CreditsError(f"{self.name} says that the credits are used up (HTTP 402{trace})")
        if status == 404:
            raise NotThereError(f"{self.name} does not know it (HTTP 404{trace})")
        refusal = f"{self.name} refused the request (HTTP {status}{trace})"
        if status in DEFINITE_REFUSALS:
            raise RefusedError(refusal, reread=status == 409, status=status)
        if not paid and 400 <= status < 500 and status not in PASSING_4XX:
            if not self._logged_in:
                raise ConfigurationError(f"{refusal}; check {self.name.upper()}_BASE_URL")
            raise RefusedError(refusal, status=status)
        raise _TryAgainError(f"answered HTTP {status}{trace}")

    def _refuse(self, message: str, cause: Exception | None = None) -> Never:
        """A matter of settings before the first answer, a vendor that is down after it."""
        raise (DownError if self._logged_in else ConfigurationError)(message) from cause

    def _object(self, reply: Reply) -> Mapping[str, Any]:
        try:
            body = reply.json()
        except ExchangeError as error:
            raise _TryAgainError(error.why) from error
        if not isinstance(body, dict):
            raise _TryAgainError("answered with JSON that is not an object")
        if self._is_error(body):
            raise _TryAgainError(f"answered with an error within HTTP {reply.status}{trace_of(reply.headers)}")
        return body

    def _follow_headers(self, reply: Reply) -> None:
        limit = requests_per_minute(reply.headers)
        if limit:
            self._pace.limit(max(1, int(limit * USED_SHARE)))
        wait_s = window_ends_in_s(reply.headers)
        if wait_s is not None and reply.status != 429:
            self._pace.pause(wait_s)
