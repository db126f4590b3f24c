"""Breaks a connection on purpose, instead of answering.

uvicorn gives an application no way to close the connection, so the servers run with `DroppableProtocol`, which adds one
to the ASGI scope. The client sees the connection end without an answer; the server logs nothing.
"""

import asyncio
from functools import partial

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

HANG_UP = "simulator.hang_up"


class DroppableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol; each request's scope has a function that cuts its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        """Wrap the application of this connection, now that its transport is known."""
        super().connection_made(transport)
        self.app = partial(_with_hang_up, self.app, transport)


class Dropped(Response):
    """Ends the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # nothing is sent
        """Cut the connection and wait until the server has noticed, so that it does not report a missing answer."""
        scope[HANG_UP]()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _with_hang_up(app: ASGIApp, transport: asyncio.Transport, scope: Scope, receive: Receive, send: Send) -> None:
    scope[HANG_UP] = transport.abort
    await app(scope, receive, send)
