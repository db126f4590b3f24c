"""Doctor beside a ledger: whatever makes every run end with exit code 2 is a line of its own."""

from pathlib import Path

import pytest
from cli_stage import Office

from connector.crm.interface import Usage
from connector.crm.salesforce import SalesforceCrm
from connector.simulator.salesforce.ids import to_18

pytest_plugins = ("cli_fixtures",)
SHIPPED = Path(__file__).parent.parent / "mappings" / "lead.yaml"


def _agree(office: Office, mapping: str) -> list[str]:
    """What doctor reports about the ledger, which is what a run refuses it for."""
    run = office.run("sync", "-m", mapping)
    assert run.code == 2
    result = office.run("doctor", "-m", mapping, "--json")
    assert result.code == 2
    wrong = [check for check in result.json["checks"] if not check["ok"]]
    assert {check["subject"] for check in wrong} == {"ledger"}
    assert [line for line in run.err.splitlines() if line.startswith("error: ")] == [
        f"error: {check['message']}" for check in wrong
    ]
    return [check["message"] for check in wrong]


@pytest.fixture
def used(office: Office) -> Office:
    """A desk whose ledger has met its org, its vendors and a mapping."""
    assert office.run("sync", "-m", "lead").code == 0
    assert office.run("doctor", "-m", "lead").code == 0
    return office


def test_a_ledger_of_another_org(used: Office) -> None:
    used.org.organization_id = to_18("00DSm0000000077")
    (problem,) = _agree(used, "lead")
    assert "this ledger belongs to the salesforce org 00DSm0000000001" in problem


def test_a_ledger_of_other_vendor_addresses(used: Office) -> None:
    used.set(
        LENSMOR_BASE_URL=used.settings["LENSMOR_BASE_URL"].replace("127.0.0.1", "localhost"), SALESFINITY_ACCOUNT="b"
    )
    first, second = _agree(used, "lead")
    assert "this ledger belongs to lensmor at http://127.0.0.1:" in first
    assert "this ledger belongs to salesfinity at" in second


def test_an_undo_in_another_world_changes_nothing_and_stays_possible(office: Office) -> None:
    lead = office.lead()
    run_id = str(office.run("sync", "-m", "lead", "--json").json["run_id"])
    address = office.settings["LENSMOR_BASE_URL"]
    office.set(LENSMOR_BASE_URL=address.replace("127.0.0.1", "localhost"))
    refused = office.run("undo", run_id, "--yes")
    assert refused.code == 2
    assert "this ledger belongs to lensmor" in refused.err
    office.set(LENSMOR_BASE_URL=address)
    assert office.run("undo", run_id, "--yes").code == 0
    assert office.org.get("Lead", lead)["Email"] is None


def test_a_flag_of_another_mapping(used: Office) -> None:
    name = used.mapping(SHIPPED.read_text(encoding="utf-8").replace("name: lead", "name: lead-two"))
    (problem,) = _agree(used, name)
    assert "which belongs to mapping lead of this ledger" in problem


def test_the_ledger_is_looked_at_without_a_login_too(used: Office) -> None:
    used.set(SALESFORCE_CLIENT_SECRET="wrong", SALESFINITY_ACCOUNT="b")
    found = used.run("doctor", "-m", "lead", "--json").json["checks"]
    wrong = {check["subject"]: check["message"] for check in found if not check["ok"]}
    assert set(wrong) == {"Salesforce login", "object Lead", "ledger"}
    assert "salesfinity" in wrong["ledger"]


def test_the_quota_line_is_there_without_the_right_to_read_limits(office: Office) -> None:
    office.arm("salesforce", "limits", "status", times=1000, status=403, errorCode="INSUFFICIENT_ACCESS")
    found = {check["subject"]: check for check in office.run("doctor", "-m", "lead", "--json").json["checks"]}
    assert found["Salesforce quota"]["ok"] is True


def test_a_quota_that_cannot_be_read_is_explained(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SalesforceCrm, "usage", lambda _: Usage())
    found = {check["subject"]: check for check in office.run("doctor", "-m", "lead", "--json").json["checks"]}
    assert "the user may not read /limits" in found["Salesforce quota"]["message"]
