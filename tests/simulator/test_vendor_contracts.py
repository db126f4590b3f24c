"""Every answer of the simulated vendors is checked against the OpenAPI documents in `docs/contracts`.

The documents determine the tests: each operation with each status that it declares. The client in this file checks
every answer, whatever the test: the status is declared, the schema matches, and the contract has every field.
"""

import json
from collections.abc import Iterator, Mapping

import httpx
import pytest
from contract_judge import Contract, Json
from openapi_spec_validator import validate
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connector.simulator.clock import SimClock
from connector.simulator.faults import Fault, Faults
from connector.simulator.hosting import Hosting
from connector.simulator.lensmor import LensmorSite
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.salesfinity import SalesfinitySite

NOT_SIMULATED = {"unlockLinkedinActivity"}
EXPO = SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
LINKEDIN = "https://www.linkedin.com/in/ada-sample-example"
UNLOCK = {"event_id": "52001", "personnel_ids": ["70011", "70012", "70013"]}


CONTRACTS = {vendor: Contract(vendor) for vendor in ("lensmor", "salesfinity")}
DECLARED = [
    (vendor, name, int(status))
    for vendor, contract in CONTRACTS.items()
    for name, (_, _, operation) in contract.operations.items()
    for status in operation["responses"]
    if status != "default" and name not in NOT_SIMULATED
]

REQUESTS: dict[str, dict[str, Json]] = {
    "getCreditsBalance": {},
    "precheckAction": {"json": {"action_type": "unlock_contact_emails", "params": UNLOCK}},
    "listEvents": {"params": {"keyword": "expo"}},
    "getEvent": {"path": {"id": "52001"}},
    "unlockEvent": {"path": {"id": "52001"}},
    "listPersonnel": {"params": {"event_id": "52001"}},
    "getPersonnelProfile": {"params": {"personnel_id": "70011"}},
    "listPersonnelEvents": {"params": {"personnel_id": "70011"}},
    "findPersonByLinkedin": {"params": {"linkedin_url": LINKEDIN}},
    "searchContacts": {"params": {"company_name": "Example Works BV"}},
    "submitEmailUnlock": {"json": UNLOCK},
    "submitPhoneUnlock": {"json": UNLOCK},
    "getEmailUnlockTask": {"path": {"taskId": "EMAIL_TASK"}},
    "getPhoneUnlockTask": {"path": {"taskId": "PHONE_TASK"}},
    "requestEmailEnrichment": {"json": {"linkedin_url": LINKEDIN, "type": "work", "external_id": "lead:1"}},
    "getEmailEnrichment": {"path": {"id": "LOOKUP"}},
    "getEnrichmentCredits": {},
}
"""A good request for each operation; words in capitals are ids that the world below has by then."""


class World:
    """Both vendors with a few people, and clients that check every answer."""

    def __init__(self, clients: Mapping[str, httpx.Client]) -> None:
        self.clients = clients
        self.clock = SimClock(speed=0)
        self.faults = Faults()
        self.lensmor = LensmorSite(self.clock, self.faults)
        self.salesfinity = SalesfinitySite(self.clock, self.faults)
        self.ids: dict[str, str] = {}

    def send(self, vendor: str, name: str, headers: dict[str, str] | None = None, **changed: Json) -> httpx.Response:
        """Send an operation's valid request with some changes."""
        method, path, _ = CONTRACTS[vendor].operations[name]
        request = {**REQUESTS[name], **changed}
        for key, value in request.pop("path", {}).items():
            path = path.replace(f"{{{key}}}", self.ids.get(value, value))
        return self.clients[vendor].request(method, path, headers=headers, **request)

    def populate(self) -> None:
        """Add a person of each kind, a task of each kind with every kind of item, and a lookup."""
        self.lensmor.add_event(EXPO)
        for number, facts in enumerate(PEOPLE):
            person = SimPerson(str(70011 + number), company="Example Works BV", event_ids=("52001",), **facts)
            self.lensmor.add_person(person)
            self.salesfinity.add_person(person)
        for kind, name in (("email", "submitEmailUnlock"), ("phone", "submitPhoneUnlock")):
            self.lensmor.set_unlocked("70014", kind)
            self.lensmor.script("70012", kind, "failed")
            self.lensmor.script("70013", kind, "no_value")
            ids = ["70011", "70012", "70013", "70014", "7x", "5"]
            body = self.send("lensmor", name, json={"personnel_ids": ids}).json()
            self.ids[f"{kind.upper()}_TASK"] = body["task_id"]
        self.ids["LOOKUP"] = self.send("salesfinity", "requestEmailEnrichment").json()["_id"]


