"""Fixtures of the engine's tests: one set of loopback servers, a fresh world behind them for each test, and a judge."""

import functools
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_judge import judge
from harness import Harness, World
from ledgers import Ledgers, blank
from shared_sites import SharedSites


@pytest.fixture(scope="session")
def shared_sites() -> Iterator[SharedSites]:
    made = SharedSites()
    with pytest.MonkeyPatch.context() as patch:
        # Every client reads the machine's certificates anew, which takes longer than all it asks of a loopback site.
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield made
    made.close()


@pytest.fixture(scope="session")
def ledgers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ledgers:
    """New ledgers, on the database that `--store` names."""
    on_postgres = request.config.getoption("--store") == "postgres"
    server = request.getfixturevalue("postgres") if on_postgres else None
    return Ledgers(blank(tmp_path_factory.mktemp("blank")), server)


@pytest.fixture
def folder(ledgers: Ledgers) -> Iterator[Path]:
    """Where a ledger is kept."""
    with ledgers.new() as found:
        yield found


@pytest.fixture
def world(shared_sites: SharedSites) -> Iterator[World]:
    made = World()
    made.urls = shared_sites.show(made.simulator)
    yield made
    shared_sites.check()


@pytest.fixture
def harness(world: World, folder: Path) -> Iterator[Harness]:
    made = Harness(world, folder)
    yield made
    judge(made)
