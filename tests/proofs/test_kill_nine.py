"""kill -9, again and again, while answers get lost and people edit: nothing is paid twice, nothing paid for is lost.

The connector is a process of its own, the sites are real HTTP on loopback, and the judges are the vendors' own books
and the org's own history. `KILL_SEED` tells another story; the moments of a kill also depend on the machine.
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
from kill_judge import Books, Verdict
from kill_population import Population
from kill_process import Fresh, Warm
from kill_sites import Sites
from kill_story import Size, Story

from connector.simulator.clock import SimClock
from connector.simulator.server import Simulator

MEMORY = Path("/dev/shm")
LATE_S = 850.0  # how late a profile or a skip rule may be: the contract speaks of 15 minutes
SHORT = Size(28, 4, 4, 2000, 0.5, 0.1, 0.0, 6000, 1, Warm)
CROWD = Size(400, 24, 200, 100, 1.0, 0.15, LATE_S, 120, 8, Warm)
LONG = Size(400, 24, 32, 40, 3.0, 0.15, LATE_S, 60, 8, Fresh)
LEDGERS, KILLS_EACH = 20, 3
FIRST_FILES = ("connector.db.key", "connector.db", "connector.db-wal")
Tell = Callable[[str, str], None]


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("KILL_SEED", "20261120"))


@pytest.fixture
def play(seed: int) -> Iterator[Callable[[Size], Story]]:
    """Tell a story; its ledger is kept in memory where there is such a place, for it flushes each of its commits."""
    told: list[Story] = []
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name) / "service"
        folder.mkdir()

        def once(size: Size) -> Story:
            told.append(Story(size, random.Random(seed), folder))
            told[0].tell()
            return told[0]

        yield once
        for story in told:
            story.sites.close()


def _prove(story: Story, tell: Callable[[str], None]) -> None:
    """Judge, tell the figures, and in a long story let an operator close what nobody else can."""
    books = Books.read(story.dispatcher.ledger)
    verdict = story.verdict(books)
    tell(_counted(story, books, verdict))
    assert verdict.doubles == []
    assert verdict.lost_values == []
    assert verdict.unlawful == []
    assert verdict.lost_edits == []
    assert verdict.stale_words == []
    assert verdict.untold == {}
    assert books.stray_holds == 0
    status = story.status()
    assert status["accounting"] == ""
    told = Counter(row["state"] for row in status["needs_a_look"])
    assert told == +Counter({"unknown": len(books.unknown), "planned": books.dormant_holds})
    _look_for_idle_hands(story)
    if story.size is not SHORT:
        _give_up(story, [row["purchase_id"] for row in status["needs_a_look"] if row["state"] == "unknown"])


def _look_for_idle_hands(story: Story) -> None:
    """The same runs once more do nothing, once the vendor's free reads and the last edits have been caught up with."""
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
    books = Books.read(story.dispatcher.ledger)
    assert (books.unknown, books.stray_holds) == (frozenset(), 0)
    assert books.dormant_holds or all(found["held"] == 0 for found in status["credits"].values())
    assert story.simulator.charges.doubles() == []


def _counted(story: Story, books: Books, verdict: Verdict) -> str:
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
        f"{books.lost_answers} of the ledger's {books.requests} never answered; {len(story.people.edits)} edits, "
        f"{len(verdict.lost_edits)} lost, {verdict.blind_edits} in the named gap; "
        f"{len(verdict.doubles)} double charges; {len(verdict.lost_values)} lost values; "
        f"{len(books.unknown)} unknown left ({verdict.excused} fields), "
        f"{books.dormant_holds} repeats nobody wants; resumed after: {waits}"
    )


def test_some_kills_cost_nothing(play: Callable[[Size], Story], seed: int, figures: Tell) -> None:
    _prove(play(SHORT), lambda counted: figures("killed for real, some times", f"seed {seed}: {counted}"))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_kills_cost_nothing(play: Callable[[Size], Story], seed: int, figures: Tell) -> None:
    """Each process is started anew, as a scheduler would."""
    _prove(play(LONG), lambda counted: figures("killed for real", f"seed {seed}: {counted}"))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_hundreds_of_kills_cost_nothing(play: Callable[[Size], Story], seed: int, figures: Tell) -> None:
    """The processes are forked from a warm interpreter, which leaves time for more of them."""
    _prove(play(CROWD), lambda counted: figures("killed for real, hundreds of times", f"seed {seed}: {counted}"))


@pytest.mark.long
def test_kills_while_a_ledger_is_made_leave_one_that_works(seed: int, tmp_path: Path, figures: Tell) -> None:
    chance, simulator = random.Random(seed), Simulator(SimClock(1000))
    Population(simulator, chance, 2).move_in(1)
    sites = Sites(simulator)
    try:
        for number in range(LEDGERS):
            folder = tmp_path / str(number)
            folder.mkdir()
            dispatcher = Dispatcher(folder, sites.urls, {"CONNECTOR_TIME_SCALE": "0.001"}, Warm)
            for _ in range(KILLS_EACH):
                _shoot_at_birth(dispatcher, chance)
            dispatcher.run(*BACKFILL)
            assert dispatcher.books() == ""
    finally:
        sites.close()
    assert simulator.charges.doubles() == []
    figures(
        "killed while its ledger is made", f"seed {seed}: {LEDGERS * KILLS_EACH} kills, {LEDGERS} ledgers that work"
    )


def _shoot_at_birth(dispatcher: Dispatcher, chance: random.Random) -> None:
    """Kill a process some milliseconds after one of the ledger's files has appeared."""
    process, name = dispatcher.start(*BACKFILL), chance.choice(FIRST_FILES)
    while not (dispatcher.folder / name).exists() and wait_for(process, time.monotonic() + 0.001):
        pass
    wait_for(process, time.monotonic() + chance.uniform(0, 0.06))
    process.shoot()