PEOPLE: list[Json] = [
    {
        "full_name": "Ada Sample",
        "linkedin_name": "ada-sample-example",
        "email": "a@example.com",
        "phone": "+1 202 555 0101",
        "work_email": "a.work@example.com",
        "title": "Head of Automation",
        "department": "operations",
        "seniority": "head",
    },
    {
        "full_name": "Ben Sample",
        "linkedin_name": "ben-sample-example",
        "email": "b@example.com",
        "phone": "+1 202 555 0102",
    },
    {"full_name": "山田 さくら", "linkedin_name": "山田-さくら", "email": "c@example.com", "phone": "+1 202 555 0103"},
    {"full_name": "Dana Sample", "linkedin_name": "dana", "email": "d@example.com", "phone": "+1 202 555 0104"},
]


class Harnesses:
    """One pair of servers and clients for all tests; each test gets a fresh world."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.hosting = Hosting({"lensmor": self._lensmor, "salesfinity": self._salesfinity})
        self.urls = self.hosting.start()
        keys = {
            "lensmor": {"Authorization": "Bearer sim-lensmor-key"},
            "salesfinity": {"x-api-key": "sim-salesfinity-key"},
        }
        self.clients = {vendor: _client(self.urls[vendor], keys[vendor], CONTRACTS[vendor]) for vendor in CONTRACTS}

    def fresh(self) -> World:
        """Put a new world behind the servers."""
        self.world = World(self.clients)
        self.world.populate()
        return self.world

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        self.hosting.stop()
        assert self.hosting.broken == []

    async def _lensmor(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.world is not None
        await self.world.lensmor.app(scope, receive, send)

    async def _salesfinity(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.world is not None
        await self.world.salesfinity.app(scope, receive, send)


def _client(url: str, headers: dict[str, str], contract: Contract) -> httpx.Client:
    return httpx.Client(base_url=url, headers=headers, trust_env=False, event_hooks={"response": [contract.check]})


@pytest.fixture(scope="module")
def harnesses() -> Iterator[Harnesses]:
    harnesses = Harnesses()
    yield harnesses
    harnesses.close()


@pytest.fixture
def world(harnesses: Harnesses) -> World:
    return harnesses.fresh()


@pytest.mark.parametrize("vendor", CONTRACTS)
class TestDocuments:
    def test_they_are_valid_openapi(self, vendor: str) -> None:
        validate(CONTRACTS[vendor].document)

    def test_their_examples_match_their_schemas(self, vendor: str) -> None:
        contract = CONTRACTS[vendor]
        for _, _, operation in contract.operations.values():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            answers = [contract.resolved(answer) for answer in operation["responses"].values()]
            for media in (part["content"]["application/json"] for part in bodies + answers if "content" in part):
                for example in _examples(media):
                    contract.check_body(example, media["schema"])

    def test_their_request_examples_are_accepted(self, vendor: str, world: World) -> None:
        for name, (_, _, operation) in CONTRACTS[vendor].operations.items():
            if "requestBody" in operation and name not in NOT_SIMULATED:
                for example in _examples(operation["requestBody"]["content"]["application/json"]):
                    assert world.send(vendor, name, json=example).is_success

    def test_every_operation_has_a_request_here(self, vendor: str) -> None:
        assert set(CONTRACTS[vendor].operations) - NOT_SIMULATED <= set(REQUESTS)


def test_every_declared_status(harnesses: Harnesses, subtests: pytest.Subtests) -> None:
    for vendor, name, status in DECLARED:
        with subtests.test(vendor=vendor, name=name, status=status):
            world = harnesses.fresh()
            wrong_key = {"Authorization": "Bearer wrong", "x-api-key": "wrong"}
            if status == 401:
                response = world.send(vendor, name, headers=wrong_key)
            elif status >= 400:
                world.faults.arm(Fault(vendor, name, "status", params={"status": status, "retry_after": 7}))
                response = world.send(vendor, name)
            else:
                response = world.send(vendor, name)
            assert response.status_code == status
            assert (name, status) in CONTRACTS[vendor].seen


BY_ITSELF: list[tuple[str, int, dict[str, Json]]] = [
    ("precheckAction", 400, {"json": {"action_type": "x"}}),
    ("precheckAction", 400, {"json": {"action_type": "x", "params": {}, "more": 1}}),
    ("precheckAction", 400, {"json": {"action_type": "", "params": {}}}),
    ("precheckAction", 200, {"json": {"action_type": "dance", "params": {}}}),
    ("listEvents", 200, {"params": {"keyword": "nothing"}}),
    ("listEvents", 400, {"params": {"pageSize": "many"}}),
    ("getEvent", 200, {"path": {"id": "9001"}}),
    ("getEvent", 404, {"path": {"id": "1"}}),
    ("getEvent", 400, {"path": {"id": "1" * 101}}),
    ("unlockEvent", 404, {"path": {"id": "1"}}),
    ("listPersonnel", 404, {"params": {"event_id": "1"}}),
    ("listPersonnel", 200, {"params": {"event_id": "52001", "page": 9}}),
    ("getPersonnelProfile", 200, {"params": {"personnel_id": "70012"}}),
    ("getPersonnelProfile", 200, {"params": {"personnel_id": "70014"}}),
    ("getPersonnelProfile", 404, {"params": {"personnel_id": "5"}}),
    ("listPersonnelEvents", 400, {"params": {"personnel_id": "70011", "attendance_scope": "some"}}),
    ("findPersonByLinkedin", 404, {"params": {"linkedin_url": "https://www.linkedin.com/in/nobody"}}),
    ("findPersonByLinkedin", 400, {"params": {"linkedin_url": "x" * 501}}),
    ("searchContacts", 200, {"params": {"company_name": "Nobody Inc"}}),
    ("submitEmailUnlock", 201, {"json": {"personnel_ids": ["70014"], "event_id": "9001"}}),
    ("submitEmailUnlock", 201, {"json": {"personnel_ids": ["70011", "5", "x"]}}),
    ("submitEmailUnlock", 404, {"json": {"personnel_ids": ["70011"], "event_id": "1"}}),
    ("submitPhoneUnlock", 400, {"json": {"personnel_ids": []}}),
    ("submitPhoneUnlock", 422, {"json": {"personnel_ids": ["1"] * 2001}}),
    ("getEmailUnlockTask", 404, {"path": {"taskId": "PHONE_TASK"}}),
]


def test_lensmors_own_errors(harnesses: Harnesses, subtests: pytest.Subtests) -> None:
    for name, status, changed in BY_ITSELF:
        with subtests.test(name=name, status=status, changed=changed):
            world = harnesses.fresh()
            assert world.send("lensmor", name, **changed).status_code == status


@pytest.mark.parametrize(
    ("name", "status", "changed"),
    [
        ("requestEmailEnrichment", 400, {"json": {"linkedin_url": "https://example.com", "type": "work"}}),
        ("requestEmailEnrichment", 400, {"json": []}),
        ("getEmailEnrichment", 404, {"path": {"id": "0"}}),
    ],
)
def test_salesfinitys_own_errors(world: World, name: str, status: int, changed: dict[str, Json]) -> None:
    assert world.send("salesfinity", name, **changed).status_code == status


def test_out_of_credits(world: World) -> None:
    world.lensmor.add_person(SimPerson("70099", "New Sample", event_ids=("52001",), email="n@example.com"))
    world.lensmor.balance = world.salesfinity.balance = 0
    assert world.send("lensmor", "submitEmailUnlock", json={"personnel_ids": ["70099"]}).status_code == 402
    assert world.send("lensmor", "unlockEvent").status_code == 402
    assert world.send("salesfinity", "requestEmailEnrichment").status_code == 402


def test_too_many_requests(world: World) -> None:
    world.lensmor.rate_limit = world.salesfinity.rate_limit = 0
    assert world.send("lensmor", "getCreditsBalance").status_code == 429
    assert world.send("salesfinity", "getEnrichmentCredits").status_code == 429


def test_every_state_of_a_task_and_a_lookup(world: World) -> None:
    states = set()
    for _ in range(9):
        for name in ("getEmailUnlockTask", "getPhoneUnlockTask"):
            body = world.send("lensmor", name).json()
            states |= {body["taskStatus"], *(item["status"] for item in body["items"])}
        states.add(world.send("salesfinity", "getEmailEnrichment").json()["status"])
        world.clock.advance(5)
    assert states == {"pending", "processing", "completed", "unlocked", "failed"}


@pytest.mark.parametrize(
    ("outcome", "status"), [("not-found", "not-found"), ("failed", "failed"), ("stuck", "processing")]
)
def test_every_result_of_a_lookup(world: World, outcome: str, status: str) -> None:
    world.salesfinity.script("ada-sample-example", "work", outcome)
    world.ids["LOOKUP"] = world.send("salesfinity", "requestEmailEnrichment").json()["_id"]
    world.clock.advance(60)
    assert world.send("salesfinity", "getEmailEnrichment").json()["status"] == status


@pytest.mark.parametrize(
    "settings", [{"profile_lag_seconds": 60}, {"task_ids_prefixed": True}, {"require_event": True}]
)
def test_settings_follow_the_contract(world: World, settings: dict[str, Json]) -> None:
    for name, value in settings.items():
        setattr(world.lensmor, name, value)
    for name in CONTRACTS["lensmor"].operations:
        if name not in NOT_SIMULATED:
            assert world.send("lensmor", name).is_success


def test_faults_that_follow_the_contract(world: World) -> None:
    world.faults.arm(Fault("lensmor", "submitEmailUnlock", "extra_skip", params={"persons": ["70012"]}))
    world.faults.arm(Fault("lensmor", "*", "not_found"))
    world.faults.arm(Fault("lensmor", "*", "delay", params={"seconds": 0}))
    world.faults.arm(Fault("lensmor", "getPersonnelProfile", "unknown_word"))
    world.faults.arm(Fault("salesfinity", "*", "not_found", after=1))
    assert world.send("lensmor", "submitEmailUnlock").status_code == 201
    assert world.send("lensmor", "getPersonnelProfile").status_code == 404
    assert world.send("lensmor", "getPersonnelProfile").status_code == 200
    assert world.send("lensmor", "getPersonnelProfile").json()["contactUnlockStatus"] == "under_review"
    assert world.send("salesfinity", "getEnrichmentCredits").status_code == 200
    assert world.send("salesfinity", "getEmailEnrichment").status_code == 404


def test_a_business_error_with_a_good_status(world: World, harnesses: Harnesses) -> None:
    world.faults.arm(Fault("lensmor", "getCreditsBalance", "error_in_2xx"))
    key = {"Authorization": "Bearer sim-lensmor-key"}
    response = httpx.get(harnesses.urls["lensmor"] + "/external/credits/balance", headers=key)
    assert response.status_code == 200
    schema = {"$ref": "#/components/schemas/BusinessErrorIn200"}
    CONTRACTS["lensmor"].check_body(response.json(), schema)


@pytest.mark.parametrize("outcome", ["completed", "not-found", "failed"])
def test_callbacks(world: World, outcome: str) -> None:
    bodies: list[Json] = []

    async def receiver(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(json.loads(await Request(scope, receive).body()))
        await Response()(scope, receive, send)

    hosting = Hosting({"receiver": receiver})
    callback_url = hosting.start()["receiver"]
    settings = world.salesfinity.callbacks
    settings.before_answer = settings.forged = settings.on_failed = True
    world.salesfinity.script("ada-sample-example", "work", outcome)
    request = {**REQUESTS["requestEmailEnrichment"]["json"], "callback_url": callback_url}
    world.send("salesfinity", "requestEmailEnrichment", json=request)
    hosting.stop()
    assert [body["status"] for body in bodies] == ["completed", "completed", outcome]
    for body in bodies:
        CONTRACTS["salesfinity"].check_body(body, {"$ref": "#/components/schemas/EmailEnrichmentCallback"})


def test_the_judge_finds_violations() -> None:
    """It finds a wrong type, a missing field, and a field that is not in the contract."""
    contract = CONTRACTS["lensmor"]
    good = {"taskId": "1", "taskStatus": "pending", "items": []}
    schema = {"$ref": "#/components/schemas/EmailUnlockTask"}
    contract.check_body(good, schema)
    item = {"personnelId": "1", "status": "unlocked", "mail": "a@example.com"}
    for bad in ({**good, "taskStatus": "done"}, {**good, "items": [item]}, {"taskId": "1"}, {**good, "task_id": "1"}):
        with pytest.raises(AssertionError):
            contract.check_body(bad, schema)


def _examples(media: Json) -> list[Json]:
    found = [example["value"] for example in media.get("examples", {}).values()]
    return [*found, media["example"]] if "example" in media else found
