"""The documentation of commands is correct: README, help texts and the schema file; no file names a machine."""

import json
import re
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from connector.app.schema import mapping_schema
from connector.cli.main import cli
from connector.config import Settings, setting_names
from connector.providers.registry import BUILT_IN

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = command
    return found


COMMANDS = commands(cli)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"`connector {name}" in README


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert f"connector {name}" in shown.output.replace("\n", " ")


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    named = set(re.findall(r"(?:`|^ *)connector ((?:events |ledger )?[a-z]+)", README, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS), named - set(COMMANDS)


def test_every_setting_is_documented() -> None:
    names = [name.upper() for name in Settings.model_fields]
    for entry in BUILT_IN.values():
        names += setting_names(entry.settings).values()
    undocumented = [name for name in names if name not in README and "_MAX_CREDITS_" not in name]
    assert undocumented == []


def test_the_schema_file_equals_the_commands_output() -> None:
    stored = json.loads((ROOT / "mappings" / "mapping.schema.json").read_text(encoding="utf-8"))
    assert stored == mapping_schema(), "run: connector schema > mappings/mapping.schema.json"


def test_links_between_documents_are_valid() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "cassettes").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_architecture_page_names_files_and_methods_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = [
        path.relative_to(ROOT).as_posix() for folder in ("connector", "tests") for path in (ROOT / folder).rglob("*")
    ]
    named = re.findall(r"`([a-z_/]+\.py)`", page)
    assert len(named) > 20
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in files)] == []
    methods = re.findall(r"`([A-Z]\w+)\.(\w+)`", page)
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "connector").rglob("*.py")]
    assert [
        f"{owner}.{method}"
        for owner, method in methods
        if not any(f"class {owner}" in source and f"def {method}(" in source for source in sources)
    ] == []


def test_no_file_names_a_registry_or_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    hosts = (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs"), ("deb", "debian"))
    folders = ("root", "work", "home")
    words = [re.escape(".".join(parts)) for parts in hosts] + [f"[\"' =]/{name}/" for name in folders]
    forbidden = re.compile("|".join(words))
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix not in {".png", ".db"}:
            found = forbidden.findall(path.read_text(encoding="utf-8", errors="ignore"))
            assert not found, f"{name}: {found}"
