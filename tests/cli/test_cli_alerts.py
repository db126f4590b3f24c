"""Alerts of whole runs: sent once a day, ended once, and never a reason for a run to fail."""

import json

import pytest
from pytest_httpserver import HTTPServer
from workspace import Workspace

from connector.simulator.faults import FOREVER, Fault

pytest_plugins = ("cli_fixtures",)


@pytest.fixture
def hook(workspace: Workspace, httpserver: HTTPServer) -> HTTPServer:
    httpserver.expect_request("/hook").respond_with_data("ok")
    workspace.set(CONNECTOR_ALERT_WEBHOOK_URL=httpserver.url_for("/hook"))
    return httpserver


def texts(hook: HTTPServer) -> list[str]:
    return [json.loads(request.data)["text"] for request, _ in hook.log]


def refuse_writes(workspace: Workspace) -> None:
    errors = [{"code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "not p1@example.com", "fields": ["Email"]}]
    rule = {"when_fields": ["Email"], "errors": errors}
    workspace.simulator.arm(Fault("salesforce", "update_many", "row_rule", FOREVER, params=rule))


def test_a_good_run_sends_nothing(workspace: Workspace, hook: HTTPServer) -> None:
    workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0
    assert texts(hook) == []


def test_records_that_need_attention_are_announced_once_and_their_end_once(
    workspace: Workspace, hook: HTTPServer
) -> None:
    lead = workspace.lead()
    refuse_writes(workspace)
    assert workspace.run("sync", "-m", "lead").code == 3
    assert workspace.run("sync", "-m", "lead").code == 3
    (text,) = texts(hook)
    assert text.startswith("Connector: sync of lead ended with exit code 3")
    assert lead in text
    assert "@example.com" not in text
    workspace.simulator.faults.clear()
    workspace.org.edit("Lead", lead, {"Title": "changed"})
    assert workspace.run("sync", "-m", "lead").code == 0
    assert workspace.run("sync", "-m", "lead").code == 0
    assert [one.partition(":")[2][:6] for one in texts(hook)] == [" sync ", " over:"]


def test_a_wrong_mapping_is_announced_before_anything_runs(workspace: Workspace, hook: HTTPServer) -> None:
    workspace.run("sync", "-m", "lead")
    file = workspace.folder / "mappings" / "lead.yaml"
    good = file.read_text()
    file.write_text(good.replace("field: Email", "field: Nowhere__c"))
    assert workspace.run("sync", "-m", "lead").code == 2
    file.write_text("nonsense: [")
    assert workspace.run("sync", "-m", "lead").code == 2
    (text,) = texts(hook)
    assert "exit code 2" in text
    assert "Nowhere__c" in text
    file.write_text(good)
    workspace.run("sync", "-m", "lead")
    assert texts(hook)[1].startswith("Connector: over: sync of lead ended with exit code 2")


def test_a_stopped_run_is_announced_on_its_second_day_only(workspace: Workspace, hook: HTTPServer) -> None:
    workspace.lead()
    workspace.simulator.lensmor.balance = workspace.simulator.salesfinity.balance = 0
    assert workspace.run("sync", "-m", "lead").code == 4
    assert workspace.run("sync", "-m", "lead").code == 4
    assert texts(hook) == []


def test_a_low_balance_and_a_high_spend_are_announced(workspace: Workspace, hook: HTTPServer) -> None:
    workspace.set(CONNECTOR_ALERT_BALANCE_LENSMOR="99999", CONNECTOR_ALERT_CREDITS_PER_DAY_LENSMOR="100")
    workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0
    assert sorted(one.partition("\n")[0] for one in texts(hook)) == [
        "Connector: lensmor: more than 100 credits were used on one day",
        "Connector: lensmor: the balance is below 99,999 credits",
    ]


def test_a_webhook_that_fails_stops_no_run_and_is_tried_again(workspace: Workspace, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("no", 500)
    workspace.set(CONNECTOR_ALERT_WEBHOOK_URL=httpserver.url_for("/hook"), CONNECTOR_ALERT_BALANCE_LENSMOR="999999")
    lead = workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0
    assert workspace.org.get("Lead", lead)["Email"] is not None
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"CONNECTOR_ALERT_WEBHOOK_URL": "http://hooks.example.com/hunter2"}, "must be an https address"),
        ({"CONNECTOR_SMTP_URL": "mail.example.com", "CONNECTOR_ALERT_EMAIL": "ops@acme.test"}, "must be smtp://"),
        ({"CONNECTOR_ALERT_EMAIL": "ops@acme.test"}, "need both CONNECTOR_ALERT_EMAIL and CONNECTOR_SMTP_URL"),
        ({"CONNECTOR_ALERT_SILENCE": "a while"}, "CONNECTOR_ALERT_SILENCE"),
        ({"CONNECTOR_ALERT_BALANCE_LENSMOR": "-1"}, "CONNECTOR_ALERT_BALANCE_LENSMOR"),
        ({"CONNECTOR_ALERT_BALANCE_LENSMOOR": "1"}, "did you mean CONNECTOR_ALERT_BALANCE_LENSMOR"),
    ],
)
def test_wrong_settings_are_refused(workspace: Workspace, settings: dict[str, str], words: str) -> None:
    workspace.set(**settings)
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 2
    assert words in result.err
    assert "hunter2" not in result.err
