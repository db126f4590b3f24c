"""Commands that look into the ledger: status, runs, show, export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from connector.cli.common import env_option, json_option, out, say, show
from connector.core.errors import ConfigurationError
from connector.core.report import iso
from connector.report import text
from connector.report.export import write_csv


@click.command()
@json_option
@env_option
@click.pass_context
def status(ctx: click.Context, as_json: bool, env_file: Path | None) -> None:
    """What is open: unlocks at work or unknown, parked results, held credits.

    \b
    Example:
      connector status
    """
    from connector.app import Application

    application = Application((), env_file)
    with application.ledger() as ledger:
        document = application.status(ledger)
    show(document, as_json=as_json, render=_status)
    if document["books"]:
        say(f"error: the books do not close: {document['books']}")
        ctx.exit(1)


def _status(document: Mapping[str, Any]) -> RenderableType:
    last = document["last_run"]
    parts: list[RenderableType] = [Text(f"Ledger: {document['ledger']}")]
    parts.append(Text(f"Last run: {last['id']} ({last['command']}, {last['state']})" if last else "No run yet."))
    rows = [(row["provider"], row["state"], row["count"], row["next"]) for row in document["unlocks"]]
    rows.append(("records", "open", document["open_records"], "taken up by the next sync"))
    rows.append(
        (
            "records",
            "parked",
            document["parked_records"],
            "offered again when record or mapping changes, and once a day",
        )
    )
    requested = document["requested_records"]
    waiting = sum(count for state, count in requested.items() if state != "done")
    if requested:
        rows.append(("requested records", "open", waiting, "taken up by 'connector serve' or a worker"))
    parts.append(text.table("Open", ("State", "Count", "What happens next"), rows))
    if document["workers"]:
        served = [(one["kind"], ", ".join(one["mappings"])) for one in document["workers"]]
        parts.append(text.table("At work for others", ("Mappings",), served))
    looks = [
        (row["unlock_id"], row["provider"], row["channel"].replace("_", " "), row["state"], row["since"], row["next"])
        for row in document["needs_a_look"]
    ]
    if looks:
        parts.append(text.table("Unlock", ("Vendor", "Channel", "State", "Since", "What happens next"), looks))
    holds = [(name, c["held"], c["charged"]) for name, c in document["credits"].items()]
    if holds:
        parts.append(text.table("Credits", ("Still held", "Charged in all"), holds))
    return Group(*parts)


@click.command()
@click.option("--limit", type=click.IntRange(min=1, max=1000), default=20, show_default=True, help="How many runs.")
@json_option
@env_option
def runs(limit: int, as_json: bool, env_file: Path | None) -> None:
    """Past runs, newest first.

    \b
    Example:
      connector runs --limit 5
    """
    from connector.app import Application

    with Application((), env_file).ledger() as ledger:
        found = ledger.runs.newest(limit)
    document = {
        "runs": [
            {
                "run_id": run.id,
                "command": run.command,
                "mappings": list(run.mappings),
                "state": run.state,
                "started_at": iso(run.started_at),
                "selected": (run.report or {}).get("selected"),
                "outcomes": (run.report or {}).get("outcomes", {}),
            }
            for run in found
        ]
    }
    show(document, as_json=as_json, render=_runs)


def _runs(document: Mapping[str, Any]) -> RenderableType:
    rows = [
        (
            run["run_id"],
            run["command"],
            ", ".join(run["mappings"]),
            run["state"],
            run["started_at"],
            "-" if run["selected"] is None else run["selected"],
            ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in run["outcomes"].items() if count),
        )
        for run in document["runs"]
    ]
    return text.table("Run", ("Command", "Mappings", "State", "Started", "Records", "Outcomes"), rows)


@click.command("show")
@click.argument("run")
@json_option
@env_option
def show_run(run: str, as_json: bool, env_file: Path | None) -> None:
    """One run's report. RUN is its id, or the beginning of it.

    \b
    Example:
      connector show 20261120T100000-a1b2c3
    """
    from connector.app import Application

    with Application((), env_file).ledger() as ledger:
        found = ledger.runs.find(run)
    if found is None:
        raise ConfigurationError(f"there is no run {run!r}, or several begin so; see: connector runs")
    if found.report is None:
        raise ConfigurationError(f"run {found.id} has no report: it is {found.state}; what it sent is in the ledger")
    show(found.report, as_json=as_json, render=text.report)


@click.command()
@click.argument("run")
@click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write."
)
@env_option
def export(run: str, csv_file: Path, env_file: Path | None) -> None:
    """Every record of a run with its outcome and reason, as CSV without personal data.

    \b
    Example:
      connector export 20261120T100000-a1b2c3 --csv outcomes.csv
    """
    from connector.app import Application

    with Application((), env_file).ledger() as ledger:
        found = ledger.runs.find(run)
        if found is None:
            raise ConfigurationError(f"there is no run {run!r}, or several begin so; see: connector runs")
        words = ledger.records.words(found.id)
    rows = ((w.mapping, w.object, w.crm_id, w.outcome.value, w.reason, w.attention) for w in words)
    out().print(f"{write_csv(csv_file, rows)} records written to {csv_file}", markup=False)


COMMANDS = (status, runs, show_run, export)
