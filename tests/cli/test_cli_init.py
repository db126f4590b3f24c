"""`init` and `provision`: from an empty folder to a mapping that the connector accepts; no file is changed."""

import re
import shutil
import stat
from pathlib import Path

import pytest
from workspace import Workspace

from connector.simulator.new_org import forget_connector

pytest_plugins = ("cli_fixtures",)
LOGIN = ("SALESFORCE_INSTANCE_URL", "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET")
KEYS = ("LENSMOR_API_KEY", "SALESFINITY_API_KEY")


@pytest.fixture
def fresh(workspace: Workspace) -> Workspace:
    """An org without the connector's fields, and a folder with nothing but settings."""
    shutil.rmtree(workspace.folder / "mappings")
    forget_connector(workspace.simulator)
    return workspace


def empty(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *left_out: str) -> None:
    """Move the settings from `.env` to the environment, except for some."""
    (workspace.folder / ".env").unlink()
    for name, value in workspace.settings.items():
        if name not in left_out:
            monkeypatch.setenv(name, value)


def lead(workspace: Workspace) -> str:
    return (workspace.folder / "mappings" / "lead.yaml").read_text(encoding="utf-8")


def test_a_first_mapping_passes_every_check_after_provisioning(fresh: Workspace) -> None:
    made = fresh.run("init", "--people", "5", "--region", "US")
    assert made.code == 0, made
    assert "Next: connector provision -m lead --out crm-package" in made.err
    text = lead(fresh)
    assert "flag: Enrichment_Requested__c" in text
    assert "linkedin_url: LinkedIn_Profile__c" in text
    assert "max_credits: {lensmor: 825, salesfinity: 5}" in text
    assert fresh.run("doctor", "-m", "lead").code == 2
    done = fresh.run("provision", "-m", "lead", "--apply", "--yes", "--assign", "integration@example.com")
    assert done.code == 0, done
    checked = fresh.run("doctor", "-m", "lead")
    assert checked.code == 0, checked
    again = fresh.run("provision", "-m", "lead", "--apply", "--yes")
    assert (again.code, "Nothing to create." in again.err) == (0, True)
    assert fresh.paid_posts == 0


def test_settings_come_from_the_environment_and_go_to_a_private_file(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty(fresh, monkeypatch)
    made = fresh.run("init")
    assert made.code == 0, made
    file = fresh.folder / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert re.search(r"^CONNECTOR_TRIGGER_TOKEN=[\w-]{43}$", file.read_text(), re.MULTILINE)


def test_answers_at_a_terminal_become_the_settings(fresh: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: fresh.settings[name] for name in (*LOGIN, *KEYS)}
    empty(fresh, monkeypatch, *given, "CONNECTOR_TIME_SCALE")
    lines = [
        *(given[LOGIN[0]], given[LOGIN[1]], "wrong"),
        *("", "", given[LOGIN[2]]),  # the address and the consumer key are kept
        *("Leed", "Lead", "lead"),
        *(given[KEYS[0]], ""),  # no key of the second vendor
        *("99", "4", "Nowhere", "4", "LinkedIn_Profile__c", "11", "-", ""),
        *("3", "", "us"),
    ]
    made = fresh.run("init", answer="\n".join(lines) + "\n")
    assert made.code == 0, made
    assert "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET" in made.err
    assert "error: write a number from 1 to" in made.err
    assert "Lead has no field Nowhere that this user sees" in made.err
    written = (fresh.folder / ".env").read_text()
    assert f"SALESFORCE_INSTANCE_URL={given[LOGIN[0]]}\n" in written
    assert "SALESFINITY" not in written
    text = lead(fresh)
    assert "from: [lensmor] " in text
    assert "Phone_Unlock_Status__c" not in text
    assert "max_credits: {lensmor: 495}" in text
    assert "default_region: US" in text
    assert fresh.run("provision", "-m", "lead").code == 0


def test_an_end_of_the_input_writes_nothing(fresh: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    empty(fresh, monkeypatch, *LOGIN, "CONNECTOR_TIME_SCALE")
    made = fresh.run("init", answer="")
    assert made.code == 2
    assert "Nothing was done." in made.err
    assert list(fresh.folder.iterdir()) == []


def test_no_existing_file_is_changed(fresh: Workspace) -> None:
    settings = (fresh.folder / ".env").read_text()
    (fresh.folder / "mappings").mkdir()
    (fresh.folder / "mappings" / "lead.yaml").write_text("mine")
    made = fresh.run("init")
    assert made.code == 2
    assert "mappings/lead.yaml exists and is left unchanged; choose another name with --name" in made.err
    assert lead(fresh) == "mine"
    assert fresh.run("init", "--name", "lead-2").code == 0
    assert (fresh.folder / ".env").read_text() == settings
    assert lead(fresh) == "mine"


def test_an_incomplete_settings_file_is_named_before_anything_is_asked(fresh: Workspace) -> None:
    fresh.set(SALESFORCE_CLIENT_SECRET=None)
    made = fresh.run("init", answer="")
    assert made.code == 2
    assert "SALESFORCE_CLIENT_SECRET" in made.err
    assert ".env, which is left unchanged" in made.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--object", "Leed"), "Leed"),
        (("--name", "Big Lead"), "lower-case letters"),
        (("--field", "phone.field=Fex"), "Lead has no field Fex that this user sees; did you mean Fax?"),
        (("--field", "phone.field=CreatedDate"), "CreatedDate is a date and time field"),
        (("--field", "field=Phone"), "field is several keys of the mapping"),
        (("--field", "select.flag=-"), "select.flag is needed"),
        (("--field", "Phone"), "Phone: write NAME=VALUE"),
        (("--max-credits", "acme=3"), "nothing is bought from acme"),
        (("--region", "usa"), "two capital letters"),
        (("--crm", "dynamics"), "there is no CRM 'dynamics' to begin with; use salesforce"),
    ],
)
def test_wrong_options_are_explained(fresh: Workspace, options: tuple[str, ...], words: str) -> None:
    made = fresh.run("init", *options)
    assert made.code == 2, made
    assert words in made.err
    assert not (fresh.folder / "mappings").exists()


