"""An admin's workspace: a folder with settings, a small simulated world at a thousand times the speed, and commands.

Commands run in this process, through the same `main` as the console script. All output is searched for tracebacks,
secrets and personal data.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from commands import ENTRY_POINT, Said, clean_environment
from forked_commands import Running, started
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.app.rehearsal import CLIENT_SECRET, KEYS, environment
from connector.cli.main import main
from connector.simulator.clock import SimClock
from connector.simulator.faults import Fault
from connector.simulator.hosting import Hosting
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.server import Simulator, Urls

SPEED = 1000
MAPPINGS = Path(__file__).parent.parent / "mappings"
SITES = ("salesforce", "lensmor", "salesfinity")
EVENT = SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
NEVER_SHOWN = (
    "Traceback",
    CLIENT_SECRET,
    *KEYS.values(),
    "00DSm0000000001!",  # the start of the simulated org's access tokens
    "@example.com",
    "+1 212",
    "+1212",
    "linkedin.com/in/sample",
    "Sample Person",
)


class _Plug:
    """Forwards requests to the current test's world."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Servers:
    """Loopback servers for a test session; each test plugs in its own world."""

    def __init__(self) -> None:
        self._plugs = {name: _Plug() for name in SITES}
        self._hosting = Hosting(self._plugs)
        self.urls = Urls(**self._hosting.start(), control="")

    def show(self, simulator: Simulator) -> None:
        self._plugs["salesforce"].app = simulator.salesforce.app
        self._plugs["lensmor"].app = simulator.lensmor.app
        self._plugs["salesfinity"].app = simulator.salesfinity.app

    def check(self) -> None:
        broken = list(self._hosting.broken)
        self._hosting.broken.clear()
        assert not broken

    def close(self) -> None:
        self._hosting.stop()


class Workspace:
    """The workspace.

    Args:
        servers: the servers of the world.
        folder: the working directory, with `.env` and `mappings/`.
    """

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.simulator = Simulator(SimClock(SPEED))
        self.simulator.lensmor.rate_limit = None
        self.simulator.lensmor.add_event(EVENT)
        servers.show(self.simulator)
        self.folder = folder
        shutil.copytree(MAPPINGS, folder / "mappings")
        self.org = self.simulator.salesforce.org
        # Twenty real seconds, so that a run on a busy machine does not time out before it has done its work.
        waits = {"CONNECTOR_TIME_SCALE": f"{1 / SPEED:g}", "CONNECTOR_WAIT_SECONDS": "20000"}
        self.settings = {**environment(servers.urls), **waits}
        self._next_id = 70_000
        self.set()

    def set(self, **changes: str | None) -> None:
        """Write `.env`, with some settings changed or (None) left out."""
        wanted = {name: value for name, value in (self.settings | changes).items() if value is not None}
        self.settings = wanted
        file = self.folder / ".env"
        file.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))
        file.chmod(0o600)

    def person(self) -> SimPerson:
        """Add a person whom both vendors know."""
        self._next_id += 1
        number = str(self._next_id)
        made = SimPerson(
            personnel_id=number,
            full_name=f"Sample Person {number}",
            linkedin_name=f"sample-{number}",
            event_ids=(EVENT.event_id,),
            email=f"p{number}@example.com",
            phone=f"+1 212 555 {int(number) % 10_000:04d}",
            work_email=f"w{number}@example.com",
            personal_email=f"home{number}@example.com",
        )
        self.simulator.lensmor.add_person(made)
        self.simulator.salesfinity.add_person(made)
        return made

    def lead(self, person: SimPerson | None = None, **values: object) -> str:
        """Add a flagged Lead of a new person."""
        person = person or self.person()
        return self.org.insert(
            "Lead",
            {
                "LastName": "Sample",
                "Company": "Example Works",
                "Enrichment_Requested__c": True,
                "Lensmor_Personnel_Id__c": person.personnel_id,
                "Lensmor_Event_Id__c": EVENT.event_id,
                "LinkedIn_URL__c": f"https://www.linkedin.com/in/{person.linkedin_name}",
                **values,
            },
        )

    def arm(self, site: str, operation: str, action: str, times: int = 1, **params: object) -> None:
        """Arm a fault."""
        self.simulator.arm(Fault(site, operation, action, times, params=params))

    def mapping(self, text: str, name: str = "own.yaml") -> str:
        """Write a mapping file; returns its name for `-m`."""
        (self.folder / name).write_text(text)
        return name

    @property
    def paid_posts(self) -> int:
        """The number of paid requests that reached a vendor."""
        log, other = self.simulator.lensmor.requests, self.simulator.salesfinity.requests
        return log.count("submitEmailUnlock") + log.count("submitPhoneUnlock") + other.count("requestEmailEnrichment")

    def run(self, *args: str, answer: str | None = None) -> Said:
        """Run a command.

        Args:
            args: the arguments after `connector`.
            answer: typed at a question on a terminal; without it there is no terminal.
        """
        with (
            CliRunner().isolation(input=answer) as (out, err, both),
            pytest.MonkeyPatch.context() as patch,
            _signals_kept(),
        ):
            patch.setattr(sys, "argv", ["connector", *args])
            if answer is not None:
                patch.setattr(sys.stdin, "isatty", lambda: True)
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 0
            sys.stdout.flush()
            sys.stderr.flush()
            result = Said(code, out.getvalue().decode(), err.getvalue().decode(), both.getvalue().decode())
        decent(result)
        return result

    def start(self, *args: str, fresh: bool = False, **environment: str) -> Running:
        """Start a command in a separate process, with additional environment variables.

        Args:
            args: the arguments after `connector`.
            fresh: start a new interpreter instead of forking one.
            environment: the additional variables.
        """
        return started(
            [*ENTRY_POINT, *args],
            cwd=self.folder,
            env=clean_environment() | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            fresh=fresh,
        )

    def finish(self, process: Running) -> Said:
        """Wait for a process."""
        out, err = process.communicate(timeout=60)
        result = Said(process.returncode, out, err)
        decent(result)
        return result


def decent(result: Said) -> None:
    """Check an output for tracebacks, secrets, personal data and internal faults.

    Raises:
        AssertionError: there is one.
    """
    shown = result.out + result.err
    found = [text for text in NEVER_SHOWN if text in shown]
    assert not found, shown
    assert result.code != 1, shown
    assert "internal fault" not in shown


@contextmanager
def _signals_kept() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def outcome_of(report: Mapping[str, Any]) -> dict[str, int]:
    """The outcomes that occur in a report."""
    return {name: count for name, count in report["outcomes"].items() if count}
