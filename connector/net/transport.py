"""httpx's transport over sockets that observe the deadline of their exchange.

httpcore accepts the network as an object (`network_backend`), so slow headers and TLS handshakes are cut off too.
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from connector.net.deadline import current
from connector.net.library import httpx

MOST_CONNECTIONS = 20
MOST_IDLE_CONNECTIONS = 10
IDLE_S = 5.0
PIECE_BYTES = 16 * 1024  # a request is sent in pieces; the deadline is checked between them, in case of a slow reader
Options = Iterable[tuple[Any, ...]]


class BoundedTransport(httpx.HTTPTransport):
    """One site's connections.

    Args:
        tls: the certificates to trust; None for a site with plain http.
        proxy: the address of an HTTP proxy, with its login if it has one.
        proxy_setting: the setting that names the proxy, for messages.
        connect_retries: how often a failed connection is retried within the same deadline.
        reuse: keep connections open for later requests. A site may close a kept connection just as the next request
            leaves; then it is unknown whether that request arrived.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None,
        proxy: str = "",
        proxy_setting: str = "",
        connect_retries: int = 0,
        *,
        reuse: bool = True,
    ) -> None:
        super().__init__(verify=tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)
        super().close()  # httpx cannot be given a network: replace its pool by one that has ours
        self.proxy_setting = proxy_setting
        limits: dict[str, Any] = {
            "ssl_context": tls,
            "max_connections": MOST_CONNECTIONS,
            "max_keepalive_connections": MOST_IDLE_CONNECTIONS if reuse else 0,
            "keepalive_expiry": IDLE_S,
            "retries": connect_retries,
            "network_backend": _Backend(),
        }
        if not proxy:
            self._pool = httpcore.ConnectionPool(**limits)
            return
        at = httpx.Proxy(proxy)
        self._pool = httpcore.HTTPProxy(
            proxy_url=str(at.url),
            proxy_auth=at.raw_auth,
            proxy_ssl_context=tls if at.url.scheme == "https" else None,
            **limits,
        )


class _Backend(httpcore.SyncBackend):
    """Opens connections within the deadline, however many addresses a name has."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: no address answered.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError("the name has no address")
        for *_, address in found:
            try:
                stream = super().connect_tcp(
                    str(address[0]), port, _cut(timeout, httpcore.ConnectTimeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream)
        raise failure

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts to connect, but not past the deadline."""
        super().sleep(_cut(seconds, httpcore.ConnectTimeout) or 0.0)


class _Stream(httpcore.NetworkStream):
    """A connection whose operations all observe the deadline of the current exchange."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read at most `max_bytes` bytes."""
        return self._inner.read(max_bytes, _cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of the bytes, in pieces."""
        for start in range(0, len(buffer), PIECE_BYTES):
            self._inner.write(buffer[start : start + PIECE_BYTES], _cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Start TLS on the connection."""
        within = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, within))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 as the base
        """Pass on information from the inner connection."""
        return self._inner.get_extra_info(info)


def _cut(timeout: float | None, error: type[Exception]) -> float | None:
    """The timeout of an operation in seconds: its own limit, or the time left for the exchange if that is less.

    Raises:
        Exception: of the given type, if no time is left.
    """
    deadline = current()
    if deadline is None:
        return timeout
    left_s = deadline.left_s()
    if left_s <= 0:
        raise error("the time of the whole exchange is over")
    return left_s if timeout is None else min(timeout, left_s)
