"""Processes of `python -c ...` without importing the package again: each is forked from a server that has imported it.

The server is a separate interpreter, which starts when a test first needs a process. It has no threads, imports the
package, and forks for each order. The forked process leaves the server's loop, applies the arguments, the environment,
the folder and the streams of its order, runs the program as `__main__`, and exits like every interpreter.

Settings that Python reads at its start (the locale, its environment variables) are those of the server: an order with
other ones is refused. `started(..., fresh=True)` starts a new interpreter instead.
"""

import atexit
import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import fork_server
from fork_server import MESSAGE, PID

DECIDED_EARLY = ("PYTHON", "LC_", "LANG")  # prefixes of variables that an interpreter reads at its start
_AROUND = dict(os.environ)
_PATIENCE_S = 10.0


class Forked:
    """A process forked from the server; used like a `subprocess.Popen` in text mode.

    Args:
        command: `[sys.executable, "-c", program, *arguments]`.
        cwd: its working directory.
        env: its complete environment.
        stdin: `subprocess.PIPE`, a file or its descriptor; None for ours.
        stdout: the same.
        stderr: the same.
        start_new_session: whether it leads a new session, and so a process group.

    Attributes:
        pid: its process id.
        returncode: its exit code, negative for a signal; None until its end was noticed.
        stdin: our end of the pipe, if one was requested.
        stdout: the same.
        stderr: the same.

    Raises:
        ValueError: only a fresh interpreter supports the environment.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        start_new_session: bool = False,
    ) -> None:
        environment = dict(env)
        python, option, program, *arguments = command
        if (python, option) != (sys.executable, "-c") or _decided_early(environment) != _decided_early(_AROUND):
            raise ValueError("only a fresh interpreter can do that")
        order = [program, arguments, str(cwd.absolute()), environment, start_new_session]
        self.args = command
        self.pid = 0
        self.returncode: int | Any = None  # as in subprocess
        self._channel, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as passed:
            ends = [_pipe(wanted, number, passed) for number, wanted in enumerate((stdin, stdout, stderr))]
            socket.send_fds(_server(), [b"."], [theirs.fileno(), *(end for end, _ in ends)])
        self.stdin, self.stdout, self.stderr = (pipe for _, pipe in ends)
        self._channel.sendall(json.dumps(order).encode())
        self._channel.shutdown(socket.SHUT_WR)
        self._hear(None)
        if not self.pid:
            raise ChildProcessError(f"the process could not begin: {self.returncode}")

    def _hear(self, timeout: float | None) -> None:
        self._channel.settimeout(timeout)
        heard = self._channel.recv(MESSAGE.size)
        if not heard:
            raise ChildProcessError("the server of forked processes is gone")
        kind, number = MESSAGE.unpack(heard)
        if kind == PID:
            self.pid = number
        else:
            self.returncode = number
            self._channel.close()

    def poll(self) -> int | None:
        """The exit code; None while the process runs."""
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self._hear(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        if self.poll() is None:
            try:
                self._hear(timeout)
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
        return int(self.returncode)

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, typed: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Write to its input and close it, read its pipes to the end, and wait; returns its output.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        if self.stdin is not None and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.write(typed or "")
                self.stdin.close()
        ends = None if timeout is None else time.monotonic() + timeout
        out, err = self._read_all(ends)
        self.wait(_left(ends))
        return out, err

    def _read_all(self, ends: float | None) -> list[str]:
        pipes = (self.stdout, self.stderr)
        said = [bytearray(), bytearray()]
        with selectors.DefaultSelector() as reading:
            for pipe, words in zip(pipes, said, strict=True):
                if pipe is not None and not pipe.closed:
                    reading.register(pipe, selectors.EVENT_READ, words)
            while reading.get_map():
                ready = reading.select(_left(ends))
                if not ready:
                    raise subprocess.TimeoutExpired(self.args, 0.0)
                for key, _ in ready:
                    chunk = os.read(key.fd, 65536)
                    key.data.extend(chunk)
                    if not chunk:
                        reading.unregister(key.fileobj)
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
        return [words.decode() for words in said]

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdout, self.stderr, self.stdin):
            if pipe is not None:
                pipe.close()
        self.wait()


Running = Forked | subprocess.Popen[str]


def started(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int | IO[Any] | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    start_new_session: bool = False,
    fresh: bool = False,
) -> Running:
    """Start a process of `python -c ...`; with `fresh`, in a new interpreter.

    On macOS all of them are fresh, because system libraries there do not survive a fork.
    """
    if fresh or sys.platform == "darwin":
        return subprocess.Popen(  # noqa: S603 our own programs
            command,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=start_new_session,
        )
    return Forked(
        command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=start_new_session
    )


def _decided_early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(DECIDED_EARLY)}


def _left(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - time.monotonic())


def _pipe(wanted: int | IO[Any] | None, number: int, passed: contextlib.ExitStack) -> tuple[int, IO[str] | None]:
    """The file for one of the three streams, which is closed here after passing it on, and our end if it is a pipe."""
    if wanted is None:
        return number, None
    if wanted != subprocess.PIPE:
        return wanted if isinstance(wanted, int) else wanted.fileno(), None
    reading, writing = os.pipe()
    ours, theirs = (writing, reading) if number == 0 else (reading, writing)
    passed.callback(os.close, theirs)
    return theirs, open(ours, "w" if number == 0 else "r")  # noqa: PTH123 the end of a pipe


@functools.cache
def _server() -> socket.socket:
    """Start the server; returns the socket for orders."""
    ours, theirs = socket.socketpair()
    with theirs:
        server = subprocess.Popen(  # noqa: S603 our own
            [sys.executable, fork_server.__file__, str(theirs.fileno())],
            cwd=Path(__file__).parent.parent,
            env=_AROUND,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    atexit.register(_stop, ours, server)
    return ours


def _stop(control: socket.socket, server: "subprocess.Popen[bytes]") -> None:
    control.close()
    server.wait(_PATIENCE_S)
