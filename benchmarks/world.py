"""The simulated world as the measuring process sees it: its settings, its counts, and its own cost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from benchmarks.processes import ROOT
from benchmarks.world_spec import WorldSpec

SUBMISSIONS = ("submitEmailUnlock", "submitPhoneUnlock", "requestEmailEnrichment")
POLLS = ("getEmailUnlockTask", "getPhoneUnlockTask", "getEmailEnrichment")
RESOLUTIONS = ("findPersonByLinkedin",)
BALANCES = ("getCreditsBalance", "getEnrichmentCredits")
PACE = {"SALESFINITY_REQUESTS_PER_MINUTE": "100000"}  # the most; this vendor's answers name no limit
READS = ("query", "query_more", "query_all", "retrieve_many", "retrieve_one")
WRITES = ("update_many", "update_one")


@dataclass(frozen=True)
class Counts:
    """Requests by site and operation, as the sites counted them."""

    sites: dict[str, dict[str, dict[str, int]]]

    def vendor(self, *operations: str) -> int:
        """The requests of these operations at both vendors."""
        return sum(self._of(site, operations) for site in ("lensmor", "salesfinity"))

    def vendor_work(self) -> int:
        """All requests to vendors except those for the balance, which cost no credits."""
        names = {name for site in ("lensmor", "salesfinity") for name in self.sites[site]}
        return self.vendor(*(names - set(BALANCES)))

    def refused(self) -> int:
        """Answers of vendors with status 429."""
        return sum(found.get("429", 0) for site in ("lensmor", "salesfinity") for found in self.sites[site].values())

    def salesforce(self, *operations: str) -> int:
        """The requests of these operations, or all requests with the one for the token."""
        return self._of("salesforce", operations or tuple(self.sites["salesforce"]))

    def rows(self, *operations: str) -> int:
        """The rows of these operations at Salesforce."""
        return sum(self.sites["salesforce"].get(name, {}).get("rows", 0) for name in operations)

    def _of(self, site: str, operations: tuple[str, ...]) -> int:
        return sum(self.sites[site].get(name, {}).get("requests", 0) for name in operations)


@dataclass
class World:
    """A served world.

    Attributes:
        settings: the connector's settings for it, without a ledger.
        cpu_s: the CPU of the simulator, known at the end.
        peak_mb: its memory, known at the end.
        vendor_requests: the operation of each request to a vendor and its simulated Unix seconds, known at the end.
        doubles: values that were charged twice, known at the end.
    """

    settings: dict[str, str]
    control: str
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    vendor_requests: list[tuple[str, float]] = field(default_factory=list)
    doubles: int = 0

    def counts(self) -> Counts:
        """The requests so far."""
        return Counts(httpx.get(f"{self.control}/requests", trust_env=False, timeout=60).json())

    def records(self, object_name: str) -> list[dict[str, Any]]:
        """All records of an object."""
        answer = httpx.get(f"{self.control}/records", params={"object": object_name}, trust_env=False, timeout=60)
        found: list[dict[str, Any]] = answer.json()["records"]
        return found

    def reset_counts(self) -> None:
        """Count from zero."""
        httpx.delete(f"{self.control}/requests", trust_env=False, timeout=60).raise_for_status()


@contextmanager
def world(spec: WorldSpec) -> Iterator[World]:
    """Serve a simulated world in another process.

    Raises:
        RuntimeError: the process did not start, or a person was charged twice.
    """
    command = [sys.executable, "-m", "benchmarks.serve", json.dumps(asdict(spec))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 our own module
        try:
            if process.stdout is None:
                raise RuntimeError("the simulated sites have no output")
            first = process.stdout.readline()
            if not first:
                raise RuntimeError("the simulated sites did not start")
            settings: dict[str, str] = json.loads(first)
            control = settings.pop("CONTROL")
            made = World(settings | PACE, control)
            yield made
            process.terminate()
            last: dict[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
            made.cpu_s, made.peak_mb = last["cpu_s"], last["peak_mb"]
            made.vendor_requests = [(operation, at) for operation, at in last["vendor_requests"]]
            made.doubles = last["doubles"]
        finally:
            process.kill()
    if made.doubles:
        raise RuntimeError(f"{made.doubles} values were charged twice")
