"""The commands that an operator runs all day, on a nearly empty ledger and on a large one."""

from benchmarks.figures import Figure, Section
from benchmarks.growth import fill
from benchmarks.lab import LEAD_MAPPING, Lab, median_usage
from benchmarks.processes import connector
from benchmarks.stores import Store
from benchmarks.world import World
from benchmarks.world_spec import WorldSpec

MOST_CPU_S = 1.0
COMMANDS = (("status",), ("runs",), ("credits",), ("doctor", "-m", LEAD_MAPPING))
RUNS = 200


def small(lab: Lab) -> Section:
    """The CPU of the commands, with their start, where the ledger is nearly empty."""
    with lab.opened(WorldSpec(1)) as (made, store):
        connector(made.settings | store.settings, "sync", "-m", LEAD_MAPPING, "--quiet")
        figures = _measured(lab, made, store, most_cpu_s=None)
    return Section("commands", "Commands on a ledger of one record", figures, f"SQLite; {_rounds(lab)}.")


def large(lab: Lab) -> Section:
    """The CPU of the commands, with their start, where the ledger is large.

    Raises:
        SkippedError: nothing here can fill a ledger.
    """
    records = lab.sizes.ledger_records
    with lab.opened(WorldSpec(1)) as (made, store):
        fill(store, records=records, runs=RUNS)
        figures = (
            *_measured(lab, made, store, most_cpu_s=MOST_CPU_S),
            Figure("Size of the ledger", store.size() / 2**20, "MB"),
            Figure("Ledger for each record", store.size() / records, "bytes"),
        )
    text = f"SQLite; {records:,} closed records of {RUNS} runs; {_rounds(lab)}."
    return Section("views", f"Commands on a ledger of {records:,} records", figures, text)


def _rounds(lab: Lab) -> str:
    return "measured once" if lab.sizes.rounds == 1 else f"medians of {lab.sizes.rounds} rounds"


def _measured(lab: Lab, made: World, store: Store, *, most_cpu_s: float | None) -> tuple[Figure, ...]:
    found = []
    for command in COMMANDS:
        usages = [
            connector(made.settings | store.settings, *command, allowed=(0, 2, 3)) for _ in range(lab.sizes.rounds)
        ]
        usage = median_usage(usages)
        note = f"{usage.peak_mb:.0f} MB"
        found.append(Figure(f"`{command[0]}`: CPU", usage.cpu_s, "s", at_most=most_cpu_s, note=note))
    return tuple(found)
