"""Outages on the command line: exit 4 for a passing one, exit 2 for a ledger of a newer version."""

import errno
import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa
from workspace import Workspace

from connector.store import database as store
from connector.store.journal import RecoveryJournal

pytest_plugins = ("cli_fixtures",)
COMMANDS = (
    ("sync", "-m", "lead"),
    ("plan", "-m", "lead"),
    ("backfill", "-m", "lead", "--where", "Email = null", "--yes"),
    ("status",),
    ("runs",),
    ("show", "latest"),
    ("export", "latest", "--csv", "-"),
    ("undo", "latest", "--yes"),
    ("credits",),
    ("resolve", "1", "--give-up"),
    ("forget", "00Q000000000001AAA", "--yes"),
    ("events", "unlock", "52001", "--yes"),
    ("serve", "-m", "lead", "--port", "0"),
    ("worker", "-m", "lead"),
)


def test_a_newer_ledger_is_refused_by_every_command(workspace: Workspace) -> None:
    workspace.set(CONNECTOR_TRIGGER_TOKEN="token-of-the-tests-0123456789")
    assert workspace.run("sync", "-m", "lead").code == 0
    file = workspace.folder / "connector.db"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in COMMANDS:
        said = workspace.run(*command)
        assert said.code == 2, (command, said)
        assert "made by a newer version of the connector" in said.err, command
        assert said.out == ""


@pytest.mark.parametrize(
    ("pragma", "words"), [("query_only=ON", "read-only"), ("max_page_count=1", "disk of the ledger is full")]
)
def test_a_disk_failure_during_a_run_exits_4(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, pragma: str, words: str
) -> None:
    workspace.lead()
    usual, begun = store._on_begin, 0

    def failing(connection: sa.Connection) -> None:
        nonlocal begun
        usual(connection)
        if connection.get_execution_options().get("read_only", False):
            return  # it holds no lock: a write in it would meet the writer's
        begun += 1
        if begun > 30:
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA {pragma}")
            if pragma.startswith("max_page_count"):
                driver.execute("CREATE TABLE IF NOT EXISTS filling (x)")
                driver.execute("INSERT INTO filling VALUES (zeroblob(100000))")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_on_begin", failing)
        said = workspace.run("sync", "-m", "lead")
    assert said.code == 4, said
    assert words in said.err
    assert "the queue is intact" in said.err
    assert "internal fault" not in said.err
    # Where it fails depends on the threads; tests/engine/test_ledger_lost.py proves that nothing is paid twice.
    assert workspace.run("sync", "-m", "lead").code in {0, 3}


def test_a_full_disk_at_the_start_exits_4(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecoveryJournal, "adopting", full)
    said = workspace.run("sync", "-m", "lead")
    assert said.code == 4
    assert "the disk is full" in said.err
    assert workspace.paid_posts == 0


def test_a_damaged_ledger_is_refused(workspace: Workspace) -> None:
    assert workspace.run("sync", "-m", "lead").code == 0
    for name in ("connector.db-wal", "connector.db-shm"):
        (workspace.folder / name).unlink(missing_ok=True)
    (workspace.folder / "connector.db").write_bytes(b"no database" * 4000)
    for command in (("sync", "-m", "lead"), ("status",)):
        said = workspace.run(*command)
        assert said.code == 2
        assert "internal fault" not in said.err
