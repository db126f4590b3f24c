"""Every recorded answer of a real org is understood by the client: pages, describes, limits, and errors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import recordings
from org_harness import Harness, OrgHost, Wire, token_answer
from ruamel.yaml import YAML

from connector.core.errors import ConfigurationError, ConnectorError, CrmRefusedError, DownError
from connector.crm.interface import Selection, Update
from connector.crm.salesforce.refusals import refused_login
from connector.crm.salesforce.site import SalesforceCrm

ORG = "https://acme.my.salesforce.com"
LEAD = "00QSm0000000001"
NANGO = "nango-integration-templates"


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


def client_for(harness: Harness, monkeypatch: pytest.MonkeyPatch, status: int, body: object) -> SalesforceCrm:
    """A client that has logged in to an org whose every answer is this one."""

    def answer(request: httpx.Request) -> tuple[int, object]:
        if "oauth2" in str(request.url):
            return 200, token_answer()
        return (200, {}) if "limits" in str(request.url) else (status, body)

    Wire(answer).install(monkeypatch)
    crm = harness.crm(harness.login(instance_url=ORG))
    crm.login()
    return crm


def exchanges(name: str) -> list[tuple[str, str, int, Any, dict[str, str]]]:
    """Method, path, status, body and headers of each exchange in a recorded test."""
    found: list[tuple[str, str, int, Any, dict[str, str]]] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            response = node.get("response")
            if isinstance(response, dict | list) and ("status" in node or "method" in node):
                headers = {str(k).lower(): str(v) for k, v in (node.get("headers") or {}).items()}
                found.append(
                    (str(node.get("method")), str(node.get("path")), int(node.get("status", 200)), response, headers)
                )
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(recordings.body(name).get("api", {}))
    return found


def pages() -> list[Any]:
    """Every recorded page of a query."""
    found: list[Any] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("records"), list) and "done" in node:
                found.append(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    for path in sorted(recordings.folder().rglob("*.json")):
        walk(_json(path))
    return found


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None  # some recordings are XML or CSV under another name


def error_lists() -> list[tuple[str, list[dict[str, Any]]]]:
    """Every recorded list of errors, with the file that holds it."""
    found = []
    for path in sorted(recordings.folder().rglob("*.json")):
        body = _json(path)
        if isinstance(body, list) and body and isinstance(body[0], dict) and "errorCode" in body[0]:
            found.append((path.name, body))
    return found


def test_every_recorded_page_of_records_is_read(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    for page in pages():
        rows = [row for row in page["records"] if isinstance(row, dict) and row.get("Id")]
        if len(rows) != len(page["records"]) or not rows:
            continue
        crm = client_for(harness, monkeypatch, 200, page | {"done": True})
        first = next(iter(crm.select(Selection("Contact", ("Name",)))))
        assert [record.id[:15] for record in first] == [str(row["Id"])[:15] for row in rows]
        read += len(rows)
    assert read > 250


@pytest.mark.parametrize("status", [400, 403, 404])
def test_every_recorded_error_becomes_a_message_without_its_values(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    found = error_lists()
    assert len(found) >= 8
    for name, body in found:
        crm = client_for(harness, monkeypatch, status, body)
        with pytest.raises(ConnectorError) as caught:
            crm.check_condition("Lead", "LastName = 'Roe'")
        assert isinstance(caught.value, ConfigurationError | CrmRefusedError | DownError), name
        assert "run again" not in str(caught.value), name
        if status == 400:
            assert body[0]["errorCode"] in str(caught.value), name


def test_the_recorded_reasons_are_shown_in_salesforces_words(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {}
    for name in ("unknown-field", "unknown-object", "invalid-field-upsert"):
        crm = client_for(harness, monkeypatch, 400, recordings.body(f"amp-labs-connectors/test/{name}.json"))
        with pytest.raises(ConfigurationError) as caught:
            crm.check_condition("Lead", "A = 1")
        shown[name] = str(caught.value).partition("): ")[2]
    assert shown["unknown-field"] == "No such column 'AccountNumer' on Account"
    assert shown["unknown-object"] == "sObject type 'Accout' is not supported"
    assert shown["invalid-field-upsert"].startswith("Unable to create/update fields: MasterRecordId.")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("auth_error_response", "SALESFORCE_CLIENT_SECRET"), ("refresh_error_response", "the login has expired")],
)
def test_the_recorded_refused_logins_have_a_remedy(name: str, advice: str) -> None:
    body = recordings.body(f"restforce/{name}.json")
    assert advice in str(refused_login(body["error"], body["error_description"]))


def test_a_recorded_expired_session_is_renewed_once(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    crm = client_for(harness, monkeypatch, 401, recordings.body("restforce/expired_session_response.json"))
    with pytest.raises(DownError, match="HTTP 401, INVALID_SESSION_ID"):
        crm.describe("Lead")


@pytest.mark.parametrize("name", ["Lead", "Contact", "Account", "Custom__c"])
def test_every_recorded_describe_is_read(harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = recordings.folder() / f"cumulusci/tests/shared_cassettes/GET_sobjects_{name}_describe.yaml"
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    text = document["response"]["body"]["string"]
    body = json.loads(text) if isinstance(text, str) else text
    found = client_for(harness, monkeypatch, 200, body).describe(name)
    assert found.get("id") is not None
    assert len(found.fields) == len(body["fields"])


def test_the_recorded_limits_give_the_quota(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = next(body for *_, body, _ in exchanges(f"{NANGO}/get-limits.test.json") if "DailyApiRequests" in body)
    daily = limits["DailyApiRequests"]
    Wire(lambda request: (200, token_answer() if "oauth2" in str(request.url) else limits)).install(monkeypatch)
    crm = harness.crm(harness.login(instance_url=ORG))
    crm.login()
    assert (crm.usage().daily_used, crm.usage().daily_limit) == (daily["Max"] - daily["Remaining"], daily["Max"])


def test_every_recorded_usage_header_is_read(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {
        headers["sforce-limit-info"]
        for path in sorted((recordings.folder() / NANGO).glob("*.json"))
        for *_, headers in exchanges(f"{NANGO}/{path.name}")
        if "sforce-limit-info" in headers
    }
    assert headers
    for header in headers:
        Wire(
            lambda request: (200, token_answer() if "oauth2" in str(request.url) else {}),
            {"Sforce-Limit-Info": header},
        ).install(monkeypatch)
        crm = harness.crm(harness.login(instance_url=ORG))
        crm.login()
        assert crm.usage().daily_limit == int(header.partition("/")[2])


def test_recorded_answers_of_collections_are_judged_row_by_row(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = "amp-labs-connectors/test/batch/update/contacts"
    for name in ("err-each-no-ids", "partial-but-allOrNone", "success"):
        rows = recordings.body(f"{folder}/{name}.json")
        crm = client_for(harness, monkeypatch, 200, rows)
        answers = crm.update("Contact", [Update(LEAD, {}) for _ in rows])
        assert [answer is None for answer in answers] == [row["success"] for row in rows]
