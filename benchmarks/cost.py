"""The cost of the usual job, beside two scripts that do the same without a ledger."""

import json
import sys
from dataclasses import dataclass

from benchmarks import floors
from benchmarks.figures import Figure, Section, Table
from benchmarks.lab import Lab, Sync, median_usage
from benchmarks.processes import Usage, run
from benchmarks.stores import NoPostgresError
from benchmarks.world import POLLS, READS, SUBMISSIONS, WRITES, Counts, world
from benchmarks.world_spec import WorldSpec

CHANNELS = 2
LEAST_CPU_S = {"sqlite": 4.0, "postgres": 6.0}
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


@dataclass(frozen=True)
class Script:
    """One of the scripts: the records that it enriched, its process, and the requests that the sites counted."""

    records: int
    usage: Usage
    counts: Counts


def cost(lab: Lab) -> Section:
    """CPU, memory and requests of one sync on each store, and of the scripts."""
    leads = lab.sizes.leads
    syncs = {"sqlite": lab.usual("sqlite")}
    missing = ""
    try:
        syncs["postgres"] = lab.usual("postgres")
    except NoPostgresError as error:
        missing = f"\n\nPostgreSQL was not measured: {error}."
    plain = _script("plain", leads, rounds=lab.sizes.rounds)
    literal = _script("literal", lab.sizes.literal, str(lab.sizes.literal))
    figures: list[Figure] = []
    for kind, found in syncs.items():
        figures += _figures(NAMES[kind], found, leads, LEAST_CPU_S[kind], plain.usage.cpu_s)
    figures += [
        Figure("CPU of the simulated sites, with the building of their world", syncs["sqlite"].simulator_cpu_s, "s")
    ]
    return Section(
        "cost",
        f"{leads:,} Leads, two channels",
        tuple(figures),
        TEXT.format(
            rounds=lab.sizes.rounds,
            part=f"{lab.sizes.literal:,}",
            credits=f"{syncs['sqlite'].report['credits']['lensmor']['charged']:,}",
        )
        + missing,
        _table(leads, syncs, plain, literal),
    )


def _script(name: str, leads: int, *arguments: str, rounds: int = 1) -> Script:
    usages: list[Usage] = []
    for _ in range(rounds):
        with world(WorldSpec(leads)) as made:
            usages.append(run([sys.executable, "-m", f"benchmarks.{name}", *arguments], made.settings))
            counts = made.counts()
    json.loads(usages[0].out)
    return Script(leads, median_usage(usages), counts)


def _figures(store: str, found: Sync, leads: int, most_cpu_s: float, plain_cpu_s: float) -> list[Figure]:
    counts, usage = found.counts, found.usage
    floor = floors.submissions(leads, CHANNELS)
    return [
        Figure(f"CPU, {store}", usage.cpu_s, "s", at_most=most_cpu_s),
        Figure(
            f"CPU, {store}, against twice the plain script's and 1 s",
            usage.cpu_s,
            "s",
            at_most=round(2 * plain_cpu_s + 1, 2),
            note=f"the plain script needs {plain_cpu_s:.2f} s",
        ),
        Figure(f"Peak memory, {store}", usage.peak_mb, "MB", at_most=200),
        Figure(f"Elapsed time, {store}", usage.wall_s, "s"),
        Figure(f"Vendor POSTs, {store}", counts.vendor(*SUBMISSIONS), at_most=floor, at_least=floor),
        Figure(f"Ledger for each record, {store}", found.ledger_bytes / leads, "bytes"),
    ]


def _table(leads: int, syncs: dict[str, Sync], plain: Script, literal: Script) -> Table:
    scale = leads / literal.records
    posts = floors.submissions(leads, CHANNELS)
    reads, writes = floors.read_calls(leads, 2), floors.write_calls(leads)
    programs = [(found.usage, found.counts, 1.0) for found in syncs.values()]
    programs += [(plain.usage, plain.counts, 1.0), (literal.usage, literal.counts, scale)]
    least = {"reads": reads, "writes": writes, "posts": posts, "polls": posts, "calls": reads + writes}

    def row(name: str, key: str, *operations: str, site: str = "salesforce") -> tuple[str, ...]:
        cells = []
        for _, counts, factor in programs:
            count = counts.vendor(*operations) if site == "vendor" else counts.salesforce(*operations)
            cells.append(f"{round(count * factor):,}")
        return name, f"{least[key]:,}", *cells

    return Table(
        (f"{leads:,} Leads", "floor", *(NAMES[kind] for kind in syncs), "plain script", "literal script"),
        (
            row("Salesforce calls", "calls"),
            row("of these reads", "reads", *READS),
            row("of these writes", "writes", *WRITES),
            row("Vendor POSTs", "posts", *SUBMISSIONS, site="vendor"),
            row("Vendor polls", "polls", *POLLS, site="vendor"),
            ("CPU, s", "", *(f"{usage.cpu_s * factor:.1f}" for usage, _, factor in programs)),
            ("Elapsed, s", "", *(f"{usage.wall_s * factor:.1f}" for usage, _, factor in programs)),
            ("Peak memory, MB", "", *(f"{usage.peak_mb:.0f}" for usage, _, _ in programs)),
        ),
    )


TEXT = """
Each Lead has an email and a phone at Lensmor; the simulated vendor answers at once. The ledger is new, so that the CPU
includes its creation. Medians of {rounds} rounds by CPU; {credits} credits were charged in each.

The floor: reads ceil(N / 2,000), twice, for every record is compared once more before it is written; writes
ceil(N / 200); one POST for each hundred people and channel, and at least one poll for each. Above the floor the
connector makes a few calls for the token, the limits, the object's description and a check of the mapping's condition.
Three seconds of each elapsed time are those that the vendor asks callers to wait before the first poll.

The plain script (`benchmarks/plain.py`) is what a competent engineer writes with asyncio: pages of 2,000, batches of
100, Collections of 200. The literal script (`benchmarks/literal.py`) unlocks, polls and updates each record by itself;
it ran over {part} records and is scaled up. Neither keeps a ledger: interrupted, they would pay again. Neither compares
a record before it overwrites it, keeps a cap, or goes on after a refused record.
"""
