"""`doctor` about everything around a run: login, rights, loops, clocks, addresses, balances and alerts."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from workspace import Workspace

from connector.app.rehearsal import CLIENT_SECRET
from connector.crm.salesforce import transport

pytest_plugins = ("cli_fixtures",)
FULL_TOKEN = "00DSm0000000001!token"


def checks(workspace: Workspace, *options: str) -> dict[str, Mapping[str, Any]]:
    found = workspace.run("doctor", "-m", "lead", "--json", *options).json["checks"]
    return {check["subject"]: check for check in found}


def odd(check: Mapping[str, Any]) -> bool:
    assert check["ok"], check
    return bool(check["warning"])


def test_a_login_that_ends_is_odd_and_a_lasting_one_is_not(workspace: Workspace) -> None:
    assert not odd(checks(workspace)["Salesforce login type"])
    workspace.simulator.salesforce.accept_token(FULL_TOKEN)
    workspace.set(SALESFORCE_ACCESS_TOKEN=FULL_TOKEN)
    found = checks(workspace)["Salesforce login type"]
    assert odd(found)
    assert "cannot be renewed" in found["message"]
    assert FULL_TOKEN not in found["message"]
    assert CLIENT_SECRET not in str(found)


def test_the_org_and_the_user_are_named_by_their_ids(workspace: Workspace) -> None:
    found = checks(workspace)["Salesforce org"]
    assert found["message"] == f"{workspace.org.organization_id}, as user {workspace.org.user_id}"


def test_rights_beyond_the_need_are_odd(workspace: Workspace) -> None:
    found = checks(workspace)["Salesforce rights on Lead"]
    assert odd(found)
    assert "the user may create and delete records and edit" in found["message"]
    assert "connector provision -m lead" in found["message"]


def test_a_user_with_exactly_the_rights_of_the_mapping_is_fine(workspace: Workspace) -> None:
    kind = workspace.org.kind("Lead")
    needed = {"Email", "MobilePhone", "Enrichment_Requested__c", "Email_Unlock_Status__c", "Phone_Unlock_Status__c"}
    needed |= {"Enriched_At__c", "Enrichment_Source__c", "Enrichment_Error__c", "Lensmor_Personnel_Id__c"}
    for field in kind.readable_fields():
        if field.name not in needed:
            workspace.org.make_read_only("Lead", field.name)
    kind.only_edit = True
    found = checks(workspace)["Salesforce rights on Lead"]
    assert not odd(found), found
    assert found["message"] == "no more than the mapping needs"


@pytest.mark.parametrize(("ahead", "words"), [(90, "90 s ahead of"), (-90, "90 s behind"), (5, "within a minute")])
def test_a_clock_that_differs_is_odd(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, ahead: int, words: str
) -> None:
    monkeypatch.setattr(transport, "_skew", lambda _reply: timedelta(seconds=ahead))
    found = checks(workspace)["Salesforce clock"]
    assert words in found["message"]
    assert odd(found) is (abs(ahead) > 60)


def test_the_flow_of_provision_is_checked_for_loops(workspace: Workspace) -> None:
    assert "there is no flow Request_Enrichment_lead" in checks(workspace)["Salesforce loops of lead"]["message"]
    workspace.set(CONNECTOR_PUBLIC_URL="http://127.0.0.1:9")
    workspace.run("provision", "-m", "lead", "--apply", "--yes")
    assert "starts only when the flag turns on" in checks(workspace)["Salesforce loops of lead"]["message"]
    metadata = workspace.simulator.salesforce.metadata
    flow = metadata.components["Flow", "Request_Enrichment_lead"]
    for node in flow.iter():
        if node.tag.endswith("doesRequireRecordChangedToMeetCriteria"):
            node.text = "false"
    found = checks(workspace)["Salesforce loops of lead"]
    assert odd(found)
    assert "also starts when a flagged record is saved again" in found["message"]
    metadata.may_modify = False
    found = checks(workspace)["Salesforce loops of lead"]
    assert not odd(found)
    assert "not checked, because this login may not read flows" in found["message"]


def test_the_ledger_is_named_before_and_after_the_first_run(workspace: Workspace) -> None:
    assert "none yet" in checks(workspace)["ledger"]["message"]
    workspace.run("sync", "-m", "lead")
    assert checks(workspace)["ledger"]["message"].endswith("connector.db, reachable and up to date")


def test_a_public_address_of_this_machine_is_odd(workspace: Workspace) -> None:
    assert "public address" not in checks(workspace)
    workspace.set(CONNECTOR_PUBLIC_URL="http://127.0.0.1:8080")
    assert "no vendor and no CRM outside can reach it" in checks(workspace)["public address"]["message"]
    workspace.set(CONNECTOR_PUBLIC_URL="https://nowhere.example.invalid")
    found = checks(workspace)["public address"]
    assert odd(found)
    assert "start 'connector serve'" in found["message"]


def test_a_balance_below_the_cap_of_a_run_is_odd(workspace: Workspace) -> None:
    assert "balance of lensmor" not in checks(workspace)
    workspace.simulator.lensmor.balance = 20
    found = checks(workspace)["balance of lensmor"]
    assert odd(found)
    assert "20 credits are less than the 50,000" in found["message"]


def test_missing_alerts_are_odd_and_a_test_alert_is_sent(workspace: Workspace, httpserver: HTTPServer) -> None:
    assert odd(checks(workspace)["alerts"])
    assert workspace.run("doctor", "--alert-test").code == 2
    httpserver.expect_request("/hook").respond_with_data("ok")
    workspace.set(CONNECTOR_ALERT_WEBHOOK_URL=httpserver.url_for("/hook"))
    assert not odd(checks(workspace)["alerts"])
    assert httpserver.log == []
    assert workspace.run("doctor", "--alert-test").code == 0
    ((request, _),) = httpserver.log
    assert b"this is a test" in request.data
    httpserver.clear()
    failed = workspace.run("doctor", "--alert-test")
    assert failed.code == 2
    assert "the webhook answered with HTTP 500" in failed.out


def test_the_total_counts_every_line(workspace: Workspace) -> None:
    result = workspace.run("doctor", "-m", "lead")
    *lines, total = result.out.strip().splitlines()
    assert total.startswith(f"{len(lines)} checks: ")
    assert f" {sum(line.startswith('odd') for line in lines)} odd, 0 to fix. All checks passed" in total
