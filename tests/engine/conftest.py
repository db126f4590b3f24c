"""Fixtures of the engine's tests: one set of loopback servers, a fresh world behind them for each test, and a judge."""

import functools
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_judge import judge
from stage import Stage, World
from switchboard import Switchboard

from connector.app.joining import Configured, open_ledger
from connector.config import Settings

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def switchboard() -> Iterator[Switchboard]:
    made = Switchboard()
    with pytest.MonkeyPatch.context() as patch:
        # Every client reads the machine's certificates anew, which takes longer than all it asks of a loopback site.
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield made
    made.close()


@pytest.fixture(scope="session")
def blank_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger in which nothing is written yet, made once: its schema takes a while."""
    made = tmp_path_factory.mktemp("blank")
    settings = Settings(connector_database_url=f"sqlite:///{made / 'connector.db'}")
    open_ledger(Configured(settings, {}, None)).close()
    return made


@pytest.fixture
def folder(blank_ledger: Path) -> Iterator[Path]:
    """Where a ledger is kept; in memory where there is such a place, for a ledger flushes each of its commits."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(shutil.copytree(blank_ledger, name, dirs_exist_ok=True))


@pytest.fixture
def world(switchboard: Switchboard) -> Iterator[World]:
    made = World()
    made.urls = switchboard.show(made.simulator)
    yield made
    switchboard.check()


@pytest.fixture
def stage(world: World, folder: Path) -> Iterator[Stage]:
    made = Stage(world, folder)
    yield made
    judge(made)
