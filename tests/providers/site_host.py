"""The simulator's sites on loopback addresses that stay, with a world behind them that each test renews."""

from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import Self

from starlette.types import Receive, Scope, Send

from connector.simulator.hosting import Hosting
from connector.simulator.server import Simulator


class SiteHost:
    """One server for all tests of a file.

    Args:
        names: of the sites.

    Attributes:
        urls: of the sites, by name.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._hosting = Hosting({name: self._serving(name) for name in names})
        self.urls = self._hosting.start()
        self._sim = Simulator()

    def renew(self, sim: Simulator) -> Simulator:
        """Serve another world from now on."""
        self._sim = sim
        return sim

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hosting.stop()
        assert self._hosting.broken == []

    def _serving(self, name: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await getattr(self._sim, name).app(scope, receive, send)

        return serve
