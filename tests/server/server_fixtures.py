"""Fixtures of the server's tests; a test module names this module in `pytest_plugins`."""

import functools
import ssl
from collections.abc import Iterator
from pathlib import Path

import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
from ledger_harness import open_ledger_at
from server_harness import SECRET, TOKEN, ServerHarness, Street, copied

from connector.server.site import Secrets


@pytest.fixture(scope="session")
def street() -> Iterator[Street]:
    with pytest.MonkeyPatch.context() as patch:
        # A client reads the machine's certificates, which takes longer than all it asks of a loopback site.
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        made = Street()
        yield made
        made.close()


@pytest.fixture(scope="session")
def blank_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "connector.db"
    open_ledger_at(path).close()
    return path


@pytest.fixture
def server(street: Street, blank_ledger: Path, tmp_path: Path) -> Iterator[ServerHarness]:
    made = ServerHarness(street, copied(blank_ledger, tmp_path), Secrets(TOKEN, {"salesforce": SECRET}))
    yield made
    made.ledger.close()
