"""Commands that read the ledger: status, runs, show, export."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from connector.cli.common import complain, env_option, json_option, out, reader_may_leave, say, show
from connector.core.durations import parse_duration
from connector.core.errors import ConfigurationError
from connector.report import text
from connector.report.export import write_csv, write_rows

STANDARD_OUTPUT = Path("-")


@click.command()
@json_option
@env_option
@click.pass_context
def status(ctx: click.Context, as_json: bool, env_file: Path | None) -> None:
    """Show open work: purchases in progress or unknown, parked values, held credits.

    \b
    Example:
      connector status
    """
    from connector.app.ledger_access import LedgerAccess

    found = LedgerAccess(env_file).status()
    show(found, as_json=as_json, render=_status)
    if found.accounting:
        complain(f"error: the ledger's accounting does not add up: {found.accounting}")
        ctx.exit(1)


def _status(document: Mapping[str, Any]) -> RenderableType:
    last = document["last_run"]
    parts: list[RenderableType] = [Text(f"Ledger: {document['ledger']}")]
    parts.append(Text(f"Last run: {last['id']} ({last['command']}, {last['state']})" if last else "No run yet."))
    older = document["older_copy"]
    if older:
        since = f"; noticed {older['since']}" if older["since"] else ""
        notice = f"It is an older copy ({older['sign']}{since}): each person is read before a purchase."
        trusted = f" Trusted: {', '.join(older['trusted'])}." if older["trusted"] else ""
        parts.append(Text(f"{notice}{trusted} To buy without reading: {older['next']}"))
    rows = [(row["provider"], row["state"], row["count"], row["next"]) for row in document["purchases"]]
    rows.append(("records", "open", document["open_records"], "processed by the next sync, within the caps"))
    rows.append(
        (
            "records",
            "parked",
            document["parked_records"],
            "retried when the record or the mapping changes, and once a day",
        )
    )
    if document["requested_records"]:
        rows.append(
            ("requested records", "open", document["open_requests"], "processed by 'connector serve' or a worker")
        )
    parts.append(text.table("Open", ("State", "Count", "Next"), rows))
    if document["workers"]:
        served = [(one["kind"], ", ".join(one["mappings"])) for one in document["workers"]]
        parts.append(text.table("Process", ("Mappings",), served))
    overdue = [(row["reason"], row["next"]) for row in document["overdue"]]
    if overdue:
        parts.append(text.table("Waiting too long", ("Next",), overdue))
    decisions = [
        (row["purchase_id"], row["provider"], row["channel"].replace("_", " "), row["state"], row["since"], row["next"])
        for row in document["needs_a_look"]
    ]
    if decisions:
        parts.append(text.table("Purchase", ("Vendor", "Channel", "State", "Since", "Next"), decisions))
    holds = [(name, c["held"], c["charged"]) for name, c in document["credits"].items()]
    if holds:
        parts.append(text.table("Credits", ("Still held", "Total charged"), holds))
    return Group(*parts)


@click.command()
@click.option("--limit", type=click.IntRange(min=1, max=1000), default=20, show_default=True, help="How many runs.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ"]),
    metavar="DAY",
    help="Runs that started on this day or later, in UTC, such as 2026-11-20 or 2026-11-20T10:00.",
)
@json_option
@env_option
def runs(limit: int, since: datetime | None, as_json: bool, env_file: Path | None) -> None:
    """List past runs, newest first.

    \b
    Example:
      connector runs --since 2026-11-20
    """
    from connector.app.ledger_access import LedgerAccess
    from connector.app.past_runs import runs_view

    with LedgerAccess(env_file).ledger() as ledger:
        found = runs_view(ledger, limit, None if since is None else since.replace(tzinfo=UTC))
    show(found, as_json=as_json, render=_runs)


def _runs(document: Mapping[str, Any]) -> RenderableType:
    rows = [
        (
            run["run_id"],
            run["command"],
            ", ".join(run["mappings"]),
            f"{run['state']}, undone" if run["undone_by"] else run["state"],
            run["started_at"],
            "-" if run["selected"] is None else run["selected"],
            ", ".join(
                f"{count} {text.outcome(run['command'], name)}" for name, count in run["outcomes"].items() if count
            ),
        )
        for run in document["runs"]
    ]
    shown = text.table("Run", ("Command", "Mappings", "State", "Started", "Records", "Outcomes"), rows)
    sums = [
        (
            one["month"],
            one["mapping"],
            one["channel"].replace("_", " ") or "records",
            one["outcome"] or "-",
            one["count"],
        )
        for one in document["condensed"]
    ]
    condensed = text.table("Condensed", ("Mapping", "Counted", "Outcome", "Count"), sums)
    return Group(shown, condensed) if sums else shown


@click.command("show")
@click.argument("run")
@json_option
@env_option
def show_run(run: str, as_json: bool, env_file: Path | None) -> None:
    """Show one run's report. RUN is its id, the beginning of its id, or latest.

    \b
    Example:
      connector show latest
    """
    from connector.app.ledger_access import LedgerAccess
    from connector.app.past_runs import INTERRUPTED, find_run

    with LedgerAccess(env_file).ledger() as ledger:
        found = find_run(ledger, run)
    if found.report is None and found.state == INTERRUPTED:
        raise ConfigurationError(
            f"run {found.id} was interrupted before it wrote a report; the next run finishes its open work: connector "
            f"status. Its records so far: connector export {found.id} --csv -"
        )
    if found.report is None:
        raise ConfigurationError(f"run {found.id} has no report yet ({found.state}); see: connector status")
    more = {"undone_by": found.undone_by, "condensed": found.condensed}
    document = {**found.report, **{name: value for name, value in more.items() if value}}
    show(document, as_json=as_json, render=text.report)


@click.command()
@click.argument("run")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    required=True,
    help="The file to write; - is standard output.",
)
@env_option
def export(run: str, csv_file: Path, env_file: Path | None) -> None:
    """Export each record of RUN with its outcome and reason, as CSV without personal data. RUN may be latest.

    \b
    Example:
      connector export latest --csv outcomes.csv
      connector export latest --csv - | head
    """
    from connector.app.ledger_access import LedgerAccess
    from connector.app.past_runs import find_run, outcomes_of, with_details

    with LedgerAccess(env_file).ledger() as ledger:
        found = with_details(find_run(ledger, run))
        rows = (
            (one.mapping, one.object, one.record_id, one.outcome, one.reason, one.attention)
            for one in outcomes_of(ledger, found)
        )
        if csv_file == STANDARD_OUTPUT:
            with reader_may_leave():
                count = write_rows(sys.stdout, rows)
                say(f"{count} records of run {found.id}")
            return
        count = write_csv(csv_file, rows)
    out().print(f"{count} records written to {csv_file}", markup=False)


@click.command("report")
@click.argument("run", required=False)
@click.option("--since", metavar="TIME", help="All runs of the last time instead, such as 30d.")
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    required=True,
    help="The file to write; - is standard output.",
)
@env_option
def report(run: str | None, since: str | None, html_file: Path, env_file: Path | None) -> None:
    """Write one page to share: RUN with its figures, credits and changes, or all runs of a period. No personal data.

    \b
    The page is one file without scripts; it can be mailed and printed. RUN may be latest.
    Example:
      connector report latest --html run.html
      connector report --since 30d --html month.html
    """
    from connector.app.ledger_access import LedgerAccess
    from connector.app.pages import period_page, run_page
    from connector.app.past_runs import find_run
    from connector.report.html import render

    if (run is None) == (since is None):
        raise click.UsageError("name a run (latest, or its id), or a period (--since 30d)")
    access = LedgerAccess(env_file)
    with access.ledger() as ledger:
        if run is not None:
            page = render.run_page(run_page(ledger, access.configured, find_run(ledger, run)))
        else:
            until = datetime.now(UTC)
            page = render.period_page(period_page(ledger, until - _period(str(since)), until))
    if html_file == STANDARD_OUTPUT:
        with reader_may_leave():
            click.echo(page, nl=False)
        return
    try:
        html_file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{html_file} cannot be written ({error.strerror}); name another file") from error
    out().print(f"Written to {html_file}", markup=False)


def _period(given: str) -> timedelta:
    try:
        return parse_duration(given)
    except ValueError as error:
        raise ConfigurationError(f"--since: {error}") from None


COMMANDS = (status, runs, show_run, export, report)
