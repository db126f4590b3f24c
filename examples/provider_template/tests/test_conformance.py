"""Findwell passes the suite that the connector ships for every provider."""

from collections.abc import Iterator, Sequence

import pytest
from findwell import REGISTRATION
from findwell.identifiers import NAME_AND_DOMAIN
from findwell.site import KEY, FindwellSite, Running

from connector.core.identifiers import LINKEDIN
from connector.core.linkedin import profile_url
from connector.core.model import Channel, Identifier
from connector.providers.interface import ItemState
from connector.testing.provider_kit import ProviderKit
from connector.testing.provider_suite import ProviderSuite

STATES = {ItemState.DELIVERED: "found", ItemState.NOT_FOUND: "none", ItemState.FAILED: "error"}
LONG_ENOUGH_S = 3600.0


class Clock:
    """The site's time, which stands still until the kit moves it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class FindwellKit(ProviderKit):
    registration = REGISTRATION
    key = KEY
    state_members = ("state",)
    value_members = ("value",)
    unknown_task = "fw-0"

    def __init__(self, site: FindwellSite, clock: Clock, url: str) -> None:
        super().__init__(url)
        self.site = site
        self.clock = clock

    def people(self, count: int) -> Sequence[Identifier]:
        return [self.person(number) for number in range(count)]

    def person(self, number: int) -> Identifier:
        return Identifier(LINKEDIN.name, f"person-{number}-example")

    def known_as(self, person: Identifier) -> str:
        return profile_url(person.value)

    def script(self, person: Identifier, channel: Channel, state: ItemState) -> bool:
        if state in STATES:
            find = "email" if channel is Channel.WORK_EMAIL else "phone"
            self.site.script(self.known_as(person), find, STATES[state])
        return state in STATES

    def let_it_finish(self) -> None:
        self.clock.now_s += LONG_ENOUGH_S
        self.site.settle()

    def set_balance(self, credits_left: int) -> None:
        self.site.balance = credits_left

    def spent(self) -> int:
        return self.site.sold

    def callback(self, task_id: str, attempt_id: str) -> dict[str, object]:
        return {"event": "search.finished", "data": {"search": task_id, "reference": attempt_id}}


class ByName(FindwellKit):
    """The same people by name and company domain."""

    def person(self, number: int) -> Identifier:
        return Identifier(NAME_AND_DOMAIN.name, f"person example {number}|company-{number}.example.com")

    def known_as(self, person: Identifier) -> str:
        return person.value.replace("|", ", ")


class TestByLinkedin(ProviderSuite):
    @pytest.fixture
    def kit(self) -> Iterator[ProviderKit]:
        yield from fresh(FindwellKit)


class TestByNameAndDomain(ProviderSuite):
    @pytest.fixture
    def kit(self) -> Iterator[ProviderKit]:
        yield from fresh(ByName)


def fresh(kind: type[FindwellKit]) -> Iterator[ProviderKit]:
    clock = Clock()
    site = FindwellSite(clock)
    with Running(site) as running:
        kit = kind(site, clock, running.url)
        yield kit
        kit.close()
    assert len(set(site.orders)) == len(site.orders), "nobody is charged twice"
