"""Shared by the HTTP tests of the simulated Salesforce: a real server, and plain simple-salesforce as the client.

simple-salesforce is unchanged: it sends https requests to `acme.my.salesforce.com` or the host of its instance URL, and
an adapter of its requests session redirects both to the local http port.
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce, SFType
from simple_salesforce.exceptions import SalesforceError
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.clock import SimClock
from connector.simulator.faults import Fault, Faults
from connector.simulator.hosting import Hosting
from connector.simulator.salesforce import Org, SalesforceSite

START = 1_795_168_800.0  # 2026-11-20T10:00:00Z
VERSION = "67.0"
TOKEN = "a-token-from-elsewhere"
DATA = f"/services/data/v{VERSION}"


def errors_of(error: SalesforceError) -> list[dict[str, object]]:
    """The body of a refusal, which the library declares as bytes but fills with parsed JSON."""
    content: object = error.content
    assert isinstance(content, list)
    return content


class ToLocal(HTTPAdapter):
    """Sends requests for Salesforce to the simulated site."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - the arguments of requests
        wanted = request.url or ""
        for origin in (self._url.replace("http:", "https:"), "https://acme.my.salesforce.com"):
            wanted = wanted.replace(origin, self._url)
        request.url = wanted
        return super().send(request, *args, **kwargs)


class Driver:
    """A fresh site on a running server, and a session for it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = SimClock(speed=0.0, source=lambda: START)
        self.faults = Faults()
        self.site = SalesforceSite(self.clock, self.faults)
        self.site.accept_token(TOKEN)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("https://", ToLocal(url))
        self.sf = Salesforce(instance_url=url, session_id=TOKEN, session=self.session, version=VERSION)

    @property
    def org(self) -> Org:
        return self.site.org

    def lead(self, **values: object) -> str:
        return self.org.insert("Lead", {"LastName": "Okafor", "Company": "Example Ltd", **values})

    def contact(self, **values: object) -> str:
        return self.org.insert("Contact", {"LastName": "Lindqvist", **values})

    def arm(self, operation: str, action: str, subject: str | None = None, times: int = 1, **params: object) -> None:
        self.faults.arm(Fault("salesforce", operation, action, times=times, subject=subject, params=params))

    def login(self) -> Salesforce:
        return Salesforce(
            consumer_key="sim-client-id",
            consumer_secret=self.site.clients.get("sim-client-id", "gone"),
            domain="acme.my",
            session=self.session,
            version=VERSION,
        )

    def handle(self, object_name: str) -> SFType:
        """The typed equivalent of `sf.Lead`."""
        handle = getattr(self.sf, object_name)
        assert isinstance(handle, SFType)
        return handle

    def raw(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        sent = {"Authorization": f"Bearer {TOKEN}", **(headers or {})}
        return self.session.request(method, self.url + path, headers=sent, timeout=10)

    def update_many(self, *records: Mapping[str, object], all_or_none: bool = False, kind: str = "Lead") -> list[Any]:
        sent = [{"attributes": {"type": kind}, **record} for record in records]
        body = {"allOrNone": all_or_none, "records": sent}
        answer = self.sf.restful("composite/sobjects", method="PATCH", json=body)
        assert isinstance(answer, list)
        return answer


class Host:
    """One server for all tests of a module; each test gets a fresh site."""

    def __init__(self) -> None:
        self._hosting = Hosting({"site": self})
        self._app: ASGIApp | None = None
        self._drivers: list[Driver] = []
        self._url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)

    def fresh(self) -> Driver:
        driver = Driver(self._url)
        self._app = driver.site.app
        self._drivers.append(driver)
        return driver

    def __enter__(self) -> Self:
        self._url = self._hosting.start()["site"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for driver in self._drivers:
            driver.session.close()
        self._hosting.stop()


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture(name="driver")
def _driver(host: Host) -> Driver:
    return host.fresh()


def test_a_plain_client_reads_and_writes_a_lead(driver: Driver) -> None:
    lead = driver.lead(Email="Ada@Example.COM")

    assert driver.handle("Lead").get(lead)["Email"] == "ada@example.com"
    assert driver.handle("Lead").update(lead, {"Phone": " +44 20 7946 0000 "}) == 204
    assert driver.org.get("Lead", lead)["Phone"] == "+44 20 7946 0000"


def test_a_plain_uvicorn_server_can_drop_connections() -> None:
    import socket
    import threading

    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listening:
        driver = Driver(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(driver.site.app, log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            driver.arm("limits", "drop_before")
            with pytest.raises(requests.ConnectionError):
                driver.sf.limits()
            assert driver.sf.limits()["DailyApiRequests"]["Max"] == 15_000
        finally:
            driver.session.close()
            server.should_exit = True
            thread.join()
