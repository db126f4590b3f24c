"""What the scenarios share: sizes, stores, and one sync with all its figures."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import stores
from benchmarks.processes import Usage, connector
from benchmarks.stores import PostgresServer, Store
from benchmarks.world import Counts, World, world
from benchmarks.world_spec import WorldSpec

FOLDER = Path(__file__).parent
LEAD_MAPPING = str(FOLDER / "lead.yaml")
LOOKUP_MAPPING = str(FOLDER / "salesfinity.yaml")
ALL_LEADS = "LastName != null"
NEEDS_ATTENTION = 3  # exit code: done, some records need attention


@dataclass(frozen=True)
class Sizes:
    """The sizes of the scenarios, and how often each is measured.

    Attributes:
        leads: Leads of the usual world.
        rounds: measurements of its sync, of which the median counts.
        large: Leads of the large world, measured once.
        variant_rounds: measurements of each variant of the usual world.
        literal: Leads of the literal script, whose figures are scaled up.
        lookups: Salesfinity lookups.
        earlier_runs: earlier runs of `leads` records in the ledger.
        ledger_records: records of the large ledger.
        paced_people: people found by LinkedIn, one request each, for the use of the vendor's limit.
        trigger_rounds: measurements of the trigger route.
    """

    leads: int = 10_000
    rounds: int = 3
    large: int = 100_000
    variant_rounds: int = 2
    literal: int = 500
    lookups: int = 1_000
    earlier_runs: int = 20
    ledger_records: int = 1_000_000
    paced_people: int = 450
    trigger_rounds: int = 3


QUICK = Sizes(rounds=1, variant_rounds=1, literal=100, lookups=200, trigger_rounds=1)


@dataclass(frozen=True)
class Sync:
    """One sync of the usual kind.

    Attributes:
        usage: its process.
        report: the document that it printed.
        counts: the requests that the sites counted.
        ledger_bytes: the size of its ledger afterwards.
        simulator_cpu_s: the CPU of the simulated sites, with the building of their world.
    """

    usage: Usage
    report: dict[str, Any]
    counts: Counts
    ledger_bytes: int
    simulator_cpu_s: float = 0.0


@dataclass(frozen=True)
class SecondRun:
    """A run that finds nothing to buy or write."""

    usage: Usage
    counts: Counts


class Lab:
    """The sizes, a PostgreSQL server, and the syncs that several scenarios compare with."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.postgres = PostgresServer()
        self._syncs: dict[str, list[Sync]] = {}
        self._second: dict[str, SecondRun] = {}

    def close(self) -> None:
        """Stop the server."""
        self.postgres.close()

    def store(self, kind: str) -> AbstractContextManager[Store]:
        """An empty ledger: `sqlite` or `postgres`."""
        return stores.sqlite() if kind == "sqlite" else self.postgres.ledger()

    def usual(self, kind: str) -> Sync:
        """The sync of the usual world, the median of several rounds by CPU; measured at the first call."""
        if kind not in self._syncs:
            last = self.sizes.rounds - 1
            self._syncs[kind] = [self._usual(kind, again=place == last) for place in range(self.sizes.rounds)]
        return median(self._syncs[kind])

    def second_run(self, kind: str) -> SecondRun:
        """A backfill of all records, right after the usual sync of them."""
        self.usual(kind)
        return self._second[kind]

    def _usual(self, kind: str, *, again: bool) -> Sync:
        with self.opened(WorldSpec(self.sizes.leads), kind) as (made, store):
            found = sync_in(made, store)
            if again:
                made.reset_counts()
                options = ("-m", LEAD_MAPPING, "--where", ALL_LEADS, "--yes", "--all", "--json", "--quiet")
                usage = connector(made.settings | store.settings, "backfill", *options)
                self._second[kind] = SecondRun(usage, made.counts())
        return replace(found, simulator_cpu_s=made.cpu_s)

    def sync(
        self,
        spec: WorldSpec,
        kind: str = "sqlite",
        *,
        allowed: Sequence[int] = (0,),
        prepare: Callable[[Store], None] | None = None,
    ) -> Sync:
        """Sync everything that is flagged in a new world, with a new ledger."""
        with self.opened(spec, kind) as (made, store):
            if prepare is not None:
                prepare(store)
            found = sync_in(made, store, allowed=allowed)
        return replace(found, simulator_cpu_s=made.cpu_s)

    @contextmanager
    def opened(self, spec: WorldSpec, kind: str = "sqlite") -> Iterator[tuple[World, Store]]:
        """A new world and a new ledger."""
        with self.store(kind) as store, world(spec) as made:
            yield made, store


def sync_in(made: World, store: Store, mapping: str = LEAD_MAPPING, *, allowed: Sequence[int] = (0,)) -> Sync:
    """Sync everything that is flagged in this world."""
    usage = connector(
        made.settings | store.settings, "sync", "-m", mapping, "--all", "--json", "--quiet", allowed=allowed
    )
    return Sync(usage, json.loads(usage.out), made.counts(), store.size())


def median(syncs: Sequence[Sync]) -> Sync:
    """The sync with the median CPU."""
    return sorted(syncs, key=lambda one: one.usage.cpu_s)[len(syncs) // 2]


def median_usage(usages: Sequence[Usage]) -> Usage:
    """The process with the median CPU."""
    return sorted(usages, key=lambda one: one.cpu_s)[len(usages) // 2]
