"""Unusable settings, mappings and ledgers: exit code 2, the name of the setting, and the next step."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from workspace import Workspace

from connector.simulator.salesforce.schema import Field

pytest_plugins = ("cli_fixtures",)
CLOSED = "http://127.0.0.1:9"  # the discard port: nobody answers
COMMANDS = (("sync", "-m", "lead"), ("plan", "-m", "lead", "--json"))

SETTINGS: list[tuple[dict[str, str | None], str]] = [
    ({"SALESFORCE_INSTANCE_URL": None, "CONNECTOR_TIME_SCALE": None}, "login is not set: SALESFORCE_INSTANCE_URL"),
    ({"SALESFORCE_CLIENT_SECRET": None}, "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET"),
    ({"SALESFORCE_CLIENT_SECRET": "wrong"}, "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET"),
    ({"SALESFORCE_CLIENT_ID": "wrong"}, "check SALESFORCE_CLIENT_ID"),
    ({"SALESFORCE_INSTANCE_URL": "http://acme.my.salesforce.com"}, "must start with https://"),
    ({"SALESFORCE_INSTANCE_URL": "acme"}, "SALESFORCE_INSTANCE_URL must be a web address"),
    (
        {"SALESFORCE_INSTANCE_URL": "https://login.salesforce.com", "CONNECTOR_TIME_SCALE": "1"},
        "must be the org's My Domain",
    ),
    ({"SALESFORCE_API_VERSION": "latest"}, "SALESFORCE_API_VERSION"),
    ({"SALESFORCE_API_VERSION": "20.0"}, "SALESFORCE_API_VERSION"),
    ({"SALESFORCE_ACCESS_TOKEN": "00DSm0000000001x"}, "SALESFORCE_ACCESS_TOKEN has expired or is not valid"),
    ({"LENSMOR_API_KEY": None}, "LENSMOR_API_KEY is missing; put it into the environment or .env"),
    ({"LENSMOR_API_KEY": "wrong"}, "lensmor refuses the API key (HTTP 401); check LENSMOR_API_KEY"),
    ({"SALESFINITY_API_KEY": None}, "SALESFINITY_API_KEY is missing"),
    ({"SALESFINITY_API_KEY": "wrong"}, "salesfinity refuses the API key (HTTP 401); check SALESFINITY_API_KEY"),
    ({"LENSMOR_BASE_URL": "http://platform.lensmor.com"}, "LENSMOR_BASE_URL must start with https://"),
    ({"LENSMOR_BASE_URL": "https://platform.lensmor.com"}, "CONNECTOR_TIME_SCALE shortens waits"),
    ({"LENSMOR_EMAIL_CREDITS": "many"}, "LENSMOR_EMAIL_CREDITS"),
    ({"CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR": "-1"}, "CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR"),
    ({"CONNECTOR_WAIT_SECONDS": "soon"}, "CONNECTOR_WAIT_SECONDS"),
    ({"CONNECTOR_POLL_SECONDS": "3,x"}, "write seconds separated by commas"),
    ({"CONNECTOR_SECRET_KEY": "not a key"}, "CONNECTOR_SECRET_KEY must hold urlsafe base64 keys"),
    (
        {"CONNECTOR_DATABASE_URL": "a file"},
        "CONNECTOR_DATABASE_URL must be sqlite:///path or postgresql://user@host/database",
    ),
    ({"CONNECTOR_DATABASE_URL": "sqlite:////nowhere/at/all/c.db"}, "there is no folder /nowhere/at/all"),
    (
        {"CONNECTOR_DATABASE_URL": "sqlite:////sys/c.db"},
        "the key file /sys/c.db.key cannot be created or read",
    ),  # not even by root
]


def _id(row: tuple[dict[str, str | None], str]) -> str:
    return " ".join(f"{name}={value}" for name, value in row[0].items())[:60]


@pytest.mark.parametrize(("changes", "words"), SETTINGS, ids=[_id(row) for row in SETTINGS])
def test_an_unusable_setting_is_named_and_nothing_is_bought(
    workspace: Workspace, changes: dict[str, str | None], words: str
) -> None:
    workspace.lead()
    workspace.set(**changes)
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 2, result
    assert words in result.err
    assert result.err.count("error: ") >= 1
    assert workspace.paid_posts == 0
    for value in changes.values():
        assert value is None or "SECRET" not in str(changes) or value not in result.err


def test_wrong_settings_are_reported_together(workspace: Workspace) -> None:
    workspace.set(CONNECTOR_WAIT_SECONDS="soon", SALESFORCE_API_RESERVE_PERCENT="200")
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 2
    assert "error: SALESFORCE_API_RESERVE_PERCENT" in result.err
    assert "error: CONNECTOR_WAIT_SECONDS" in result.err


@pytest.mark.parametrize("name", ["SALESFORCE_INSTANCE_URL", "LENSMOR_BASE_URL", "SALESFINITY_BASE_URL"])
def test_an_unreachable_host_is_reported(workspace: Workspace, name: str) -> None:
    lead = workspace.lead()
    workspace.set(**{name: CLOSED})
    result = workspace.run("sync", "-m", "lead")
    if name == "SALESFINITY_BASE_URL":  # nobody needed it: Lensmor delivered
        assert workspace.org.get("Lead", lead)["Email"] is not None
    assert result.code == 4, result
    vendor = {"SALESFORCE_INSTANCE_URL": "Salesforce", "LENSMOR_BASE_URL": "lensmor"}.get(name, "salesfinity")
    assert f"{vendor} cannot be reached" in result.out + result.err
    assert "run again" in result.out + result.err


def test_a_settings_file_that_is_not_text_is_refused(workspace: Workspace) -> None:
    (workspace.folder / ".env").write_bytes(b"LENSMOR_API_KEY=\xff\xfe\n")
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 2
    assert ".env cannot be read (it is not UTF-8 text)" in result.err


def test_another_settings_file_can_be_named(workspace: Workspace) -> None:
    workspace.lead()
    (workspace.folder / "elsewhere").mkdir()
    (workspace.folder / ".env").rename(workspace.folder / "elsewhere" / "org.env")
    assert workspace.run("sync", "-m", "lead").code == 2
    result = workspace.run("sync", "-m", "lead", "--env-file", "elsewhere/org.env")
    assert result.code == 2
    assert f"there is no folder elsewhere{os.sep}mappings" in result.err
    (workspace.folder / "mappings").rename(workspace.folder / "elsewhere" / "mappings")
    result = workspace.run("sync", "-m", "lead", "--env-file", "elsewhere/org.env")
    assert result.code == 0
    assert f"Mapping lead: elsewhere{os.sep}mappings{os.sep}lead.yaml" in result.err
    assert (workspace.folder / "elsewhere" / "connector.db").exists()


def test_the_environment_wins_over_the_file(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENSMOR_API_KEY", "wrong")
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 2
    assert "check LENSMOR_API_KEY" in result.err


SHIPPED = Path(__file__).parent.parent / "mappings" / "lead.yaml"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: lead", "nome: lead", "own.yaml:5: nome: unknown key; did you mean name? known here: channels"),
        ("field: Email", "field: 12", "must be text"),
        ("from: [lensmor]", "from: [salesfinity]", "salesfinity does not sell phone; use lensmor"),
        ("field: MobilePhone", "field: Email", "Email is already written by channels.work_email.field"),
        ("version: 1", "version: 9", "own.yaml:4: version: must be 1"),
        ("refresh_after: 180d", "refresh_after: half a year", "such as 30m, 12h or 180d"),
        ("channels:", "channels: [", "own.yaml:"),
        ("field: Email", "field: Nowhere__c", "Lead has no field Nowhere__c that the connector's user can see"),
        ("flag: Enrichment_Requested__c", "flag: Title", "Title is a text field, not a checkbox"),
        ("field: Email", "field: email", "channels.work_email.field: write Email, as Salesforce does, not email"),
        ("opt_out: DoNotCall", "opt_out: DoNotPhone", "channels.phone.opt_out: Lead has no field DoNotPhone"),
        ('where: "IsConverted = false"', 'where: "IsConvertd = false"', "select.where"),
        ("object: Lead", "object: Leed", "Leed"),
    ],
)
def test_an_unusable_mapping_is_reported_with_file_line_and_key(
    workspace: Workspace, old: str, new: str, words: str
) -> None:
    workspace.lead()
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    name = workspace.mapping(text.replace(old, new, 1))
    result = workspace.run("sync", "-m", name)
    assert result.code == 2, result
    assert words in result.err
    assert workspace.paid_posts == 0


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("leed",), "there is no mapping 'leed'"),
        (("leed.yaml",), "leed.yaml: there is no such file"),
        (("lead", "lead"), "two of the mapping files have the same name"),
        (("empty.yaml",), "this is not a mapping file; begin with 'version: 1'"),
    ],
)
def test_a_missing_mapping_is_reported(workspace: Workspace, names: tuple[str, ...], words: str) -> None:
    workspace.mapping("", "empty.yaml")
    result = workspace.run("sync", *(part for name in names for part in ("-m", name)))
    assert result.code == 2
    assert words in result.err


def test_a_hidden_field_is_found_before_anything_is_bought(workspace: Workspace) -> None:
    workspace.lead()
    workspace.org.hide_field("Lead", "HasOptedOutOfEmail")
    workspace.org.make_read_only("Lead", "MobilePhone")
    for command in COMMANDS:
        result = workspace.run(*command)
        assert result.code == 2
        assert "channels.work_email.opt_out: Lead has no field HasOptedOutOfEmail" in result.err
        assert "channels.phone.field: MobilePhone cannot be edited; give the user's permission set edit" in result.err
    assert workspace.paid_posts == 0


def checks(workspace: Workspace, *names: str) -> dict[str, dict[str, Any]]:
    """Doctor's checks by subject."""
    result = workspace.run("doctor", *(part for name in names or ("lead",) for part in ("-m", name)), "--json")
    found = {check["subject"]: check for check in result.json["checks"]}
    assert result.code == (0 if all(check["ok"] for check in result.json["checks"]) else 2)
    assert not (workspace.folder / "connector.db").exists()
    assert workspace.paid_posts == 0
    return found


