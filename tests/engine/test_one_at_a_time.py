"""A vendor that wants one request at a time gets one at a time, however many runs are at work on the ledger."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from ledgers import Ledgers
from postgres_server import Postgres
from stage import Stage, World, email_only, personal_only

from connector.store.locks import SessionLocks

SLOW_S = 0.05  # long enough for two requests to meet, if they may
PEOPLE = 4


@pytest.fixture
def stages(world: World, tmp_path: Path, postgres: Postgres) -> Iterator[list[Stage]]:
    """Two processes on one ledger, each with a mapping of its own that asks the same vendor."""
    with Ledgers(tmp_path, postgres).new() as folder:
        made = [Stage(world, folder, found) for found in (email_only("salesfinity"), personal_only())]
        for stage in made:
            stage.shared = True
        yield made


def run_both(world: World, stages: list[Stage]) -> int:
    """Let both run at once; the most requests that the vendor saw in one moment."""
    for _ in range(PEOPLE):
        world.lead(world.person())
        world.contact(world.person())
    for operation in ("getEnrichmentCredits", "requestEmailEnrichment", "getEmailEnrichment"):
        world.arm("salesfinity", operation, "delay", times=1000, seconds=SLOW_S)
    reports = []
    threads = [threading.Thread(target=lambda stage=stage: reports.append(stage.sync())) for stage in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.outcomes["delivered"] for report in reports) == [PEOPLE, PEOPLE]
    assert world.ours("salesfinity") == 2 * PEOPLE
    return world.salesfinity.requests.most_at_once


def test_two_runs_never_ask_it_at_once(world: World, stages: list[Stage]) -> None:
    assert run_both(world, stages) == 1


def test_without_their_lock_they_would(world: World, stages: list[Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionLocks, "alone", lambda *_: nullcontext())
    assert run_both(world, stages) > 1
