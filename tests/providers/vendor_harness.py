"""Both simulated vendors behind one server, the true clients in front of it, and a look at what really arrived."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
from persons import link, pids
from pydantic import SecretStr
from starlette.types import Message, Receive, Scope, Send

from connector.core.model import Channel
from connector.providers import lensmor, salesfinity
from connector.providers.connection import Connection
from connector.providers.http import VendorHttp
from connector.providers.lensmor import LensmorSettings
from connector.providers.lensmor.events import LensmorEvents
from connector.providers.lensmor.provider import Lensmor
from connector.providers.lensmor.provider import connect as connect_lensmor
from connector.providers.registration import BuiltWith
from connector.providers.registry import REGISTRY
from connector.providers.salesfinity import SalesfinitySettings
from connector.providers.salesfinity.provider import Salesfinity
from connector.providers.salesfinity.provider import connect as connect_salesfinity
from connector.simulator.clock import SimClock
from connector.simulator.faults import FOREVER, Fault
from connector.simulator.hosting import Hosting
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.server import Simulator

KEYS = {"lensmor": "sim-lensmor-key", "salesfinity": "sim-salesfinity-key"}
EXPO = SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
FORUM = SimEvent("9002", "52017", "Sensors Forum", "2027-05-25", "2027-05-27", "Jena", "Germany")
ADA = "ada-sample-example"


class PaceSpy:
    """A rate budget that lets everything pass and remembers what it was told."""

    def __init__(self) -> None:
        self.permits = 0
        self.pauses: list[float] = []
        self.limits: list[float] = []

    def acquire(self, *, first: bool = False) -> None:
        del first
        self.permits += 1

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def limit(self, per_minute: float) -> None:
        self.limits.append(per_minute)


@dataclass(frozen=True)
class Received:
    """One request as it stood on the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Vendors:
    """A fresh world for one test."""

    urls: Mapping[str, str]
    sim: Simulator = field(default_factory=lambda: Simulator(SimClock(speed=0), seed=people))
    arrivals: list[Received] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    pace: PaceSpy = field(default_factory=PaceSpy)
    opened: list[VendorHttp] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("email", "phone", "lookup"), "1"))

    def http(
        self,
        name: str,
        key: str | None = None,
        url: str | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> VendorHttp:
        """A vendor's connection with the headers that the registry gives it."""
        settings = REGISTRY[name].settings(api_key=SecretStr(key or KEYS[name]), base_url=url or self.urls[name])
        connection = Connection(self.pace, self.slept.append, transport=transport, clock=clock)
        made: VendorHttp = (connect_lensmor if name == lensmor.NAME else connect_salesfinity)(settings, connection)
        self.opened.append(made)
        return made

    def lensmor(self, http: VendorHttp | None = None) -> Lensmor:
        return Lensmor(http or self.http(lensmor.NAME), LensmorSettings(api_key=SecretStr("-")), (3.0, 5.0))

    def salesfinity(self, http: VendorHttp | None = None) -> Salesfinity:
        return Salesfinity(http or self.http(salesfinity.NAME), SalesfinitySettings(api_key=SecretStr("-")))

    def events(self, http: VendorHttp | None = None) -> LensmorEvents:
        return LensmorEvents(http or self.http(lensmor.NAME))

    def start_tasks(self) -> None:
        """Buy Ada's email, phone and lookup, and keep the ids of the tasks; nothing of it stays in what is observed."""
        vendor, finder = self.lensmor(), self.salesfinity()
        started = {
            "email": vendor.submit(Channel.WORK_EMAIL, pids(["70011"]), "52001", "attempt-e"),
            "phone": vendor.submit(Channel.PHONE, pids(["70011"]), "52001", "attempt-p"),
            "lookup": finder.submit(Channel.WORK_EMAIL, [link(ADA)], None, "attempt-l"),
        }
        self.tasks = {name: str(submission.task_id) for name, submission in started.items()}
        self.arrivals.clear()

    def arm(self, site: str, operation: str, action: str, **params: object) -> None:
        """Spoil the next request of a route."""
        self.sim.arm(Fault(site, operation, action, params=params))

    def arm_forever(self, site: str, operation: str, action: str, **params: object) -> None:
        """Spoil every request of a route."""
        self.sim.arm(Fault(site, operation, action, times=FOREVER, params=params))

    def count(self, site: str, operation: str) -> int:
        """How often a route of a site was asked."""
        log = self.sim.lensmor.requests if site == "lensmor" else self.sim.salesfinity.requests
        return log.count(operation)


class VendorHost:
    """One server for all tests of a file; each test puts a fresh world on it."""

    def __init__(self) -> None:
        self._hosting = Hosting({"lensmor": self._serving("lensmor"), "salesfinity": self._serving("salesfinity")})
        self._urls = self._hosting.start()
        self._vendors = Vendors(self._urls)

    def fresh(self) -> Vendors:
        self._close()
        self._vendors = Vendors(self._urls)
        return self._vendors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._hosting.stop()
        assert self._hosting.broken == []

    def _close(self) -> None:
        for http in self._vendors.opened:
            http.close()

    def _serving(self, name: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            vendors = self._vendors
            app = vendors.sim.lensmor.app if name == "lensmor" else vendors.sim.salesfinity.app
            body = await _whole_body(receive)
            vendors.arrivals.append(_arrival(scope, body))
            await app(scope, _with_body(body, receive), send)

        return serve


def people(sim: Simulator) -> None:
    """Two events; 60 people of the first one, of whom Ada is known to everybody."""
    sim.lensmor.rate_limit = None
    for event in (EXPO, FORUM):
        sim.lensmor.add_event(event)
    ada = SimPerson(
        "70011",
        "Ada Sample",
        linkedin_name=ADA,
        event_ids=("52001",),
        email="ada@example.com",
        phone="+1 415 555 0100",
        work_email="ada.work@example.com",
        personal_email="ada.home@example.com",
    )
    sim.lensmor.add_person(ada)
    sim.salesfinity.add_person(ada)
    for number in range(70012, 70071):
        email, phone = f"p{number}@example.com", f"+1 415 555 {number % 10_000:04d}"
        person = SimPerson(str(number), f"Person {number}", event_ids=("52001",), email=email, phone=phone)
        sim.lensmor.add_person(person)


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    """A transport that answers by a function, for what no simulated site would ever say."""
    return httpx.MockTransport(answer)


async def _whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _with_body(body: bytes, receive: Receive) -> Receive:
    """A receive that gives a body that was read already, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _arrival(scope: Scope, body: bytes) -> Received:
    query = scope["query_string"].decode()
    path = scope["raw_path"].decode() + (f"?{query}" if query else "")
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return Received(scope["method"], path, headers, json.loads(body) if body else None)


def built_with(vendors: Vendors) -> BuiltWith:
    """What a provider is built with, besides its settings."""
    return BuiltWith(Connection(vendors.pace, vendors.slept.append), (3.0,))
