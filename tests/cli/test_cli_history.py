"""Commands on an existing ledger: status, runs, show, export, undo, resolve, forget; and unusable ledgers."""

import csv
import sqlite3
from pathlib import Path

import pytest
from workspace import Workspace

pytest_plugins = ("cli_fixtures",)
LOOKING = (
    ("status",),
    ("runs",),
    ("show", "2026"),
    ("export", "2026", "--csv", "out.csv"),
    ("undo", "2026", "--yes"),
    ("resolve", "1", "--give-up"),
    ("forget", "00Q000000000001AAA", "--yes"),
)


def _synced(workspace: Workspace) -> str:
    """The id of a run over one delivered and one skipped Lead."""
    workspace.lead()
    workspace.lead(Lensmor_Personnel_Id__c=None, LinkedIn_URL__c=None)
    return str(workspace.run("sync", "-m", "lead", "--json").json["run_id"])


def _key(workspace: Workspace) -> Path:
    """The key file beside the ledger."""
    (found,) = workspace.folder.glob("*.key")
    return found


@pytest.mark.parametrize("command", LOOKING, ids=lambda command: command[0])
def test_a_missing_ledger_names_the_next_step(workspace: Workspace, command: tuple[str, ...]) -> None:
    result = workspace.run(*command)
    assert result.code == 2
    assert f"there is no ledger at {workspace.folder / 'connector.db'} yet: no run has started here" in result.err
    assert "connector doctor -m NAME" in result.err
    assert "connector plan -m NAME" in result.err
    for buying in ("sync", "backfill", "apply", "serve", "worker", "unlock"):
        assert f"connector {buying}" not in result.err
    assert sorted(path.name for path in workspace.folder.iterdir()) == [".env", "mappings"]


@pytest.mark.parametrize("command", [("sync", "-m", "lead"), ("plan", "-m", "lead"), *LOOKING], ids=lambda c: c[0])
def test_a_file_that_is_not_a_ledger_is_refused(workspace: Workspace, command: tuple[str, ...]) -> None:
    (workspace.folder / "connector.db").write_text("these are notes, not a database" * 100)
    (workspace.folder / "connector.db.key").write_text("BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n")
    result = workspace.run(*command)
    assert result.code == 2
    assert "CONNECTOR_DATABASE_URL" in result.err
    assert "not a ledger" in result.err
    assert workspace.paid_posts == 0


def test_a_ledger_without_its_key_is_not_recreated(workspace: Workspace) -> None:
    _synced(workspace)
    (workspace.folder / "connector.db.key").rename(workspace.folder / "kept.key")
    for command in (("status",), ("sync", "-m", "lead")):
        result = workspace.run(*command)
        assert result.code == 2
        assert (
            "the ledger exists but its key does not: set CONNECTOR_SECRET_KEY or restore connector.db.key" in result.err
        )
    (workspace.folder / "kept.key").rename(workspace.folder / "connector.db.key")
    assert workspace.run("status").code == 0


def test_a_ledger_sealed_with_another_key_is_refused(workspace: Workspace) -> None:
    _synced(workspace)
    workspace.set(CONNECTOR_SECRET_KEY="BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=")
    result = workspace.run("status")
    assert result.code == 2
    assert "the ledger was sealed with another key: restore CONNECTOR_SECRET_KEY" in result.err
    assert "BQUF" not in result.err


def test_the_key_file_is_private(workspace: Workspace) -> None:
    _synced(workspace)
    assert (workspace.folder / "connector.db.key").stat().st_mode & 0o777 == 0o600


def test_status_shows_open_work_and_next_steps(workspace: Workspace) -> None:
    person = workspace.person()
    workspace.lead(person)
    workspace.simulator.lensmor.script(person.personnel_id, "phone", "stuck")
    workspace.set(CONNECTOR_WAIT_SECONDS="1500")
    assert workspace.run("sync", "-m", "lead").code == 0
    document = workspace.run("status", "--json").json
    assert document["last_run"]["state"] == "finished"
    assert [(row["provider"], row["state"], row["count"]) for row in document["purchases"]] == [
        ("lensmor", "submitted", 1)
    ]
    assert document["credits"]["lensmor"] == {"held": 150, "charged": 15}
    assert (document["open_tasks"], document["open_records"], document["accounting"]) == (1, 1, "")
    shown = workspace.run("status")
    assert shown.code == 0
    assert "polled by the next sync" in shown.out


def test_runs_and_show_repeat_the_report(workspace: Workspace) -> None:
    run_id = _synced(workspace)
    workspace.run("sync", "-m", "lead")
    rows = workspace.run("runs", "--json").json["runs"]
    assert len(rows) == 2
    assert rows[1]["run_id"] == run_id
    assert rows[1]["selected"] == 2
    assert rows[1]["outcomes"]["delivered"] == 1
    assert [row["run_id"] for row in workspace.run("runs", "--limit", "1", "--json").json["runs"]] == [
        rows[0]["run_id"]
    ]
    assert run_id in workspace.run("runs").out
    assert workspace.run("show", run_id, "--json").json["run_id"] == run_id
    assert f"Run {run_id} (sync) finished: 2 records of lead" in workspace.run("show", run_id).out


