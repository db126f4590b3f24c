"""A forked process starts, runs and ends like a fresh interpreter."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import clean_environment
from forked_commands import Forked, Running, started

LIMIT_S = 30.0
SIGHT = """
import json, logging, os, signal, stat, sys, threading, time
def stream(one):
    raw = getattr(one.buffer, "raw", one.buffer)
    return [repr(one), one.errors, one.line_buffering, one.write_through, repr(one.buffer), repr(raw), one.isatty(),
            stat.S_IFMT(os.fstat(one.fileno()).st_mode), os.get_inheritable(one.fileno())]
def handler(number):
    found = signal.getsignal(number)
    return found.value if isinstance(found, int) else getattr(found, "__name__", None)
def opened():
    found = []
    for number in range(64):
        try:
            found.append([number, os.fstat(number).st_ino * 0])
        except OSError:
            pass
    return found
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(), "env": sorted(os.environ.items()), "path": sys.path, "name": __name__,
    "main": sorted(vars(sys.modules["__main__"])),
    "streams": [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
    "named": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "signals": {int(number): handler(number) for number in signal.valid_signals()},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "wakeup": signal.set_wakeup_fd(-1),
    "threads": [one.name for one in threading.enumerate()], "leads": os.getsid(0) == os.getpid(),
    "leads a group": os.getpgrp() == os.getpid(), "handlers": len(logging.getLogger().handlers), "zone": time.tzname,
    "opened": opened(), "flags": list(sys.flags), "warnings": sys.warnoptions,
}))
"""
NEEDS_A_FORK = pytest.mark.skipif(sys.platform == "darwin", reason="its libraries do not survive a fork")
pytestmark = NEEDS_A_FORK
FRESH = pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "forked"])


@pytest.fixture(autouse=True)
def _obey_ctrl_c() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, and fresh interpreters inherit that; forked ones never do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _begun(program: str, *arguments: str, fresh: bool = False, typed: bool = False) -> Running:
    return started(
        [sys.executable, "-c", program, *arguments],
        cwd=Path("/"),
        env=clean_environment(),
        stdin=subprocess.PIPE if typed else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        fresh=fresh,
    )


def _ended(process: Running, typed: str | None = None) -> tuple[int | None, str, str]:
    out, err = process.communicate(typed, LIMIT_S)
    return process.returncode, out, err


@pytest.mark.parametrize("own_session", [False, True])
def test_the_environment_is_the_same(tmp_path: Path, own_session: bool) -> None:
    seen = []
    for fresh in (True, False):
        with (tmp_path / "err").open("w") as err:
            process = started(
                [sys.executable, "-c", SIGHT, "one", "--two", "drei ü"],
                cwd=tmp_path,
                env=clean_environment() | {"OTHER": "value\udcff", "TZ": "Asia/Tokyo"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=own_session,
                fresh=fresh,
            )
        code, out, _ = _ended(process)
        seen.append((code, json.loads(out)))
        assert (tmp_path / "err").read_text() == ""
    assert seen[0] == seen[1]
    assert seen[0][0] == 0


def test_the_terminal_is_the_same() -> None:
    seen = []
    for fresh in (True, False):
        master, slave = pty.openpty()
        process = started(
            [sys.executable, "-c", SIGHT],
            cwd=Path("/"),
            env=clean_environment(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            fresh=fresh,
        )
        os.close(slave)
        shown = b""
        while not shown.endswith(b"}\r\n"):
            shown += os.read(master, 65536)
        assert process.wait(LIMIT_S) == 0
        os.close(master)
        seen.append(json.loads(shown))
    assert seen[0] == seen[1]


ENDS = {
    "nothing": ("pass", 0),
    "a code": ("import sys; sys.exit(3)", 3),
    "a large code": ("import sys; sys.exit(259)", 3),
    "a text": ("import sys; sys.exit('words')", 1),
    "no flush before": ("import sys; sys.stdout.write('out'); sys.stderr.write('err'); sys.exit(4)", 4),
    "Ctrl-C": ("raise KeyboardInterrupt", -signal.SIGINT),
    "a signal": ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM),
    "a reader is gone": (
        "import os, sys; ends = os.pipe(); os.close(ends[0]); os.dup2(ends[1], 1); print('words')",
        None,
    ),
    "at the end": ("import atexit; atexit.register(print, 'last')", 0),
    "a thread": ("import threading, time; threading.Timer(0.1, print, ['thread']).start(); print('main')", 0),
    "at once": ("import os; print('lost'); os._exit(7)", 7),
    "a child": ("import os; os._exit(5) if os.fork() == 0 else print(os.waitstatus_to_exitcode(os.wait()[1]))", 0),
    "a pipe": ("import os, signal; os.write(1, b'x'); print(signal.getsignal(13))", 0),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_is_the_same(name: str) -> None:
    program, code = ENDS[name]
    fresh, forked = _ended(_begun(program, fresh=True)), _ended(_begun(program))
    assert forked[:2] == fresh[:2]
    assert forked[2].splitlines()[-1:] == fresh[2].splitlines()[-1:]  # a traceback has other lines before it
    assert forked[0] == (fresh[0] if code is None else code)
    assert bool(forked[0]) == (code != 0)


@FRESH
def test_input_and_output(fresh: bool) -> None:
    process = _begun("print(input(), flush=True); print(input())", fresh=fresh, typed=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("first\n")
    process.stdin.flush()
    assert process.stdout.readline() == "first\n"
    assert process.poll() is None
    assert _ended(process, "second\n") == (0, "second\n", "")


@FRESH
def test_signals_arrive(fresh: bool) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = _begun("import time; print(flush=True); time.sleep(60)", fresh=fresh)
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=0.05)
        process.send_signal(number)
        process.communicate(timeout=LIMIT_S)
        assert process.returncode == -number
        process.kill()  # nothing is left to be killed


def test_several_at_once_from_several_threads() -> None:
    found: list[tuple[int | None, str, str]] = []

    def one(number: int) -> None:
        found.append(_ended(_begun(f"import sys, time; time.sleep(0.1); print('x' * 100_000); sys.exit({number})")))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(number, "x" * 100_000 + "\n", "") for number in range(8)]


@pytest.mark.parametrize("name", ["PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG"])
def test_options_of_a_fresh_interpreter_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="fresh"):
        Forked([sys.executable, "-c", "pass"], cwd=tmp_path, env=clean_environment() | {name: "1"})


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ChildProcessError, match="could not begin"):
        Forked([sys.executable, "-c", "pass"], cwd=tmp_path / "nowhere", env=clean_environment())
