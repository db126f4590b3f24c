"""Fixtures of the engine's tests: loopback servers for the session, a new world for each test, final checks."""

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
    sites = SharedSites()
    with pytest.MonkeyPatch.context() as patch:
        # Each client loads the machine's certificates, which takes longer than all its requests to a loopback site.
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield sites
    sites.close()


@pytest.fixture(scope="session")
def ledgers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ledgers:
    """Creates ledgers on the database that `--store` selects."""
    on_postgres = request.config.getoption("--store") == "postgres"
    server = request.getfixturevalue("postgres") if on_postgres else None
    return Ledgers(blank(tmp_path_factory.mktemp("blank")), server)


@pytest.fixture
def folder(ledgers: Ledgers) -> Iterator[Path]:
    """The folder of a new ledger."""
    with ledgers.new() as created:
        yield created


@pytest.fixture
def world(shared_sites: SharedSites) -> Iterator[World]:
    created = World()
    created.urls = shared_sites.show(created.simulator)
    yield created
    shared_sites.check()


@pytest.fixture
def harness(world: World, folder: Path) -> Iterator[Harness]:
    created = Harness(world, folder)
    yield created
    judge(created)
