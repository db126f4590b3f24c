"""A simulated org behind a real server, the true client in front of it, and a look at what really arrived."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from connector.crm.salesforce import Login
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.site import SalesforceCrm
from connector.simulator.clock import SimClock
from connector.simulator.faults import FOREVER, Fault, Faults
from connector.simulator.hosting import Hosting
from connector.simulator.salesforce import Org, SalesforceSite

VERSION = "67.0"
CLIENT_ID, SECRET = "sim-client-id", "sim-client-secret"


@dataclass(frozen=True)
class Received:
    """One request as it stood on the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_login(self) -> bool:
        return self.path.startswith("/services/oauth2/")

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def json(self) -> Any:  # noqa: ANN401 JSON
        return json.loads(self.body)


@dataclass
class Harness:
    """A fresh org for one test."""

    url: str
    faults: Faults = field(default_factory=Faults)
    arrivals: list[Received] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    opened: list[SalesforceCrm] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.site = SalesforceSite(SimClock(), self.faults)  # real time: the library dates its assertions by it

    @property
    def org(self) -> Org:
        return self.site.org

    def login(self, **changes: Any) -> Login:  # noqa: ANN401 the fields of Login
        """Client credentials for this org, with changes."""
        return Login(**{"instance_url": self.url, "client_id": CLIENT_ID, "client_secret": SECRET, **changes})

    def jwt_login(self, key_file: Path, **changes: object) -> Login:
        """A JWT bearer login for this org, with changes."""
        user = "integration@example.com"
        return self.login(**{"client_secret": None, "username": user, "private_key_file": key_file, **changes})

    def crm(self, login: Login | None = None, version: str = VERSION, reserve_percent: int = 20) -> SalesforceCrm:
        crm = SalesforceCrm(Client(login or self.login(), version, reserve_percent, self.slept.append))
        self.opened.append(crm)
        return crm

    def ready(self, **options: Any) -> SalesforceCrm:  # noqa: ANN401 as for crm
        """A client that has logged in, with nothing observed yet."""
        crm = self.crm(**options)
        crm.login()
        self.arrivals.clear()
        self.site.requests.clear()
        return crm

    def lead(self, **values: object) -> str:
        return self.org.insert("Lead", {"LastName": "Okafor", "Company": "Example Ltd", **values})

    def leads(self, count: int, **values: object) -> list[str]:
        return [self.lead(**values) for _ in range(count)]

    def arm(self, operation: str, action: str, **params: object) -> None:
        """Spoil the next request of an operation."""
        self.faults.arm(Fault("salesforce", operation, action, params=params))

    def arm_forever(self, operation: str, action: str, **params: object) -> None:
        """Spoil every request of an operation."""
        self.faults.arm(Fault("salesforce", operation, action, times=FOREVER, params=params))

    def count(self, operation: str) -> int:
        """How often an operation was asked for."""
        return self.site.requests[operation]


class OrgHost:
    """One server for all tests of a file; each test puts a fresh org on it."""

    def __init__(self) -> None:
        self._hosting = Hosting({"org": self._serve})
        self._url = self._hosting.start()["org"]
        self._harness = Harness(self._url)

    def fresh(self) -> Harness:
        self._close()
        self._harness = Harness(self._url)
        return self._harness

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._hosting.stop()
        assert self._hosting.broken == []

    def _close(self) -> None:
        for crm in self._harness.opened:
            crm.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        harness, body, more = self._harness, b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        path = scope["path"] + (f"?{query}" if query else "")
        harness.arrivals.append(Received(scope["method"], path, headers, body))
        await harness.site.app(scope, again, send)


@dataclass
class Wire:
    """What left towards addresses that no test may reach, and what came back: `answer` of each request."""

    answer: Callable[[httpx.Request], tuple[int, object]]
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: list[httpx.Request] = field(default_factory=list)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand in the place of the network, below whatever a session does."""

        def send(_transport: object, request: httpx.Request) -> httpx.Response:
            self.sent.append(request)
            status, body = self.answer(request)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))

        monkeypatch.setattr("httpx.HTTPTransport.handle_request", send)


def token_answer() -> dict[str, str]:
    return {"access_token": "a-token", "instance_url": "https://acme.my.salesforce.com", "token_type": "Bearer"}
