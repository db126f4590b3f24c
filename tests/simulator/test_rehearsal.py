"""Rehearsals: an org fitted to a mapping file, the demo's mappings, and settings files that are never overwritten."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_salesforce_driver import START

import connector
from connector.app.mappings import CATALOG
from connector.app.rehearsal import demo_mappings, env_text, mapped_object, next_command, refuse_existing, write_env
from connector.cli.main import cli
from connector.config.mapping_file import load_mapping
from connector.core.errors import ConfigurationError
from connector.core.mapping import MappingFile
from connector.simulator.clock import SimClock
from connector.simulator.fitting import UnfitError, fit
from connector.simulator.salesforce import Field
from connector.simulator.salesforce.ids import new_organization_id, parse_id
from connector.simulator.seed import seed_bulk, seed_demo
from connector.simulator.server import Simulator, Urls

URLS = Urls("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:2/_control")
ATTENDEE = """
version: 1
name: attendee
object: {object}
select: {{flag: {flag}}}
person: {{{person}}}
channels:
  work_email:
    {{from: [lensmor], field: Work_Mail__c, status: Mail_Status__c, opt_out: No_Mail__c, empty_when: Bounced__c}}
  personal_email: {{from: [salesfinity], field: Own_Mail__c}}
  phone: {{from: [lensmor], field: Cell__c, opt_out: No_Calls__c}}
