"""Loopback servers that run for a whole test session and serve one simulated world after another.

Stopping a server takes at least 0.1 s, which is too slow to do in every test.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.hosting import Hosting
from connector.simulator.server import Simulator, Urls

SITES = ("salesforce", "lensmor", "salesfinity")


class _Switch:
    """An ASGI application that passes every request to the one in `app`."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


class SharedSites:
    """The servers of the simulated CRM and vendors."""

    def __init__(self) -> None:
        self._switches = {name: _Switch() for name in SITES}
        self._hosting = Hosting(self._switches)
        urls = self._hosting.start()
        self.urls = Urls(**urls, control="")

    def show(self, simulator: Simulator) -> Urls:
        """Serve this world from now on; return the servers' URLs."""
        self._switches["salesforce"].app = simulator.salesforce.app
        self._switches["lensmor"].app = simulator.lensmor.app
        self._switches["salesfinity"].app = simulator.salesfinity.app
        return self.urls

    def check(self) -> None:
        """Check that no simulated site crashed: the connector would take a crash for an injected fault.

        Raises:
            AssertionError: a site crashed since the last check.
        """
        broken = list(self._hosting.broken)
        self._hosting.broken.clear()
        assert not broken

    def close(self) -> None:
        """Stop the servers."""
        self._hosting.stop()
