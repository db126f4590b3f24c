"""The HTTP server for tests: one uvicorn on loopback, with a new site and ledger for each test."""

import functools
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import sqlalchemy as sa
from ledger_harness import KEY, LENSMOR, START
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.app.inbound import InboundService
from connector.app.mappings import CATALOG
from connector.app.wiring import CALLBACK_PATH
from connector.config.mapping_file import load_mapping
from connector.core.mapping import MappingFile
from connector.server.listen import bind, server
from connector.server.site import Secrets, Site
from connector.store import tables as t
from connector.store.database import Database
from connector.store.ledger import Ledger
from connector.store.seal import Seal

CALLBACKS = f"{CALLBACK_PATH}salesfinity/"
TOKEN = "trigger-token-of-these-tests"
SECRET = "outbound-secret-of-these-tests"
ORG = "00D000000000001EAA"
VERSION = "1.2.3"
PUBLIC_URL = "https://enrich.example.com"
ASK = "/v1/enrichments"
MESSAGES = "/v1/salesforce/outbound-messages/"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SOON_S = 5.0


def lead(number: int) -> str:
    """The id of a Lead in the API's form."""
    return f"00Q{number:012d}EAA"


@functools.cache
def mappings() -> Mapping[str, MappingFile]:
    """The mappings of the tests, and a second one for contacts."""
    folder = Path(__file__).parents[1] / "mappings"
    found = {name: load_mapping(str(folder / f"{name}.yaml"), CATALOG).mapping for name in ("lead", "contact")}
    return {**found, "contact-late": found["contact"].model_copy(update={"name": "contact-late"})}


def soon(holds: Callable[[], bool]) -> bool:
    """Whether a condition becomes true soon: the server needs a moment for work after its answer."""
    end = time.monotonic() + SOON_S
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class SharedServer:
    """A server that runs for all tests; each test sets the application behind it."""

    def __init__(self) -> None:
        self.behind: ASGIApp | None = None
        listening = bind("127.0.0.1", 0)
        self.port: int = listening.getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)
        self._running = server(self)
        self._thread = threading.Thread(target=self._running.run, kwargs={"sockets": [listening]})
        self._thread.start()
        assert soon(lambda: self._running.started)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.behind is not None
        await self.behind(scope, receive, send)

    def close(self) -> None:
        self.client.close()
        self._running.should_exit = True
        self._thread.join()

    def connect(self) -> socket.socket:
        """Open a plain connection."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def exchange(self, sent: bytes) -> bytes:
        """Send bytes unchanged; returns everything received until the server closes the connection."""
        with self.connect() as connection:
            connection.sendall(sent)
            return drained(connection)


def drained(connection: socket.socket) -> bytes:
    """Read the rest of a connection; a reset ends it."""
    found = bytearray()
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return bytes(found)


class HandClock:
    """A clock that a test advances."""

    scale = 1.0

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def later(self, seconds: float) -> datetime:
        return self.time + timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def pause(self, duration: timedelta) -> None:
        self.time += duration

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    def explain(self, seconds: float, reason: str) -> None:
        del seconds, reason


class ServerHarness:
    """A site as `connector serve` runs it, with a ledger in a file.

    Args:
        shared_server: the server in front of the site.
        path: the file of a migrated ledger.
        secrets: the secrets of the callers.
        org: the org whose Outbound Messages are accepted.
        keys: the keys of the ledger, newest first.
    """

    def __init__(
        self, shared_server: SharedServer, path: Path, secrets: Secrets, org: str = ORG, keys: Sequence[str] = (KEY,)
    ) -> None:
        self.shared_server = shared_server
        self.client = shared_server.client
        self.path = path
        self.clock = HandClock()
        self.ledger = Ledger(Database(f"sqlite:///{path}"), Seal(list(keys)), path)
        self.wakes = 0
        self.alive = True
        self.sources = [LENSMOR]
        orgs = {"salesforce": org}
        self.inbound = InboundService(self.ledger, mappings(), self.clock, self._wake, orgs, sources=self.sources)
        self.site = Site(self.inbound, secrets, lambda: self.alive, VERSION, PUBLIC_URL, loopback=True)
        shared_server.behind = self.site.application()

    def _wake(self) -> None:
        self.wakes += 1

    # -- what callers do ---------------------------------------------------------------------------------------

    def ask(self, *ids: str, mapping: str = "lead", **more: object) -> httpx.Response:
        """Send a request for records, like a Flow."""
        return self.client.post(ASK, json={"mapping": mapping, "record_ids": ids, **more}, headers=BEARER)

    def ask_for(self, body: object) -> httpx.Response:
        """Send any JSON to the trigger API."""
        raw = json.dumps(body)  # also a lone surrogate, as an escape
        return self.client.post(ASK, content=raw, headers={**BEARER, "Content-Type": "application/json"})

    def look(self, request_id: str) -> httpx.Response:
        return self.client.get(f"{ASK}/{request_id}", headers=BEARER)

    def send(
        self, letter: str | bytes, secret: str = SECRET, query: str = "", content_type: str = "text/xml; charset=UTF-8"
    ) -> httpx.Response:
        """Send an Outbound Message, like Salesforce."""
        url = MESSAGES + secret + query
        return self.client.post(url, content=letter, headers={"Content-Type": content_type})

    def call_back(self, address: str, body: object) -> httpx.Response:
        """Send a callback, like the vendor."""
        raw = json.dumps(body)
        return self.client.post(CALLBACKS + address, content=raw, headers={"Content-Type": "application/json"})

    # -- what is seen ------------------------------------------------------------------------------------------

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        with self.ledger.database.read() as connection:
            query = sa.select(table).order_by(*table.primary_key)
            return [dict(row._mapping) for row in connection.execute(query)]

    def asked(self) -> list[tuple[str, str]]:
        """The mapping and record of every stored request, in order."""
        return [(row["mapping"], row["crm_id"]) for row in self.rows(t.request_item)]

    def execute(self, statement: sa.Executable) -> None:
        with self.ledger.database.write() as connection:
            connection.execute(statement)


def copied(blank: Path, folder: Path) -> Path:
    """A new ledger: copying is faster than migrating."""
    return Path(shutil.copy(blank, folder / "connector.db"))


def error_of(response: httpx.Response, status: int) -> str:
    """The message of a refusal; checks its status, and that it is JSON with nothing else."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    found = response.json()
    assert list(found) == ["error"]
    words: str = found["error"]
    return words


def seen(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """Everything by which a caller can distinguish two answers."""
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return response.status_code, headers, response.content
