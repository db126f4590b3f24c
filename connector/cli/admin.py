"""Commands for set-up and accounts: doctor, credits, schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from connector.cli.common import env_option, json_option, mapping_option, reader_may_leave, show
from connector.report import text


@click.command()
@mapping_option(required=False)
@click.option("--alert-test", is_flag=True, help="Send a test message to every destination of alerts.")
@json_option
@env_option
@click.pass_context
def doctor(
    ctx: click.Context, mappings: tuple[str, ...], alert_test: bool, as_json: bool, env_file: Path | None
) -> None:
    """Check everything that a run needs, and report all problems at once, each with its fix. Buys and writes nothing.

    Shows the mapping files, the caps in force, the schedules and the number of flagged records.

    \b
    Example:
      connector doctor -m lead -m contact
      connector doctor -m lead --alert-test
    """
    from connector.app.doctor import doctor as examine

    if not mappings and not alert_test:
        raise click.UsageError("name a mapping: -m FILE")
    findings = examine(mappings, env_file, alert_test=alert_test)
    document = {
        "ok": all(found.ok for found in findings),
        "checks": [{"subject": f.subject, "ok": f.ok, "warning": f.warning, "message": f.message} for f in findings],
    }
    show(document, as_json=as_json, render=_doctor)
    ctx.exit(0 if document["ok"] else 2)


def _doctor(document: Mapping[str, Any]) -> RenderableType:
    lines = [
        Text.from_markup(f"{_mark(check)} {escape(check['subject'])}: {escape(check['message'])}")
        for check in document["checks"]
    ]
    wrong = sum(not check["ok"] for check in document["checks"])
    odd = sum(check["warning"] for check in document["checks"])
    count = len(document["checks"])
    passed = f"All checks passed; {odd} to review." if odd else "All checks passed."
    problems = "1 problem" if wrong == 1 else f"{wrong} problems"
    end = passed if not wrong else f"{problems} to fix before a run."
    lines.append(Text(f"{count} checks: {count - odd - wrong} ok, {odd} odd, {wrong} to fix. {end}", style="bold"))
    return Group(*lines)


def _mark(check: Mapping[str, Any]) -> str:
    """The mark at the start of a line: FIX for an error, odd for a warning, else ok."""
    if not check["ok"]:
        return "[red]FIX[/]"
    return "[yellow]odd[/]" if check["warning"] else "[green]ok [/]"


@click.command("credits")
@json_option
@env_option
def credits_(as_json: bool, env_file: Path | None) -> None:
    """Show vendor balances, held credits, spend by month, and the cost per delivered value.

    \b
    Example:
      connector credits
    """
    from connector.app.ledger_access import LedgerAccess

    show(LedgerAccess(env_file).credits(), as_json=as_json, render=_credits)


def _credits(document: Mapping[str, Any]) -> RenderableType:
    balances = [
        (name, c["balance"] if c["balance"] is not None else c["trouble"], c["held"], c["charged"])
        for name, c in document["providers"].items()
    ]
    months = [
        (row["month"], row["provider"], row["mapping"], row["charged"], row["held"]) for row in document["months"]
    ]
    values = [
        (row["provider"], row["channel"].replace("_", " "), row["delivered"], row["credits"],
         "-" if row["credits_per_value"] is None else f"{row['credits_per_value']:,.1f}")
        for row in document["values"]
    ]  # fmt: skip
    parts: list[RenderableType] = [text.table("Vendor", ("Balance now", "Held", "Total charged"), balances)]
    if months:
        parts += [Text(), text.table("Month", ("Vendor", "Mapping", "Charged", "Held"), months)]
    if values:
        columns = ("Channel", "Delivered", "Credits", "Credits per value")
        parts += [Text(), text.table("All time", columns, values)]
    return Group(*parts)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the mapping file, for editors.

    \b
    Example:
      connector schema > mappings/mapping.schema.json
    """
    from connector.app.schema import mapping_schema

    with reader_may_leave():
        click.echo(json.dumps(mapping_schema(), indent=2, ensure_ascii=False))


COMMANDS = (doctor, credits_, schema)
