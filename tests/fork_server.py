"""The server behind `forked_commands.py`: it imports the package once, and forks for each order.

An order is one byte on the server's socket, with four open files: a socket for this order, and the three standard
streams. The forked process reads the order's arguments from its socket. It returns its process id as soon as it is
ready to run its program, and the server returns the exit code at the end.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
import threading
import time
import types
from collections.abc import Sequence
from importlib.machinery import BuiltinImporter

FIRST = "connector.cli.main"
LATER = (  # modules that libraries import at their first use
    "alembic.command",
    "alembic.config",
    "alembic.ddl.postgresql",
    "alembic.ddl.sqlite",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)
PID, CODE = b"p", b"c"
MESSAGE = struct.Struct("!ci")


def _import_all() -> None:
    importlib.import_module(FIRST)
    package = importlib.import_module(FIRST.partition(".")[0])
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".migrations." not in module.name:  # these have effects on import
            importlib.import_module(module.name)
    for name in LATER:
        importlib.import_module(name)


def _serve(control: socket.socket) -> str:
    """Fork for each order, and report each exit; returns only in the forked processes, with the program to run."""
    running: dict[int, socket.socket] = {}
    awake, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests and their commands
    while True:
        ready, _, _ = select.select([control, awake], [], [])
        if awake in ready:
            awake.recv(4096)
            _report_ends(running)
        if control not in ready:
            continue
        word, passed, _, _ = socket.recv_fds(control, 1, 4)
        if not word:
            os._exit(0)  # the tests are over
        assert threading.active_count() == 1
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for unused in (control, awake, wake, *running.values()):
                unused.close()
            return _begin(passed)
        running[pid] = socket.socket(fileno=passed[0])
        for number in passed[1:]:
            os.close(number)


def _report_ends(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as channel, contextlib.suppress(OSError):  # the client may be gone
            channel.sendall(MESSAGE.pack(CODE, os.waitstatus_to_exitcode(status)))


def _begin(passed: Sequence[int]) -> str:
    """Apply the order to this process; returns the program to run."""
    with socket.socket(fileno=passed[0]) as channel:
        program, arguments, folder, environment, own_session = json.loads(
            b"".join(iter(lambda: channel.recv(65536), b""))
        )
        for number, stream in enumerate(passed[1:]):
            os.dup2(stream, number)
            os.close(stream)
        if own_session:
            os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        sys.argv = ["-c", *arguments]
        sys.path[0] = ""
        for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
            made = _stream(getattr(sys, name), number, f"<{name}>", mode)
            setattr(sys, name, made)
            setattr(sys, f"__{name}__", made)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        channel.sendall(MESSAGE.pack(PID, os.getpid()))
    return str(program)


def _stream(former: io.TextIOWrapper, number: int, name: str, mode: str) -> io.TextIOWrapper:
    """Open a standard stream as an interpreter does, with the server's encoding."""
    unbuffered = former.write_through
    at_once = unbuffered and mode == "w"
    raw = io.FileIO(number, mode, closefd=False)
    raw.name = name
    buffer = raw if at_once else io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    made = io.TextIOWrapper(
        buffer,
        former.encoding,
        former.errors,
        newline="\n",
        line_buffering=not unbuffered and (number == 2 or raw.isatty()),
        write_through=unbuffered,
    )
    vars(made)["mode"] = mode
    return made


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()  # the garbage collector of a forked process does not copy shared memory
    _program = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.modules["__main__"] = _main = types.ModuleType("__main__")
    vars(_main).update(__loader__=BuiltinImporter, __annotations__={})
    exec(compile(_program, "<string>", "exec"), vars(_main))  # noqa: S102 what `python -c` does
