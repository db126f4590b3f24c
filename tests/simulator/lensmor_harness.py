"""A separate Lensmor site, and the common requests of its tests."""

from dataclasses import replace
from types import TracebackType
from typing import Self

import httpx
from starlette.types import Receive, Scope, Send

from connector.simulator.clock import SimClock
from connector.simulator.faults import Faults
from connector.simulator.hosting import Hosting
from connector.simulator.lensmor import LensmorSite
from connector.simulator.people import SimEvent, SimPerson

EXPO = SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
FORUM = SimEvent("9002", "52017", "Sensors Forum", "2027-05-25", "2027-05-27", "Jena", "Germany", has_visitors=True)
EMAIL, PHONE = "/external/contacts/unlock", "/external/contacts/unlock-phone"
TASKS = {EMAIL: "/external/contacts/unlock-tasks/", PHONE: "/external/contacts/unlock-phone-tasks/"}


class LensmorHarness:
    """One server and one client for all tests of a file; each test gets a fresh site."""

    def __init__(self) -> None:
        self.site = fresh_site()
        self.hosting = Hosting({"lensmor": self._serve})
        headers = {"Authorization": "Bearer sim-lensmor-key"}
        self.client = httpx.Client(base_url=self.hosting.start()["lensmor"], headers=headers, trust_env=False)

    def fresh(self) -> LensmorSite:
        self.site = fresh_site()
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


def fresh_site() -> LensmorSite:
    """A site with 64 people of the expo, one of the forum, no rate limit, and a stopped clock."""
    site = LensmorSite(SimClock(speed=0), Faults())
    site.rate_limit = None
    site.add_event(EXPO)
    site.add_event(FORUM)
    for number in range(70011, 70075):
        site.add_person(someone(number))
    site.add_person(someone(80001, event_ids=("52017",), linkedin_name="青葉-健人"))
    return site


def someone(number: int, **facts: object) -> SimPerson:
    person = SimPerson(
        personnel_id=str(number),
        full_name=f"Person {number}",
        title="Buyer" if number % 2 else "Engineer",
        company="Example Works",
        linkedin_name=f"person-{number}",
        event_ids=("52001",),
        email=f"p{number}@example.com",
        phone=f"+44 20 7946 0{number % 1000:03d}",
    )
    return replace(person, **facts)  # type: ignore[arg-type]  # the facts of a test


def submit(client: httpx.Client, *ids: str, path: str = EMAIL, event: str | None = "52001") -> dict[str, object]:
    body: dict[str, object] = {"personnel_ids": list(ids)}
    if event is not None:
        body["event_id"] = event
    response = client.post(path, json=body)
    assert response.status_code == 201, response.text
    answer = response.json()
    assert isinstance(answer, dict)
    return answer


def read_task(client: httpx.Client, answer: dict[str, object], path: str = EMAIL) -> tuple[str, dict[str, object]]:
    body = client.get(f"{TASKS[path]}{answer['task_id']}").json()
    return body["taskStatus"], {item["personnelId"]: item for item in body["items"]}


def profile(client: httpx.Client, personnel_id: str) -> dict[str, object]:
    body = client.get("/external/personnel/profile", params={"personnel_id": personnel_id}).json()
    assert isinstance(body, dict)
    return body
