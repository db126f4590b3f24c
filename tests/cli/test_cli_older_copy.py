"""A restored backup of the ledger on the command line: detected, shown, and trusted again by an operator."""

import shutil

import pytest
from workspace import Workspace

pytest_plugins = ("cli_fixtures",)


@pytest.fixture(name="restored")
def _restored(workspace: Workspace) -> Workspace:
    """A folder whose ledger is a copy from before the last sync."""
    workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0
    files = [workspace.folder / "connector.db", workspace.folder / "copy.db"]
    shutil.copyfile(files[0], files[1])
    workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0
    for name in ("connector.db-wal", "connector.db-shm"):
        (workspace.folder / name).unlink(missing_ok=True)
    shutil.copyfile(files[1], files[0])
    return workspace


def test_doctor_warns_before_a_run_does(restored: Workspace) -> None:
    said = restored.run("doctor", "-m", "lead")
    assert said.code == 0
    assert "older copy" in " ".join(said.out.split())
    assert "connector ledger trust" in " ".join(said.out.split())


def test_a_plan_warns_before_it_shows_its_cost(restored: Workspace) -> None:
    said = restored.run("plan", "-m", "lead")
    assert said.code == 0
    assert "older copy" in " ".join((said.out + said.err).split())


def test_run_and_status_report_it_until_the_ledger_is_trusted(restored: Workspace) -> None:
    said = restored.run("sync", "-m", "lead")
    assert said.code in {3, 4}
    assert "older copy" in said.out + said.err
    status = restored.run("status")
    assert "older copy" in status.out
    assert "connector ledger trust" in " ".join(status.out.split())
    done = restored.run("ledger", "trust", "--yes")
    assert (done.code, done.out) == (0, "The next run buys from every vendor without reading people first.\n")
    assert "older copy" not in restored.run("status").out
    assert "older copy" not in restored.run("doctor", "-m", "lead").out


def test_trust_asks_and_refuses_a_wrong_provider(restored: Workspace) -> None:
    assert restored.run("sync", "-m", "lead").code in {3, 4}
    asked = restored.run("ledger", "trust")
    assert asked.code == 2
    assert "--yes" in asked.err
    wrong = restored.run("ledger", "trust", "nobody", "--yes")
    assert wrong.code == 2
    assert "there is no provider nobody; choose one of lensmor, salesfinity" in wrong.err
    assert restored.run("ledger", "trust", "salesfinity", "--yes").code == 0


def test_a_ledger_that_was_never_restored_has_nothing_to_trust(workspace: Workspace) -> None:
    assert workspace.run("sync", "-m", "lead").code == 0
    said = workspace.run("ledger", "trust", "--yes")
    assert said.code == 2
    assert "no purchases are held back" in said.err
