"""One `connector` command as a process that can be killed: started fresh, or forked from a warm interpreter.

A fresh start spends a second on imports. A warm start skips it, so that a short test can kill often. Both end by the
same SIGKILL.
"""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from commands import ENTRY_POINT, clean_environment
from forked_commands import started


class Process:
    """A running command. Its output goes to files, so that it never blocks on a full pipe."""

    fresh: ClassVar[bool]

    def __init__(self, args: Sequence[str], folder: Path, spoken: Path) -> None:
        with (spoken / "out").open("wb") as out, (spoken / "err").open("wb") as err:
            self._process = started(
                [*ENTRY_POINT, *args],
                cwd=folder,
                env=clean_environment(),
                stdout=out,
                stderr=err,
                start_new_session=True,
                fresh=self.fresh,
            )

    @property
    def code(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        return self._process.wait()

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()


class Fresh(Process):
    """Started as an interpreter of its own."""

    fresh = True


class Warm(Process):
    """Forked from a server that has imported the package."""

    fresh = False
