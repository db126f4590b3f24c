"""Commands that need no account: demo, and the simulated sites as a server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.rule import Rule

from connector.cli.common import LiveProgress, err, out, say
from connector.core.errors import ConnectorError
from connector.report import text

DEMO_SCALE = 0.01  # a minute of the vendors' time takes 0.6 s
DEMO_MAPPINGS = ("lead", "contact")
SHOWN_FIELDS = {
    "LinkedIn_URL__c": "LinkedIn",
    "Lensmor_Personnel_Id__c": "personnel id",
    "Email": "email",
    "Email_Unlock_Status__c": "email status",
    "MobilePhone": "mobile",
    "Phone_Unlock_Status__c": "phone status",
    "Enrichment_Requested__c": "asks for enrichment",
    "Enrichment_Error__c": "reason",
}


@click.command()
def demo() -> None:
    """The main job, nothing to configure: simulate the three sites, sync a believable org, show the result.

    \b
    Starts a simulated Salesforce, Lensmor and Salesfinity on this machine, seeds Leads and Contacts, syncs them over
    real HTTP through the real clients, then syncs again: the second run buys and writes nothing. Everything lives in
    a temporary folder and takes a few seconds.

    \b
    Example:
      connector demo
    """
    from connector.app import Application
    from connector.app.rehearsal import Rehearsal

    console = out()
    with Rehearsal(DEMO_SCALE) as stage:
        console.print(
            f"Simulated on this machine: {stage.count('Lead')} Leads and {stage.count('Contact')} Contacts, "
            "Lensmor and Salesfinity, all over HTTP; their clocks run a hundred times faster."
        )
        before = stage.examples()
        with LiveProgress() as progress:
            first = Application(DEMO_MAPPINGS, progress=progress, configured=stage.configured()).sync()
        console.print(Rule("First sync"), text.report(first.to_json()))
        console.print(Rule("Three records, before and after"))
        for record in before:
            _show_record(console, record, stage.record(record))
        with LiveProgress() as progress:
            report = Application(DEMO_MAPPINGS, progress=progress, configured=stage.configured()).sync()
        second = report.to_json()
        written, calls = second["crm"]["salesforce"]["records_written"], second["crm"]["salesforce"]["write_calls"]
        charged = sum(found["charged"] for found in second["credits"].values())
        console.print(Rule("Second sync: the same, once more"))
        console.print(
            f"{report.selected} records selected, {charged} credits charged, "
            f"{written} records written, {calls} write calls."
        )
        doubles = stage.charged_twice()
        console.print(f"The simulated vendors' own books: {doubles} purchases charged twice.")
        if doubles or charged or calls:
            raise ConnectorError("the demo's second sync bought or wrote something: please report this")
    console.print("Next: README.md, 'Connect your own org'.")


def _show_record(console: Console, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    rows = [
        (label, _cell(before.get(field)), _cell(after.get(field)))
        for field, label in SHOWN_FIELDS.items()
        if before.get(field) or after.get(field)
    ]
    title = f"{before['Id']} {before.get('Name', '')}"
    console.print(text.table(title, ("Before", "After"), rows), "")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


@click.command()
@click.option(
    "--leads", type=click.IntRange(min=0, max=200_000), default=0, help="So many plain Leads, not the demo's org."
)
@click.option(
    "--speed", type=click.FloatRange(min=0.1, max=10_000), default=1.0, show_default=True, help="Vendors' clock."
)
@click.option("--salesforce-port", type=click.IntRange(0, 65_535), default=0, help="By default any free port.")
@click.option("--lensmor-port", type=click.IntRange(0, 65_535), default=0, help="By default any free port.")
@click.option("--salesfinity-port", type=click.IntRange(0, 65_535), default=0, help="By default any free port.")
@click.option("--write-env", type=click.Path(dir_okay=False, path_type=Path), help="Write the settings to this file.")
def simulate(
    leads: int, speed: float, salesforce_port: int, lensmor_port: int, salesfinity_port: int, write_env: Path | None
) -> None:
    """Serve the simulated Salesforce, Lensmor and Salesfinity until Ctrl-C, to rehearse against.

    \b
    Faults are armed over the control routes (POST /_control/faults), charges read there (GET /_control/charges).
    Example:
      connector simulate --speed 100 --write-env .env
    """
    from connector.app.rehearsal import simulate as serve

    def tell(settings: Mapping[str, str], control: str) -> None:
        wanted = dict(settings)
        if speed > 1:
            wanted["CONNECTOR_TIME_SCALE"] = f"{1 / speed:g}"
        lines = [f"{name}={value}" for name, value in wanted.items()]
        if write_env is not None:
            write_env.write_text("\n".join(lines) + "\n", encoding="utf-8")
            say(f"Settings written to {write_env}; run the connector in that folder.")
        click.echo("\n".join(lines))
        say(f"Control: {control} (charges, faults, requests). Ctrl-C stops.")

    ports = {"salesforce": salesforce_port, "lensmor": lensmor_port, "salesfinity": salesfinity_port}
    serve(tell, leads=leads, speed=speed, ports=ports)
    err().print("Stopped.")


COMMANDS = (demo, simulate)