def test_doctor_passes(workspace: Workspace) -> None:
    result = workspace.run("doctor", "-m", "lead", "-m", "contact")
    assert result.code == 0
    assert "All checks passed; 3 to review." in result.out  # rights beyond the need, and no alerts
    found = checks(workspace)
    assert {"Salesforce login", "lensmor", "salesfinity", "object Lead"} <= set(found)
    odd = {subject for subject, check in found.items() if check["warning"]}
    assert odd == {"alerts", "Salesforce rights on Lead"}
    assert all(check["ok"] for check in found.values())


def test_doctor_shows_files_caps_schedule_and_flagged_records(workspace: Workspace) -> None:
    workspace.lead()
    workspace.lead()
    workspace.lead(Enrichment_Requested__c=False)
    workspace.set(CONNECTOR_MAX_CREDITS_PER_MONTH_LENSMOR="90000", LENSMOR_CREDIT_RESERVE="500")
    text = SHIPPED.read_text(encoding="utf-8").replace('schedule: "*/15 * * * *"', 'schedule: "0 6 1 1 *"')
    text = text.replace("{lensmor: 60000, salesfinity: 1000}", "{lensmor: 60000}")
    workspace.mapping(text)
    found = checks(workspace, "own.yaml")
    assert found["mapping own.yaml"]["message"] == "valid"
    assert found["settings"]["message"].endswith(".env")
    assert found["caps of lead"]["message"] == (
        "lensmor: 50,000 credits a run, 60,000 credits a day; salesfinity: 500 credits a run, no cap a day"
    )
    assert found["caps of the lensmor account"]["message"] == (
        "no cap a day, 90,000 credits a month, reserve 500 credits"
    )
    assert found["caps of the salesfinity account"]["message"] == "no cap a day, no cap a month, reserve 0 credits"
    assert "0 6 1 1 * (UTC), next at " in found["schedule of lead"]["message"]
    assert "-01-01 06:00 UTC" in found["schedule of lead"]["message"]
    assert found["flagged for lead"]["message"] == "2 records"


