"""The simulated world as a stage: settings that point the true clients at it, for the demo and for rehearsals."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from connector.app.joining import Configured
from connector.config import Settings
from connector.core.errors import ConfigurationError
from connector.providers import REGISTRY
from connector.simulator.clock import SimClock
from connector.simulator.seed import seed_bulk, seed_demo
from connector.simulator.server import Simulator, Urls

CLIENT_ID, CLIENT_SECRET = "sim-client-id", "sim-client-secret"
KEYS = {"lensmor": "sim-lensmor-key", "salesfinity": "sim-salesfinity-key"}
EXAMPLE_CASES = ("other_script_linkedin", "salesfinity_work", "bounced")
WAIT_S = 7200.0  # a busy machine is slow beside clocks that run so fast: let it finish what it began
REQUESTS_PER_MINUTE = 600  # the simulated vendors' limits, so that a rehearsal takes seconds


class Rehearsal:
    """A seeded simulated world on loopback, and a ledger in a temporary folder.

    Args:
        time_scale: multiplies every wait; the simulated clocks run as much faster.
        folder: where the ledger is kept; by default a temporary folder, removed at the end.
    """

    def __init__(self, time_scale: float, folder: Path | None = None) -> None:
        self._time_scale = time_scale
        self._temporary = tempfile.TemporaryDirectory(prefix="connector-demo-") if folder is None else None
        self.folder = folder or Path(self._temporary.name if self._temporary else ".")
        self.simulator = Simulator(SimClock(1 / time_scale))
        self._facts = seed_demo(self.simulator)
        self.simulator.lensmor.rate_limit = REQUESTS_PER_MINUTE
        self.urls: Urls | None = None

    def __enter__(self) -> Self:
        self.urls = self.simulator.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simulator.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def configured(self) -> Configured:
        """Settings for the simulated world; nothing is read from the environment that could lead elsewhere."""
        if self.urls is None:
            raise ConfigurationError("the simulated world is not started")
        values = environment(self.urls)
        settings = Settings(
            salesforce_instance_url=self.urls.salesforce,
            salesforce_client_id=CLIENT_ID,
            salesforce_client_secret=SecretStr(CLIENT_SECRET),
            salesforce_username=None,
            salesforce_private_key_file=None,
            salesforce_access_token=None,
            connector_database_url=f"sqlite:///{self.folder / 'connector.db'}",
            connector_secret_key=None,
            connector_time_scale=self._time_scale,
            connector_wait_seconds=WAIT_S,
        )
        providers = {
            name: entry.settings(
                api_key=SecretStr(KEYS[name]),
                base_url=values[f"{name.upper()}_BASE_URL"],
                account="default",
                requests_per_minute=REQUESTS_PER_MINUTE,
            )
            for name, entry in REGISTRY.items()
        }
        return Configured(settings, providers, None)

    def count(self, object_name: str) -> int:
        """How many records of an object the simulated org has."""
        return len(self.simulator.salesforce.org.records(object_name))

    def record(self, like: Mapping[str, object]) -> dict[str, object]:
        """A record as it is now, by one read earlier."""
        record_id = str(like["Id"])
        return dict(self.simulator.salesforce.org.get("Lead" if record_id.startswith("00Q") else "Contact", record_id))

    def examples(self) -> list[dict[str, object]]:
        """Three telling records: found by LinkedIn, found only by the second vendor, and one whose address bounced."""
        chosen: list[dict[str, object]] = []
        for case in EXAMPLE_CASES:
            found = next((one for one in self._facts.of_case(case) if one.flagged), None)
            if found is not None:
                chosen.append(dict(self.simulator.salesforce.org.get(found.object_name, found.record_id)))
        return chosen

    def charged_twice(self) -> int:
        """Purchases that the simulated vendors charged more than once, by their own ledger."""
        return len(self.simulator.charges.doubles())


def environment(urls: Urls) -> dict[str, str]:
    """The settings, as environment variables, that point the connector at a simulated world."""
    return {
        "SALESFORCE_INSTANCE_URL": urls.salesforce,
        "SALESFORCE_CLIENT_ID": CLIENT_ID,
        "SALESFORCE_CLIENT_SECRET": CLIENT_SECRET,
        "LENSMOR_BASE_URL": urls.lensmor,
        "LENSMOR_API_KEY": KEYS["lensmor"],
        "SALESFINITY_BASE_URL": urls.salesfinity,
        "SALESFINITY_API_KEY": KEYS["salesfinity"],
    }


def simulate(
    tell: Callable[[Mapping[str, str], str], None], *, leads: int, speed: float, ports: Mapping[str, int]
) -> None:
    """Serve a simulated world until SIGINT or SIGTERM.

    Args:
        tell: called once with the settings that lead to it, and the address of its control routes.
        leads: this many plain Leads instead of the demo's org; 0 for the demo's.
        speed: simulated seconds per real second.
        ports: by site; missing ones take any free port.
    """
    seed = seed_demo if leads == 0 else lambda simulator: seed_bulk(simulator, leads)
    simulator = Simulator(SimClock(speed), seed)
    simulator.serve_until_stopped(lambda urls: tell(environment(urls), urls.control), **dict(ports))
