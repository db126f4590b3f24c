"""Whether cost stays in proportion to the work: a large run, its export and undo, and harder variants of the usual."""

import importlib.util
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figures import Figure, Section, SkippedError
from benchmarks.lab import NEEDS_ATTENTION, Lab, Sync, median, sync_in
from benchmarks.processes import Usage, connector, run
from benchmarks.stores import Store
from benchmarks.world import RESOLUTIONS
from benchmarks.world_spec import WorldSpec

MOST_GROWTH, MOST_VARIANT, MOST_MB = 1.2, 1.3, 200.0


@dataclass(frozen=True)
class Whole:
    """A run, its export and its undo."""

    leads: int
    sync: Sync
    export: Usage
    undo: Usage


def large(lab: Lab) -> Section:
    """The large run beside the usual one, and the export and undo of both."""
    small, big = _whole(lab, lab.sizes.leads), _whole(lab, lab.sizes.large)
    usual = lab.usual("sqlite").usage
    per_small, per_big = usual.cpu_s / small.leads, big.sync.usage.cpu_s / big.leads
    size, base = f"{big.leads:,}", f"{small.leads:,}"
    figures = [
        Figure(f"CPU per record at {size}", per_big * 1000, "ms", note=f"{per_small * 1000:.2f} ms at {base}"),
        Figure(f"CPU per record at {size}, compared with {base}", per_big / per_small, at_most=MOST_GROWTH),
        Figure(f"Peak memory at {size}", big.sync.usage.peak_mb, "MB", at_most=MOST_MB),
        Figure(
            f"Memory per record at {size}, compared with {base}",
            (big.sync.usage.peak_mb / big.leads) / (usual.peak_mb / small.leads),
            at_most=MOST_GROWTH,
        ),
        Figure(f"Ledger for each record at {size}", big.sync.ledger_bytes / big.leads, "bytes"),
        Figure(f"Elapsed time at {size}", big.sync.usage.wall_s, "s"),
        Figure("CPU of the simulated sites, with the building of their world", big.sync.simulator_cpu_s, "s"),
    ]
    for name, ours, theirs in (("Export", big.export, small.export), ("Undo", big.undo, small.undo)):
        figures += [
            Figure(f"{name} of {size}: CPU", ours.cpu_s, "s"),
            Figure(
                f"{name}: CPU per record, compared with {base}",
                (ours.cpu_s / big.leads) / (theirs.cpu_s / small.leads),
                at_most=MOST_GROWTH,
            ),
            Figure(f"{name} of {size}: peak memory", ours.peak_mb, "MB", at_most=MOST_MB),
            Figure(f"{name}: peak memory, compared with {base}", ours.peak_mb / theirs.peak_mb, at_most=MOST_GROWTH),
        ]
    text = (
        f"SQLite; {size} Leads are measured once. The aims are meant for a million, which `--large 1000000` measures."
    )
    return Section("large", f"{size} Leads, export and undo", tuple(figures), text)


def _whole(lab: Lab, leads: int) -> Whole:
    with lab.opened(WorldSpec(leads)) as (made, store), tempfile.TemporaryDirectory() as folder:
        found = sync_in(made, store)
        settings = made.settings | store.settings
        run_id = found.report["run_id"]
        export = connector(settings, "export", run_id, "--csv", str(Path(folder) / "records.csv"))
        undo = connector(settings, "undo", run_id, "--yes", "--json", "--quiet")
    return Whole(leads, replace(found, simulator_cpu_s=made.cpu_s), export, undo)


def by_linkedin(lab: Lab) -> Section:
    """Half of the people are resolved by their LinkedIn address, one request for each."""
    spec = WorldSpec(lab.sizes.leads, linkedin_percent=50)
    found = median([lab.sync(spec) for _ in range(lab.sizes.variant_rounds)])
    lookups = found.counts.vendor(*RESOLUTIONS)
    return _compared(lab, "linkedin", "Half of the people resolved by LinkedIn", found, f"{lookups:,} resolutions.")


def refused(lab: Lab) -> Section:
    """The org refuses every value, so that all of them are parked."""
    spec = WorldSpec(lab.sizes.leads, refuse_values=True)
    rounds = range(lab.sizes.variant_rounds)
    found = median([lab.sync(spec, allowed=(0, NEEDS_ATTENTION)) for _ in rounds])
    parked = found.report["outcomes"]["parked"]
    text = f"{parked:,} records were parked, with {found.counts.salesforce():,} Salesforce calls."
    return _compared(lab, "refused", "All values refused", found, text)


def earlier_runs(lab: Lab) -> Section:
    """The ledger has many earlier runs of the same size.

    Raises:
        SkippedError: nothing here can fill a ledger.
    """
    runs, leads = lab.sizes.earlier_runs, lab.sizes.leads

    def prepare(store: Store) -> None:
        fill(store, records=runs * leads, runs=runs)

    found = median([lab.sync(WorldSpec(leads), prepare=prepare) for _ in range(lab.sizes.variant_rounds)])
    text = f"{runs} runs of {leads:,} closed records, and a ledger of {found.ledger_bytes / 2**20:,.0f} MB."
    return _compared(lab, "earlier", f"{runs} earlier runs in the ledger", found, text)


def fill(store: Store, *, records: int, runs: int) -> None:
    """Fill a new ledger on SQLite with closed records of earlier runs.

    Raises:
        SkippedError: nothing here can fill a ledger.
    """
    if importlib.util.find_spec("benchmarks.ledger") is None:
        raise SkippedError("there is no `benchmarks/ledger.py`, which fills a ledger")
    path = store.url.removeprefix("sqlite:///")
    run([sys.executable, "-m", "benchmarks.ledger", path, str(records), "--runs", str(runs)], store.settings)


def _compared(lab: Lab, name: str, title: str, found: Sync, text: str) -> Section:
    usual = lab.usual("sqlite").usage
    figures = (
        Figure("CPU", found.usage.cpu_s, "s", note=f"{usual.cpu_s:.2f} s in the usual run"),
        Figure("CPU, compared with the usual run", found.usage.cpu_s / usual.cpu_s, at_most=MOST_VARIANT),
        Figure("Peak memory", found.usage.peak_mb, "MB", at_most=MOST_MB),
        Figure("Peak memory, compared with the usual run", found.usage.peak_mb / usual.peak_mb, at_most=MOST_VARIANT),
        Figure("Elapsed time", found.usage.wall_s, "s"),
    )
    leads, rounds = lab.sizes.leads, lab.sizes.variant_rounds
    times = "once" if rounds == 1 else f"{rounds} times, the median by CPU"
    return Section(name, title, figures, f"{leads:,} Leads, SQLite, {times}. {text}")
