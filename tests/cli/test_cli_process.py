"""The connector in separate processes: signals, concurrent runs, pipes, the demo and the simulated sites."""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ENTRY_POINT, clean_environment
from workspace import Workspace, outcome_of

from connector.simulator.people import SimEvent

pytest_plugins = ("cli_fixtures",)
PATIENCE_S = 30.0


def _until(condition: Callable[[], bool]) -> None:
    """Wait for another process to reach a state.

    Raises:
        AssertionError: it did not.
    """
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def _finish_all(workspace: Workspace) -> None:
    """Syncs of a scheduler until nothing is left."""
    for _ in range(12):
        result = workspace.run("sync", "-m", "lead", "--json")
        assert result.code in {0, 3, 4}
        if result.json["selected"] == 0:
            return
    raise AssertionError("something stays open")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_during_a_run_exits_130_and_the_next_run_finishes(
    workspace: Workspace, number: signal.Signals
) -> None:
    lead = workspace.lead()
    workspace.simulator.lensmor.task_seconds = 3000  # three real seconds
    process = workspace.start("sync", "-m", "lead", "--json")
    _until(lambda: workspace.paid_posts == 2)
    process.send_signal(number)
    result = workspace.finish(process)
    assert result.code == 130
    assert "Interrupted. Nothing is lost: every request is in the ledger, and the next run continues" in result.err
    assert result.out == ""
    assert workspace.run("status").code == 0
    workspace.simulator.clock.advance(3000)
    _finish_all(workspace)
    assert workspace.org.get("Lead", lead)["Email"] is not None
    assert workspace.paid_posts == 2


def test_commands_of_a_background_test_run_obey_ctrl_c(workspace: Workspace) -> None:
    """A non-interactive shell starts `... &` with SIGINT ignored, and all children inherit that."""
    workspace.lead()
    workspace.simulator.lensmor.task_seconds = 1e9
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = workspace.start("sync", "-m", "lead", fresh=True)
    finally:
        signal.signal(signal.SIGINT, before)
    _until(lambda: workspace.paid_posts == 2)
    process.send_signal(signal.SIGINT)
    assert workspace.finish(process).code == 130


def test_a_killed_process_loses_nothing(workspace: Workspace) -> None:
    lead = workspace.lead()
    process = workspace.start("sync", "-m", "lead")
    _until(lambda: workspace.paid_posts == 2)
    process.kill()
    process.communicate()
    shown = workspace.run("status", "--json").json
    assert shown["accounting"] == ""
    _finish_all(workspace)
    record = workspace.org.get("Lead", lead)
    assert (record["Email_Unlock_Status__c"], record["Phone_Unlock_Status__c"]) == ("Unlocked", "Unlocked")
    assert workspace.simulator.charges.total() == 165


def test_a_concurrent_sync_exits_5(workspace: Workspace) -> None:
    workspace.lead()
    workspace.simulator.lensmor.task_seconds = 1e9
    workspace.set(CONNECTOR_WAIT_SECONDS="3000")
    process = workspace.start("sync", "-m", "lead", "--json")
    _until(lambda: workspace.paid_posts == 2)
    second = workspace.run("sync", "-m", "lead")
    assert second.code == 5
    assert "another run holds this ledger's run lock" in second.err
    workspace.simulator.clock.advance(2e9)
    first = workspace.finish(process)
    assert first.code == 0
    assert outcome_of(first.json) == {"delivered": 1}
    assert workspace.run("sync", "-m", "lead").code == 0


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["for eyes", "json"])
def test_a_closed_pipe_does_not_change_the_exit_code(workspace: Workspace, form: tuple[str, ...]) -> None:
    workspace.lead()
    workspace.set(CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR="0")
    process = workspace.start("sync", "-m", "lead", *form, fresh=not form)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    shown = process.stderr.read()
    process.stderr.close()
    assert process.wait(PATIENCE_S) == 4
    assert "Traceback" not in shown
    assert "BrokenPipe" not in shown


def test_a_terminal_that_cannot_show_a_name(workspace: Workspace) -> None:
    workspace.simulator.lensmor.add_event(
        SimEvent("9004", "52108", "関西オートメーション展", "2027-06-09", "2027-06-11", "Osaka", "Japan")
    )
    result = workspace.finish(workspace.start("events", "list", fresh=True, PYTHONIOENCODING="ascii"))
    assert result.code == 0
    assert "52108" in result.out
    assert "?????" in result.out


def test_an_interrupt_during_a_paid_request_keeps_its_answer(workspace: Workspace) -> None:
    workspace.lead()
    workspace.simulator.lensmor.task_seconds = 1e9
    workspace.arm("lensmor", "submitEmailUnlock", "delay", seconds=1.0)
    process = workspace.start("sync", "-m", "lead")
    _until(lambda: workspace.simulator.charges.count("lensmor", "70001", "email") == 1)
    process.send_signal(signal.SIGINT)
    assert workspace.finish(process).code == 130
    assert {(row["state"], row["count"]) for row in workspace.run("status", "--json").json["purchases"]} <= {
        ("submitted", 1),
        ("submitted", 2),
    }


def test_the_demo_succeeds_and_its_second_sync_does_nothing(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 the connector itself
        [*ENTRY_POINT, "demo"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0 records selected, 0 credits charged, 0 records written, 0 write calls." in done.stdout
    assert "0 purchases charged twice." in done.stdout
    assert "Three records, before and after" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_simulated_sites_serve_until_a_signal(workspace: Workspace) -> None:
    (workspace.folder / ".env").unlink()
    process = workspace.start("simulate", "--leads", "3", "--speed", "1000", "--write-env", ".env")
    _until(lambda: (workspace.folder / ".env").exists() and "SCALE" in (workspace.folder / ".env").read_text())
    assert workspace.run("doctor", "-m", "lead").code == 0
    assert outcome_of(workspace.run("sync", "-m", "lead", "--json").json) == {"delivered": 3}
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "SALESFORCE_INSTANCE_URL=http://127.0.0.1:" in (workspace.folder / ".env").read_text()
    assert out == ""
    assert "Settings written to .env" in err
    assert "Stopped." in err


def test_the_advice_for_a_rehearsal_works_as_printed(workspace: Workspace) -> None:
    workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0
    arguments = ("simulate", "-m", "lead", "--leads", "3", "--speed", "1000", "--write-env")
    refused = workspace.run(*arguments, ".env")
    assert refused.code == 2
    advised = re.search(r"--write-env (\S+), then add (--env-file \S+) to every command", refused.err)
    assert advised is not None
    name, option = advised.groups()
    process = workspace.start(*arguments, name)
    _until(lambda: (workspace.folder / name).exists() and "DATABASE" in (workspace.folder / name).read_text())
    assert workspace.run("doctor", "-m", "lead", *option.split()).code == 0
    assert outcome_of(workspace.run("sync", "-m", "lead", *option.split(), "--json").json) == {"delivered": 3}
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert f"connector doctor -m lead {option}" in err
    assert len(workspace.run("runs", "--json").json["runs"]) == 1  # the ledger of the real org was not touched
