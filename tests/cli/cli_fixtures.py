"""Fixtures of the commands' tests; a test module names this module in `pytest_plugins`."""

import functools
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import clean_environment
from workspace import Servers, Workspace


@pytest.fixture(scope="session")
def office_servers() -> Iterator[Servers]:
    made = Servers()
    with pytest.MonkeyPatch.context() as patch:
        # Every client reads the machine's certificates anew, which takes longer than all it asks of a loopback site.
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield made
    made.close()


@pytest.fixture
def workspace(office_servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    made = Workspace(office_servers, tmp_path)
    yield made
    office_servers.check()
    assert made.simulator.charges.doubles() == []
