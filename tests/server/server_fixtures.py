"""Fixtures for the tests of the server; test modules name this module in `pytest_plugins`."""

import functools
import ssl
from collections.abc import Iterator
from pathlib import Path

import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
from ledger_harness import open_ledger_at
from server_harness import SECRET, TOKEN, ServerHarness, SharedServer, copied

from connector.server.site import Secrets


@pytest.fixture(scope="session")
def shared_server() -> Iterator[SharedServer]:
    with pytest.MonkeyPatch.context() as patch:
        # A client reads the machine's certificates, which takes longer than its requests to a loopback site.
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        made = SharedServer()
        yield made
        made.close()


@pytest.fixture(scope="session")
def blank_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "connector.db"
    open_ledger_at(path).close()
    return path


@pytest.fixture
def server(shared_server: SharedServer, blank_ledger: Path, tmp_path: Path) -> Iterator[ServerHarness]:
    made = ServerHarness(shared_server, copied(blank_ledger, tmp_path), Secrets(TOKEN, {"salesforce": SECRET}))
    yield made
    made.ledger.close()
