"""Fixtures for the tests of commands; test modules name this module in `pytest_plugins`."""

import functools
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import clean_environment
from workspace import Servers, Workspace


@pytest.fixture(scope="session")
def site_servers() -> Iterator[Servers]:
    made = Servers()
    with pytest.MonkeyPatch.context() as patch:
        # Otherwise every client would read the machine's certificates again, slower than its loopback requests.
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield made
    made.close()


@pytest.fixture
def workspace(site_servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    made = Workspace(site_servers, tmp_path)
    yield made
    site_servers.check()
    assert made.simulator.charges.doubles() == []
