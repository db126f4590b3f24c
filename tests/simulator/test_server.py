"""The whole simulated world: three sites on loopback ports, and the control routes for another process."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from connector.simulator.clock import SimClock
from connector.simulator.control import with_control
from connector.simulator.faults import Fault
from connector.simulator.hosting import Hosting
from connector.simulator.people import SimPerson
from connector.simulator.server import Simulator, Urls

PATIENCE_S = 10
LENSMOR = {"Authorization": "Bearer sim-lensmor-key"}
SALESFINITY = {"x-api-key": "sim-salesfinity-key"}


def people(sim: Simulator) -> None:
    ada = SimPerson(
        "70011", "Ada Sample", linkedin_name="ada", email="ada@example.com", work_email="ada.work@example.com"
    )
    sim.lensmor.add_person(ada)
    sim.salesfinity.add_person(ada)
    sim.salesforce.org.insert("Lead", {"LastName": "Sample", "Company": "Example Works"})


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Simulator, Urls]]:
    with Simulator(SimClock(speed=0), seed=people) as sim:
        yield sim, sim.start()


@pytest.fixture
def sim(world: tuple[Simulator, Urls]) -> Simulator:
    return world[0]


@pytest.fixture
def urls(world: tuple[Simulator, Urls]) -> Urls:
    return world[1]


def buy_both(urls: Urls) -> None:
    httpx.post(f"{urls.lensmor}/external/contacts/unlock", json={"personnel_ids": ["70011"]}, headers=LENSMOR)
    body = {"linkedin_url": "https://www.linkedin.com/in/ada", "type": "work"}
    httpx.post(f"{urls.salesfinity}/v1/api/enrichment/email", json=body, headers=SALESFINITY)


def test_all_sites_answer_on_this_machine_only(urls: Urls) -> None:
    assert {url.rsplit(":", 1)[0] for url in (urls.salesforce, urls.lensmor, urls.salesfinity)} == {"http://127.0.0.1"}
    assert httpx.get(f"{urls.lensmor}/external/credits/balance").status_code == 401
    assert httpx.get(f"{urls.salesfinity}/v1/api/enrichment/credits").status_code == 401
    assert httpx.get(f"{urls.salesforce}/services/data/").status_code == 200


def test_another_process_can_read_the_charges(sim: Simulator, urls: Urls) -> None:
    httpx.delete(f"{urls.control}/requests")
    buy_both(urls)
    seen = httpx.get(f"{urls.control}/charges").json()
    assert seen["totals"] == {"lensmor": 15, "salesfinity": 0}
    moved = httpx.post(f"{urls.control}/advance", json={"seconds": 20}).json()
    assert moved == {"ok": True, "now": sim.clock.now()}
    seen = httpx.get(f"{urls.control}/charges").json()
    assert [(one["vendor"], one["person"], one["kind"], one["credits"]) for one in seen["charges"]] == [
        ("lensmor", "70011", "email", 15),
        ("salesfinity", "ada", "work", 1),
    ]
    assert seen["doubles"] == []
    counted = httpx.get(f"{urls.control}/requests").json()
    assert counted["lensmor"] == {"submitEmailUnlock": {"requests": 1, "people": 1, "201": 1}}
    assert counted["salesfinity"]["requestEmailEnrichment"]["requests"] == 1
    assert counted["salesforce"] == {}
    (lead,) = httpx.get(f"{urls.control}/records", params={"object": "Lead"}).json()["records"]
    assert lead["LastName"] == "Sample"
    assert httpx.get(f"{urls.control}/records", params={"object": "Order"}).status_code == 404
    assert httpx.get(f"{urls.control}/health").json()["ok"] is True


def test_faults_from_another_process(sim: Simulator, urls: Urls) -> None:
    fault = {"site": "lensmor", "operation": "*", "action": "status", "times": 2, "params": {"status": 503}}
    assert httpx.post(f"{urls.control}/faults", json=[fault]).json() == {"armed": 1}
    assert httpx.get(f"{urls.lensmor}/external/credits/balance", headers=LENSMOR).status_code == 503
    (armed,) = httpx.get(f"{urls.control}/faults").json()["faults"]
    assert armed == {**fault, "times": 1, "after": 0, "subject": None}
    httpx.delete(f"{urls.control}/faults")
    assert sim.faults.armed() == []


@pytest.mark.parametrize(
    "fault",
    [
        7,
        {},
        {"site": "lensmor", "operation": "*"},
        {"site": "lensmor", "operation": "*", "action": "explode"},
        {"site": "hubspot", "operation": "*", "action": "html"},
        {"site": "lensmor", "operation": "*", "action": "html", "when": "now"},
        {"site": "lensmor", "operation": "*", "action": "html", "times": "two"},
    ],
)
def test_unknown_faults_are_refused(sim: Simulator, urls: Urls, fault: object) -> None:
    refused = httpx.post(f"{urls.control}/faults", json=fault)
    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert sim.faults.armed() == []


@pytest.mark.parametrize("body", ["7", "{}", "no json"])
def test_time_advances_only_by_numbers(urls: Urls, body: str) -> None:
    assert httpx.post(f"{urls.control}/advance", content=body).status_code == 400


def test_arming_checks_the_action(sim: Simulator) -> None:
    with pytest.raises(ValueError, match="knows no action"):
        sim.arm(Fault("salesfinity", "*", "extra_skip"))


@pytest.mark.parametrize(("client", "status"), [(("127.0.0.1", 1), 200), (("192.0.2.1", 1), 404), (None, 404)])
def test_control_routes_are_for_this_machine(sim: Simulator, client: tuple[str, int] | None, status: int) -> None:
    assert _status_of(sim, client) == status


def _status_of(sim: Simulator, client: tuple[str, int] | None) -> int:
    """Put another caller's address into the scope; a real loopback connection cannot have one."""
    app = with_control(sim.lensmor.app, sim)

    async def from_afar(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "client": client}, receive, send)

    hosting = Hosting({"site": from_afar})
    url = hosting.start()["site"]
    try:
        return httpx.get(f"{url}/_control/health").status_code
    finally:
        hosting.stop()


