"""A separate Salesfinity site, a receiver of its callbacks, and the common requests of its tests."""

import json
import queue
from types import TracebackType
from typing import Self

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connector.simulator.clock import SimClock
from connector.simulator.faults import Faults
from connector.simulator.hosting import Hosting
from connector.simulator.people import SimPerson
from connector.simulator.salesfinity import SalesfinitySite

EMAIL = "/v1/api/enrichment/email"
ADA = "https://www.linkedin.com/in/ada-sample-example"
NOBODY = "https://www.linkedin.com/in/nobody"
PATIENCE_S = 10


class Receiver:
    """Receives callbacks; answers with the given statuses, then with 200."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.bodies: queue.Queue[dict[str, object]] = queue.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.put(json.loads(await Request(scope, receive).body()))
        await Response(status_code=self.statuses.pop(0) if self.statuses else 200)(scope, receive, send)

    def next(self) -> dict[str, object]:
        return self.bodies.get(timeout=PATIENCE_S)


class SalesfinityHarness:
    """One server, one receiver and one client for all tests of a file; each test gets a fresh site."""

    def __init__(self) -> None:
        self.site = fresh_site()
        self.receiver = Receiver()
        self.hosting = Hosting({"site": self._serve, "receiver": self._take})
        self.urls = self.hosting.start()
        self.client = httpx.Client(
            base_url=self.urls["site"], headers={"x-api-key": "sim-salesfinity-key"}, trust_env=False
        )

    def fresh(self) -> SalesfinitySite:
        self.site = fresh_site()
        self.receiver = Receiver()
        self.receiver.url = self.urls["receiver"] + "/callbacks/3f9c2d7e"
        return self.site

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.hosting.stop()
        assert self.hosting.broken == []

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.site.app(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.receiver(scope, receive, send)


def fresh_site() -> SalesfinitySite:
    """A site with one person and a stopped clock."""
    site = SalesfinitySite(SimClock(speed=0), Faults())
    site.add_person(
        SimPerson(
            "70011",
            "Ada Sample",
            linkedin_name="ada-sample-example",
            work_email="ada@example.com",
            personal_email="ada.private@example.com",
        )
    )
    return site


def ask(client: httpx.Client, url: str = ADA, kind: str = "work", **more: str) -> dict[str, object]:
    response = client.post(EMAIL, json={"linkedin_url": url, "type": kind, **more})
    assert response.status_code == 201, response.text
    body = response.json()
    assert isinstance(body, dict)
    return body


def read(client: httpx.Client, asked: dict[str, object]) -> dict[str, object]:
    body = client.get(f"{EMAIL}/{asked['_id']}").json()
    assert isinstance(body, dict)
    return body
