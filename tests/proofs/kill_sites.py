"""The three sites on loopback; every request is recorded when it arrives."""

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
        wall: Its arrival, in seconds of `time.monotonic`.
        at: Its arrival, in seconds of the simulated clock.
    """

    wall: float
    at: float
    site: str
    method: str
    path: str

    @property
    def useful(self) -> bool:
        """Whether it is not the login."""
        return self.path != TOKEN_PATH

    @property
    def at_vendor(self) -> bool:
        """Whether it asks a vendor for anything but the balance."""
        return self.site != "salesforce" and not self.path.endswith(("/balance", "/credits"))

    @property
    def paid(self) -> bool:
        """Whether it is a paid request."""
        return self.site != "salesforce" and self.method == "POST"

    @property
    def stage(self) -> str:
        """The stage of the connector that sends it."""
        if self.paid:
            return "buying"
        if self.site != "salesforce":
            return "asking vendors"
        writing = self.method == "PATCH" or (self.method == "POST" and "/composite/" in self.path)
        return "comparing and writing" if writing else "reading the org"


class Sites:
    """Serves a simulated world, and records the requests.

    Args:
        simulator: The world.

    Attributes:
        seen: Every request, in the order of arrival.
        reads: Record id -> simulated arrival times of the API requests that read the record.
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
        """The first request after a position in `seen` that is not the login."""
        return next((seen for seen in self.seen[mark:] if seen.useful), None)

    def at_vendors_since(self, mark: int) -> bool:
        """Whether a vendor was asked for anything but its balance after a position in `seen`."""
        return any(seen.at_vendor for seen in self.seen[mark:])

    def close(self) -> None:
        """Stop serving.

        Raises:
            AssertionError: A site failed by its own bug, which its client took for a requested fault.
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
        """Assign a read to the newest request: the connector sends the org one request at a time."""
        self.reads[record_id].append(self._org_asked_at)