stamp: {{enriched_at: Done_At__c, source: Via__c, error: Why__c, personnel_id: Lens_Id__c}}
statuses: {{not_found: Nothing there}}
"""


def mapping(
    folder: Path,
    object_name: str = "Attendee__c",
    flag: str = "{field: Enrich__c, asks: Please, done: Finished}",
    person: str = "linkedin_url: Profile__c",
) -> MappingFile:
    path = folder / "attendee.yaml"
    path.write_text(ATTENDEE.format(object=object_name, flag=flag, person=person), encoding="utf-8")
    return load_mapping(str(path), CATALOG).mapping


def world() -> Simulator:
    return Simulator(SimClock(source=lambda: START), seed_demo)


@pytest.mark.parametrize("name", ["Attendee__c", "Lead", "Contact"])
def test_the_org_gets_the_mappings_fields_with_suitable_types(tmp_path: Path, name: str) -> None:
    simulator = world()
    fit(simulator, mapped_object(mapping(tmp_path, name)))
    kind = simulator.salesforce.org.kind(name)
    types = {
        "Enrich__c": "picklist",
        "Profile__c": "url",
        "Work_Mail__c": "email",
        "Own_Mail__c": "email",
        "Cell__c": "phone",
        "Mail_Status__c": "picklist",
        "No_Mail__c": "boolean",
        "No_Calls__c": "boolean",
        "Bounced__c": "datetime",
        "Done_At__c": "datetime",
        "Via__c": "string",
        "Why__c": "string",
        "Lens_Id__c": "string",
    }
    assert {field: kind.need(field).type for field in types} == types
    flag = kind.need("Enrich__c")
    assert (flag.choices, flag.restricted) == (("Please", "Finished"), True)
    status = kind.need("Mail_Status__c")
    assert "Nothing there" in status.choices
    assert not status.restricted


@pytest.mark.parametrize(("name", "flagged"), [("Attendee__c", 338), ("Lead", 260), ("Contact", 110)])
def test_seeded_people_fill_the_mappings_fields(tmp_path: Path, name: str, flagged: int) -> None:
    simulator = world()
    asked = fit(simulator, mapped_object(mapping(tmp_path, name)))
    rows = simulator.salesforce.org.records(name)
    requested = [row for row in rows if row["Enrich__c"] == "Please"]
    assert asked == len(requested) == flagged
    assert sum(row["Profile__c"] is not None for row in requested) > 0.9 * flagged
    assert any(row["No_Mail__c"] for row in requested)
    assert any(row["No_Calls__c"] for row in requested)
    assert all(row["Work_Mail__c"] is None and row["Cell__c"] is None for row in rows)


def test_a_mapping_by_personnel_id_only(tmp_path: Path) -> None:
    simulator = world()
    simulator.salesforce.org.add_field("Lead", Field("Number__c", "double"))
    asked = fit(simulator, mapped_object(mapping(tmp_path, "Lead", "Wanted__c", "personnel_id: Number__c")))
    rows = [row for row in simulator.salesforce.org.records("Lead") if row["Wanted__c"]]
    assert len(rows) == asked == 260
    numbers = [row["Number__c"] for row in rows if row["Number__c"] is not None]
    assert len(numbers) > 200
    assert all(isinstance(number, float) for number in numbers)


def test_a_large_plain_world_is_fitted(tmp_path: Path) -> None:
    simulator = Simulator(SimClock(source=lambda: START), lambda sim: seed_bulk(sim, 5))
    assert fit(simulator, mapped_object(mapping(tmp_path))) == 5
    assert all(row["Profile__c"] for row in simulator.salesforce.org.records("Attendee__c"))


def test_a_missing_standard_field_is_not_added(tmp_path: Path) -> None:
    simulator = world()
    fit(simulator, mapped_object(mapping(tmp_path, "Lead", person="linkedin_url: Linkedin")))
    assert simulator.salesforce.org.kind("Lead").field("Linkedin") is None


@pytest.mark.parametrize("name", ["Opportunity", "User"])
def test_an_object_that_the_simulated_org_cannot_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnfitError, match=f"cannot have records of {name}"):
        fit(world(), mapped_object(mapping(tmp_path, name)))


def test_an_unsupported_object_exits_2(tmp_path: Path) -> None:
    mapping(tmp_path, "Opportunity")
    with pytest.raises(ConfigurationError, match=r"mapping attendee: .*cannot have records of Opportunity"):
        CliRunner().invoke(
            cli, ["simulate", "-m", str(tmp_path / "attendee.yaml")], catch_exceptions=False, standalone_mode=False
        )


def test_the_demo_uses_the_packages_mappings() -> None:
    package = Path(connector.__file__).parent
    loaded = [load_mapping(str(path), CATALOG).mapping for path in demo_mappings()]
    assert [one.object for one in loaded] == ["Lead", "Contact"]
    assert all(path.is_relative_to(package) for path in demo_mappings())
    assert all(one.limits.max_credits["lensmor"] >= 100_000 and one.schedule is None for one in loaded)


def test_settings_of_a_rehearsal_have_a_fresh_token() -> None:
    first, second = (dict(line.split("=", 1) for line in env_text(URLS, 100).splitlines()[1:]) for _ in range(2))
    assert first["CONNECTOR_TIME_SCALE"] == "0.01"
    assert len(first["CONNECTOR_TRIGGER_TOKEN"]) >= 32
    assert first["CONNECTOR_TRIGGER_TOKEN"] != second["CONNECTOR_TRIGGER_TOKEN"]
    assert "CONNECTOR_TIME_SCALE" not in env_text(URLS, 1)


def test_the_settings_file_is_new_and_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write_env(path, "A=1\n")
    assert path.read_text() == "A=1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="exists and is left unchanged"):
        write_env(path, "B=2\n")
    assert path.read_text() == "A=1\n"


def test_an_existing_file_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("dangling", "."):
        with pytest.raises(ConfigurationError):
            refuse_existing(tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_env(tmp_path / "no" / "folder", "A=1\n")
    assert not (tmp_path / "nowhere").exists()


def test_the_command_refuses_before_it_starts_a_server(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("SALESFORCE_INSTANCE_URL=https://acme.my.salesforce.com\n")
    with pytest.raises(ConfigurationError, match="is left unchanged"):
        CliRunner().invoke(cli, ["simulate", "--write-env", str(path)], catch_exceptions=False, standalone_mode=False)
    assert path.read_text() == "SALESFORCE_INSTANCE_URL=https://acme.my.salesforce.com\n"


def test_settings_with_another_name_have_their_own_ledger(tmp_path: Path) -> None:
    write_env(tmp_path / "rehearsal.env", "A=1\n")
    assert (tmp_path / "rehearsal.env").read_text() == "A=1\nCONNECTOR_DATABASE_URL=sqlite:///rehearsal.env.db\n"
    for name in (".env", "rehearsal.env"):
        (tmp_path / name).touch()
        with pytest.raises(ConfigurationError, match=r"--write-env \S+/rehearsal2.env, then add --env-file \S+2.env"):
            refuse_existing(tmp_path / name)


def test_settings_never_name_an_existing_ledger(tmp_path: Path) -> None:
    (tmp_path / "connector.db").touch()
    with pytest.raises(ConfigurationError, match=r"connector\.db exists .* --write-env \S+/rehearsal\.env"):
        write_env(tmp_path / ".env", "A=1\n")
    assert not (tmp_path / ".env").exists()


def test_the_next_command_finds_settings_and_mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mappings").mkdir()
    mapping(tmp_path / "mappings")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path)
    assert next_command(Path(".env"), ["attendee"]) == "connector doctor -m attendee"
    assert next_command(Path("a.env"), []) == "connector doctor -m FILE --env-file a.env"
    assert next_command(Path("deeper/.env"), ["attendee"]) == (
        "connector doctor -m mappings/attendee.yaml --env-file deeper/.env"
    )


def test_every_simulation_has_its_own_org() -> None:
    first, second = (Simulator(organization_id=new_organization_id()).salesforce for _ in range(2))
    assert first.org.organization_id != second.org.organization_id
    assert parse_id(first.org.organization_id) == first.org.organization_id
    assert first.tokens.issue().startswith(f"{first.org.organization_id[:15]}!")
    assert Simulator().salesforce.org.organization_id == Simulator().salesforce.org.organization_id