def test_doctor_reports_all_problems_together(workspace: Workspace) -> None:
    """Files, settings, the CRM and a vendor are all wrong; each is reported, and the rest is checked."""
    workspace.org.hide_field("Lead", "LinkedIn_URL__c")
    workspace.simulator.lensmor.balance = 0
    workspace.mapping("version: 1\nname: other\n", "broken.yaml")
    workspace.set(CONNECTOR_WAIT_SECONDS="soon", CONNECTOR_CAP="1", SALESFINITY_API_KEY=None)
    result = workspace.run("doctor", "-m", "lead", "-m", "broken.yaml", "-m", "nowhere", "--json")
    assert result.code == 2
    lines = [f"{check['subject']}: {check['message']}" for check in result.json["checks"] if not check["ok"]]
    for words in (
        "mapping files: broken.yaml:1: object: this key is missing",
        "mapping files: there is no mapping 'nowhere'",
        "settings: CONNECTOR_WAIT_SECONDS: must be a number",
        "settings: CONNECTOR_CAP: there is no such setting",
        "settings: SALESFINITY_API_KEY is missing",
        "person.linkedin_url: Lead has no field LinkedIn_URL__c",
        "lensmor: 0 credits on the account",
        "salesfinity: not checked, because its settings are wrong or missing",
    ):
        assert any(words in line for line in lines), (words, lines)
    fine = {check["subject"] for check in result.json["checks"] if check["ok"]}
    assert {"Salesforce login", f"mapping mappings{os.sep}lead.yaml", "flagged for lead"} <= fine
    shown = workspace.run("doctor", "-m", "lead", "-m", "broken.yaml")
    assert "FIX" in shown.out
    assert " problems to fix before a run." in shown.out


