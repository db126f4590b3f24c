"""The HTTP client for one vendor: applies the rate limit, and classifies answers by whether credits may be charged.

Reads are repeated on open connections, within limits of attempts and time, and obey Retry-After. A paid request is sent
once, on a new connection. `connector.net` bounds the time and size of each request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Never

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
from connector.net import Budget, ExchangeError, NoAnswerError, RedirectError
from connector.net.exchange import Reply, exchange
from connector.net.library import httpx
from connector.net.observed import observed
from connector.providers.connection import Connection, Pace
from connector.providers.headers import (
    DEFAULT_RETRY_AFTER_S,
    LONGEST_RETRY_AFTER_S,
    requests_per_minute,
    retry_after_s,
    trace_of,
    usable_rate,
    window_ends_in_s,
)

__all__ = ["DEFAULT_RETRY_AFTER_S", "LONGEST_RETRY_AFTER_S", "Answer", "Connection", "Pace", "VendorHttp"]

READ_TIMEOUT_S = 30.0  # from opening the connection to the last byte of the answer
MAX_BYTES = 4 * 2**20  # of an answer, unpacked
READ_ATTEMPTS = 5
GIVE_UP_AFTER_S = 120.0
# After any other status, a paid request may have been taken (docs: contracts, outcome of a paid POST).
DEFINITE_REFUSALS = frozenset({400, 402, 404, 409, 422})
PASSING_4XX = frozenset({408, 425, 429})  # worth another read; any other 4xx would recur
_HEADERS = {"Accept": "application/json", "User-Agent": "crm-enrichment-connector"}


def _no_error(_body: Mapping[str, Any]) -> bool:
    """Return False, for a vendor that never answers 2xx with an error in the body."""
    return False


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded 2xx answer."""

    status: int
    body: Mapping[str, Any]


class _TryAgainError(Exception):
    """An attempt got no usable answer.

    Attributes:
        why: a predicate to follow the vendor's name.
        retry_after_s: the wait that the vendor requested instead of acting; None if it did not.
        left: whether a byte of the request may have reached the vendor.
    """

    def __init__(self, why: str, retry_after_s: float | None = None, *, left: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s
        self.left = left


class _WaitAsRequested(tenacity.wait.wait_base):
    """Waits for Retry-After if the vendor sent one, else exponentially with jitter."""

    def __init__(self) -> None:
        self._jitter = tenacity.wait_exponential_jitter(multiplier=1, max=20)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, _TryAgainError) and error.retry_after_s is not None:
            return error.retry_after_s
        return self._jitter(retry_state)


class VendorHttp:
    """Sends requests to one vendor and translates its errors.

    Args:
        name: the provider's name, for messages.
        base_url: the vendor's address, without a path.
        headers: sent with every request.
        connection: the account's rate limiter, clock and network.
        is_error: whether the body of a 2xx answer reports an error.

    Raises:
        ConfigurationError: the key has characters that an HTTP header cannot carry, or the network settings are wrong.
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
                f"{self._key_setting} contains spaces or characters that no key has; copy the key again"
            )
        self._headers = {**_HEADERS, **headers}
        self._transport = connection.transport or connection.network.transport(base_url)
        self._fresh = connection.transport or connection.network.transport(base_url, reuse=False)

    def read(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        timeout_s: float = READ_TIMEOUT_S,
        operation: str = "read",
    ) -> Answer:
        """Send a free GET request, repeated while another attempt can succeed.

        Args:
            path: of the request.
            params: of the address.
            timeout_s: of each attempt.
            operation: a fixed phrase for the log, without any id.

        Raises:
            NotThereError: the vendor answered 404.
            RefusedError: the vendor refused definitely in another way.
            DownError: no readable answer in several attempts.
        """
        with observed(self.name, operation):
            return self._repeat(lambda: self._once("GET", path, params=params, timeout_s=timeout_s))

    def repeatable_post(self, path: str, operation: str = "post") -> Answer:
        """Send a POST request that the vendor documents as idempotent; repeated like a read.

        Args:
            path: of the request.
            operation: a fixed phrase for the log, without any id.

        Raises:
            LostAnswerError: an attempt may have taken effect, but none was answered with success.
            ConnectorError: any other error; the request certainly had no effect.
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

        with observed(self.name, operation):
            try:
                return self._repeat(send)
            except ConnectorError as error:
                if lost:
                    raise LostAnswerError(f"{self.name} {lost}") from error
                raise

    def pay(self, path: str, body: Mapping[str, Any], operation: str = "purchase") -> Answer:
        """Send a paid POST request once. The caller has waited for the rate limiter already.

        Args:
            path: of the request.
            body: sent as JSON.
            operation: a fixed phrase for the log, without any id.

        Raises:
            RefusedError: it certainly had no effect; `retry_after_s` is set if it may be sent again later.
            LostAnswerError: it may or may not have taken effect.
        """
        with observed(self.name, operation):
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
        self._pace.acquire(first=True)

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()
        self._fresh.close()

    def _repeat(self, send: Callable[[], Answer]) -> Answer:
        """Send a request until it is answered; nearly all are answered at once, without the cost of the loop."""
        try:
            return send()
        except _TryAgainError as error:
            first = error
        return self._send_again(send, first)

    def _send_again(self, send: Callable[[], Answer], first: _TryAgainError) -> Answer:
        failed = [first]  # it counts as the first attempt

        def attempt() -> Answer:
            if failed:
                raise failed.pop()
            return send()

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(READ_ATTEMPTS) | tenacity.stop_after_delay(GIVE_UP_AFTER_S),
            wait=_WaitAsRequested(),
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            sleep=self._sleep,
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
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
        if method == "POST":  # it may cost credits, and the vendor may have just closed a kept connection
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
                remedy = f"check {self.name.upper()}_BASE_URL, and that nothing on the way requires a login"
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
            raise CreditsError(f"{self.name} reports that the credits are used up (HTTP 402{trace})")
        if status == 404:
            raise NotThereError(f"{self.name} has no such object (HTTP 404{trace})")
        refusal = f"{self.name} refused the request (HTTP {status}{trace})"
        if status in DEFINITE_REFUSALS:
            raise RefusedError(refusal, reread=status == 409, status=status)
        if not paid and 400 <= status < 500 and status not in PASSING_4XX:
            if not self._logged_in:
                raise ConfigurationError(f"{refusal}; check {self.name.upper()}_BASE_URL")
            raise RefusedError(refusal, status=status)
        raise _TryAgainError(f"answered HTTP {status}{trace}")

    def _refuse(self, message: str, cause: Exception | None = None) -> Never:
        """Raise ConfigurationError before the first good answer, and DownError after it."""
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
            self._pace.limit(usable_rate(limit))
        wait_s = window_ends_in_s(reply.headers)
        if wait_s is not None and reply.status != 429:
            self._pace.pause(wait_s)
