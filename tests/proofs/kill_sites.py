"""The three sites on loopback, with a look at every request in the moment in which it arrives."""

import time
from collections import defaultdict
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.hosting import Hosting
from connector.simulator.server import Simulator, Urls

TOKEN_PATH = "/services/oauth2/token"


@dataclass(frozen=True)
class Seen:
    """One request.

    Attributes:
        wall: when it arrived, in seconds of `time.monotonic`.
        at: the same in seconds of the simulated clock.
    """

    wall: float
    at: float
    site: str
    method: str
    path: str

    @property
    def useful(self) -> bool:
        """Whether it is more than the login."""
        return self.path != TOKEN_PATH

    @property
    def at_work(self) -> bool:
        """Whether a vendor is asked for more than its balance."""
        return self.site != "salesforce" and not self.path.endswith(("/balance", "/credits"))

    @property
    def paid(self) -> bool:
        """Whether it buys."""
        return self.site != "salesforce" and self.method == "POST"

    @property
    def stage(self) -> str:
        """What the connector is doing with it."""
        if self.paid:
            return "buying"
        if self.site != "salesforce":
            return "asking vendors"
        writing = self.method == "PATCH" or (self.method == "POST" and "/composite/" in self.path)
        return "comparing and writing" if writing else "reading the org"


class Sites:
    """Serves a simulated world, and keeps what it was asked.

    Args:
        simulator: the world.

    Attributes:
        seen: every request, in the order of arrival.
        reads: by record id, the simulated arrival time of each API request that read it.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.seen: list[Seen] = []
        self.reads: defaultdict[str, list[float]] = defaultdict(list)
        self._clock = simulator.clock
        self._under_way: dict[int, Seen] = {}
        self._org_asked_at = 0.0
        simulator.salesforce.org.after_read(self._note_read)
        apps: dict[str, ASGIApp] = {
            "salesforce": simulator.salesforce.app,
            "lensmor": simulator.lensmor.app,
            "salesfinity": simulator.salesfinity.app,
        }
        self._hosting = Hosting({name: self._watched(name, app) for name, app in apps.items()})
        self.urls = Urls(**self._hosting.start(), control="")

    def under_way(self) -> list[Seen]:
        """Requests that arrived and were not answered yet."""
        return list(self._under_way.values())

    def useful_since(self, mark: int) -> Seen | None:
        """The first request behind a place in `seen` that is more than the login."""
        return next((seen for seen in self.seen[mark:] if seen.useful), None)

    def at_work_since(self, mark: int) -> bool:
        """Whether the vendors' part of a run has begun."""
        return any(seen.at_work for seen in self.seen[mark:])

    def close(self) -> None:
        """Stop serving.

        Raises:
            AssertionError: a site broke by a mistake of its own, which its client took for misbehaviour asked for.
        """
        self._hosting.stop()
        assert not self._hosting.broken, self._hosting.broken

    def _watched(self, site: str, app: ASGIApp) -> ASGIApp:
        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            seen = Seen(time.monotonic(), self._clock.now(), site, scope["method"], scope["path"])
            self.seen.append(seen)
            self._under_way[id(scope)] = seen
            if site == "salesforce":
                self._org_asked_at = seen.at
            try:
                await app(scope, receive, send)
            finally:
                del self._under_way[id(scope)]

        return watched

    def _note_read(self, _object_name: str, record_id: str) -> None:
        """The connector asks the org one thing at a time, so the read belongs to the newest request."""
        self.reads[record_id].append(self._org_asked_at)
