"""plan, sync and backfill: documents, exit codes, questions."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from workspace import Workspace, outcome_of

from connector.app import delegation
from connector.app.application import Application
from connector.store.workers import WorkerRow

pytest_plugins = ("cli_fixtures",)
CAPPED = "CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR"


def test_plan_shows_the_price_and_has_no_effect(workspace: Workspace) -> None:
    lead = workspace.lead()
    workspace.lead(Email="kept@example.com", DoNotCall=True)
    before = dict(workspace.org.get("Lead", lead))
    result = workspace.run("plan", "-m", "lead", "--json")
    assert result.code == 0
    document = result.json
    assert document["selected"] == 2
    assert document["credits"]["lensmor"]["worst_case"] == 165
    assert document["credits"]["lensmor"]["balance"] == 100_000
    assert document["credits"]["lensmor"]["caps"]
    assert document["would_buy"]["lensmor"] == {"work_email": 1, "phone": 1}
    assert document["skips"] == {
        "work_email": {"Email is already filled": 1},
        "phone": {"opted out (DoNotCall)": 1},
    }
    assert {row["field"] for row in document["would_write"]} == {"Email", "MobilePhone"}
    assert dict(workspace.org.get("Lead", lead)) == before
    assert workspace.paid_posts == 0
    assert sorted(path.name for path in workspace.folder.iterdir()) == [".env", "mappings"]


def test_text_of_a_plan(workspace: Workspace) -> None:
    workspace.lead()
    workspace.lead(Email="kept@example.com")
    result = workspace.run("plan", "-m", "lead")
    assert result.code == 0
    for words in (
        "Plan for 2 records of lead; nothing was done.",
        "Would buy",
        "Would write",
        "Would be skipped because",
        "lensmor",
    ):
        assert words in result.out


def test_sync_prints_only_json_on_standard_output(workspace: Workspace) -> None:
    lead = workspace.lead()
    result = workspace.run("sync", "-m", "lead", "--json")
    assert result.code == 0
    report = result.json
    assert set(report) >= {
        *("run_id", "command", "mappings", "state", "selected", "outcomes", "channels", "purchases", "credits", "crm"),
        *("started_at", "finished_at", "attention"),
    }
    assert (report["command"], report["mappings"], report["state"]) == ("sync", ["lead"], "finished")
    assert outcome_of(report) == {"delivered": 1}
    assert report["credits"]["lensmor"] == {
        "held": 0,
        "charged": 165,
        "other_charges": 0,
        "balance_before": 100_000,
        "balance_after": 99_835,
    }
    assert f"Ledger: {workspace.folder / 'connector.db'}" in result.err
    assert workspace.org.get("Lead", lead)["Email"] is not None
    again = workspace.run("sync", "-m", "lead", "--json")
    assert again.code == 0
    assert (again.json["selected"], again.json["crm"]["salesforce"]["write_calls"]) == (0, 0)


def test_text_of_a_sync_report(workspace: Workspace) -> None:
    workspace.lead()
    workspace.lead(Lensmor_Personnel_Id__c=None, LinkedIn_URL__c=None)
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 0
    for words in ("finished: 2 records of lead", "delivered", "skipped", "no personnel id or LinkedIn address", "165"):
        assert words in result.out


def test_two_mappings_in_one_sync(workspace: Workspace) -> None:
    person = workspace.person()
    workspace.lead(person)
    workspace.org.insert(
        "Contact",
        {"LastName": "Sample", "Enrichment_Requested__c": True, "Lensmor_Personnel_Id__c": person.personnel_id},
    )
    report = workspace.run("sync", "-m", "lead", "-m", "contact", "--json").json
    assert report["mappings"] == ["lead", "contact"]
    assert report["selected"] == 2
    assert report["credits"]["lensmor"]["charged"] == 165


def test_exit_3_with_attention(workspace: Workspace) -> None:
    lead = workspace.lead()
    workspace.arm("salesforce", "update_many", "row_error", code="STRING_TOO_LONG", fields=["Email"])
    result = workspace.run("sync", "-m", "lead", "--json")
    assert result.code == 3
    assert outcome_of(result.json) == {"parked": 1}
    (found,) = result.json["attention"]
    assert (found["record_id"], found["reason"], found["field"]) == (lead, "STRING_TOO_LONG", "Email")
    assert found["next"]


def test_exit_3_prints_the_record_and_the_next_step(workspace: Workspace) -> None:
    lead = workspace.lead()
    workspace.arm("salesforce", "update_many", "row_error", code="STRING_TOO_LONG", fields=["Email"])
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 3
    assert "Needs attention" in result.out
    assert lead in result.out
    assert "STRING_TOO_LONG (Email)" in result.out


def test_exit_4_if_a_cap_defers_records(workspace: Workspace) -> None:
    workspace.set(**{CAPPED: "170"})
    for _ in range(2):
        workspace.lead()
    result = workspace.run("sync", "-m", "lead", "--json")
    assert result.code == 4
    assert outcome_of(result.json)["deferred"] == 2 - outcome_of(result.json).get("delivered", 0)
    put_off = [why for channel in result.json["reasons"].values() for why in channel.get("deferred", {})]
    assert any("daily cap over all runs for lensmor" in why for why in put_off)


@pytest.mark.parametrize(
    ("site", "operation", "words"),
    [
        ("salesforce", "query", "Salesforce"),
        ("lensmor", "getCreditsBalance", "lensmor"),
    ],
)
def test_exit_4_if_a_service_is_down(workspace: Workspace, site: str, operation: str, words: str) -> None:
    workspace.lead()
    workspace.arm(site, operation, "html", times=1000, status=503)
    result = workspace.run("sync", "-m", "lead", "--json")
    assert result.code == 4
    shown = result.out + result.err
    assert words in shown
    assert "run again" in shown
    workspace.simulator.faults.clear()
    assert workspace.run("sync", "-m", "lead").code == 0


def test_exit_4_at_the_reserve_of_the_quota(workspace: Workspace) -> None:
    workspace.lead()
    workspace.org.daily_used = 14_000
    result = workspace.run("sync", "-m", "lead", "--json")
    assert result.code == 4
    assert "SALESFORCE_API_RESERVE_PERCENT" in result.err
    assert workspace.paid_posts == 0


def test_exit_5_during_another_run(workspace: Workspace) -> None:
    workspace.lead()
    workspace.run("sync", "-m", "lead")
    with Application(()).ledger() as ledger, ledger.hold_run_lock():
        result = workspace.run("sync", "-m", "lead")
        assert result.code == 5
        assert "another run holds this ledger's run lock; wait for it to finish" in result.err
        assert workspace.run("status").code == 0
        assert workspace.run("plan", "-m", "lead").code == 0
    assert workspace.run("sync", "-m", "lead").code == 0


@pytest.mark.parametrize("command", [("forget", "00Q000000000001AAA", "--yes"), ("resolve", "1", "--give-up")])
def test_exit_5_if_a_worker_does_not_yield(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    workspace.run("sync", "-m", "lead")
    monkeypatch.setattr(delegation, "TURN_WITHIN_S", 0.0)
    with Application(()).ledger() as ledger, ledger.hold_run_lock():
        ledger.worker_list.report_alive(WorkerRow("another", "serve", {"lead": "-"}), datetime.now(UTC))
        result = workspace.run(*command)
    assert result.code == 5
    assert "Waiting until 'connector serve' or the workers have finished" in result.err
    assert "run this command again later, or stop that process" in result.err


def test_backfill_needs_no_flag(workspace: Workspace) -> None:
    chosen = workspace.lead(Enrichment_Requested__c=False, Title="Buyer")
    other = workspace.lead(Enrichment_Requested__c=False, Title="Seller")
    result = workspace.run("backfill", "-m", "lead", "--where", "Title = 'Buyer'", "--yes", "--json")
    assert result.code == 0
    assert result.json["command"] == "backfill"
    assert outcome_of(result.json) == {"delivered": 1}
    assert workspace.org.get("Lead", chosen)["Email"] is not None
    assert workspace.org.get("Lead", other)["Email"] is None


def test_backfill_reads_ids_from_common_file_formats(workspace: Workspace) -> None:
    leads = [workspace.lead(Enrichment_Requested__c=False) for _ in range(3)]
    Path("ids.csv").write_text(f'\ufeffId\n"{leads[0]}"\n{leads[1][:15]}\n\n', encoding="utf-8")
    result = workspace.run("backfill", "-m", "lead", "--ids", "ids.csv", "--yes", "--json")
    assert result.code == 0
    assert result.json["selected"] == 2
    assert [bool(workspace.org.get("Lead", lead)["Email"]) for lead in leads] == [True, True, False]


def test_backfill_reports_ids_without_a_record(workspace: Workspace) -> None:
    gone = workspace.lead()
    workspace.org.delete("Lead", gone)
    contact = workspace.org.insert("Contact", {"LastName": "Sample"})
    rows = f'"{workspace.lead()[:15]}","Sample"\n"{contact}","x"\n"{gone}","x"\n\n"Generated By: x"\n'
    Path("ids.csv").write_text(f'"Lead ID","Name"\n{rows}')
    for command in (("plan",), ("backfill", "--yes")):
        result = workspace.run(*command, "-m", "lead", "--ids", "ids.csv", "--json")
        assert result.json["selected"] == 1
        assert "1 of the 2 ids matches no record that these mappings select; check their object and where" in result.err
        assert "ids.csv: 2 lines were left out:" in result.err
        assert "line 3: an id of another object (it begins with 003), not of Lead" in result.err
        assert "line 6: a footer of the report" in result.err


def test_an_export_can_be_read_back(workspace: Workspace) -> None:
    workspace.lead()
    workspace.lead()
    run = workspace.run("sync", "-m", "lead", "--json").json["run_id"]
    assert workspace.run("export", run, "--csv", "outcomes.csv").code == 0
    result = workspace.run("plan", "-m", "lead", "--ids", "outcomes.csv", "--json")
    assert result.json["selected"] == 2
    assert "left out" not in result.err


def test_ids_go_to_the_mapping_of_their_object(workspace: Workspace) -> None:
    contact = workspace.org.insert("Contact", {"LastName": "Sample"})
    Path("ids.csv").write_text(f"{workspace.lead()}\n{contact}\n")
    result = workspace.run("plan", "-m", "lead", "-m", "contact", "--ids", "ids.csv", "--json")
    assert result.json["selected"] == 2
    assert "match" not in result.err


def test_a_limit_applies_across_mappings(workspace: Workspace) -> None:
    for _ in range(2):
        workspace.lead(Enrichment_Requested__c=False)
        workspace.org.insert("Contact", {"LastName": "Sample"})
    both = ("-m", "lead", "-m", "contact", "--where", "LastName != null", "--json")
    for limit, selected in ((1, 1), (2, 2), (3, 3), (9, 4)):
        assert workspace.run("plan", *both, "--limit", str(limit)).json["selected"] == selected
    assert workspace.run("backfill", *both, "--limit", "3", "--yes").json["selected"] == 3


def test_backfill_stops_at_its_limit(workspace: Workspace) -> None:
    for _ in range(3):
        workspace.lead(Enrichment_Requested__c=False)
    result = workspace.run("backfill", "-m", "lead", "--where", "Email = null", "--limit", "2", "--yes", "--json")
    assert result.json["selected"] == 2


def test_backfill_without_a_terminal_needs_yes(workspace: Workspace) -> None:
    workspace.lead()
    for more in ((), ("--json",)):
        result = workspace.run("backfill", "-m", "lead", "--where", "Email = null", *more)
        assert result.code == 2
        assert "there is no terminal: add --yes to continue" in result.err
        assert "@" not in result.out
    assert workspace.paid_posts == 0
    assert not (workspace.folder / "connector.db").exists()


@pytest.mark.parametrize(("answer", "code", "bought"), [("y\n", 0, 2), ("n\n", 2, 0), ("\n", 2, 0)])
def test_backfill_asks_a_person(workspace: Workspace, answer: str, code: int, bought: int) -> None:
    workspace.lead()
    result = workspace.run("backfill", "-m", "lead", "--where", "Email = null", answer=answer)
    assert result.code == code
    assert "Enrich these 1 records for at most 165 lensmor, 1 salesfinity credits?" in result.err
    assert ("Nothing was done." in result.err) is (code == 2)
    assert workspace.paid_posts == bought


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name the records: --where SOQL, or --ids FILE"),
        (("--where", "Title ="), "--where: "),
        (("--where", "Nonsense__c = 1"), "Nonsense__c"),
        (("--where", "Email = null) OR (Id != null"), "parentheses do not match"),
        (("--where", ""), "name the records"),
        (("--ids", "missing.csv"), "missing.csv cannot be read (FileNotFoundError)"),
        (("--ids", "empty.csv"), "empty.csv: no column has Salesforce ids; put one id on each line"),
        (("--ids", "wrong.csv"), "wrong.csv: no column has Salesforce ids; put one id on each line"),
        (("--ids", "binary.csv"), "binary.csv: "),
        (("--where", "Email = null", "--limit", "0"), "--limit"),
    ],
)
def test_backfill_needs_a_selection(workspace: Workspace, arguments: tuple[str, ...], words: str) -> None:
    workspace.lead()
    Path("empty.csv").write_text("Id\n\n")
    Path("wrong.csv").write_text("not-an-id\n")
    Path("binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    result = workspace.run("backfill", "-m", "lead", *arguments, "--yes")
    assert result.code == 2, result
    assert words in result.err
    assert workspace.paid_posts == 0


def test_a_cap_that_defers_records_names_its_setting(workspace: Workspace) -> None:
    text = (workspace.folder / "mappings" / "lead.yaml").read_text(encoding="utf-8")
    name = workspace.mapping(text.replace("max_credits: {lensmor: 50000", "max_credits: {lensmor: 170"))
    for _ in range(2):
        workspace.lead()
    result = workspace.run("sync", "-m", name)
    assert result.code == 4
    assert (
        "2 records are deferred: their flags are kept, and the next sync processes them, within the caps." in result.out
    )
    assert "raise limits.max_credits.lensmor in the file of mapping lead" in result.out
    assert "processed by the next sync, within the caps" in workspace.run("status").out
    workspace.set(**{CAPPED: "170"})
    daily = workspace.run("sync", "-m", "lead")
    assert f"Wait for the next day (UTC), or raise {CAPPED}." in daily.out


def test_the_question_of_backfill_respects_the_caps(workspace: Workspace) -> None:
    text = (workspace.folder / "mappings" / "lead.yaml").read_text(encoding="utf-8")
    name = workspace.mapping(text.replace("max_credits: {lensmor: 50000", "max_credits: {lensmor: 300"))
    for _ in range(2):
        workspace.lead()
    result = workspace.run("backfill", "-m", name, "--where", "Email = null", answer="n\n")
    assert "Enrich these 2 records for at most 300 lensmor, 2 salesfinity credits?" in result.err
    workspace.set(**{CAPPED: "200"})
    result = workspace.run("backfill", "-m", name, "-m", "contact", "--where", "Email = null", answer="n\n")
    assert "Enrich these 2 records for at most 200 lensmor, 2 salesfinity credits?" in result.err


def test_a_sync_without_records_names_the_flag(workspace: Workspace) -> None:
    result = workspace.run("sync", "-m", "lead", "-m", "mappings/contact.yaml")
    assert result.code == 0
    assert "No Lead has Enrichment_Requested__c set to request enrichment and meets" in result.err
    assert "see: connector plan -m mappings/contact.yaml" in result.err
    workspace.lead()
    assert "set to request" not in workspace.run("sync", "-m", "lead").err


def test_plan_includes_the_price_of_the_next_source(workspace: Workspace) -> None:
    workspace.lead()
    (row,) = [line for line in workspace.run("plan", "-m", "lead").out.splitlines() if "if the previous source" in line]
    assert row.split()[-3:] == ["to", "1", "1"]
