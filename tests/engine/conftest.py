"""Fixtures of the engine's tests: one set of loopback servers, a fresh world behind them for each test, and a judge."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_judge import judge
from stage import Stage, World
from switchboard import Switchboard


@pytest.fixture(scope="session")
def switchboard() -> Iterator[Switchboard]:
    made = Switchboard()
    yield made
    made.close()


@pytest.fixture
def world(switchboard: Switchboard) -> Iterator[World]:
    made = World()
    made.urls = switchboard.show(made.simulator)
    yield made
    switchboard.check()


@pytest.fixture
def stage(world: World, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(world, tmp_path)
    yield made
    judge(made)
