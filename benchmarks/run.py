"""10,000 flagged Leads against the simulated sites in another process: calls, CPU, memory, beside a literal script.

    make bench

Each measurement runs in a process of its own, so that CPU and memory are its own; the simulated vendors answer at
once. The literal script enriches fewer records, and its figures are scaled up: it would take too long otherwise.
"""

import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx

from benchmarks import triggers

LEADS = 10_000
LITERAL_LEADS = 500
ROUNDS = 3
OUTPUT = Path(__file__).parent.parent / "BENCHMARKS.md"
MAPPING = Path(__file__).parent / "lead.yaml"


@contextmanager
def simulated(leads: int) -> Iterator[dict[str, str]]:
    """Serve a simulated world in another process; gives the settings that lead to it."""
    command = [sys.executable, "-m", "benchmarks.serve", str(leads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 our own module
        try:
            if process.stdout is None:
                raise RuntimeError("the simulated sites have no output")
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def measure(module: str, settings: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run one of this module's tasks in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.run", module, *arguments]
    environment = {**os.environ, **settings}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's Python keeps its compiled modules
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def sync_once() -> dict[str, Any]:
    """One sync of everything that is flagged, through the console script."""
    from connector.cli.entry import main as console_script

    said = StringIO()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONNECTOR_DATABASE_URL"] = f"sqlite:///{folder}/connector.db"
        sys.argv = ["connector", "sync", "-m", str(MAPPING), "--json", "--quiet"]
        started = time.perf_counter()
        try:
            with redirect_stdout(said):
                console_script()
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"the sync ended with exit code {end.code}: {said.getvalue()}") from end
        wall = time.perf_counter() - started
    return {"wall_s": wall, "report": json.loads(said.getvalue())}


def literal_once(limit: int) -> dict[str, Any]:
    """The literal script over a part of the records."""
    from benchmarks import literal

    started = time.perf_counter()
    token = httpx.post(
        os.environ["SALESFORCE_INSTANCE_URL"] + "/services/oauth2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": os.environ["SALESFORCE_CLIENT_ID"],
            "client_secret": os.environ["SALESFORCE_CLIENT_SECRET"],
        },
    ).json()["access_token"]
    urls = os.environ["SALESFORCE_INSTANCE_URL"], os.environ["LENSMOR_BASE_URL"]
    calls = literal.run(*urls, token, os.environ["LENSMOR_API_KEY"], limit)
    return {"wall_s": time.perf_counter() - started, "calls": calls}


def with_usage(result: dict[str, Any]) -> dict[str, Any]:
    """Add this process's CPU seconds and peak memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    per_mb = 1024**2 if sys.platform == "darwin" else 1024  # macOS reports bytes, Linux KiB
    return result | {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / per_mb}


def vendor_calls(settings: Mapping[str, str]) -> tuple[int, int]:
    """(POSTs, polls) that the simulated Lensmor counted."""
    counted = httpx.get(settings["CONTROL"] + "/requests").json()["lensmor"]
    posts = sum(counted.get(name, {}).get("requests", 0) for name in ("submitEmailUnlock", "submitPhoneUnlock"))
    polls = sum(counted.get(name, {}).get("requests", 0) for name in ("getEmailUnlockTask", "getPhoneUnlockTask"))
    return posts, polls


def main() -> None:
    """Measure, print, and rewrite BENCHMARKS.md."""
    syncs: list[dict[str, Any]] = []
    posts, polls = 0, 0
    for _ in range(ROUNDS):
        with simulated(LEADS) as settings:
            syncs.append(measure("sync", settings))
            posts, polls = vendor_calls(settings)
    with simulated(LITERAL_LEADS) as settings:
        script = measure("literal", settings, str(LITERAL_LEADS))
    text = page(sorted(syncs, key=lambda one: one["cpu_s"])[ROUNDS // 2], script, posts, polls)
    OUTPUT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def page(sync: dict[str, Any], script: dict[str, Any], posts: int, polls: int) -> str:
    """BENCHMARKS.md from the median round."""
    figures = sync["report"]["crm"]["salesforce"]
    changed = figures["records_written"]
    floor = 2 * math.ceil(LEADS / 2000) + math.ceil(changed / 200)
    calls = figures["read_calls"] + figures["write_calls"] + figures["other_calls"] + 1  # the token request
    post_floor = 2 * math.ceil(LEADS / 100)
    scale = LEADS / LITERAL_LEADS
    literal = script["calls"]
    rows = [
        ("Salesforce calls", f"{calls:,}", f"{floor:,}", f"{round(literal['salesforce'] * scale):,}"),
        ("of these reads", f"{figures['read_calls']:,}", f"{2 * math.ceil(LEADS / 2000):,}", "1"),
        ("of these writes", f"{figures['write_calls']:,}", f"{math.ceil(changed / 200):,}", f"{LEADS:,}"),
        ("Vendor POSTs", f"{posts:,}", f"{post_floor:,}", f"{round(literal['posts'] * scale):,}"),
        ("Vendor polls", f"{polls:,}", f"{post_floor:,}", f"{round(literal['polls'] * scale):,}"),
        ("Wall, s", f"{sync['wall_s']:.1f}", "", f"{script['wall_s'] * scale:.0f}"),
        ("CPU, s", f"{sync['cpu_s']:.1f}", "", f"{script['cpu_s'] * scale:.0f}"),
        ("Peak memory, MB", f"{sync['peak_mb']:.0f}", "", f"{script['peak_mb']:.0f}"),
    ]
    table = "\n".join(f"| {name} | {ours} | {least} | {theirs} |" for name, ours, least, theirs in rows)
    return TEMPLATE.format(
        leads=f"{LEADS:,}",
        part=LITERAL_LEADS,
        rounds=ROUNDS,
        python=platform.python_version(),
        cores=os.cpu_count(),
        table=table,
        written=f"{changed:,}",
        credits=f"{sync['report']['credits']['lensmor']['charged']:,}",
        triggers=triggers.table(ROUNDS),
        connections=triggers.CONNECTIONS,
        seconds=f"{triggers.SECONDS:.0f}",
    )


TEMPLATE = """# Benchmarks

`make bench` rewrites this page: {leads} flagged Leads, each with an email and a phone at Lensmor, against the simulated
sites in another process that answer at once. Python {python}, {cores} cores, median of {rounds} rounds by CPU.

| {leads} Leads | connector | floor | literal script |
| --- | ---: | ---: | ---: |
{table}

The floor: reads ceil(N / 2000), twice, for every record is compared once more before it is written; writes
ceil(changed / 200); one POST per hundred people and channel, and at least one poll for each. Above the floor the
connector makes a few calls for the token, the limits, the object's description, a check of the mapping's condition,
and the page that shows that there are no more records.

{written} records were written and {credits} credits charged. Three seconds of the sync's wall time are those that the
vendor asks callers to wait before the first poll. The literal script (`benchmarks/literal.py`) reads the flagged
records, then unlocks, polls and updates each by itself; it ran over {part} records and is scaled up. It keeps no
ledger: interrupted, it would pay again. CPU includes the start of Python and all imports. These machines are noisy:
compare the ratios, not the seconds.

## Triggers

The trigger route of `connector serve` (a SQLite ledger, every request stored and flushed before its answer), beside the
bare web framework that parses the same body and answers the same: {connections} connections that send as fast as they
get answers, {seconds} seconds, medians of {rounds} rounds. The sender shares the machine's {cores} cores.

| | connector, requests/s | 99th percentile, ms | bare, requests/s | 99th percentile, ms |
| --- | ---: | ---: | ---: | ---: |
{triggers}
"""


if __name__ == "__main__":
    task = sys.argv[1:2]
    if task == ["sync"]:
        sys.stdout.write(json.dumps(with_usage(sync_once())) + "\n")
    elif task == ["literal"]:
        sys.stdout.write(json.dumps(with_usage(literal_once(int(sys.argv[2])))) + "\n")
    else:
        main()
