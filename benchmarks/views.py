"""The commands that an operator runs all day, on an empty and on a large ledger."""

from benchmarks.figures import Figure, Section, SkippedError
from benchmarks.growth import fill
from benchmarks.lab import LEAD_MAPPING, Lab, median_usage
from benchmarks.processes import connector
from benchmarks.stores import Store
from benchmarks.world import World
from benchmarks.world_spec import WorldSpec

MOST_CPU_S = 1.0
COMMANDS = (("status",), ("runs",), ("credits",), ("doctor", "-m", LEAD_MAPPING))
RUNS = 200


def views(lab: Lab) -> Section:
    """The CPU of the commands, with their start."""
    records = lab.sizes.ledger_records
    with lab.opened(WorldSpec(1)) as (made, store):
        connector(made.settings | store.settings, "sync", "-m", LEAD_MAPPING, "--quiet")
        figures = _measured(lab, made, store, "a ledger with one record", aim=False)
    missing = ""
    try:
        with lab.opened(WorldSpec(1)) as (made, store):
            fill(store, records=records, runs=RUNS)
            size_mb = store.size() / 2**20
            figures += _measured(lab, made, store, f"a ledger with {records:,} records", aim=True)
            figures.append(Figure(f"Size of a ledger with {records:,} records", size_mb, "MB"))
    except SkippedError as error:
        missing = f" The large ledger was not measured: {error}."
    text = f"SQLite; medians of {lab.sizes.rounds} rounds." + missing
    return Section("views", "status, runs, credits, doctor", tuple(figures), text)


def _measured(lab: Lab, made: World, store: Store, where: str, *, aim: bool) -> list[Figure]:
    found = []
    for command in COMMANDS:
        usages = [
            connector(made.settings | store.settings, *command, allowed=(0, 2, 3)) for _ in range(lab.sizes.rounds)
        ]
        usage = median_usage(usages)
        note = f"{usage.peak_mb:.0f} MB"
        most = MOST_CPU_S if aim else None
        found.append(Figure(f"`{command[0]}`, {where}", usage.cpu_s, "s", at_most=most, note=note))
    return found
