"""Repeated kill -9 with lost answers and people's edits: nothing is paid twice, and no paid value is lost.

The connector is a process of its own, the sites serve real HTTP on loopback, and the vendors' own ledgers and the org's
own history are the reference. `KILL_SEED` selects another story; the moments of a kill also depend on the machine.
"""

import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kill_dispatcher import BACKFILL, SYNC, Dispatcher, wait_for
from kill_judge import LedgerFigures, Verdict
from kill_population import Population
from kill_process import Fresh, Warm
from kill_sites import Sites
from kill_story import Size, Story

from connector.simulator.clock import SimClock
from connector.simulator.server import Simulator

MEMORY = Path("/dev/shm")
LATE_S = 850.0  # the delay of a profile or a skip rule; the contract states 15 minutes
SHORT = Size(28, 4, 4, 2000, 0.5, 0.1, 0.0, 6000, 1, Warm)
CROWD = Size(400, 24, 200, 100, 1.0, 0.15, LATE_S, 120, 8, Warm)
LONG = Size(400, 24, 32, 40, 3.0, 0.15, LATE_S, 60, 8, Fresh)
LEDGERS, KILLS_EACH = 20, 3
FIRST_FILES = ("connector.db.key", "connector.db", "connector.db-wal")
Figures = Callable[[str, str], None]


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("KILL_SEED", "20261120"))


@pytest.fixture
def play(seed: int) -> Iterator[Callable[[Size], Story]]:
    """Play a story; its ledger is in memory if possible, because each commit on disk waits for a flush."""
    stories: list[Story] = []
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name) / "service"
        folder.mkdir()

        def once(size: Size) -> Story:
            stories.append(Story(size, random.Random(seed), folder))
            stories[0].play()
            return stories[0]

        yield once
        for story in stories:
            story.sites.close()


def _prove(story: Story, report: Callable[[str], None]) -> None:
    """Judge the story, report the figures, and in a long story give up the unknown purchases as an operator."""
    ledger = LedgerFigures.read(story.dispatcher.ledger)
    verdict = story.verdict(ledger)
    report(_counted(story, ledger, verdict))
    assert verdict.doubles == []
    assert verdict.lost_values == []
    assert verdict.unlawful == []
    assert verdict.lost_edits == []
    assert verdict.stale_statuses == []
    assert verdict.unrecorded == {}
    assert ledger.stray_holds == 0
    status = story.status()
    assert status["accounting"] == ""
    states = Counter(row["state"] for row in status["needs_a_look"])
    assert states == +Counter({"unknown": len(ledger.unknown), "planned": ledger.dormant_holds})
    _prove_idle(story)
    if story.size is not SHORT:
        _give_up(story, [row["purchase_id"] for row in status["needs_a_look"] if row["state"] == "unknown"])


def _prove_idle(story: Story) -> None:
    """After the vendor's late reads and the last edits were processed, the same runs must do nothing."""
    story.simulator.clock.advance(story.size.late_s)
    for command in (BACKFILL, SYNC):
        story.dispatcher.run(*command)
    before, moment = story.effects, story.simulator.clock.now()
    for command in (BACKFILL, SYNC):
        story.dispatcher.run(*command)
    assert story.effects == before, story.writes_since(moment)


def _give_up(story: Story, purchase_ids: list[int]) -> None:
    for purchase_id in purchase_ids:
        story.dispatcher.run("resolve", str(purchase_id), "--give-up")
    story.finish()
    status = story.status()
    assert (status["open_records"], status["open_tasks"], status["purchases"], status["accounting"]) == (0, 0, [], "")
    ledger = LedgerFigures.read(story.dispatcher.ledger)
    assert (ledger.unknown, ledger.stray_holds) == (frozenset(), 0)
    assert ledger.dormant_holds or all(found["held"] == 0 for found in status["credits"].values())
    assert story.simulator.charges.doubles() == []


def _counted(story: Story, ledger: LedgerFigures, verdict: Verdict) -> str:
    kills, fired = story.kills, story.trouble.fired
    resumed = kills.resumed_s
    stages = ", ".join(f"{count} {name}" for name, count in kills.stages.most_common())
    under_way = ", ".join(f"{count} {name}" for name, count in kills.under_way.most_common())
    lost = ", ".join(f"{count} {name}" for name, count in sorted(fired.items()))
    waits = f"median {statistics.median(resumed):.2f} s, longest {max(resumed):.2f} s" if resumed else "not measured"
    return (
        f"{len(story.population.entries)} records; "
        f"{kills.count} kills ({stages}; under way: {under_way or 'nothing'}); "
        f"{story.lives} starts; {fired.total()} lost answers ({lost}); {story.effects[0]} paid requests arrived, "
        f"{ledger.lost_answers} of the ledger's {ledger.requests} never answered; {len(story.people.edits)} edits, "
        f"{len(verdict.lost_edits)} lost, {verdict.blind_edits} in the named gap; "
        f"{len(verdict.doubles)} double charges; {len(verdict.lost_values)} lost values; "
        f"{len(ledger.unknown)} unknown left ({verdict.excused} fields), "
        f"{ledger.dormant_holds} repeats that no record needs; resumed after: {waits}"
    )


def test_some_kills_cost_nothing(play: Callable[[Size], Story], seed: int, figures: Figures) -> None:
    _prove(play(SHORT), lambda counted: figures("killed for real, some times", f"seed {seed}: {counted}"))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_kills_cost_nothing(play: Callable[[Size], Story], seed: int, figures: Figures) -> None:
    """Each process is a fresh start, as under a scheduler."""
    _prove(play(LONG), lambda counted: figures("killed for real", f"seed {seed}: {counted}"))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_hundreds_of_kills_cost_nothing(play: Callable[[Size], Story], seed: int, figures: Figures) -> None:
    """The processes are forked from a warm interpreter, which leaves time for more kills."""
    _prove(play(CROWD), lambda counted: figures("killed for real, hundreds of times", f"seed {seed}: {counted}"))


@pytest.mark.long
def test_kills_during_creation_leave_a_working_ledger(seed: int, tmp_path: Path, figures: Figures) -> None:
    chance, simulator = random.Random(seed), Simulator(SimClock(1000))
    Population(simulator, chance, 2).move_in(1)
    sites = Sites(simulator)
    try:
        for number in range(LEDGERS):
            folder = tmp_path / str(number)
            folder.mkdir()
            dispatcher = Dispatcher(folder, sites.urls, {"CONNECTOR_TIME_SCALE": "0.001"}, Warm)
            for _ in range(KILLS_EACH):
                _kill_at_creation(dispatcher, chance)
            dispatcher.run(*BACKFILL)
            assert dispatcher.imbalance() == ""
    finally:
        sites.close()
    assert simulator.charges.doubles() == []
    figures(
        "killed while its ledger is made", f"seed {seed}: {LEDGERS * KILLS_EACH} kills, {LEDGERS} ledgers that work"
    )


def _kill_at_creation(dispatcher: Dispatcher, chance: random.Random) -> None:
    """Kill a process some milliseconds after one of the ledger's files appears."""
    process, name = dispatcher.start(*BACKFILL), chance.choice(FIRST_FILES)
    while not (dispatcher.folder / name).exists() and wait_for(process, time.monotonic() + 0.001):
        pass
    wait_for(process, time.monotonic() + chance.uniform(0, 0.06))
    process.kill()
