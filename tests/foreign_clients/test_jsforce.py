"""jsforce against the simulated Salesforce: a client that uses exactly the token answer's `instance_url`.

`make packages` installs it if node and npm are available. Otherwise the test is skipped; with `CI=true` it must run.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.simulator.clock import SimClock
from connector.simulator.server import Simulator, Urls

START = 1_795_168_800.0
MODULES = Path(__file__).parents[2] / ".packages" / "node_modules"
SESSION = Path(__file__).parent / "jsforce_session.cjs"
TIMEOUT_S = 90
LEADS = 2_100

Results = dict[str, Any]  # JSON printed by the session


def node() -> str:
    """The node program; skips the test, or fails in CI, if it or jsforce is missing."""
    found = shutil.which("node")
    if found is not None and (MODULES / "jsforce").is_dir():
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("CI needs node and jsforce: run `make packages`")
    pytest.skip("needs node and jsforce: run `make packages`")


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Simulator, Urls, list[str]]]:
    with Simulator(SimClock(source=lambda: START)) as simulator:
        org = simulator.salesforce.org
        values = {"LastName": "Okafor", "Company": "Example Ltd"}
        leads = [org.insert("Lead", values) for _ in range(LEADS)]
        org.edit("Lead", leads[-1], {"Email": "taken@example.com"})
        yield simulator, simulator.start(), leads


@pytest.fixture(scope="module")
def results(world: tuple[Simulator, Urls, list[str]]) -> Results:
    _, urls, leads = world
    command = [node(), str(SESSION), urls.salesforce, "sim-client-id", "sim-client-secret", *leads[:2]]
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(MODULES), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(  # noqa: S603 - our own script
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert isinstance(printed, dict)
    return printed


def test_the_login_leads_back_to_the_simulator(results: Results, world: tuple[Simulator, Urls, list[str]]) -> None:
    simulator, urls, _ = world
    assert results["instanceUrl"] == urls.salesforce
    assert results["organizationId"] == simulator.salesforce.org.organization_id


def test_queries_and_pages(results: Results, world: tuple[Simulator, Urls, list[str]]) -> None:
    _, _, leads = world
    query = results["query"]
    assert (query["totalSize"], query["done"]) == (2, True)
    assert [record["Id"] for record in query["records"]] == leads[:2]
    assert query["records"][0]["Owner"]["Name"] == "Robin Owner"
    assert [record["Email"] for record in results["found"]] == ["taken@example.com"]
    assert results["fetched"] == LEADS


def test_describe(results: Results) -> None:
    assert {"Id", "Email", "MobilePhone", "Address", "Enrichment_Requested__c"} <= set(results["described"])
    assert {"Lead", "Contact", "Account"} <= set(results["global"])


def test_collections(results: Results, world: tuple[Simulator, Urls, list[str]]) -> None:
    simulator, _, (first, second, *_) = world
    saved, refused = results["updated"]
    assert saved == {"id": first, "success": True, "errors": []}
    assert refused["success"] is False
    assert [(error["statusCode"], error["fields"]) for error in refused["errors"]] == [
        ("INVALID_EMAIL_ADDRESS", ["Email"])
    ]
    assert [(one["Id"], one["Phone"]) for one in results["retrieved"]] == [(first, "+1 202 555 0101"), (second, None)]
    assert results["whole"]["LastName"] == "Okafor"
    assert simulator.salesforce.org.get("Lead", first)["Phone"] == "+1 202 555 0101"


def test_a_created_record_and_the_quota(results: Results, world: tuple[Simulator, Urls, list[str]]) -> None:
    simulator, _, _ = world
    assert simulator.salesforce.org.get("Lead", results["created"]["id"])["LastName"] == "Roe"
    assert results["limits"]["apiUsage"]["limit"] == simulator.salesforce.org.daily_limit


def test_errors(results: Results) -> None:
    assert results["unknownField"]["errorCode"] == "INVALID_FIELD"
    assert "No such column 'Citty' on entity 'Lead'" in results["unknownField"]["message"]
    assert results["beyond"]["errorCode"] == "SIMULATOR_LIMIT"
    assert "does not support the function COUNT" in results["beyond"]["message"]
