"""The vendors' side: the CPU of a lookup, the use of a request limit, and the throughput of several workers."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks import floors
from benchmarks.figures import Figure, Section
from benchmarks.lab import ALL_LEADS, LEAD_MAPPING, LOOKUP_MAPPING, Lab, Sync, sync_in
from benchmarks.processes import CONNECTOR, Usage, connector, started
from benchmarks.stores import Store
from benchmarks.world import POLLS, RESOLUTIONS, SUBMISSIONS, World
from benchmarks.world_spec import WorldSpec

MOST_LOOKUP_MS = 3.0
LEAST_SHARE = 95.0
LEAST_SPEEDUP = 2.5
SPEED = 10.0  # simulated seconds per real second, where a limit makes work wait
LIMIT = 30  # requests a simulated minute, so one in 0.2 s: slow enough that the connector's CPU is no limit
LATENCY_S = 0.2
WORKERS = 3
SEEN_WITHIN_S = 60.0
PATIENT = (0, 3, 4)  # exit codes: done; some records need attention; left records for later


def lookups(lab: Lab) -> Section:
    """The CPU of a Salesfinity lookup, which is a request and its polls for one person."""
    count = lab.sizes.lookups
    found = {leads: _lookups(lab, leads) for leads in (1, count)}
    usage, counts = found[count].usage, found[count].counts
    each_ms = 1000 * (usage.cpu_s - found[1].usage.cpu_s) / (count - 1)
    figures = (
        Figure("CPU for each lookup", each_ms, "ms", at_most=MOST_LOOKUP_MS),
        Figure("POSTs", counts.vendor(*SUBMISSIONS), at_most=count, at_least=count),
        Figure("Polls", counts.vendor(*POLLS)),
        Figure("Peak memory", usage.peak_mb, "MB"),
        Figure("Elapsed time", usage.wall_s, "s"),
    )
    text = (
        f"A sync of {count:,} Leads with one Salesfinity channel, less the CPU of a sync of one Lead. It includes the "
        "reading, planning and writing of each record."
    )
    return Section("lookups", f"{count:,} Salesfinity lookups", figures, text)


def _lookups(lab: Lab, leads: int) -> Sync:
    with lab.opened(WorldSpec(leads, salesfinity=True)) as (made, store):
        return sync_in(made, store, LOOKUP_MAPPING)


def pace(lab: Lab) -> Section:
    """The use of the vendor's request limit while work waits for it."""
    people = lab.sizes.paced_people
    batches = lab.sizes.leads
    alone = WorldSpec(batches, requests_per_minute=LIMIT, speed=SPEED)
    single = WorldSpec(people, linkedin_percent=100, requests_per_minute=LIMIT, speed=SPEED)
    figures = [
        *_paced(lab, "one process, one request for each person", single, RESOLUTIONS, workers=0),
        *_paced(lab, "one process, batches", alone, SUBMISSIONS, workers=0),
        *_paced(lab, f"{WORKERS} workers, batches", alone, SUBMISSIONS, workers=WORKERS),
    ]
    text = (
        f"Lensmor's headers name a limit of {LIMIT} requests a minute, and all clocks run {SPEED:g} times faster: a "
        f"request may leave every {60 / LIMIT / SPEED:g} s. {people:,} people are resolved by LinkedIn, or {batches:,} "
        "Leads are bought in batches. The share counts all requests from the first to the last of those that wait for "
        "the limit."
    )
    return Section("pace", "Use of the vendor's request limit", tuple(figures), text)


def _paced(lab: Lab, name: str, spec: WorldSpec, waiting: tuple[str, ...], *, workers: int) -> list[Figure]:
    with lab.opened(spec, "postgres" if workers else "sqlite") as (made, store):
        settings = {"CONNECTOR_TIME_SCALE": f"{1 / SPEED:g}"}
        if workers:
            _backfill(made, store, workers, settings)
        else:
            connector(
                made.settings | store.settings | settings,
                *("sync", "-m", LEAD_MAPPING, "--all", "--json", "--quiet"),
                allowed=PATIENT,
            )
        refused = made.counts().refused()
    first, last = _span(made, waiting)
    times = [at for _, at in made.vendor_requests if first <= at <= last]
    share = 100 * floors.share_used(times, spec.requests_per_minute)
    return [
        Figure(f"Share of the limit, {name}", share, "%", at_least=LEAST_SHARE),
        Figure(f"Answers 429, {name}", refused, at_most=0),
    ]


def _span(made: World, operations: tuple[str, ...]) -> tuple[float, float]:
    """The simulated times of the first and the last request of these operations."""
    times = [at for operation, at in made.vendor_requests if operation in operations]
    if not times:
        raise RuntimeError(f"the vendor was sent no request of {', '.join(operations)}")
    return times[0], times[-1]


def workers(lab: Lab) -> Section:
    """The throughput of several workers of one ledger, compared with one."""
    leads = lab.sizes.leads
    spec = WorldSpec(leads, vendor_latency_s=LATENCY_S)
    figures: list[Figure] = []
    rates: dict[int, tuple[float, float]] = {}
    for count in (1, WORKERS):
        with lab.opened(spec, "postgres") as (made, store):
            whole = _backfill(made, store, count, {})
        first, last = _span(made, SUBMISSIONS + POLLS)
        rates[count] = leads / (last - first), leads / whole.wall_s
        name = "1 worker" if count == 1 else f"{count} workers"
        figures += [
            Figure(f"Records a second from the first to the last vendor request, {name}", rates[count][0]),
            Figure(f"Records a second over the whole run, {name}", rates[count][1]),
        ]
    figures += [
        Figure("Throughput, compared with one worker", rates[WORKERS][0] / rates[1][0], at_least=LEAST_SPEEDUP),
        Figure("The same over the whole run", rates[WORKERS][1] / rates[1][1]),
    ]
    text = (
        f"{leads:,} Leads with two Lensmor channels on PostgreSQL; every answer of the vendor takes "
        f"{LATENCY_S * 1000:g} ms. The processors of this machine are shared by the workers, the database and the "
        "simulated sites: where they are the limit, more workers cannot help."
    )
    return Section("workers", f"{WORKERS} PostgreSQL workers", tuple(figures), text)


def _backfill(made: World, store: Store, count: int, settings: dict[str, str]) -> Usage:
    """Run a backfill of all Leads by so many workers."""
    all_settings = made.settings | store.settings | settings
    with _working(all_settings, count):
        options = ("-m", LEAD_MAPPING, "--where", ALL_LEADS, "--yes", "--all", "--json", "--quiet")
        return connector(all_settings, "backfill", *options, allowed=PATIENT)


@contextmanager
def _working(settings: dict[str, str], count: int) -> Iterator[None]:
    """Workers that are all registered in the ledger, and are stopped at the end."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(started([CONNECTOR, "worker", "-m", LEAD_MAPPING, "--quiet"], settings))
            for _ in range(count)
        ]
        until = time.monotonic() + SEEN_WITHIN_S
        while len(json.loads(connector(settings, "status", "--json").out)["workers"]) < count:
            if time.monotonic() > until:
                raise RuntimeError(f"the workers did not start: {running[0].errors}")
            time.sleep(0.5)
        yield
        for one in running:
            one.stop()
        for one in running:
            one.wait()
