"""A vendor with one request at a time gets one at a time, however many runs use the ledger."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from harness import Harness, World, email_only, personal_only
from ledgers import Ledgers
from postgres_server import Postgres

from connector.store.locks import SessionLocks

SLOW_S = 0.05  # long enough for two requests to overlap, if the connector allows it
PEOPLE = 4


@pytest.fixture
def harnesses(world: World, tmp_path: Path, postgres: Postgres) -> Iterator[list[Harness]]:
    """Two processes on one ledger; their mappings differ and use the same vendor."""
    with Ledgers(tmp_path, postgres).new() as folder:
        made = [Harness(world, folder, found) for found in (email_only("salesfinity"), personal_only())]
        for harness in made:
            harness.shared = True
        yield made


def run_both(world: World, harnesses: list[Harness]) -> int:
    """Run both at once; returns the most requests that the vendor served at one moment."""
    for _ in range(PEOPLE):
        world.lead(world.person())
        world.contact(world.person())
    for operation in ("getEnrichmentCredits", "requestEmailEnrichment", "getEmailEnrichment"):
        world.arm("salesfinity", operation, "delay", times=1000, seconds=SLOW_S)
    reports = []
    threads = [threading.Thread(target=lambda harness=harness: reports.append(harness.sync())) for harness in harnesses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.outcomes["delivered"] for report in reports) == [PEOPLE, PEOPLE]
    assert world.ours("salesfinity") == 2 * PEOPLE
    return world.salesfinity.requests.most_at_once


def test_two_runs_never_send_at_the_same_time(world: World, harnesses: list[Harness]) -> None:
    assert run_both(world, harnesses) == 1


def test_without_the_lock_they_do(world: World, harnesses: list[Harness], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionLocks, "exclusive", lambda *_: nullcontext())
    assert run_both(world, harnesses) > 1
