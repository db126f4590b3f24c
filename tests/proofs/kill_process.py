"""One `connector` command as a process that can be shot: an interpreter of its own, or forked from one that is warm.

A fresh start spends a second on imports. The warm way skips it, so that a short test can shoot often. Both end by the
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
    """A running command; its output goes into files, which no full pipe can stop."""

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
        """Its exit code; None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for its end; gives its exit code."""
        return self._process.wait()

    def shoot(self) -> None:
        """Send SIGKILL, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()


class Fresh(Process):
    """An interpreter of its own."""

    fresh = True


class Warm(Process):
    """Forked from a server that has imported the package."""

    fresh = False
