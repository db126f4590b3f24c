"""Workers of one ledger on PostgreSQL: one is killed, one is frozen for a while, and the work is done once."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from company import Company, company, wait_until
from forked_commands import Running

BEGINS = '"event": "work begins"'
EVERYBODY = "LastName != null"


def _worker(running: Company) -> Running:
    return running.start("worker", "-m", "lead.yaml")


def _busy(running: Company, workers: list[Running]) -> list[Running]:
    """The workers, the busy ones first; the run's leader comes first of all."""
    began = [one for one in workers if BEGINS in running.words(one)]
    return began + [one for one in workers if one not in began]


def _work(running: Company, count: int, *, freeze_s: float) -> dict[str, float]:
    """Run a backfill by workers: the leader is killed and another worker is frozen; returns its figures."""
    workers = [_worker(running) for _ in range(count)]
    wait_until(lambda: len(running.run("status", "--json")["workers"]) == count, "all workers are seen")
    began = time.monotonic()
    backfill = running.start("backfill", "-m", "lead.yaml", "--where", EVERYBODY, "--yes", "--json")
    people = len(running.facts.lead_ids)
    wait_until(lambda: running.charged >= people * 165 // 4, "a quarter is bought")
    leader, frozen, *_ = _busy(running, workers)
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    killed_at, charged = time.monotonic(), running.charged
    if freeze_s:
        frozen.send_signal(signal.SIGSTOP)
        time.sleep(freeze_s)
        frozen.send_signal(signal.SIGCONT)
    others = [one for one in workers if one is not leader]
    wait_until(lambda: any(running.words(one).count(BEGINS) > 0 for one in others), "another takes the run up", 90)
    taken_up_s = time.monotonic() - killed_at
    assert backfill.wait(600) in {0, 3, 4}, running.words(backfill)
    done_s = time.monotonic() - began
    for one in others:
        one.send_signal(signal.SIGTERM)
    assert [one.wait(60) for one in others] == [0] * len(others)
    _finish(running)
    assert running.doubles() == []
    assert running.unfinished(running.facts.lead_ids) == []
    assert running.charged == people * 165
    assert running.run("status", "--json")["accounting"] == ""
    return {"taken_up_s": taken_up_s, "done_s": done_s, "charged_at_death": float(charged)}


def _finish(running: Company) -> None:
    """Run again, as a scheduler does, until nothing is open."""
    for _ in range(30):
        report = running.run("backfill", "-m", "lead.yaml", "--where", EVERYBODY, "--yes", "--json")
        if not report["outcomes"]["waiting"] + report["outcomes"]["unknown"] + report["outcomes"]["deferred"]:
            return
        time.sleep(0.6)


@pytest.mark.long
def test_a_worker_that_dies_loses_nothing(tmp_path: Path, postgres_url: str) -> None:
    with company(tmp_path, 120, 0.02, postgres_url) as running:
        _work(running, 2, freeze_s=0)


@pytest.mark.long
def test_three_workers_one_killed_and_one_frozen(
    tmp_path: Path, postgres_url: str, figures: Callable[[str, str], None]
) -> None:
    with company(tmp_path, 5000, 0.02, postgres_url) as running:
        found = _work(running, 3, freeze_s=30)
    figures(
        "three workers",
        f"5000 records; the leading worker killed, another frozen for 30 s and thawed; taken up by another after "
        f"{found['taken_up_s']:.0f} s; all done after {found['done_s']:.0f} s; 0 double charges; 0 lost values",
    )
