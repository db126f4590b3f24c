"""Sends one request and receives its complete answer."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Never
from urllib.parse import urljoin

from connector.core.addresses import web_address
from connector.net.deadline import CONNECT_TIMEOUT_S, Budget, Deadline, Monotonic
from connector.net.decode import json_of, read_body
from connector.net.errors import NoAnswerError, RedirectError
from connector.net.library import httpx
from connector.net.observed import present_request
from connector.net.tls import advice

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
ACCEPTED_ENCODINGS = "gzip, deflate"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer with its body unpacked."""

    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> object:
        """Parse the body as JSON.

        Raises:
            UnreadableError: the body is not JSON.
        """
        return json_of(self.body, self._charset)

    def _charset(self) -> str | None:
        """The charset that the answer names."""
        return httpx.Response(self.status, headers=self.headers).charset_encoding


def exchange(
    transport: httpx.BaseTransport, request: httpx.Request, budget: Budget, clock: Monotonic = time.monotonic
) -> Reply:
    """Send one request and receive its complete answer.

    Args:
        transport: the site's connections.
        request: the complete request, login included.
        budget: the limits of time and size.
        clock: monotonic seconds.

    Raises:
        NoAnswerError: no complete answer arrived in time.
        UnreadableError: the answer is too large or badly compressed.
        RedirectError: the site redirects to another address.
    """
    request_of, began_s, status = present_request(), clock(), 0
    try:
        reply = _exchange(transport, request, Deadline(budget, clock), budget)
        status = reply.status
    except RedirectError as error:
        status = error.status
        raise
    finally:
        if request_of is not None:
            request_of.exchanged(status, clock() - began_s)
    return reply


def _exchange(transport: httpx.BaseTransport, request: httpx.Request, deadline: Deadline, budget: Budget) -> Reply:
    total_s = budget.total_s
    request.headers["Accept-Encoding"] = ACCEPTED_ENCODINGS
    request.extensions["timeout"] = {
        "connect": min(CONNECT_TIMEOUT_S, total_s),
        "read": total_s,
        "write": total_s,
        "pool": total_s,
    }
    with deadline.running():
        try:
            response = transport.handle_request(request)
            try:
                deadline.answered()
                encoding = response.headers.get("Content-Encoding", "")
                body = read_body(_chunks(response, deadline), encoding, budget.max_bytes)
            finally:
                response.close()
        except httpx.RequestError as error:
            _fail(error, deadline, getattr(transport, "proxy_setting", ""))
        except (httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            raise NoAnswerError(f"gave no readable answer ({type(error).__name__})", left=True) from error
    if response.status_code in _REDIRECTS:
        raise RedirectError(response.status_code, _host_of(request, response))
    return Reply(response.status_code, response.headers, body)


def _chunks(response: httpx.Response, deadline: Deadline) -> Iterator[bytes]:
    stream = response.stream
    if not isinstance(stream, httpx.SyncByteStream):
        raise TypeError("the transport must be synchronous")
    for chunk in stream:
        if deadline.over:
            raise httpx.ReadTimeout("the deadline of the exchange has passed")
        yield chunk


def _fail(error: httpx.RequestError, deadline: Deadline, proxy_setting: str) -> Never:
    kind, left = type(error).__name__, not isinstance(error, _NEVER_LEFT)
    tls = _tls_error(error)
    if tls is not None and not left:
        raise NoAnswerError(f"cannot be trusted: {advice(tls)}", left=False, lasting=True) from error
    if isinstance(error, httpx.ProxyError):
        why = f"is blocked by the proxy of {proxy_setting or 'HTTPS_PROXY'} ({kind}: {_status_of(error)})"
        raise NoAnswerError(why, left=False, lasting=True) from error
    if not left:
        at = f" through the proxy of {proxy_setting}" if proxy_setting else ""
        raise NoAnswerError(f"cannot be reached{at} ({kind})", left=False) from error
    if isinstance(error, httpx.TimeoutException):
        raise NoAnswerError(f"gave no complete answer within {deadline.allowed_s:.0f} s ({kind})", left=True) from error
    raise NoAnswerError(f"ended the connection before its answer was complete ({kind})", left=True) from error


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLError):
        found = found.__cause__ or found.__context__
    return found


def _status_of(error: httpx.ProxyError) -> str:
    """The HTTP status of a proxy's refusal, without any text that the proxy wrote."""
    status = str(error).split(" ", 1)[0]
    return {"407": "407, it requires a login"}.get(status, status if status.isdecimal() else "no tunnel")


def _host_of(request: httpx.Request, response: httpx.Response) -> str:
    """The host of the other address, without its path and query, which may hold secrets."""
    try:
        found = web_address(urljoin(str(request.url), response.headers.get("Location", "")))
    except ValueError:
        return ""
    return found.host if found is not None else ""
