"""Serves ASGI applications on loopback ports: several servers, one background thread, one event loop."""

import asyncio
import socket
import threading
from collections.abc import Mapping

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.dropping import DroppableProtocol

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 10.0


class Hosting:
    """Applications on loopback ports, which only this machine can reach.

    Args:
        apps: the applications by name.

    Attributes:
        broken: the exceptions that applications raised. Their clients only saw a status 500, which could be mistaken
            for an armed fault: check this list at the end.
    """

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self.broken: list[Exception] = []
        self._apps = {name: _watched(app, self.broken) for name, app in apps.items()}
        self._servers: list[uvicorn.Server] = []
        self._thread: threading.Thread | None = None

    def start(self, ports: Mapping[str, int] | None = None) -> dict[str, str]:
        """Start serving; returns when every application answers.

        Args:
            ports: the port by name; 0 or a missing one for any free port.

        Returns:
            The base URL by name.

        Raises:
            OSError: a port is in use.
            RuntimeError: the applications are being served already, or could not start.
        """
        if self._thread is not None:
            raise RuntimeError("these applications are being served already")
        wanted = ports or {}
        sockets = _bound([wanted.get(name, 0) for name in self._apps])
        self._servers = [uvicorn.Server(_config(app)) for app in self._apps.values()]
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(_serve(self._servers, sockets, ready)), name="simulator", daemon=True
        )
        self._thread.start()
        if not ready.wait(START_TIMEOUT_S):
            raise RuntimeError("the simulated sites did not start")
        return {
            name: f"http://{LOOPBACK}:{one.getsockname()[1]}" for name, one in zip(self._apps, sockets, strict=True)
        }

    def stop(self) -> None:
        """Stop serving; requests in progress are cut off."""
        for server in self._servers:
            server.should_exit = True
            server.force_exit = True
        if self._thread is not None:
            self._thread.join()
        self._servers, self._thread = [], None


def _watched(app: ASGIApp, broken: list[Exception]) -> ASGIApp:
    """Wrap an application so that its exceptions are recorded."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except ClientDisconnect:
            raise
        except Exception as error:
            broken.append(error)
            raise

    return watched


def _bound(ports: list[int]) -> list[socket.socket]:
    """Bind a socket to each port; closes all of them if one port is in use.

    The protocol is given because asyncio disables Nagle's algorithm only for sockets declared as TCP; otherwise each
    answer waits 40 ms for the client's acknowledgement.
    """
    sockets: list[socket.socket] = []
    try:
        for port in ports:
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((LOOPBACK, port))
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=DroppableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


async def _serve(servers: list[uvicorn.Server], sockets: list[socket.socket], ready: threading.Event) -> None:
    pairs = zip(servers, sockets, strict=True)
    tasks = [asyncio.create_task(server.serve(sockets=[one])) for server, one in pairs]
    while not all(server.started for server in servers):
        await asyncio.sleep(0.001)
    ready.set()
    await asyncio.gather(*tasks)
