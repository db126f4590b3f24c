"""The cost per record is the same for any number of records and in any ledger: statements, rows read, requests, memory.

Nothing is timed. Each scene is played with a number of records and with ten times as many; every statement may take
twice as many steps per record in the larger one, for its pages are full more often there. A statement that reads all
records for each record takes ten times as many. A step is an instruction of SQLite's virtual machine, so a statement
that reads more rows than before shows in any ledger, however small.
"""

from collections.abc import Mapping
from typing import Protocol

import linear_scenes as scenes
import pytest
from ledgers import Ledgers
from linear_scenes import Prepare, Scene, nothing, play, small_pages, with_earlier_runs
from meter import Bound, Work, excess
from shared_sites import SharedSites

from connector.engine.context import ATTENTION_SHOWN
from connector.store import tables as t

FACTOR, GROWTH = 10, 2.0
EARLIER_RUNS, SIZE = 10, 80


class Player(Protocol):
    """Plays a scene with a number of records in a new ledger, which may be prepared; returns the work of each step."""

    def __call__(self, scene: Scene, size: int, before: Prepare = nothing) -> dict[str, Work]: ...


EXCEPT = {
    "sum(purchase.charged_credits) AS sum_2": "`credits` reads one narrow index for the cost of delivered values",
}
SCENES: dict[Scene, int] = {
    scenes.usual: 80,
    scenes.by_linkedin: 60,
    scenes.parked: 60,
    scenes.capped: 100,
    scenes.waiting: 60,
    scenes.lost: 40,
    scenes.planned: 60,
}


@pytest.fixture
def player(shared_sites: SharedSites, ledgers: Ledgers, request: pytest.FixtureRequest) -> Player:
    """Plays a scene with a number of records, in a new ledger."""
    if request.config.getoption("--store") == "postgres":
        pytest.skip("steps are counted on SQLite")

    def played(scene: Scene, size: int, before: Prepare = nothing) -> dict[str, Work]:
        with ledgers.new() as folder:
            return play(scene, size, shared_sites, folder, before)

    return played


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_work_per_record_does_not_grow(scene: Scene, player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    size = SCENES[scene]
    small, large = player(scene, size), player(scene, FACTOR * size)
    bound = Bound(FACTOR * GROWTH, 10 * FACTOR * size, 10, ATTENTION_SHOWN)
    refuse_growth(small, large, bound)


@pytest.mark.long
@pytest.mark.parametrize("scene", [scenes.usual, scenes.planned, scenes.waiting], ids=lambda scene: scene.__name__)
def test_work_per_record_does_not_grow_with_whole_pages(scene: Scene, player: Player) -> None:
    """With the sizes of pages that runs have: the smaller run has one page, which finds an empty ledger.

    While a page of 2,000 records is written, results of others arrive.
    """
    small, large = player(scene, 2_000), player(scene, 20_000)
    refuse_growth(small, large, Bound(FACTOR * GROWTH, 20 * 20_000, 100, 2 * 2_000))


@pytest.mark.parametrize("scene", [scenes.usual, scenes.planned], ids=lambda scene: scene.__name__)
def test_earlier_runs_cost_nothing(scene: Scene, player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    few, many = (player(scene, SIZE, with_earlier_runs(count * SIZE, count)) for count in (1, EARLIER_RUNS))
    for found in (few, many):
        found.pop("retention", None)  # its work is the earlier records
    refuse_growth(few, many, Bound(GROWTH, 10 * SIZE, 3, ATTENTION_SHOWN))


def test_views_read_sums_instead_of_records(player: Player) -> None:
    """Of the status, the runs and the credits; an export reads its records once each."""
    few, many = (player(scenes.views, 1, with_earlier_runs(size, 10)) for size in (2_000, 20_000))
    exports = {"export": few.pop("export")}, {"export": many.pop("export")}
    refuse_growth(few, many, Bound(GROWTH, 1000, 0, ATTENTION_SHOWN))
    refuse_growth(*exports, Bound(FACTOR * GROWTH, 1000, 0, ATTENTION_SHOWN))


def test_a_scrape_costs_the_same_in_any_ledger(player: Player) -> None:
    few, many = (player(scenes.scraped, 1, scenes.with_requests(size, 10)) for size in (2_000, 20_000))
    refuse_growth(few, many, Bound(1.0, 200, 0, ATTENTION_SHOWN))
    assert many["scrape"].transactions["write"] == few["scrape"].transactions["write"]
    assert sum(many["scrape"].steps.values()) < 20_000


def test_the_scenes_touch_every_table(player: Player) -> None:
    more = (scenes.next_source, scenes.refused_for_good, scenes.triggered)
    works = [work for scene in (*SCENES, *more) for work in player(scene, 3).values()]
    beside = {t.alert.name}  # one row for each cause that is announced, whatever the number of records
    assert set(t.metadata.tables) - set[str]().union(*(work.tables for work in works)) == beside


def refuse_growth(small: Mapping[str, Work], large: Mapping[str, Work], bound: Bound) -> None:
    """Fail with each step and statement whose work is above the bound."""
    grown = [f"{step}: {one}" for step, work in large.items() for one in excess(small[step], work, bound, EXCEPT)]
    if grown:
        pytest.fail("\n".join(["the work grows:", *grown]), pytrace=False)
