"""A stop signal ends the process within the grace period, whatever its threads wait for: real processes and signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from net_sites import RawSite, dripping
from workspace import Workspace, outcome_of

from connector.cli.ending import GRACE_S, Ending

pytest_plugins = ("cli_fixtures",)
LIMIT_S = 10.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
DRIP = dripping(HEAD, b" ", every_s=0.5)

PROGRAM = """
import os, signal, socket, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from connector.cli.ending import Ending

ending = Ending({grace})
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, ending.interrupt)
pool = ThreadPoolExecutor(1)
try:
    with ending.on_signals():
        {wait}
except KeyboardInterrupt:
    {cleanup}
    sys.exit(7)
"""
WAITS = {
    "a thread at the end of the process": (
        "threading.Thread(target=time.sleep, args=(30,)).start(); print('ready', flush=True); time.sleep(30)",
        "pass",
    ),
    "a pool": ("pool.submit(time.sleep, 30); print('ready', flush=True); time.sleep(30)", "pool.shutdown(wait=True)"),
    "a read in a thread": (
        "pair = socket.socketpair(); pool.submit(pair[0].recv, 1); print('ready', flush=True); time.sleep(30)",
        "pool.shutdown(wait=True)",
    ),
    "handlers that wait": ("print('ready', flush=True); time.sleep(30)", "time.sleep(30)"),
}


@contextmanager
def program(wait: str, cleanup: str, grace: float = 0.3) -> Iterator[subprocess.Popen[str]]:
    code = PROGRAM.format(wait=wait, cleanup=cleanup, grace=grace)
    process = subprocess.Popen(  # noqa: S603 a fixed text
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # including its children
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("name", WAITS)
def test_a_process_that_does_not_end_is_killed(name: str, number: signal.Signals) -> None:
    with program(*WAITS[name]) as process:
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 130
        assert process.stderr is not None
        assert "the next run verifies it" in process.stderr.read()


def test_an_uninterruptible_main_thread_is_killed() -> None:
    """Such as a call to an unresponsive name server: no Python handler runs before it returns."""
    with program("os.system('echo ready; sleep 30')", "pass") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 130


def test_a_process_that_ends_in_time_keeps_its_exit_code() -> None:
    with program("print('ready', flush=True); time.sleep(30)", "pass") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 7
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_signal_to_another_thread_interrupts_the_main_thread() -> None:
    """Like a signal that arrives just before the main thread begins to wait."""
    wait = (
        "taker = threading.Thread(target=time.sleep, args=(9,), daemon=True); taker.start(); "
        "threading.Timer(0.5, signal.pthread_kill, (taker.ident, signal.SIGINT)).start(); "
        "print('ready', flush=True); os.read(os.pipe()[0], 1)"
    )
    with program(wait, "pass", grace=8.0) as process:
        assert process.wait(LIMIT_S) == 7


def test_other_signals_have_no_effect() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    threads = threading.active_count()
    try:
        with Ending(0.0).on_signals():
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_the_grace_period_is_below_ten_seconds() -> None:
    assert GRACE_S <= LIMIT_S - 2


def _until_it_is_asked(site: RawSite) -> None:
    ends = time.monotonic() + 30
    while not site.connections:
        assert time.monotonic() < ends
        threading.Event().wait(0.01)


@pytest.mark.parametrize(("command", "setting"), [("sync", "SALESFORCE_INSTANCE_URL"), ("doctor", "LENSMOR_BASE_URL")])
def test_a_command_ends_despite_a_slow_site(workspace: Workspace, setting: str, command: str) -> None:
    workspace.lead()
    with RawSite(DRIP) as site:
        workspace.set(**{setting: site.url})
        process = workspace.start(command, "-m", "lead")
        _until_it_is_asked(site)
        asked_to_end = time.monotonic()
        process.send_signal(signal.SIGTERM)
        workspace.finish(process)
        assert time.monotonic() - asked_to_end < LIMIT_S
        assert process.returncode == 130


def test_an_unanswered_purchase_is_cut_off_and_verified(workspace: Workspace) -> None:
    """The vendor accepts the request and answers one byte at a time; the process ends, and the next run buys once."""
    lead = workspace.lead()
    workspace.arm("lensmor", "submitEmailUnlock", "delay", seconds=30.0)
    process = workspace.start("sync", "-m", "lead")
    ends = time.monotonic() + 30
    while workspace.simulator.charges.count("lensmor", "70001", "email") == 0:
        assert time.monotonic() < ends
        threading.Event().wait(0.01)
    asked_to_end = time.monotonic()
    process.send_signal(signal.SIGTERM)
    result = workspace.finish(process)
    assert result.code == 130
    assert 1.0 < time.monotonic() - asked_to_end < LIMIT_S, "its answer is waited for, but not without end"
    assert "the next run verifies it" in result.err
    for _ in range(12):
        report = workspace.run("sync", "-m", "lead", "--json").json
        if report["selected"] == 0:
            break
    assert workspace.org.get("Lead", lead)["Email"] is not None
    assert workspace.simulator.charges.doubles() == []
    assert outcome_of(report) == {}


@pytest.mark.long
def test_a_server_ends_despite_a_slow_site(workspace: Workspace) -> None:
    lead = workspace.lead()
    token = "a-token-for-this-test-only"
    with RawSite(DRIP) as site:
        workspace.set(LENSMOR_BASE_URL=site.url, CONNECTOR_TRIGGER_TOKEN=token)
        process = workspace.start("serve", "-m", "lead", "--port", "0")
        assert process.stderr is not None
        while "Listening" not in (line := process.stderr.readline()):
            assert line
        address = next(word for word in line.split() if word.startswith("http://"))
        with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {token}"}) as client:
            client.post(f"{address}/v1/enrichments", json={"mapping": "lead", "record_ids": [lead]})
        _until_it_is_asked(site)
        asked_to_end = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
        assert time.monotonic() - asked_to_end < LIMIT_S
        assert process.returncode in {0, 130}