def test_an_unknown_or_ambiguous_run_is_refused(workspace: Workspace) -> None:
    _synced(workspace)
    workspace.run("sync", "-m", "lead")
    for command, *more in (("show",), ("export", "--csv", "out.csv"), ("undo", "--yes")):
        for run in ("nonsense", "20", "%", ""):
            result = workspace.run(command, run, *more)
            assert result.code == 2
            assert (
                f"no run has the id {run!r}, or the prefix is ambiguous; list the runs with: connector runs"
                in result.err
            )
    assert not Path("out.csv").exists()


def test_export_has_every_record_and_no_personal_data(workspace: Workspace) -> None:
    run_id = _synced(workspace)
    result = workspace.run("export", run_id, "--csv", "out.csv")
    assert result.code == 0
    assert "2 records written to out.csv" in result.out
    text = Path("out.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert sorted(row["outcome"] for row in rows) == ["delivered", "skipped"]
    assert {row["object"] for row in rows} == {"Lead"}
    assert any("no personnel id or LinkedIn address" in row["reason"] for row in rows)
    assert "@" not in text


def test_export_to_an_unwritable_file_is_refused(workspace: Workspace) -> None:
    run_id = _synced(workspace)
    result = workspace.run("export", run_id, "--csv", "nowhere/out.csv")
    assert result.code == 2
    assert "nowhere/out.csv cannot be written (FileNotFoundError); name another file" in result.err


def test_undo_restores_replaced_values(workspace: Workspace) -> None:
    lead = workspace.lead(Email="old@example.com", EmailBouncedDate="2026-10-02T08:15:00.000+0000")
    run_id = str(workspace.run("sync", "-m", "lead", "--json").json["run_id"])
    assert workspace.org.get("Lead", lead)["Email"] != "old@example.com"
    refused = workspace.run("undo", run_id)
    assert refused.code == 2
    assert "add --yes to continue" in refused.err
    assert workspace.run("undo", run_id, answer="n\n").code == 2
    assert workspace.org.get("Lead", lead)["Email"] != "old@example.com"
    done = workspace.run("undo", run_id, "--yes", "--json")
    assert done.code == 0
    assert done.json["command"] == "undo"
    record = workspace.org.get("Lead", lead)
    assert (record["Email"], record["MobilePhone"]) == ("old@example.com", None)
    assert record["Enrichment_Requested__c"] is False
    again = workspace.run("undo", run_id, "--yes", "--json")
    assert (again.code, again.json["selected"]) == (0, 0)


def test_resolve_and_forget(workspace: Workspace) -> None:
    lead = workspace.lead()
    workspace.arm("salesfinity", "requestEmailEnrichment", "drop_after")
    text = (Path(__file__).parent.parent.parent / "mappings" / "lead.yaml").read_text(encoding="utf-8")
    name = workspace.mapping(text.replace("from: [lensmor, salesfinity]", "from: [salesfinity]"))
    assert workspace.run("sync", "-m", name).code == 3
    (row,) = workspace.run("status", "--json").json["needs_a_look"]
    assert row["state"] == "unknown"
    assert f"connector resolve {row['purchase_id']} --give-up" in workspace.run("status").out.replace("\n", " ")
    undecided = workspace.run("resolve", str(row["purchase_id"]))
    assert undecided.code == 2
    assert f"connector resolve {row['purchase_id']} --give-up" in undecided.err
    assert workspace.run("resolve", "999", "--give-up").code == 2
    assert workspace.run("resolve", str(row["purchase_id"]), "--give-up").code == 0
    assert workspace.run("sync", "-m", name).code == 0
    assert workspace.org.get("Lead", lead)["Enrichment_Requested__c"] is False
    assert workspace.run("forget", lead).code == 2
    assert "erased" in workspace.run("forget", lead, "--yes").out
    result = workspace.run("forget", "00QSm0000099999", "--yes")
    assert result.code == 2
    assert "the ledger has no record 00QSm0000099999" in result.err


def test_events_are_listed_shown_and_bought_once(workspace: Workspace) -> None:
    assert workspace.run("events", "list", "--keyword", "robotics", "--json").json["total"] == 1
    assert "Example Robotics Expo 2027" in workspace.run("events", "list").out
    document = workspace.run("events", "show", "52001", "--json").json
    assert (document["event_id"], document["unlock_credits"]) == ("52001", 2000)
    unknown = workspace.run("events", "show", "99999")
    assert unknown.code == 2
    assert "there is no event '99999'; see: connector events list" in unknown.err
    refused = workspace.run("events", "unlock", "52001")
    assert refused.code == 2
    assert "add --yes" in refused.err
    declined = workspace.run("events", "unlock", "52001", answer="n\n")
    assert declined.code == 2
    assert "Spend 2,000 credits" in declined.err
    assert workspace.simulator.charges.total() == 0
    bought = workspace.run("events", "unlock", "52001", "--yes", "--json").json
    assert (bought["credits_used"], bought["already_unlocked"]) == (2000, False)
    assert bought["report"]["credits"]["lensmor"]["charged"] == 2000
    again = workspace.run("events", "unlock", "52001")
    assert again.code == 0
    assert "0 credits used" in again.out
    assert workspace.simulator.charges.total() == 2000


def test_a_broken_symlink_as_working_directory(workspace: Workspace) -> None:
    (workspace.folder / "connector.db").symlink_to("nowhere.db")
    result = workspace.run("status")
    assert result.code == 2
    assert "there is no ledger" in result.err


def test_an_undone_run_is_marked_in_every_list(workspace: Workspace) -> None:
    run_id = _synced(workspace)
    assert workspace.run("runs", "--json").json["runs"][0]["undone_by"] is None
    undo_id = workspace.run("undo", run_id, "--yes", "--json").json["run_id"]
    newest, marked = workspace.run("runs", "--json").json["runs"]
    assert (newest["undone_by"], marked["undone_by"]) == (None, undo_id)
    assert workspace.run("show", run_id, "--json").json["undone_by"] == undo_id
    assert f"Undone by run {undo_id}; see: connector show {undo_id}" in workspace.run("show", run_id).out
    shown = workspace.run("runs").out
    assert "finished, undone" in shown
    assert "1 restored" in shown or "2 restored" in shown
    assert shown.count("delivered") == 1  # the sync's


def test_an_undo_of_nothing_is_reported(workspace: Workspace) -> None:
    bought = workspace.run("events", "unlock", "52001", "--yes", "--json").json["report"]["run_id"]
    result = workspace.run("undo", bought)
    assert result.code == 0
    assert f"There was nothing to undo: run {bought} wrote no record" in result.out
    assert "Undid" not in result.out
    assert "undone" not in workspace.run("runs").out


@pytest.mark.parametrize("command", [("undo", "latest"), ("forget", "00Q000000000001AAA")], ids=lambda c: c[0])
def test_a_missing_ledger_is_reported_before_any_question(workspace: Workspace, command: tuple[str, ...]) -> None:
    result = workspace.run(*command)
    assert result.code == 2
    assert "there is no ledger at" in result.err
    assert "--yes" not in result.err


def _condensed(workspace: Workspace) -> str:
    """The id of a run whose details a later run has condensed: every time in the ledger moves 500 days back between."""
    run_id = _synced(workspace)
    with sqlite3.connect(workspace.folder / "connector.db") as connection:
        for table, columns in (
            ("run", ("started_at", "finished_at")),
            ("record", ("opened_at", "closed_at")),
            ("purchase", ("state_at", "final_at")),
            ("change", ("at",)),
        ):
            moved = ", ".join(f"{name} = {name} - {500 * 86_400 * 1_000_000}" for name in columns)
            connection.execute(f"UPDATE {table} SET {moved}")  # noqa: S608 names of this test
    assert workspace.run("sync", "-m", "lead").code == 0
    return run_id


def test_a_condensed_run_shows_its_sums(workspace: Workspace) -> None:
    run_id = _condensed(workspace)
    shown = workspace.run("show", run_id)
    assert shown.code == 0
    note = " ".join(shown.out.split())
    assert f"The details of run {run_id} were condensed on " in note
    assert "500 days after it ended (CONNECTOR_KEEP_DAYS); its sums are kept." in note
    document = workspace.run("show", run_id, "--json").json
    assert document["condensed"].startswith(f"the details of run {run_id} were condensed on ")
    assert document["outcomes"]["delivered"] == document["outcomes"]["skipped"] == 1
    assert (document["reasons"], document["attention"]) == ({}, [])


@pytest.mark.parametrize("command", [("export", "{}", "--csv", "-"), ("undo", "{}", "--yes")], ids=lambda c: c[0])
def test_the_details_of_a_condensed_run_are_gone(workspace: Workspace, command: tuple[str, ...]) -> None:
    run_id = _condensed(workspace)
    result = workspace.run(*(part.format(run_id) for part in command))
    assert result.code == 2
    assert result.out == ""
    words = " ".join(result.err.split())
    assert f"the details of run {run_id} were condensed on " in words
    assert f"connector show {run_id}" in words


def test_the_list_of_runs_ends_with_condensed_records(workspace: Workspace) -> None:
    _condensed(workspace)
    months = workspace.run("runs", "--json").json["condensed"]
    assert [(one["mapping"], one["channel"], one["outcome"], one["count"]) for one in months] == [
        ("lead", "", "delivered", 1),
        ("lead", "", "skipped", 1),
        ("lead", "phone", "delivered", 1),
        ("lead", "phone", "skipped", 1),
        ("lead", "work_email", "delivered", 1),
        ("lead", "work_email", "skipped", 1),
    ]
    assert "work email" in workspace.run("runs").out.partition("Condensed")[2]
