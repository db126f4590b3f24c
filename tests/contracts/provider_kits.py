"""Where each registered provider is tried: its simulated vendor, and what the suite must know to ask it for things.

A third provider adds one class here and one line in `KITS`; the suite itself stays as it is.
"""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import ClassVar, Self

import httpx
from persons import link, pid
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from connector.core.model import Channel, Identifier
from connector.providers import REGISTRY
from connector.providers.http import VendorHttp
from connector.providers.interface import ItemState, Provider
from connector.providers.settings import BuiltWith
from connector.simulator.clock import SimClock
from connector.simulator.faults import FOREVER, Fault
from connector.simulator.hosting import Hosting
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.requests_log import RequestLog
from connector.simulator.server import Simulator

EVENT = SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
NUMBERS = range(70_001, 70_121)
LONG_ENOUGH_S = 3600.0
_TLS = ssl.create_default_context()


class Pace:
    """A rate budget that lets everything pass and counts."""

    def __init__(self) -> None:
        self.permits = 0
        self.pauses: list[float] = []

    def acquire(self) -> None:
        self.permits += 1

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def limit(self, per_minute: int) -> None:
        del per_minute


class Kit(ABC):
    """One provider before its simulated vendor, with a fresh world.

    Attributes:
        name: in the registry.
        key: an API key that the vendor takes.
        balance_route: the contract's name of the route that tells the balance.
        submit_routes: those of the paid routes.
        task_routes: those of the routes that read a task.
        outcomes: what an item can be made to end as.
        unknown_task: an id that the vendor never gave.
    """

    name: ClassVar[str]
    key: ClassVar[str]
    balance_route: ClassVar[str]
    submit_routes: ClassVar[Mapping[Channel, str]]
    task_routes: ClassVar[Mapping[Channel, str]]
    outcomes: ClassVar[Mapping[ItemState, str]]
    unknown_task: ClassVar[str]

    def __init__(self, sim: Simulator, url: str) -> None:
        self.sim = sim
        self.url = url
        self.pace = Pace()
        self.slept: list[float] = []
        self.connections: list[VendorHttp] = []

    @property
    @abstractmethod
    def log(self) -> RequestLog:
        """What the vendor was asked."""

    @abstractmethod
    def people(self, count: int) -> list[Identifier]:
        """So many people whom the vendor knows, by the keys that it wants."""

    @abstractmethod
    def script(self, person: Identifier, channel: Channel, outcome: str) -> None:
        """Decide how the next purchase ends; one of the words in `outcomes`."""

    @abstractmethod
    def set_balance(self, credits_left: int) -> None:
        """Give the account so many credits."""

    def provider(self, key: str | None = None, url: str | None = None) -> Provider:
        """A new provider, as the application would build it."""
        entry = REGISTRY[self.name]
        http = VendorHttp(
            self.name,
            url or self.url,
            entry.headers(key or self.key),
            self.pace,
            self.slept.append,
            f"{self.name.upper()}_API_KEY",
            httpx.HTTPTransport(verify=_TLS, trust_env=False),
        )
        self.connections.append(http)
        settings = entry.settings(api_key=SecretStr(key or self.key), base_url=self.url)
        return entry.build(http, settings, BuiltWith((3.0, 5.0, 10.0, 20.0)))

    def arm(self, route: str, action: str, **params: object) -> None:
        """Spoil every request of a route."""
        self.sim.arm(Fault(self.name, route, action, times=FOREVER, params=params))

    def let_it_finish(self) -> None:
        """Let every task come to its end."""
        self.sim.clock.advance(LONG_ENOUGH_S)

    def spent(self) -> int:
        """Credits that the vendor took."""
        return self.sim.charges.total(self.name)

    def close(self) -> None:
        for http in self.connections:
            http.close()


class LensmorKit(Kit):
    name = "lensmor"
    key = "sim-lensmor-key"
    balance_route = "getCreditsBalance"
    submit_routes: ClassVar = {Channel.WORK_EMAIL: "submitEmailUnlock", Channel.PHONE: "submitPhoneUnlock"}
    task_routes: ClassVar = {Channel.WORK_EMAIL: "getEmailUnlockTask", Channel.PHONE: "getPhoneUnlockTask"}
    outcomes: ClassVar = {
        ItemState.DELIVERED: "delivered",
        ItemState.FAILED: "failed",
        ItemState.NO_VALUE: "no_value",
    }
    unknown_task = "1"

    @property
    def log(self) -> RequestLog:
        return self.sim.lensmor.requests

    def people(self, count: int) -> list[Identifier]:
        return [pid(str(number)) for number in NUMBERS[:count]]

    def script(self, person: Identifier, channel: Channel, outcome: str) -> None:
        self.sim.lensmor.script(person.value, "email" if channel is Channel.WORK_EMAIL else "phone", outcome)

    def set_balance(self, credits_left: int) -> None:
        self.sim.lensmor.balance = credits_left


class SalesfinityKit(Kit):
    name = "salesfinity"
    key = "sim-salesfinity-key"
    balance_route = "getEnrichmentCredits"
    submit_routes: ClassVar = dict.fromkeys((Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL), "requestEmailEnrichment")
    task_routes: ClassVar = dict.fromkeys((Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL), "getEmailEnrichment")
    outcomes: ClassVar = {
        ItemState.DELIVERED: "completed",
        ItemState.FAILED: "failed",
        ItemState.NOT_FOUND: "not-found",
    }
    unknown_task = "5f0000000000000000000001"

    @property
    def log(self) -> RequestLog:
        return self.sim.salesfinity.requests

    def people(self, count: int) -> list[Identifier]:
        return [link(linkedin_name(number)) for number in NUMBERS[:count]]

    def script(self, person: Identifier, channel: Channel, outcome: str) -> None:
        self.sim.salesfinity.script(person.value, "work" if channel is Channel.WORK_EMAIL else "personal", outcome)

    def set_balance(self, credits_left: int) -> None:
        self.sim.salesfinity.balance = credits_left


KITS: Mapping[str, Callable[[Simulator, str], Kit]] = {
    "lensmor": LensmorKit,
    "salesfinity": SalesfinityKit,
}


def linkedin_name(number: int) -> str:
    return f"person-{number}-example"


def seed(sim: Simulator) -> None:
    """120 people of one event, known to every vendor."""
    sim.lensmor.rate_limit = None
    sim.lensmor.add_event(EVENT)
    for number in NUMBERS:
        person = SimPerson(
            str(number),
            f"Person {number}",
            linkedin_name=linkedin_name(number),
            event_ids=(EVENT.event_id,),
            email=f"p{number}@example.com",
            phone=f"+1 415 555 {number % 10_000:04d}",
            work_email=f"p{number}.work@example.com",
            personal_email=f"p{number}.home@example.com",
        )
        sim.lensmor.add_person(person)
        sim.salesfinity.add_person(person)


class KitHost:
    """One server for all kits of a file; each kit puts a fresh world on it, whose clock stands still."""

    def __init__(self) -> None:
        self._hosting = Hosting({name: self._serving(name) for name in REGISTRY})
        self._urls = self._hosting.start()
        self._sim = Simulator()

    def fresh(self, name: str) -> Kit:
        self._sim = Simulator(SimClock(speed=0), seed=seed)
        return KITS[name](self._sim, self._urls[name])

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
