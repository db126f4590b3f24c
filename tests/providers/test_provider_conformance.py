"""Lensmor and Salesfinity pass the suite that is shipped for every provider."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest
from persons import link, pid
from site_host import SiteHost

from connector.core.model import Channel, Identifier
from connector.providers import lensmor, salesfinity
from connector.providers.interface import ItemState
from connector.providers.registry import BUILT_IN
from connector.simulator.clock import SimClock
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.server import Simulator
from connector.testing.provider_kit import ProviderKit
from connector.testing.provider_suite import ProviderSuite

EVENT = SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
NUMBERS = range(70_001, 70_221)
LONG_ENOUGH_S = 3600.0


class SimulatedKit(ProviderKit):
    """A vendor of the simulator."""

    states: ClassVar[dict[ItemState, str]]

    def __init__(self, sim: Simulator, url: str) -> None:
        super().__init__(url)
        self.sim = sim

    @abstractmethod
    def order(self, person: Identifier, channel: Channel, outcome: str) -> None:
        """Decide an end in the simulator's words."""

    def script(self, person: Identifier, channel: Channel, state: ItemState) -> bool:
        if state in self.states:
            self.order(person, channel, self.states[state])
        return state in self.states

    def let_it_finish(self) -> None:
        self.sim.clock.advance(LONG_ENOUGH_S)

    def spent(self) -> int:
        return self.sim.charges.total(self.registration.name)


class LensmorKit(SimulatedKit):
    registration = lensmor.REGISTRATION
    key = "sim-lensmor-key"
    state_members = ("taskStatus", "status")
    value_members = ("email", "phone")
    unknown_task = "1"
    grouping_key = EVENT.event_id
    states: ClassVar = {
        ItemState.DELIVERED: "delivered",
        ItemState.FAILED: "failed",
        ItemState.NO_VALUE: "no_value",
    }

    def people(self, count: int) -> Sequence[Identifier]:
        return [pid(str(number)) for number in NUMBERS[:count]]

    def order(self, person: Identifier, channel: Channel, outcome: str) -> None:
        self.sim.lensmor.script(person.value, "email" if channel is Channel.WORK_EMAIL else "phone", outcome)

    def set_balance(self, credits_left: int) -> None:
        self.sim.lensmor.balance = credits_left

    def unresolved(self) -> Identifier | None:
        return link(_name(NUMBERS[0]))


class SalesfinityKit(SimulatedKit):
    registration = salesfinity.REGISTRATION
    key = "sim-salesfinity-key"
    state_members = ("status",)
    value_members = ("email",)
    unknown_task = "5f0000000000000000000001"
    states: ClassVar = {
        ItemState.DELIVERED: "completed",
        ItemState.FAILED: "failed",
        ItemState.NOT_FOUND: "not-found",
    }

    def people(self, count: int) -> Sequence[Identifier]:
        return [link(_name(number)) for number in NUMBERS[:count]]

    def order(self, person: Identifier, channel: Channel, outcome: str) -> None:
        self.sim.salesfinity.script(person.value, "work" if channel is Channel.WORK_EMAIL else "personal", outcome)

    def set_balance(self, credits_left: int) -> None:
        self.sim.salesfinity.balance = credits_left

    def callback(self, task_id: str, attempt_id: str) -> dict[str, Any]:
        return {"_id": task_id, "external_id": attempt_id, "status": "completed", "email": None}


def _name(number: int) -> str:
    return f"person-{number}-example"


def seed(sim: Simulator) -> None:
    """220 people of one event, known to both vendors."""
    sim.lensmor.rate_limit = None
    sim.lensmor.add_event(EVENT)
    for number in NUMBERS:
        person = SimPerson(
            str(number),
            f"Person {number}",
            linkedin_name=_name(number),
            event_ids=(EVENT.event_id,),
            email=f"p{number}@example.com",
            phone=f"+1 415 555 {number % 10_000:04d}",
            work_email=f"p{number}.work@example.com",
            personal_email=f"p{number}.home@example.com",
        )
        sim.lensmor.add_person(person)
        sim.salesfinity.add_person(person)


KITS: dict[str, Callable[[Simulator, str], SimulatedKit]] = {"lensmor": LensmorKit, "salesfinity": SalesfinityKit}


@pytest.fixture(scope="module")
def host() -> Iterator[SiteHost]:
    with SiteHost(tuple(KITS)) as host:
        yield host


def test_every_provider_of_this_package_is_tried() -> None:
    assert KITS.keys() == BUILT_IN.keys()


class TestLensmor(ProviderSuite):
    @pytest.fixture
    def kit(self, host: SiteHost) -> Iterator[ProviderKit]:
        yield from fresh(host, "lensmor")


class TestSalesfinity(ProviderSuite):
    @pytest.fixture
    def kit(self, host: SiteHost) -> Iterator[ProviderKit]:
        yield from fresh(host, "salesfinity")


def fresh(host: SiteHost, name: str) -> Iterator[ProviderKit]:
    """A kit in a new world."""
    sim = host.renew(Simulator(SimClock(speed=0), seed=seed))
    kit = KITS[name](sim, host.urls[name])
    yield kit
    kit.close()
    assert sim.charges.doubles() == []
