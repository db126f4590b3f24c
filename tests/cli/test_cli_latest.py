"""Naming and exporting runs: `latest`, complete ids at any width, pipes, and interrupted runs."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console
from workspace import Workspace

from connector.report import text
from connector.store import tables as t
from connector.store.database import Database

pytest_plugins = ("cli_fixtures",)
RUN = "20261129T101500-a1b2c3"
RECORD = "00Q000000000001EAA"
DOCUMENT: Mapping[str, Any] = {
    "run_id": RUN,
    "command": "sync",
    "state": "finished",
    "selected": 1_234_567,
    "mappings": ["lead", "contact-of-a-long-name"],
    "outcomes": {"delivered": 1_234_567},
    "channels": {"personal_email": {"delivered": 1_234_567, "not_found": 12, "failed": 3}},
    "purchases": {
        "salesfinity": {
            "personal_email": {
                "bought": 1_234_567,
                "delivered": 1_234_567,
                "without_value": 0,
                "failed": 0,
                "free": 0,
                "waiting": 0,
                "unknown": 0,
                "credits": 1_234_567,
                "credits_without_value": 0,
            }
        }
    },
    "credits": {
        "salesfinity": {
            "charged": 1_234_567,
            "held": 0,
            "balance_before": 9_999_999,
            "other_charges": 0,
            "balance_after": 8_765_432,
        }
    },
    "crm": {"salesforce": {"write_calls": 1, "records_written": 1_234_567}},
    "reasons": {
        "personal_email": {
            "skipped": {f"reason number {number} that takes many words to be told": 1 for number in range(20)}
        }
    },
    "attention_total": 12,
    "attention": [
        {"record_id": RECORD, "reason": "STRING_TOO_LONG", "field": "Phone", "next": f"connector resolve {number}"}
        for number in range(12)
    ],
}


def _ledger(workspace: Workspace) -> Database:
    return Database(f"sqlite:///{workspace.folder / 'connector.db'}")


def _synced(workspace: Workspace) -> str:
    workspace.lead()
    workspace.lead(Lensmor_Personnel_Id__c=None, LinkedIn_URL__c=None)
    return str(workspace.run("sync", "-m", "lead", "--json").json["run_id"])


def _shown(document: object, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width, soft_wrap=True, highlight=False, force_terminal=False).print(document)
    return file.getvalue()


def test_latest_is_the_newest_run(workspace: Workspace) -> None:
    first = _synced(workspace)
    assert workspace.run("show", "latest", "--json").json["run_id"] == first
    workspace.lead()
    second = workspace.run("sync", "-m", "lead", "--json").json["run_id"]
    assert workspace.run("show", "latest", "--json").json["run_id"] == second
    assert f"records of run {second}" in workspace.run("export", "latest", "--csv", "-").err
    undone = workspace.run("undo", "latest", "--yes", "--json")
    assert (undone.code, undone.json["selected"]) == (0, 1)
    assert workspace.run("show", "latest", "--json").json["command"] == "undo"


def test_runs_since_a_day(workspace: Workspace) -> None:
    run_id = _synced(workspace)
    started = workspace.run("runs", "--json").json["runs"][0]["started_at"]
    for since, expected in (
        (started[:10], [run_id]),
        (started, [run_id]),
        ("2001-01-01", [run_id]),
        ("2999-01-01", []),
    ):
        found = workspace.run("runs", "--since", since, "--json").json["runs"]
        assert [row["run_id"] for row in found] == expected, since
    refused = workspace.run("runs", "--since", "yesterday")
    assert refused.code == 2
    assert "--since" in refused.err


def test_latest_in_a_ledger_without_runs_suggests_no_purchase(workspace: Workspace) -> None:
    run_id = _synced(workspace)
    database = _ledger(workspace)
    with database.write() as connection:
        for table in (t.run_record, t.change, t.run):
            connection.execute(sa.delete(table))
    database.close()
    assert run_id
    for command, *more in (("show",), ("export", "--csv", "-"), ("undo", "--yes")):
        result = workspace.run(command, "latest", *more)
        assert result.code == 2
        assert "this ledger has no run yet" in result.err
        assert "connector sync" not in result.err


def test_export_to_standard_output_prints_only_the_file(workspace: Workspace) -> None:
    run_id = _synced(workspace)
    workspace.run("export", run_id, "--csv", "out.csv")
    result = workspace.run("export", run_id, "--csv", "-")
    assert result.code == 0
    assert result.out.splitlines() == Path("out.csv").read_text(encoding="utf-8").splitlines()
    assert len(list(csv.DictReader(io.StringIO(result.out)))) == 2
    assert not Path("-").exists()


def test_a_reader_may_close_the_pipe_of_an_export(workspace: Workspace) -> None:
    _synced(workspace)
    process = workspace.start("export", "latest", "--csv", "-")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    shown = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert "Traceback" not in shown
    assert "BrokenPipe" not in shown


# -- ids in any width -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [20, 40, 60, 80, 140, 300])
def test_a_report_is_complete_at_any_width(width: int) -> None:
    shown = _shown(text.report(DOCUMENT), width)
    assert "…" not in shown
    assert RUN in shown
    assert shown.count(RECORD) == text.SHOWN_ATTENTION
    for number in ("1234567", "1,234,567", "9,999,999", "8,765,432"):
        assert number in shown
    assert f"connectorexport{RUN}--csvoutcomes.csv" in "".join(shown.split())


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_a_list_of_runs_shows_complete_ids(width: int) -> None:
    rows = [(RUN, "backfill", "lead, contact", "finished", "2026-11-29T10:15:00Z", 370, "241 delivered, 30 not found")]
    columns = ("Command", "Mappings", "State", "Started", "Records", "Outcomes")
    shown = _shown(text.table("Run", columns, rows), width)
    assert RUN in shown
    assert "…" not in shown
    for word in ("backfill", "contact", "finished", "2026-11-29T10:15:00Z", "370", "delivered"):
        assert word in shown.replace("\n", "") or word in shown


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_runs_through_a_pipe_and_on_narrow_terminals(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    run_id = _synced(workspace)
    monkeypatch.setenv("COLUMNS", columns)
    assert run_id in workspace.run("runs").out
    assert run_id in workspace.run("show", run_id).out
    assert run_id in workspace.run("status").out


# -- an interrupted run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", ["died", "running"])
def test_a_dead_run_is_interrupted_in_every_output(workspace: Workspace, stored: str) -> None:
    run_id = _synced(workspace)
    database = _ledger(workspace)
    with database.write() as connection:
        connection.execute(sa.update(t.run).where(t.run.c.id == run_id).values(state=stored, report=None))
    database.close()
    assert workspace.run("runs", "--json").json["runs"][0]["state"] == "interrupted"
    assert workspace.run("status", "--json").json["last_run"]["state"] == "interrupted"
    for command in (("runs",), ("status",)):
        shown = workspace.run(*command).out
        assert "interrupted" in shown
        assert "died" not in shown
    refused = workspace.run("show", run_id)
    assert refused.code == 2
    assert f"run {run_id} was interrupted before it wrote a report" in refused.err
    assert f"connector export {run_id} --csv -" in refused.err


# -- new ledgers, files and caps ------------------------------------------------------------------------------------


def test_a_run_that_creates_a_ledger_names_its_place(workspace: Workspace) -> None:
    workspace.lead()
    plan = workspace.run("plan", "-m", "lead")
    assert "Created a new ledger" not in plan.err
    first = workspace.run("sync", "-m", "lead")
    assert f"Created a new ledger: {workspace.folder / 'connector.db'}, with its key connector.db.key" in first.err
    assert "Created a new ledger" not in workspace.run("sync", "-m", "lead").err


def test_sync_and_plan_name_the_files_and_the_caps_in_force(workspace: Workspace) -> None:
    workspace.lead()
    workspace.set(CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR="1500", LENSMOR_CREDIT_RESERVE="2000")
    name = workspace.mapping(Path(__file__).parents[2].joinpath("mappings", "lead.yaml").read_text(encoding="utf-8"))
    for command in ("plan", "sync"):
        shown = workspace.run(command, "-m", name).err
        assert f"Mapping lead: {name}\n" in shown
        assert "Caps for lead: lensmor " in shown
        assert (
            "Caps for lensmor, all runs: 1,500 a day (credits); the last 2,000 credits of the balance are kept" in shown
        )
        assert "Caps for salesfinity, all runs: no cap" in shown
        assert f"Ledger: {workspace.folder / 'connector.db'}" in shown
