"""The live view: lines through a pipe, figures on a terminal, nothing with --quiet, and no harm to a run."""

import io
import re
import sys
import threading
import time
from collections.abc import Callable

import pytest
from test_cli_terminal import terminal
from workspace import Workspace

from connector.cli.live import LiveProgress
from connector.core.run_figures import ASKING, CrmCalls, RunCounts, RunFigures

pytest_plugins = ("cli_fixtures",)
STAGES = ["Reading records", "Asking the vendors: 2 open", "Writing to Salesforce"]
FIGURES = RunFigures(RunCounts(12, 3, 2, 1), (), CrmCalls("Salesforce", 4))


class Reader:
    """Figures that count their reads; the second and later reads may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.reads = 0

    def read(self) -> RunFigures:
        self.reads += 1
        if self.error is not None and self.reads > 1:
            raise self.error
        return FIGURES


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.002)


def stages(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith(("Reading", "Asking", "Writing", "Restoring"))]


def test_a_pipe_gets_a_line_for_each_stage(workspace: Workspace) -> None:
    workspace.lead()
    shown = workspace.run("sync", "-m", "lead", "--json")
    *begun, writing = stages(shown.err)
    assert [*begun, writing.partition(":")[0]] == STAGES  # on a busy machine the record may be written before
    undone = workspace.run("undo", str(shown.json["run_id"]), "--yes", "--json")
    assert stages(undone.err) == ["Restoring values: 1 open"]
    assert undone.json["command"] == "undo"
    empty = workspace.run("sync", "-m", "lead", "--json")
    assert stages(empty.err) == ["Reading records", "Asking the vendors: 0 open", "Writing to Salesforce: 0 open"]


def test_a_quiet_command_shows_nothing(workspace: Workspace) -> None:
    workspace.lead()
    with terminal(workspace, "sync", "-m", "lead", "--quiet", "--json") as shown:
        assert shown.finish() == 0
    assert shown.raw.lstrip().startswith("{")
    assert workspace.run("sync", "-m", "lead", "--quiet").err == ""


@pytest.mark.parametrize("columns", [40, 120])
def test_a_terminal_shows_figures_and_clears_them_before_the_report(workspace: Workspace, columns: int) -> None:
    for _ in range(3):
        workspace.lead()
    with terminal(workspace, "sync", "-m", "lead", columns=columns) as shown:
        assert shown.finish() == 0, shown.raw
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.raw)
    assert "Salesforce: " in drawn
    assert " requests," in drawn
    report = [line.strip() for line in shown.lines]
    assert not [line for line in report if "Asking the vendors" in line or "day's quota" in line]
    assert "\x1b[?25h" in shown.raw  # the cursor is shown again
    assert [line for line in report if line.startswith("Run ")]


def test_lines_come_again_and_again_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    reader = Reader()
    with LiveProgress(line_every_s=0.01) as progress:
        progress.watch(reader)
        progress.stage("Reading records")
        until(lambda: reader.reads > 2)
        progress.watch(None)
        reads = reader.reads
        progress.stage(ASKING, 2)
    lines = capsys.readouterr().err.splitlines()
    figures = "Records: 12 read, 3 finished, 2 written, 1 to look up; Salesforce: 4 requests"
    assert {"Reading records", f"Reading records, 0 s; {figures}", "Asking the vendors: 2 open"} <= set(lines)
    assert reader.reads == reads  # nothing is read once the ledger may be closed
    assert "view" not in {thread.name for thread in threading.enumerate()}


def test_an_error_of_the_view_is_no_error_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    reader = Reader(RuntimeError("the ledger is gone"))
    with LiveProgress(line_every_s=0.01) as progress:
        progress.watch(reader)
        until(lambda: reader.reads > 3)
        progress.note("the run goes on")
    shown = capsys.readouterr().err
    assert "the run goes on" in shown
    assert "gone" not in shown
    assert shown.count("12 read") == 1


def test_a_closed_pipe_ends_the_view_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        """Standard error whose reader has left."""

        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    with LiveProgress() as progress:
        progress.stage(ASKING, 2)
        progress.note("nobody reads this")
