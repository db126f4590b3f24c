"""`serve` and workers together with other commands: delegated runs, yielding, and taking over."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from company import Company, company, free_port, is_ready, wait_until
from forked_commands import Running

HANDED = "Delegated to the running 'connector serve' or worker"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("company"), 12, 0.01) as made:
        yield made


def _serve(running: Company) -> Running:
    port = free_port()
    serving = running.start("serve", "-m", "lead.yaml", "--port", str(port))
    wait_until(lambda: is_ready(port), "serve is ready")
    return serving


def test_a_run_is_delegated_and_its_report_shown(running: Company) -> None:
    serving = _serve(running)
    wait_until(lambda: bool(running.run("status", "--json")["workers"]), "serve is seen")
    report = running.run("sync", "-m", "lead.yaml", "--json")
    assert report["command"] == "sync"
    assert report["outcomes"]["delivered"] == 12
    assert HANDED in running.words(running.processes[-1])
    assert report["run_id"] in running.words(serving)
    again = running.run("backfill", "-m", "lead.yaml", "--where", "LastName != null", "--limit", "3", "--yes", "--json")
    assert (again["command"], again["selected"]) == ("backfill", 3)
    assert HANDED in running.words(running.processes[-1])
    assert running.doubles() == []

    (running.folder / "other.yaml").write_text((running.folder / "lead.yaml").read_text().replace("oldest", "newest"))
    refused = running.start("sync", "-m", "other.yaml")
    assert refused.wait(60) == 2
    assert "start it again with -m" in running.words(refused)

    serving.kill()
    serving.wait()
    alone = running.start("sync", "-m", "lead.yaml", "--json")
    assert alone.wait(60) == 0
    assert HANDED not in running.words(alone)


def test_serve_names_files_caps_and_schedules_before_it_listens(running: Company) -> None:
    text = (running.folder / "lead.yaml").read_text()
    (running.folder / "timed.yaml").write_text(
        f'{text}schedule: "0 6 * * *"\nlimits:\n  max_credits: {{lensmor: 300}}\n'
    )
    serving = running.start("serve", "-m", "timed.yaml", "--port", str(free_port()))
    wait_until(lambda: "Listening on" in running.words(serving), "serve listens")
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(30) == 0
    start, _, later = running.words(serving).partition("Listening on")
    assert all(line.startswith("{") for line in later.splitlines()[1:]), "log lines alone"
    before = start.splitlines()
    assert "Mapping lead: timed.yaml" in before
    assert "Caps for lead: lensmor 300 a run (credits)" in before
    assert "Caps for lensmor, all runs: no cap" in before
    missing = "No daily cap: requests and schedules may spend credits at lensmor for lead"
    assert any(line.startswith(missing) for line in before)
    (schedule,) = [line for line in before if line.startswith("Schedule for lead: ")]
    assert re.fullmatch(r"Schedule for lead: 0 6 \* \* \*, next at \d{4}-\d\d-\d\d 06:00 UTC", schedule)


def test_a_signal_during_start_up_stops_serve_cleanly(running: Company) -> None:
    serving = running.start("serve", "-m", "lead.yaml", "--port", str(free_port()))
    wait_until(lambda: "Mapping lead: " in running.words(serving), "serve names its mapping", every_s=0.001)
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(30) == 0


def test_a_worker_names_files_caps_and_schedules(tmp_path: Path, postgres_url: str) -> None:
    with company(tmp_path, 0, 0.01, postgres_url) as running:
        text = (running.folder / "lead.yaml").read_text()
        (running.folder / "timed.yaml").write_text(f'{text}schedule: "0 6 * * *"\n')
        working = running.start("worker", "-m", "timed.yaml")
        wait_until(lambda: "Schedule for lead: 0 6 * * *, next at " in running.words(working), "it names its schedule")
        assert "Mapping lead: timed.yaml\n" in running.words(working)
        assert "Caps for lead: lensmor no cap\n" in running.words(working)
        working.send_signal(signal.SIGTERM)
        assert working.wait(60) in {0, 130}


def test_sigterm_stops_serve_cleanly(running: Company) -> None:
    serving = _serve(running)
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(30) == 0
    assert "Traceback" not in running.words(serving)
    assert running.run("status", "--json")["workers"] == []


def test_a_second_serve_waits_for_the_first_and_takes_over(running: Company) -> None:
    first = _serve(running)
    port = free_port()
    second = running.start("serve", "-m", "lead.yaml", "--port", str(port))
    wait_until(lambda: "Listening on" in running.words(second), "the second listens")
    assert not is_ready(port)  # it accepts requests, and reports that it does not do their work
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    wait_until(lambda: is_ready(port), "the second drives")
    second.send_signal(signal.SIGINT)
    assert second.wait(30) == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("serve", "-m", "lead.yaml", "--host", "300.1.1.1"), "cannot listen"),
        (("worker", "-m", "lead.yaml"), "'connector serve' does the work"),
        (("serve", "-m", "nobody.yaml"), "there is no such file"),
    ],
)
def test_wrong_settings_are_refused_at_the_start(running: Company, args: tuple[str, ...], words: str) -> None:
    refused = running.start(*args)
    assert refused.wait(60) == 2
    assert words in running.words(refused)


OTHER_HOSTS = ("localhost", "::1", "0.0.0.0")  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", *(pytest.param(host, marks=pytest.mark.long) for host in OTHER_HOSTS)])
def test_every_address_needs_a_token(running: Company, tmp_path: Path, host: str) -> None:
    settings = (running.folder / ".env").read_text().splitlines(keepends=True)
    (tmp_path / "env").write_text("".join(line for line in settings if "TRIGGER_TOKEN" not in line))
    refused = running.start("serve", "-m", "lead.yaml", "--host", host, "--env-file", str(tmp_path / "env"))
    assert refused.wait(60) == 2
    assert "CONNECTOR_TRIGGER_TOKEN is missing" in running.words(refused)
    assert "secrets.token_urlsafe" in running.words(refused)


@pytest.mark.long
@pytest.mark.parametrize("driver", ["serve", "worker"])
def test_serve_and_workers_yield_to_a_command(tmp_path: Path, driver: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres_url") if driver == "worker" else ""
    with company(tmp_path, 6, 0.01, url) as running:
        plan = running.start(
            "plan", "-m", "lead.yaml", "--where", "LastName != null", "--limit", "2", "--out", "plan.json"
        )
        assert plan.wait(60) == 0
        port = free_port()
        place = ("--port", str(port)) if driver == "serve" else ()
        working = running.start(driver, "-m", "lead.yaml", *place)
        wait_until(lambda: driver == "worker" or is_ready(port), "serve is ready")
        wait_until(lambda: bool(running.run("status", "--json")["workers"]), "it is seen")
        running.simulator.lensmor.task_seconds = 1e9
        asked = running.start("sync", "-m", "lead.yaml", "--json")
        wait_until(
            lambda: running.simulator.lensmor.requests.count("getEmailUnlockTask") > 0, "the run waits for Lensmor"
        )

        applied = running.run("apply", "plan.json", "--yes", "--json")
        assert (applied["command"], applied["selected"]) == ("apply", 2)
        assert "Waiting until" in running.words(running.processes[-1])
        assert working.poll() is None
        assert driver == "worker" or is_ready(port)
        assert asked.wait(60) == 0

        running.simulator.lensmor.task_seconds = 1
        running.simulator.clock.advance(1e9)
        wait_until(lambda: not running.unfinished(running.facts.lead_ids), "what was left is done")
        undone = running.run("undo", applied["run_id"], "--yes", "--json")
        assert undone["command"] == "undo"
        assert running.doubles() == []
