"""The listening server: it limits the resources of slow or greedy clients, and shuts down cleanly."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from connector.server.crowd import Crowd, address_of

HEAD_TIMEOUT_S = 10.0  # for a whole request head, including the first one of a connection
MOST_HEAD_BYTES = 64 * 1024
KEEP_ALIVE_S = 5
MOST_CONNECTIONS = 500  # above it, requests get 503; `crowd` limits the waiting connections by address
STOP_TIMEOUT_S = 3  # for open requests; the rest of the ten seconds is for running runs
_Protocol: Any = AutoHTTPProtocol


class _BoundedProtocol(_Protocol):  # type: ignore[misc]
    """Closes a connection that is idle for too long, or whose request head is too slow or too large."""

    crowd: Crowd  # shared by the server's connections
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the timer for the first request head; the connection waits."""
        super().connection_made(transport)
        self.access_log = False  # uvicorn's access log would contain paths with their secrets
        self._address = address_of(transport.get_extra_info("peername"))
        self._wait()
        self.crowd.waits(self, self._address)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection's place and its timer."""
        super().connection_lost(exc)
        self.crowd.waits_no_more(self, self._address)
        if self._head_timer is not None:
            self._head_timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a request head; the rest of a refused request's body is limited by time only."""
        super().data_received(data)
        if self._is_served():
            self.crowd.waits_no_more(self, self._address)
        begins = self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)
        self._head_bytes = self._head_bytes + len(data) if begins else 0
        if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.transport.close()

    def on_response_complete(self) -> None:
        """Start the timer for the next request head."""
        super().on_response_complete()
        self._wait()
        if not self._is_served() and not self.transport.is_closing():
            self.crowd.waits(self, self._address)

    def hang_up(self) -> None:
        """Close the connection, to make room for another one."""
        if not self.transport.is_closing():
            self.transport.close()

    def _is_served(self) -> bool:
        """Whether a complete request has arrived and is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _wait(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()  # otherwise a busy connection would be closed between two requests
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._close_unfinished)

    def _close_unfinished(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Calls `on_stop` at a stop signal: uvicorn's event loop may hide the signal from other handlers."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a stop signal; uvicorn calls this."""
        self._on_stop()
        super().handle_exit(sig, frame)


def _nothing() -> None:
    """Do nothing at a stop signal; the default of `on_stop`."""


def server(application: ASGIApp, on_stop: Callable[[], None] = _nothing) -> uvicorn.Server:
    """Build the server for an application. It has no log, because its lines would contain secrets in paths.

    Args:
        application: the ASGI application.
        on_stop: called at a stop signal.
    """

    class Counted(_BoundedProtocol):
        crowd = Crowd()

    config = uvicorn.Config(
        application,
        http=Counted,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
        limit_concurrency=MOST_CONNECTIONS,
        lifespan="off",
    )
    return _Server(config, on_stop)


def is_loopback_host(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        OSError: the address is in use, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError:
        made.close()
        raise
    return made
