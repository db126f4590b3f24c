"""Loopback servers that stay up for a whole test session, and show one simulated world after another.

Starting servers costs nothing, stopping them a tenth of a second and more: too much for every single test.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.hosting import Hosting
from connector.simulator.server import Simulator, Urls

SITES = ("salesforce", "lensmor", "salesfinity")


class _Switch:
    """Stands where an application should be, and passes every request to the one that is plugged in."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


class SharedSites:
    """The servers."""

    def __init__(self) -> None:
        self._switches = {name: _Switch() for name in SITES}
        self._hosting = Hosting(self._switches)
        found = self._hosting.start()
        self.urls = Urls(**found, control="")

    def show(self, simulator: Simulator) -> Urls:
        """Let the servers answer for this world from now on."""
        self._switches["salesforce"].app = simulator.salesforce.app
        self._switches["lensmor"].app = simulator.lensmor.app
        self._switches["salesfinity"].app = simulator.salesfinity.app
        return self.urls

    def check(self) -> None:
        """No site broke by a mistake of its own: its client would have taken that for misbehaviour asked for."""
        broken = list(self._hosting.broken)
        self._hosting.broken.clear()
        assert not broken

    def close(self) -> None:
        """Stop serving."""
        self._hosting.stop()
