"""`-m NAME`: a path, or a file in `mappings/` beside the settings file in use, and nowhere else."""

from pathlib import Path

import pytest
from mapping_pages import PAGE

from connector.app.mappings import CATALOG
from connector.config.finding import find_mapping
from connector.config.mapping_file import load_mapping
from connector.core.errors import MappingError


@pytest.fixture(name="here")
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def put(folder: Path, *names: str) -> Path:
    """Create mapping files in `mappings/` of a folder."""
    (folder / "mappings").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "mappings" / name).write_text(PAGE)
    return folder


def refusal(name: str, folder: Path | None = None) -> str:
    with pytest.raises(MappingError) as raised:
        load_mapping(name, CATALOG, folder)
    assert raised.value.exit_code == 2
    return str(raised.value)


@pytest.mark.parametrize("name", ["lead", "lead.yaml", "mappings/lead.yaml", "./mappings/lead.yaml"])
def test_a_file_of_the_working_directory_is_found(here: Path, name: str) -> None:
    put(here, "lead.yaml")
    assert find_mapping(name) == Path("mappings/lead.yaml")


@pytest.mark.parametrize("name", ["lead", "lead.yml"])
def test_both_suffixes_are_found(here: Path, name: str) -> None:
    put(here, "lead.yml")
    assert find_mapping(name) == Path("mappings/lead.yml")


def test_a_path_comes_first(here: Path) -> None:
    put(here, "lead.yaml")
    (here / "lead.yaml").write_text(PAGE)
    assert find_mapping("lead.yaml") == Path("lead.yaml")


def test_the_folder_of_the_settings_file_is_searched(here: Path, tmp_path: Path) -> None:
    put(here, "lead.yaml", "contact.yaml")
    other = put(tmp_path / "other", "lead.yaml")
    assert find_mapping("lead", other) == other / "mappings" / "lead.yaml"
    message = refusal("contact", other)
    assert f"{other / 'mappings'} has no contact.yaml or contact.yml" in message
    assert "; it has: lead" in message


@pytest.mark.parametrize("name", ["lead", "contact", "lead.yaml"])
def test_the_packages_mappings_are_not_used(here: Path, name: str) -> None:
    message = refusal(name)
    assert f"there is no folder {here / 'mappings'}" in message
    assert "name that file with --env-file" in message
    assert str(here) in message


def test_the_same_name_with_both_suffixes_is_refused(here: Path) -> None:
    put(here, "lead.yaml", "lead.yml")
    message = refusal("lead")
    assert (
        message == "-m lead means both mappings/lead.yaml and mappings/lead.yml; remove one of them, or give its path"
    )
    assert find_mapping("lead.yml") == Path("mappings/lead.yml")


@pytest.mark.parametrize(("name", "near"), [("leed", "lead"), ("leads.yaml", "lead"), ("contcat", "contact")])
def test_a_misspelt_name_gets_a_suggestion(here: Path, name: str, near: str) -> None:
    put(here, "lead.yaml", "contact.yml")
    (here / "mappings" / "mapping.schema.json").write_text("{}")
    message = refusal(name)
    assert f"did you mean {near}? It has: contact, lead" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder/nobody", "folder/nobody: there is no such file; give a path, or the name of a file in mappings/"),
        ("./folder", "./folder: this is a folder; give the path of a mapping file in it"),
        (".", ".: this is a folder; give the path of a mapping file in it"),
        ("", "-m: there is no such file; give a path, or the name of a file in mappings/"),
        ("../lead", "../lead: there is no such file; give a path, or the name of a file in mappings/"),
    ],
)
def test_names_that_m_refuses(here: Path, name: str, words: str) -> None:
    put(here, "lead.yaml")
    (here / "folder").mkdir()
    assert refusal(name) == words