def test_doctor_checks_the_vendors_despite_a_refused_login(workspace: Workspace) -> None:
    workspace.set(SALESFORCE_CLIENT_SECRET="wrong")
    found = checks(workspace)
    assert "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET" in found["Salesforce login"]["message"]
    assert found["object Lead"]["message"] == "not checked, because there is no login (see above)"
    assert found["lensmor"]["ok"] is True


def test_doctor_reports_a_setting_without_effect(workspace: Workspace) -> None:
    workspace.set(HUBSPOT_API_RESERVE_PERCENT="30")
    result = workspace.run("doctor", "-m", "lead")
    assert result.code == 0
    assert "HUBSPOT_API_RESERVE_PERCENT has no effect in this version" in result.out


def test_doctor_without_settings_names_missing_ones_and_skipped_checks(workspace: Workspace) -> None:
    (workspace.folder / ".env").unlink()
    result = workspace.run("doctor", "-m", "lead", "--json")
    messages = [check["message"] for check in result.json["checks"] if check["subject"] == "settings"]
    assert len(messages) == 3
    found = checks(workspace)
    for subject in ("Salesforce login", "lensmor", "salesfinity"):
        assert found[subject]["message"].startswith("not checked, because its settings are wrong or missing")


def test_doctor_does_not_count_records_of_a_wrong_flag(workspace: Workspace) -> None:
    workspace.org.hide_field("Lead", "Enrichment_Requested__c")
    found = checks(workspace)
    assert found["flagged for lead"]["message"].startswith("not counted, because object, flag or condition is wrong")


def test_doctor_continues_after_an_unusable_ledger(workspace: Workspace) -> None:
    (workspace.folder / "connector.db").write_text("not a ledger at all, but long enough to be read as one " * 9)
    result = workspace.run("doctor", "-m", "lead", "--json")
    found = {check["subject"]: check for check in result.json["checks"]}
    assert found["ledger"]["ok"] is False
    assert found["lensmor"]["ok"] is True
    assert found["object Lead"]["ok"] is True


def test_doctor_reports_caps_below_the_price_of_one_purchase(workspace: Workspace) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace(
        "{lensmor: 50000, salesfinity: 500}", "{lensmor: 100, salesfinity: 0}"
    )
    workspace.mapping(text)
    workspace.set(CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR="10")
    found = checks(workspace, "own.yaml")
    phone = found["own.yaml:44: limits.max_credits.lensmor"]
    assert (phone["ok"], phone["warning"]) == (True, True), "a run goes on, and buys no phone"
    assert "100 credits are less than the price of one phone at lensmor (150 credits)" in phone["message"]
    none = found["own.yaml:44: limits.max_credits.salesfinity"]
    assert (none["ok"], none["warning"]) == (True, True)
    assert found["CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR"]["warning"] is True


def test_doctor_warns_of_unusual_targets_and_a_run_starts(workspace: Workspace) -> None:
    workspace.lead()
    text = SHIPPED.read_text(encoding="utf-8").replace("field: MobilePhone", "field: Title")
    workspace.mapping(text.replace("status: Phone_Unlock_Status__c", "status: LeadSource"))
    workspace.org.add_field("Lead", Field("LeadSource", "picklist", 255, choices=("Web",)))
    result = workspace.run("doctor", "-m", "own.yaml")
    assert result.code == 0
    assert "odd own.yaml:" in result.out
    assert "Title is a standard field with a meaning of its own; is a phone number" in " ".join(result.out.split())
    assert "LeadSource is a standard field" in " ".join(result.out.split())
    assert "All checks passed; 4 to review." in result.out
    assert workspace.run("sync", "-m", "own.yaml").code == 0