def test_starting_again_on_the_same_port() -> None:
    sim = Simulator()
    port = int(sim.start().lensmor.rsplit(":", 1)[1])
    with pytest.raises(RuntimeError, match="already"):
        sim.start()
    sim.stop()
    with sim:
        assert sim.start(lensmor=port).lensmor == f"http://127.0.0.1:{port}"
    sim.stop()


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Simulator().start(salesfinity=taken.getsockname()[1])


def test_stopping_does_not_wait_for_a_slow_answer() -> None:
    with Simulator() as sim:
        urls = sim.start()
        sim.arm(Fault("lensmor", "*", "delay", params={"seconds": 600}))
        asking = threading.Thread(target=_ask_and_bear_it, args=[f"{urls.lensmor}/external/credits/balance"])
        asking.start()
        while not sim.lensmor.requests.count("getCreditsBalance"):
            time.sleep(0.001)
    asking.join(PATIENCE_S)
    assert not asking.is_alive()


def test_an_error_of_a_site_is_not_a_fault() -> None:
    sim = Simulator()
    sim.faults.arm(Fault("lensmor", "*", "explode"))
    urls = sim.start()
    assert httpx.get(f"{urls.lensmor}/external/credits/balance", headers=LENSMOR).status_code == 500
    with pytest.raises(RuntimeError, match="knows no fault action 'explode'"):
        sim.stop()
    sim.stop()


def _ask_and_bear_it(url: str) -> None:
    with contextlib.suppress(httpx.TransportError):
        httpx.get(url, headers=LENSMOR, timeout=6 * PATIENCE_S)


PROGRAM = """
from connector.simulator.server import Simulator
Simulator().serve_until_stopped(lambda urls: print(urls.control, flush=True))
print("stopped")
"""


def test_a_command_serves_until_a_signal() -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:  # noqa: S603  # our own program
        assert program.stdout is not None
        control = program.stdout.readline().strip()
        assert httpx.get(f"{control}/health").json()["ok"] is True
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=PATIENCE_S)
    assert (program.returncode, out, err) == (0, "stopped\n", "")
