"""`connector doctor` with an existing ledger: each problem that makes runs exit with 2 has its own line."""

import errno
import os
from pathlib import Path

import pytest
from workspace import Workspace

from connector.app.rehearsal import write_env
from connector.app.wiring import Configured, open_ledger
from connector.config import Settings
from connector.crm.interface import Usage
from connector.crm.salesforce.site import SalesforceCrm
from connector.simulator.salesforce.ids import to_18

pytest_plugins = ("cli_fixtures",)
SHIPPED = Path(__file__).parent.parent / "mappings" / "lead.yaml"


def _agree(workspace: Workspace, mapping: str) -> list[str]:
    """Doctor's report about the ledger; a run refuses the ledger for the same reason."""
    run = workspace.run("sync", "-m", mapping)
    assert run.code == 2
    result = workspace.run("doctor", "-m", mapping, "--json")
    assert result.code == 2
    wrong = [check for check in result.json["checks"] if not check["ok"]]
    assert {check["subject"] for check in wrong} == {"ledger"}
    assert [line for line in run.err.splitlines() if line.startswith("error: ")] == [
        f"error: {check['message']}" for check in wrong
    ]
    return [check["message"] for check in wrong]


@pytest.fixture
def used(workspace: Workspace) -> Workspace:
    """A workspace whose ledger is bound to its org, its vendors and a mapping."""
    assert workspace.run("sync", "-m", "lead").code == 0
    assert workspace.run("doctor", "-m", "lead").code == 0
    return workspace


def test_a_ledger_of_another_org(used: Workspace) -> None:
    used.org.organization_id = to_18("00DSm0000000077")
    (problem,) = _agree(used, "lead")
    assert "this ledger belongs to the salesforce org 00DSm0000000001" in problem


def test_a_ledger_of_other_vendor_addresses(used: Workspace) -> None:
    used.set(
        LENSMOR_BASE_URL=used.settings["LENSMOR_BASE_URL"].replace("127.0.0.1", "localhost"), SALESFINITY_ACCOUNT="b"
    )
    first, second = _agree(used, "lead")
    assert "this ledger belongs to lensmor at http://127.0.0.1:" in first
    assert "this ledger belongs to salesfinity at" in second


def test_an_undo_in_another_org_changes_nothing(workspace: Workspace) -> None:
    lead = workspace.lead()
    run_id = str(workspace.run("sync", "-m", "lead", "--json").json["run_id"])
    address = workspace.settings["LENSMOR_BASE_URL"]
    workspace.set(LENSMOR_BASE_URL=address.replace("127.0.0.1", "localhost"))
    refused = workspace.run("undo", run_id, "--yes")
    assert refused.code == 2
    assert "this ledger belongs to lensmor" in refused.err
    workspace.set(LENSMOR_BASE_URL=address)
    assert workspace.run("undo", run_id, "--yes").code == 0
    assert workspace.org.get("Lead", lead)["Email"] is None


def test_a_flag_of_another_mapping(used: Workspace) -> None:
    name = used.mapping(SHIPPED.read_text(encoding="utf-8").replace("name: lead", "name: lead-two"))
    (problem,) = _agree(used, name)
    assert "which belongs to mapping lead of this ledger" in problem


def test_the_ledger_is_checked_without_a_login(used: Workspace) -> None:
    used.set(SALESFORCE_CLIENT_SECRET="wrong", SALESFINITY_ACCOUNT="b")
    found = used.run("doctor", "-m", "lead", "--json").json["checks"]
    wrong = {check["subject"]: check["message"] for check in found if not check["ok"]}
    assert set(wrong) == {"Salesforce login", "object Lead", "ledger"}
    assert "salesfinity" in wrong["ledger"]


def test_the_quota_line_without_permission_to_read_limits(workspace: Workspace) -> None:
    workspace.arm("salesforce", "limits", "status", times=1000, status=403, errorCode="INSUFFICIENT_ACCESS")
    found = {check["subject"]: check for check in workspace.run("doctor", "-m", "lead", "--json").json["checks"]}
    assert found["Salesforce quota"]["ok"] is True


def test_an_unreadable_quota_is_explained(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SalesforceCrm, "usage", lambda _: Usage())
    found = {check["subject"]: check for check in workspace.run("doctor", "-m", "lead", "--json").json["checks"]}
    assert "the user may not read /limits" in found["Salesforce quota"]["message"]


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_files_are_private_whatever_the_umask(workspace: Workspace, umask: int) -> None:
    workspace.lead()
    before = os.umask(umask)
    try:
        assert workspace.run("plan", "-m", "lead", "--out", "plan.json").code == 0
        assert workspace.run("sync", "-m", "lead").code == 0
        write_env(workspace.folder / "rehearsal.env", "A=b\n")
        ledger = open_ledger(
            Configured(Settings(connector_database_url=f"sqlite:///{workspace.folder}/connector.db"), {}, {}, None)
        )
        with ledger.hold_run_lock(), ledger.locks.request_yield(), ledger.journal.reserve(1):
            made = [path for path in workspace.folder.rglob("*") if path.is_file() and "mappings" not in path.parts]
            modes = {path.name: path.stat().st_mode & 0o777 for path in made}
        ledger.close()
    finally:
        os.umask(before)
    files = {"connector.db", "connector.db-wal", "connector.db-shm", "connector.db.key", "connector.db.lock"}
    assert files | {"connector.db.lock.wanted", "plan.json", "rehearsal.env"} <= modes.keys()
    assert any(name.endswith(".journal") for name in modes)
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_each_file_open_to_others_is_reported_with_its_fix(used: Workspace) -> None:
    (used.folder / f"connector-{'0' * 32}.ab.journal").touch()  # another ledger's
    opened = [used.folder / name for name in (".env", "connector.db", "connector.db.key", "connector.db.lock")]
    for path in opened:
        path.chmod(0o644)
    result = used.run("doctor", "-m", "lead", "--json")
    warnings = [check for check in result.json["checks"] if check["subject"] == "file mode"]
    assert result.code == 0
    assert all(check["ok"] and check["warning"] for check in warnings)
    assert [check["message"].rpartition(": ")[2] for check in warnings] == [f"chmod 600 {path}" for path in opened]
    assert "file mode" in used.run("doctor", "-m", "lead").out
    for path in opened:
        path.chmod(0o600)
    assert "file mode" not in used.run("doctor", "-m", "lead").out


def test_a_recovery_journal_without_space_is_reported(used: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    result = used.run("doctor", "-m", "lead", "--json")
    assert result.code == 2
    (check,) = [check for check in result.json["checks"] if check["subject"] == "recovery journal"]
    assert "No space left" in check["message"]
    assert "free disk space" in check["message"]


@pytest.mark.parametrize(("cap", "warned"), [(None, True), ("9", False)])
def test_a_missing_daily_cap_is_a_warning(workspace: Workspace, cap: str | None, warned: bool) -> None:
    lines = (workspace.folder / "mappings" / "lead.yaml").read_text().splitlines()
    own = workspace.mapping("\n".join(line for line in lines if "max_credits_per_day" not in line))
    workspace.set(CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR=cap)
    checks = workspace.run("doctor", "-m", own, "--json").json["checks"]
    found = [one for one in checks if one["subject"] == "daily caps" and "at lensmor for lead" in one["message"]]
    assert bool(found) is warned
    assert all(one["warning"] for one in found)
