"""One `connector` command as a process that can be shot: started anew, or forked from an interpreter that is warm.

A fresh start spends a second on imports. The warm way skips it: a server process has imported everything and forks for
each command, so that a short test can shoot often. Both end by the same SIGKILL.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from commands import ENTRY_POINT, clean_environment

WARM = ["pytest", "connector.cli.main", "connector.app"]


class Process(ABC):
    """A running command; its output goes into files, which no full pipe can stop."""

    @property
    @abstractmethod
    def code(self) -> int | None:
        """Its exit code; None while it runs."""

    @abstractmethod
    def wait(self) -> int:
        """Wait for its end; gives its exit code."""

    @abstractmethod
    def shoot(self) -> None:
        """Send SIGKILL, and wait for its end."""


class Fresh(Process):
    """An interpreter of its own."""

    def __init__(self, args: Sequence[str], folder: Path, spoken: Path) -> None:
        with (spoken / "out").open("wb") as out, (spoken / "err").open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603 the connector itself
                [*ENTRY_POINT, *args],
                cwd=folder,
                env=clean_environment(),
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def wait(self) -> int:
        return self._process.wait()

    def shoot(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()


class Warm(Process):
    """Forked from the server process."""

    def __init__(self, args: Sequence[str], folder: Path, spoken: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(WARM)
        self._process = context.Process(target=_run, args=(args, folder, spoken))
        self._process.start()

    @property
    def code(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join()
        return self._process.exitcode or 0

    def shoot(self) -> None:
        self._process.kill()
        self.wait()


def _run(args: Sequence[str], folder: Path, spoken: Path) -> None:
    """The life of a forked process: everything as if it had been started so."""
    os.chdir(folder)
    for name in set(os.environ) - set(clean_environment()):
        del os.environ[name]
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(spoken / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["connector", *args]
    from connector.cli.main import main

    main()
