"""Measures the connector against the simulated sites, and writes BENCHMARKS.md.

    make bench              everything; at most 40 minutes
    make bench-quick        the main figures, with 10,000 Leads; under 3 minutes

A scenario that fails is reported on the page with its reason, and the command then ends with exit code 1; the figures
of the others are kept. With `--only`, nothing is written but what `--json` names.
"""

import argparse
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import calls, cost, growth, peer, triggers, vendors, views
from benchmarks.figures import Results, Section, SkippedError
from benchmarks.lab import QUICK, Lab, Sizes
from benchmarks.page import render
from benchmarks.processes import ROOT
from benchmarks.stores import NoPostgresError

OUTPUT = ROOT / "BENCHMARKS.md"
Scenario = Callable[[Lab], Section]
SCENARIOS: dict[str, tuple[str, Scenario]] = {
    "cost": ("The usual job", cost.cost),
    "calls": ("Salesforce calls", calls.calls),
    "unchanged": ("Unchanged second run", calls.unchanged),
    "lookups": ("Salesfinity lookups", vendors.lookups),
    "large": ("A large run, export and undo", growth.large),
    "linkedin": ("Half of the people resolved by LinkedIn", growth.by_linkedin),
    "refused": ("All values refused", growth.refused),
    "earlier": ("Earlier runs in the ledger", growth.earlier_runs),
    "commands": ("Commands on a small ledger", views.small),
    "views": ("Commands on a large ledger", views.large),
    "pace": ("Use of the vendor's request limit", vendors.pace),
    "workers": ("PostgreSQL workers", vendors.workers),
    "triggers": ("Triggers", triggers.triggers),
    "peer": ("A peer", peer.peer),
}
IN_QUICK = ("cost", "calls", "unchanged", "lookups", "peer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the page; returns the exit code."""
    given = _parser().parse_args(arguments)
    if given.read is not None:
        results = Results.from_json(given.read.read_text(encoding="utf-8"))
    else:
        sizes = replace(QUICK if given.quick else Sizes(), **_chosen_sizes(given))
        names = given.only or (IN_QUICK if given.quick else tuple(SCENARIOS))
        results = measure(sizes, names, "make bench-quick" if given.quick else "make bench")
    if given.json is not None:
        given.json.write_text(results.to_json(), encoding="utf-8")
    text = render(results)
    if not given.only:
        OUTPUT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return int(results.failed)


def measure(sizes: Sizes, names: Sequence[str], command: str) -> Results:
    """Run the scenarios of these names, one after the other."""
    lab = Lab(sizes)
    try:
        sections = tuple(section_of(name, *SCENARIOS[name], lab) for name in names)
    finally:
        lab.close()
    system = f"{platform.system()} on {platform.machine()}"
    return Results(command, platform.python_version(), system, os.cpu_count() or 1, sections)


def section_of(name: str, title: str, scenario: Scenario, lab: Lab) -> Section:
    """Run one scenario; its failure becomes a section that tells the reason."""
    began = time.monotonic()
    try:
        section = scenario(lab)
    except (SkippedError, NoPostgresError) as reason:
        section = Section(name, title, skipped=str(reason))
    except Exception as error:  # noqa: BLE001 reported on the page and by the exit code
        sys.stderr.write(traceback.format_exc())
        section = Section(name, title, failed=str(error) or type(error).__name__)
    section = replace(section, seconds=round(time.monotonic() - began, 1))
    sys.stderr.write(f"{name}: {section.seconds:.0f} s\n")
    return section


def _chosen_sizes(given: argparse.Namespace) -> dict[str, int]:
    names = ("leads", "rounds", "large", "ledger_records")
    return {name: getattr(given, name) for name in names if getattr(given, name) is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="only the main figures, measured once")
    parser.add_argument("--only", action="append", choices=tuple(SCENARIOS), help="one scenario; may be repeated")
    parser.add_argument("--leads", type=int, help="Leads of the usual world (10000)")
    parser.add_argument("--rounds", type=int, help="measurements of the usual world's sync (3)")
    parser.add_argument("--large", type=int, help="Leads of the large world (100000)")
    parser.add_argument("--ledger-records", type=int, help="records of the large ledger (1000000)")
    parser.add_argument("--json", type=Path, help="write the raw figures to this file")
    parser.add_argument("--read", type=Path, metavar="JSON", help="measure nothing; render the page from this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
