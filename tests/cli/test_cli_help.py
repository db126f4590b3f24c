"""Help texts of all commands, and exit code 2 for wrong usage."""

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from workspace import Workspace

from connector.cli.main import cli

pytest_plugins = ("cli_fixtures",)


def _leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _leaves(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(_leaves(cli))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_an_example_of_the_command(path: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        result = CliRunner().invoke(cli, [*path, option])
        assert result.exit_code == 0
    lines = [line.strip() for line in result.output.splitlines()]
    example = lines[lines.index("Example:") + 1]
    assert example.startswith(f"connector {' '.join(path)}")


def test_top_level_help_names_commands_and_exit_codes(workspace: Workspace) -> None:
    shown = workspace.run("--help").out
    for path in COMMANDS:
        assert f"\n  {path[0]} " in shown
    assert "Exit codes: 0 done; 1 a fault of the connector; 2 wrong usage" in shown
    assert "130 interrupted" in shown
    assert "...\n" not in shown.partition("Commands:")[2]
    assert "never more credits, never a record that changed since." in " ".join(shown.split())


def test_version(workspace: Workspace) -> None:
    result = workspace.run("--version")
    assert (result.code, result.out.split(",")[0]) == (0, "connector")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("synk",), "No such command 'synk'"),
        (("sync",), "Missing option '-m'"),
        (("sync", "-m", "lead", "--jason"), "No such option"),
        (("show",), "Missing argument 'RUN'"),
        (("export", "2026"), "Missing option '--csv'"),
        (("events", "show"), "Missing argument 'EVENT_ID'"),
        (("runs", "--limit", "0"), "--limit"),
        (("simulate", "--speed", "fast"), "--speed"),
        (("sync", "-m", "lead", "--env-file", "nowhere.env"), "nowhere.env"),
        (("sync", "-m", "lead", "extra"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_exits_2_and_names_the_help(workspace: Workspace, arguments: tuple[str, ...], words: str) -> None:
    result = workspace.run(*arguments)
    assert result.code == 2
    assert words in result.err
    assert "--help" in result.err or "-h" in result.err
    assert result.out == ""


def test_a_missing_command_is_wrong_usage(workspace: Workspace) -> None:
    result = workspace.run()
    assert result.code == 2
    assert "Usage: connector" in result.err + result.out


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_the_options_about_output(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"]).output
    assert [option for option in ("--quiet", "--verbose", "--log-format") if option not in shown] == []


def test_a_quiet_command_prints_results_and_errors_only(workspace: Workspace) -> None:
    workspace.lead()
    loud, quiet = workspace.run("plan", "-m", "lead"), workspace.run("plan", "-m", "lead", "--quiet")
    assert "Mapping lead:" in loud.err
    assert (quiet.code, quiet.err) == (0, "")
    left = re.compile(r"[\d,]+ are left today")  # each command makes requests of its own
    assert left.sub("", quiet.out) == left.sub("", loud.out)
    synced = workspace.run("sync", "-m", "lead", "--quiet")  # it creates the ledger, which it would otherwise report
    assert (synced.code, synced.err) == (0, "")
    assert "finished: 1 record of lead" in synced.out
    refused = workspace.run("undo", "latest", "--quiet")
    assert refused.code == 2
    assert "error: " in refused.err
