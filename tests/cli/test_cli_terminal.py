"""Commands on a terminal: progress and messages are on separate lines, and Ctrl-C at a question is an interrupt."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from commands import ENTRY_POINT, clean_environment
from forked_commands import started
from workspace import Workspace

pytest_plugins = ("cli_fixtures",)
PATIENCE_S = 60.0
BAR = re.compile(r"[━╸╺]|[⠀-⣿]|\d:\d\d:\d\d")


class Screen:
    """The lines that a terminal would show, kept in full as they scroll away."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Apply printable characters, line ends, and the control sequences of progress bars."""
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
            self._obey(part)

    def _obey(self, part: str) -> None:
        if part == "\r":
            self._column = 0
        elif part == "\n":
            self._row += 1
            if self._row == len(self.lines):
                self.lines.append("")
        elif not part.startswith("\x1b"):
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + part + line[self._column + len(part) :]
            self._column += len(part)
        elif part.endswith("A"):
            self._row -= int(part[2:-1] or "1")
        elif part.endswith("K"):
            self.lines[self._row] = "" if part[2:-1] == "2" else self.lines[self._row][: self._column]


class Terminal:
    """A command with its own terminal."""

    def __init__(self, workspace: Workspace, args: tuple[str, ...], columns: int, fresh: bool) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = started(
            [*ENTRY_POINT, *args],
            cwd=workspace.folder,
            env=clean_environment() | {"TERM": "xterm", "COLUMNS": str(columns)},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            fresh=fresh,
        )
        os.close(slave)
        self.raw = ""

    def read_until(self, holds: Callable[[str], bool]) -> None:
        """Read the output until it meets a condition, or the command has ended."""
        ends = time.monotonic() + PATIENCE_S
        while not holds(self.raw):
            assert time.monotonic() < ends, self.raw
            if not select.select([self.master], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # on Linux: the other side is closed
                chunk = b""
            if not chunk:
                return
            self.raw += chunk.decode(errors="replace")

    def interrupt(self) -> int:
        """Press Ctrl-C, again if the first one arrived just before the command began to wait; return the exit code."""
        ends = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < ends, self.raw
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(3)
        return self.finish()

    def finish(self) -> int:
        """Read the rest of the output; return the exit code."""
        self.read_until(lambda _: False)
        return self.process.wait(PATIENCE_S)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen."""
        screen = Screen()
        screen.feed(self.raw)
        return screen.lines


@contextmanager
def terminal(workspace: Workspace, *args: str, columns: int = 100, fresh: bool = False) -> Iterator[Terminal]:
    """Start a command on its own terminal."""
    made = Terminal(workspace, args, columns, fresh)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        os.close(made.master)


def _flagged(workspace: Workspace, count: int) -> None:
    for _ in range(count):
        workspace.lead()


@pytest.mark.parametrize("columns", [60, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize("command", ["sync", "plan"])
def test_progress_and_messages_are_on_separate_lines(workspace: Workspace, command: str, columns: int) -> None:
    _flagged(workspace, 3)
    with terminal(workspace, command, "-m", "lead", columns=columns) as shown:
        assert shown.finish() == 0, shown.raw
        lines = shown.lines
    assert BAR.search(shown.raw), "there was progress"
    messages = ("Ledger: ", "Mapping lead: ", "Caps for lead: ", "Caps for lensmor, ", "Caps for salesfinity, ")
    for message in (*messages, "Created a new ledger: ") if command == "sync" else messages:
        found = [line for line in lines if message in line]
        assert found, (message, lines)
        for line in found:
            assert line.startswith(message), line
            assert not BAR.search(line), line
    mixed = [line for line in shown.raw.replace("\r", "\n").split("\n") if BAR.search(line) and "Ledger: " in line]
    assert mixed == []


def test_a_note_during_a_run_is_on_its_own_line(workspace: Workspace) -> None:
    _flagged(workspace, 1)
    workspace.arm("lensmor", "submitEmailUnlock", "drop_after")
    with terminal(workspace, "sync", "-m", "lead") as shown:
        shown.finish()
        (note,) = [line for line in shown.lines if "the ledger keeps it as unknown" in line][:1]
    assert not BAR.search(note)


@pytest.mark.parametrize(
    "asking", ["undo", *(pytest.param(name, marks=pytest.mark.long) for name in ("forget", "backfill"))]
)
def test_an_interrupt_at_a_question_exits_130(workspace: Workspace, asking: str) -> None:
    lead = workspace.lead()
    run_id = str(workspace.run("sync", "-m", "lead", "--json").json["run_id"])
    args = {
        "undo": ("undo", run_id),
        "forget": ("forget", lead),
        "backfill": ("backfill", "-m", "lead", "--where", "LastName != null"),
    }
    with terminal(workspace, *args[asking], fresh=True) as shown:
        shown.read_until(lambda raw: "[y/N]" in raw)
        shown.process.send_signal(signal.SIGINT)
        assert shown.finish() == 130
    assert "Interrupted. Nothing was done." in [line.strip() for line in shown.lines]


def test_the_end_of_input_at_a_question_means_no(workspace: Workspace) -> None:
    workspace.lead()
    run_id = str(workspace.run("sync", "-m", "lead", "--json").json["run_id"])
    with terminal(workspace, "undo", run_id) as shown:
        shown.read_until(lambda raw: "[y/N]" in raw)
        os.write(shown.master, b"\x04")
        assert shown.finish() == 2
    assert "Nothing was done." in [line.strip() for line in shown.lines]
    assert "Interrupted" not in shown.raw


def test_ids_are_complete_on_a_narrow_terminal(workspace: Workspace) -> None:
    workspace.lead()
    run_id = str(workspace.run("sync", "-m", "lead", "--json").json["run_id"])
    for command in (("runs",), ("status",), ("show", "latest")):
        with terminal(workspace, *command, columns=40) as shown:
            assert shown.finish() == 0
        assert run_id in shown.raw
