"""Outside text on a terminal or a pipe cannot move the cursor, set colours, or hide or reverse text."""

import io
import json
import logging
import unicodedata
from typing import Any

import click
import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from workspace import Workspace

from connector.cli import common, console
from connector.cli.common import say, show
from connector.cli.live import LiveProgress
from connector.cli.main import main
from connector.core.errors import DownError
from connector.report import text
from connector.report.export import write_rows
from connector.simulator.people import SimEvent

pytest_plugins = ("cli_fixtures",)
HOSTILE = "Expo\x1b[1A\x1b[2K\rUnlock for 0 credits?\x08\x9b2J\u202e\u2028\u200b\x00 end"
ATTENTION = {"record_id": "00Q\x1b[2J", "reason": f"rule {HOSTILE}\nforged line", "field": "\x07", "next": HOSTILE}


def controls(shown: str) -> set[str]:
    """The control characters in an output without colours."""
    bidirectional = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    return {c for c in shown if (unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} and c != "\n")} | (
        bidirectional & set(shown)
    )


def test_a_name_cannot_change_the_question_before_a_purchase(workspace: Workspace) -> None:
    event = SimEvent("9077", "52077", HOSTILE, "2027-03-02", "2027-03-04", "\x1b[31mUtrecht", "NL")
    workspace.simulator.lensmor.add_event(event)
    for args in (("events", "list"), ("events", "show", "52077")):
        said = workspace.run(*args)
        assert "\\x1b[2K" in said.out
        assert controls(said.out + said.err) == set()
    asked = workspace.run("events", "unlock", "52077", answer="n\n")
    assert "Spend 2,000 credits to unlock event 52077: Expo" in asked.err
    assert controls(asked.out + asked.err) == set()
    bought = workspace.run("events", "unlock", "52077", "--yes")
    assert "unlocked for 2,000 credits" in bought.out
    assert controls(bought.out + bought.err) == set()
    assert json.loads(workspace.run("events", "show", "52077", "--json").out)["event_id"] == "52077"


def test_every_output_shows_control_characters_as_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.add_column(Text(HOSTILE))
    table.add_row(Text(HOSTILE))
    common.out().print(HOSTILE, markup=False)
    common.out().print(Text(HOSTILE), table)
    common.err().print(HOSTILE, markup=False)
    say(HOSTILE)
    common.complain(f"error: {HOSTILE}\nerror: second line")
    with LiveProgress() as progress:
        progress.stage(HOSTILE, 3)
        progress.note(HOSTILE)
    common.StartNotes().note(HOSTILE)
    printed = capsys.readouterr()
    for shown in (printed.out, printed.err):
        assert "\\x1b[2K" in shown
        assert controls(shown) == set()
    assert "\nerror: second line" in printed.err


def test_a_report_contains_no_forged_line(capsys: pytest.CaptureFixture[str]) -> None:
    document: dict[str, Any] = {
        "run_id": "r1",
        "command": "sync",
        "state": "finished",
        "mappings": ["lead"],
        "selected": 1,
        "outcomes": {"skipped": 1},
        "reasons": {"work_email": {"skipped": {f"{HOSTILE}\nforged line": 1}}},
        "stopped": [f"{HOSTILE}\nforged line"],
        "attention": [ATTENTION],
    }
    show(document, as_json=False, render=text.report)
    shown = capsys.readouterr().out
    assert "forged line" in shown
    assert controls(shown) == set()
    assert not any(line.strip().startswith("forged line") for line in shown.splitlines())


def test_json_output_is_valid_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    show({"attention": [ATTENTION]}, as_json=True, render=text.report)
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"attention": [ATTENTION]}
    assert shown.isascii()
    assert controls(shown) == set()


def test_an_exported_row_is_one_line() -> None:
    file = io.StringIO(newline="")
    write_rows(file, [("lead", "Lead", "00Q", "skipped", f"{HOSTILE}\nforged,line", "=1+1\x1b[2J")])
    lines = file.getvalue().split("\r\n")
    assert len(lines) == 3
    assert controls("".join(lines)) == set()


def test_errors_of_any_kind(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = workspace.run("show", HOSTILE.replace("\x00", ""))
    assert controls(wrong.err + wrong.out) == set()
    usage = workspace.run(f"no-{HOSTILE}".replace("\x00", ""))
    assert usage.code == 2
    assert controls(usage.err) == set()

    def down(**_: object) -> None:
        raise DownError(f"lensmor answered {HOSTILE}")

    monkeypatch.setattr("connector.cli.main.cli.main", down)
    with pytest.raises(SystemExit):
        main()
    assert controls(capsys.readouterr().err) == set()


def test_warnings_of_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    console.plain_warnings()
    record = logging.LogRecord("lib", logging.WARNING, "", 0, HOSTILE, (), None)
    assert logging.lastResort is not None
    logging.lastResort.emit(record)
    shown = capsys.readouterr().err
    assert "warning: Expo" in shown
    assert controls(shown) == set()


def test_colours_and_progress_bars_still_work() -> None:
    stream = io.StringIO()
    made = console.SafeConsole(file=stream, force_terminal=True, width=60, color_system="standard", highlight=False)
    assert isinstance(made, Console)
    made.print(Text("red", style="red"))
    with Progress(console=made) as progress:
        progress.add_task("Asking", total=2)
        made.print(HOSTILE, markup=False, soft_wrap=True)
    shown = stream.getvalue()
    assert "\x1b[31mred\x1b[0m" in shown
    assert "Asking" in shown
    assert "\x1b[?25h" in shown
    assert "\\x1b[2K" in shown


def test_a_question(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    console.ask(HOSTILE)
    shown = capsys.readouterr()
    assert controls(shown.out + shown.err) == set()


def test_an_error_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_usage_error(click.UsageError(HOSTILE))
    assert controls(capsys.readouterr().err) == set()


def test_no_message_shows_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    address = "postgresql://u:s3cret-Word@db.example.com/ledger"
    common.complain(f"error: {address} is gone")
    console.plain_warnings()
    assert logging.lastResort is not None
    logging.lastResort.emit(logging.LogRecord("lib", logging.WARNING, "", 0, address, (), None))
    assert "s3cret-Word" not in capsys.readouterr().err
