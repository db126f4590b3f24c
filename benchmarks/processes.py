"""Runs commands in processes of their own, and reads their CPU and memory from the system."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
CONNECTOR = str(Path(sys.executable).parent / "connector")
UNIT_PER_MB = 1024**2 if sys.platform == "darwin" else 1024  # macOS reports the peak in bytes, Linux in KiB
OURS = ("SALESFORCE_", "LENSMOR_", "SALESFINITY_", "CONNECTOR_")


class CommandError(RuntimeError):
    """A measured command ended with an unexpected exit code."""


@dataclass(frozen=True)
class Usage:
    """The cost of one process, from its start to its end.

    Attributes:
        cpu_s: user and system CPU, with the start of Python and all imports.
        wall_s: elapsed time.
        peak_mb: the most memory that was resident.
        out: standard output.
        code: the exit code.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float
    out: str
    code: int


class Running:
    """A started process; its output goes to files in a temporary folder."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, str], folder: Path = FOLDER) -> None:
        self._name = " ".join([Path(command[0]).name, *command[1:3]])
        self._out = _scratch()
        self._err = _scratch()
        self._began = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 our own commands; the usual folder has no settings file
            command, env=_environment(settings), cwd=folder, stdout=self._out, stderr=self._err
        )

    def stop(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return _read(self._err)

    def wait(self, allowed: Sequence[int] = (0,)) -> Usage:
        """Wait for the end.

        Raises:
            CommandError: another exit code than an allowed one.
        """
        _, status, used = os.wait4(self._process.pid, 0)
        wall_s = time.perf_counter() - self._began
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        out, errors = _read(self._out), self.errors
        self._out.close()
        self._err.close()
        if code not in allowed:
            sys.stderr.write(errors)
            last = (errors.strip().splitlines() or [_of_report(out) or "no message"])[-1]
            raise CommandError(f"`{self._name}` ended with exit code {code}: {last}")
        return Usage(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss / UNIT_PER_MB, out, code)

    def kill(self) -> None:
        """End the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _of_report(out: str) -> str:
    """Why a run stopped and what became of its records, if the output is a run's report."""
    try:
        report = json.loads(out)
        return f"stopped: {report['stopped']}, outcomes: {report['outcomes']}, reasons: {report['reasons']}"[:1000]
    except (ValueError, TypeError, KeyError):
        return ""


def run(
    command: Sequence[str], settings: Mapping[str, str], allowed: Sequence[int] = (0,), folder: Path = FOLDER
) -> Usage:
    """Run a command to its end."""
    with started(command, settings, folder) as process:
        return process.wait(allowed)


def connector(settings: Mapping[str, str], *arguments: str, allowed: Sequence[int] = (0,)) -> Usage:
    """Run the console script of the connector."""
    return run([CONNECTOR, *arguments], settings, allowed)


@contextmanager
def started(command: Sequence[str], settings: Mapping[str, str], folder: Path = FOLDER) -> Iterator[Running]:
    """A process that has ended when the context ends."""
    process = Running(command, settings, folder)
    try:
        yield process
    finally:
        process.kill()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with the given settings instead of the operator's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's Python keeps its compiled modules
    return kept | {"PYTHONPATH": str(ROOT)} | dict(settings)


def _scratch() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _read(file: IO[str]) -> str:
    """All that a process has written so far; does not move the position at which it writes."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode("utf-8", "replace")
