"""A peer: drt-core, a general reverse-ETL tool, for the write path only (it buys nothing).

It is installed from the configured index into a throw-away environment. Its Salesforce destination logs in by password,
which the simulated org refuses as new orgs do, so that the benchmark translates its login. It writes by Bulk 2.0 only.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, Section, SkippedError
from benchmarks.lab import Lab, median_usage
from benchmarks.processes import ROOT, Usage, run
from benchmarks.world import Counts, World, world
from benchmarks.world_spec import WorldSpec

PACKAGE = "drt-core==1.2.1"
PROJECT = """name: bench
version: "0.1"
profile: bench
"""
PROFILE = """bench:
  type: sqlite
  database: {database}
"""
SYNC = """name: leads
model: SELECT Id, Email, MobilePhone, Enrichment_Requested__c FROM leads
destination:
  type: salesforce_bulk
  instance_url_env: PASSWORD_LOGIN_URL
  object_name: Lead
  operation: update
  poll_interval_seconds: 1
  client_id_env: SALESFORCE_CLIENT_ID
  client_secret_env: SALESFORCE_CLIENT_SECRET
  username_env: DRT_USER
  password_env: DRT_PASSWORD
sync:
  mode: full
  batch_size: 2000
  on_error: fail
"""
MOST_CHARACTERS = 300
USER = {"DRT_USER": "integration@example.com", "DRT_PASSWORD": "any"}


def peer(lab: Lab) -> Section:
    """The cost of writing the values of all Leads with drt-core.

    Raises:
        SkippedError: it cannot be installed, or cannot talk to the simulated org.
    """
    leads = lab.sizes.leads
    with tempfile.TemporaryDirectory(prefix="connector-bench-peer-") as place:
        folder = Path(place)
        program = _install(folder)
        usages: list[Usage] = []
        for _ in range(lab.sizes.rounds):
            with world(WorldSpec(leads, password_login=True)) as made:
                _write_project(folder, made, leads)
                usages.append(_run(program, folder, made))
                counts = made.counts()
    _check(counts, leads)
    usage = median_usage(usages)
    figures = (
        Figure("CPU", usage.cpu_s, "s"),
        Figure("Peak memory", usage.peak_mb, "MB"),
        Figure("Elapsed time", usage.wall_s, "s"),
        Figure("Salesforce calls", counts.salesforce()),
    )
    return Section("peer", f"{PACKAGE}, write path only", figures, TEXT.format(leads=f"{leads:,}"))


TEXT = """
It writes the email, the phone and the flag of {leads} Leads from a local table by one Bulk job. It reads nothing from
the org, buys nothing, compares nothing, and keeps no record of what it replaced. Its password login is translated for
the simulated org, which refuses that flow as new orgs do.
"""


def _install(folder: Path) -> Path:
    """Install the package into an environment of its own; returns its program."""
    target = folder / "venv"
    uv = ROOT / ".uv" / "bin" / "uv"
    python = target / "bin" / "python"
    if uv.exists():
        steps = [
            [uv, "venv", "-q", "--python", sys.executable, target],
            [uv, "pip", "install", "-q", "--python", python],
        ]
    else:
        steps = [[sys.executable, "-m", "venv", target], [python, "-m", "pip", "install", "-q"]]
    for step, extra in zip(steps, ([], [PACKAGE]), strict=True):
        done = subprocess.run([*map(str, step), *extra], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise SkippedError(f"{PACKAGE} could not be installed: {_last_line(done.stderr)}")
    return target / "bin" / "drt"


def _write_project(folder: Path, made: World, leads: int) -> None:
    """A project of the tool: a local table with the values, and a sync of it."""
    database = folder / "values.db"
    database.unlink(missing_ok=True)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE leads (Id TEXT, Email TEXT, MobilePhone TEXT, Enrichment_Requested__c TEXT)")
        connection.executemany("INSERT INTO leads VALUES (?, ?, ?, 'false')", _values(made, leads))
    connection.close()
    for path, text in (
        ("drt_project.yml", PROJECT),
        ("syncs/leads.yml", SYNC),
        (".drt/profiles.yml", PROFILE.format(database=database)),
    ):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _values(made: World, leads: int) -> list[tuple[str, str, str]]:
    records = made.records("Lead")
    values = [(one["Id"], f"bulk.{number}@example.com", "+12025550100") for number, one in enumerate(records)]
    if len(values) != leads:
        raise RuntimeError(f"the simulated org has {len(values)} Leads instead of {leads}")
    return values


def _run(program: Path, folder: Path, made: World) -> Usage:
    settings = made.settings | USER | {"HOME": str(folder)}
    usage = run([str(program), "run", "--output", "json"], settings, (0, 1), folder)
    if usage.code:
        reason = json.loads(usage.out)["syncs"][0]["error"]
        raise SkippedError(f"{PACKAGE} cannot write to the simulated org: {reason[:MOST_CHARACTERS]}")
    return usage


def _check(counts: Counts, leads: int) -> None:
    if not counts.salesforce():
        raise SkippedError(f"{PACKAGE} sent nothing to the simulated org for {leads:,} Leads")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:MOST_CHARACTERS]
