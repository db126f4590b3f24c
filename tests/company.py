"""A small company for proofs with several processes: simulated sites on loopback, and processes of the connector.

The simulated clocks run faster; `scale` multiplies every wait of the connector.
"""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from commands import ENTRY_POINT, clean_environment
from forked_commands import Running, started

from connector.app.rehearsal import environment
from connector.simulator.clock import SimClock
from connector.simulator.seed import BulkFacts, seed_bulk
from connector.simulator.server import Simulator

MAPPING = """\
version: 1
name: lead
object: Lead
select:
  flag: Enrichment_Requested__c
  order: oldest
person:
  personnel_id: Lensmor_Personnel_Id__c
  event_id: Lensmor_Event_Id__c
channels:
  work_email:
    from: [lensmor]
    field: Email
    write: if_empty
    status: Email_Unlock_Status__c
  phone:
    from: [lensmor]
    field: MobilePhone
    write: if_empty
    status: Phone_Unlock_Status__c
"""
TOKEN = "a-token-for-proofs-only"
KEY = "C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0="


class Company:
    """The sites, a folder with settings, and the processes that were started in it."""

    def __init__(self, folder: Path, leads: int, scale: float, database_url: str = "") -> None:
        self.folder = folder
        self.facts: BulkFacts
        self.simulator = Simulator(SimClock(1 / scale))
        self.facts = seed_bulk(self.simulator, leads)
        self.simulator.lensmor.rate_limit = 600
        self.urls = self.simulator.start()
        self.processes: list[Running] = []
        settings = environment(self.urls) | {
            "CONNECTOR_TIME_SCALE": str(scale),
            "LENSMOR_REQUESTS_PER_MINUTE": "600",
            "CONNECTOR_TRIGGER_TOKEN": TOKEN,
            "CONNECTOR_DATABASE_URL": database_url or f"sqlite:///{folder / 'connector.db'}",
            "CONNECTOR_SECRET_KEY": KEY,
        }
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (folder / "lead.yaml").write_text(MAPPING)

    def start(self, *args: str) -> Running:
        """Start a command in a separate process, with its output streams in files."""
        number = len(self.processes)
        with (self.folder / f"{number}.out").open("w") as out, (self.folder / f"{number}.err").open("w") as err:
            made = started([*ENTRY_POINT, *args], cwd=self.folder, env=clean_environment(), stdout=out, stderr=err)
        self.processes.append(made)
        return made

    def words(self, process: Running) -> str:
        """The standard error of a process so far."""
        return (self.folder / f"{self.processes.index(process)}.err").read_text()

    def run(self, *args: str, timeout_s: float = 300.0) -> Any:  # noqa: ANN401 a document
        """Run a command to its end; returns its JSON document."""
        process = self.start(*args)
        code = process.wait(timeout_s)
        assert code in {0, 3, 4}, f"{code}: {self.words(process)}"
        return json.loads((self.folder / f"{self.processes.index(process)}.out").read_text())

    def close(self) -> None:
        """End all processes."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.simulator.stop()

    # -- the judge -------------------------------------------------------------------------------------------

    def unfinished(self, ids: tuple[str, ...]) -> list[str]:
        """Leads whose email or phone is missing."""
        org = self.simulator.salesforce.org
        records = {one: org.get("Lead", one) for one in ids}
        return [one for one, found in records.items() if not found["Email"] or not found["MobilePhone"]]

    def doubles(self) -> list[tuple[str, str, str]]:
        """Purchases charged twice, according to the vendors' own ledgers."""
        return self.simulator.charges.doubles()

    @property
    def charged(self) -> int:
        """The credits that the vendors have charged."""
        return sum(one.credits for one in self.simulator.charges.entries)


@contextmanager
def company(folder: Path, leads: int, scale: float, database_url: str = "") -> Iterator[Company]:
    """Run a company inside the context."""
    made = Company(folder, leads, scale, database_url)
    try:
        yield made
    finally:
        made.close()


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = 120.0, every_s: float = 0.05) -> float:
    """Wait for a condition; returns the seconds that it took.

    Raises:
        AssertionError: the condition was not met in time.
    """
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < timeout_s, f"waited in vain until {what}"
        time.sleep(every_s)
    return time.monotonic() - began


def free_port() -> int:
    """A port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_ready(port: int) -> bool:
    """Whether `serve` answers on the port and does the work of its ledger."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
