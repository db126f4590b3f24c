"""Shared by the tests of deployment files: reads the files, and checks the commands that they start."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from connector import config
from connector.cli.main import cli
from connector.config import Settings
from connector.crm.registry import CRMS
from connector.providers.registry import BUILT_IN

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
INSTALLED = "/opt/connector/.venv/bin/connector"


def documents(path: Path) -> list[dict[str, Any]]:
    """The YAML documents of a file."""
    return list(YAML(typ="safe").load_all(path.read_text(encoding="utf-8")))


def check_command(words: Sequence[str]) -> str:
    """Parse a command line as the CLI does and return the command's name; raises for wrong usage."""
    name, *arguments = words
    group = click.Context(cli, **cli.context_settings)  # click keeps the help option of a command's first context
    command = cli.get_command(group, name)
    assert command is not None, f"there is no command {name}"
    command.make_context(name, list(arguments), parent=group)
    return name


def setting_names() -> set[str]:
    """Every setting that the connector reads."""
    names = {name.upper() for name in Settings.model_fields}
    for group in (*(one.settings for one in CRMS.values()), *(one.settings for one in BUILT_IN.values())):
        names |= set(config.setting_names(group).values())
    return names


def env_names(path: Path) -> set[str]:
    """The names with a value in a settings file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.partition("=")[0] for line in lines if line and not line.startswith("#")}


def unit(path: Path) -> dict[str, dict[str, str]]:
    """The values of a systemd unit by section and key."""
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            found[section] = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[section][key] = value
    return found


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """A Dockerfile's instructions, with continued lines joined."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def pins_of(path: Path) -> dict[str, list[str]]:
    """The hashes of each package's pinned version in a requirements file.

    Raises:
        AssertionError: a line is not a pinned version.
    """
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        pin, *hashes = line.split(" --hash=sha256:")
        name, equals, _ = pin.partition("==")
        assert equals, line
        found[name] = [one.strip() for one in hashes]
    return found


def pod_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The pod spec of a Deployment or CronJob."""
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: dict[str, Any] = spec["template"]["spec"]
    return found


def started(line: str) -> list[str]:
    """The arguments of the installed program in a line of a shell or systemd, up to the next shell operator."""
    words = shlex.split(line.partition(INSTALLED)[2].split(" 2>")[0])
    assert words, line
    return words