def test_credits_show_balances_holds_and_months(workspace: Workspace) -> None:
    document = workspace.run("credits", "--json").json
    assert document["providers"]["lensmor"]["balance"] == 100_000
    assert document["months"] == []
    workspace.lead()
    workspace.run("sync", "-m", "lead")
    document = workspace.run("credits", "--json").json
    assert document["providers"]["lensmor"]["charged"] == 165
    assert [(row["provider"], row["charged"]) for row in document["months"]] == [("lensmor", 165)]
    shown = workspace.run("credits")
    assert shown.code == 0
    assert "Balance now" in shown.out


def test_credits_with_one_vendor_that_refuses(workspace: Workspace) -> None:
    workspace.set(LENSMOR_API_KEY="wrong")
    document = workspace.run("credits", "--json").json
    assert "check LENSMOR_API_KEY" in document["providers"]["lensmor"]["trouble"]
    assert document["providers"]["salesfinity"]["balance"] == 5_000
    workspace.set(LENSMOR_API_KEY=None, SALESFINITY_API_KEY=None)
    result = workspace.run("credits")
    assert result.code == 2
    assert "no vendor is set up: put LENSMOR_API_KEY or SALESFINITY_API_KEY into .env" in result.err


def test_schema_is_one_json_document(workspace: Workspace) -> None:
    document = workspace.run("schema").json
    assert document["title"] == "Enrichment mapping"
    assert set(document["properties"]) >= {"version", "name", "object", "select", "person", "channels", "limits"}


def test_settings_and_mappings_are_reported_together(workspace: Workspace) -> None:
    workspace.mapping(SHIPPED.read_text(encoding="utf-8").replace("field: Email", "feld: Email"))
    workspace.set(CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOOR="15", LENSMOR_API_KEY=None, SALESFORCE_INSTANCE_URL=None)
    workspace.set(CONNECTOR_TIME_SCALE=None)
    for command in ("sync", "plan"):
        result = workspace.run(command, "-m", "own.yaml", "-m", "contact")
        assert result.code == 2
        lines = [line for line in result.err.splitlines() if line.startswith("error: ")]
        for words in (
            "own.yaml:",
            "CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOOR: there is no such setting; did you mean "
            "CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR?",
            "LENSMOR_API_KEY is missing",
            "login is not set: SALESFORCE_INSTANCE_URL",
        ):
            assert any(words in line for line in lines), (words, lines)


def test_an_empty_folder_has_no_mapping(workspace: Workspace) -> None:
    """Otherwise a run in the wrong folder could spend credits under default caps."""
    workspace.lead()
    shutil.rmtree(workspace.folder / "mappings")
    result = workspace.run("sync", "-m", "lead")
    assert result.code == 2
    assert "there is no folder" in result.err
    assert workspace.paid_posts == 0
    assert not (workspace.folder / "connector.db").exists()


def test_every_command_names_its_mapping_files(workspace: Workspace) -> None:
    workspace.lead()
    for command in (
        ("plan",),
        ("plan", "--json"),
        ("sync", "--json"),
        ("backfill", "--where", "Email = null", "--yes"),
    ):
        result = workspace.run(*command, "-m", "lead", "-m", "contact")
        assert result.code == 0
        assert f"Mapping lead: mappings{os.sep}lead.yaml" in result.err
        assert f"Mapping contact: mappings{os.sep}contact.yaml" in result.err
    workspace.run("plan", "-m", "lead", "--out", "plan.json")
    assert f"Mapping lead: mappings{os.sep}lead.yaml" in workspace.run("apply", "plan.json", "--yes").err


@pytest.mark.parametrize("command", ["sync", "plan", "doctor"])
def test_one_flag_belongs_to_one_mapping(workspace: Workspace, command: str) -> None:
    workspace.lead()
    workspace.mapping(SHIPPED.read_text(encoding="utf-8").replace("name: lead", "name: second"))
    result = workspace.run(command, "-m", "lead", "-m", "own.yaml")
    assert result.code == 2
    shown = " ".join((result.out + result.err).split())
    assert (
        f"own.yaml:9: select.flag: mappings{os.sep}lead.yaml has the same flag, Enrichment_Requested__c of Lead"
        in shown
    )
    assert workspace.paid_posts == 0


def test_one_mapping_file_given_twice(workspace: Workspace) -> None:
    result = workspace.run("sync", "-m", "lead", "-m", "mappings/lead.yaml")
    assert result.code == 2
    assert "two of the mapping files have the same name" in result.err
    assert "has the same flag" not in result.err