def test_options_choose_fields_channels_and_caps(fresh: Workspace) -> None:
    made = fresh.run(
        *("init", "--object", "Contact", "--name", "people", "--channel", "personal_email", "--channel", "phone"),
        *("--field", "phone.field=Phone", "--field", "phone.status=-", "--max-credits", "lensmor=300"),
    )
    assert made.code == 0, made
    text = (fresh.folder / "mappings" / "people.yaml").read_text()
    assert "where:" not in text
    assert "field: Phone\n" in text
    assert "work_email" not in text
    assert "Phone_Unlock_Status__c" not in text
    assert (
        "max_credits: {salesfinity: 10, lensmor: 300}" in text or "max_credits: {lensmor: 300, salesfinity: 10}" in text
    )


def test_an_opt_out_that_the_user_does_not_see_yet_is_mapped_all_the_same(fresh: Workspace) -> None:
    """Without it, the connector would buy for people who opted out."""
    fresh.org.hide_field("Lead", "HasOptedOutOfEmail")
    fresh.org.make_read_only("Lead", "Email")
    assert fresh.run("init").code == 0
    assert "opt_out: HasOptedOutOfEmail" in lead(fresh)
    assert "field: Email\n" in lead(fresh)
    fresh.run("provision", "-m", "lead", "--apply", "--yes", "--assign", "integration@example.com")
    assert fresh.run("doctor", "-m", "lead").code == 0


# -- provision ----------------------------------------------------------------------------------------------------


def test_a_package_is_written_once_and_never_overwritten(workspace: Workspace) -> None:
    workspace.set(CONNECTOR_PUBLIC_URL="https://enrich.example.com")
    made = workspace.run("provision", "-m", "lead", "-m", "contact", "--out", "package")
    assert made.code == 0, made
    assert "sf project deploy start --source-dir force-app" in made.err
    files = sorted(path for path in Path("package").rglob("*") if path.is_file())
    assert any(path.name == "Request_Enrichment_contact.flow-meta.xml" for path in files)
    again = workspace.run("provision", "-m", "lead", "-m", "contact", "--out", "package")
    assert "package has all files already." in again.err
    flow = next(path for path in files if path.name == "Request_Enrichment_lead.flow-meta.xml")
    flow.write_text("mine")
    refused = workspace.run("provision", "-m", "lead", "-m", "contact", "--out", "package")
    assert refused.code == 2
    assert "package has other versions of 1 of the files" in refused.err
    assert flow.read_text() == "mine"


def test_nothing_is_created_without_an_answer(fresh: Workspace) -> None:
    fresh.run("init")
    piped = fresh.run("provision", "-m", "lead", "--apply")
    assert piped.code == 2
    assert "add --yes to continue" in piped.err
    refused = fresh.run("provision", "-m", "lead", "--apply", answer="n\n")
    assert refused.code == 2
    assert fresh.simulator.salesforce.metadata.components == {}
    agreed = fresh.run("provision", "-m", "lead", "--apply", answer="y\n")
    assert agreed.code == 0, agreed


def test_an_unknown_user_is_refused(fresh: Workspace) -> None:
    fresh.run("init")
    fresh.run("provision", "-m", "lead", "--apply", "--yes")
    done = fresh.run("provision", "-m", "lead", "--apply", "--yes", "--assign", "nobody")
    assert done.code == 2
    assert "no user with this login name" in done.err


def test_provision_needs_apply_to_assign(workspace: Workspace) -> None:
    made = workspace.run("provision", "-m", "lead", "--assign", "somebody")
    assert made.code == 2
    assert "use it with --apply" in made.err
