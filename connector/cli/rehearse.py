"""Commands that need no account: demo, and the simulated sites as a server."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.rule import Rule

from connector.cli.common import mapping_option, out, say
from connector.cli.live import LiveProgress
from connector.core.errors import ConfigurationError, ConnectorError
from connector.report import text

DEMO_SCALE = 0.01  # a minute of the vendors' time takes 0.6 s
VALUE_FIELDS = ("Email", "MobilePhone", "Personal_Email__c")
SHOWN_FIELDS = {
    "LinkedIn_URL__c": "LinkedIn",
    "Lensmor_Personnel_Id__c": "personnel id",
    "Email": "email",
    "Email_Unlock_Status__c": "email status",
    "MobilePhone": "mobile",
    "Phone_Unlock_Status__c": "phone status",
    "Enrichment_Requested__c": "requests enrichment",
    "Enrichment_Error__c": "reason",
}


@click.command()
def demo() -> None:
    """Run the main job on simulated sites, with nothing to configure, and show the result.

    \b
    Starts a simulated Salesforce, Lensmor and Salesfinity on this machine, seeds Leads and Contacts, syncs them over
    real HTTP through the real clients, undoes that run, then syncs again: the last run buys and writes nothing.
    Everything lives in a temporary folder and takes a few seconds.

    \b
    Example:
      connector demo
    """
    from connector.app.application import Application
    from connector.app.rehearsal import Rehearsal, demo_mappings

    console = out()
    names = [str(path) for path in demo_mappings()]
    with Rehearsal(DEMO_SCALE) as rehearsal:
        console.print(
            f"Simulated on this machine: {rehearsal.count('Lead')} Leads and {rehearsal.count('Contact')} Contacts, "
            "Lensmor and Salesfinity, all over HTTP; their clocks run a hundred times faster. The demo has its own "
            "mapping files."
        )
        before = rehearsal.examples()
        with LiveProgress() as progress:
            first = Application(names, progress=progress, configured=rehearsal.configured()).sync().to_json()
        console.print(Rule("First sync"), text.report(first))
        console.print(Rule("Three records, before and after"))
        for record in before:
            _show_record(console, record, rehearsal.record(record))
        charged = rehearsal.charged_credits()
        with LiveProgress() as progress:
            undone = Application(names, progress=progress, configured=rehearsal.configured()).undo(first["run_id"])
        console.print(Rule("Undo of the first sync"))
        _show_undo(console, before, [rehearsal.record(one) for one in before], undone.to_json(), charged)
        with LiveProgress() as progress:
            report = Application(names, progress=progress, configured=rehearsal.configured()).sync()
        bought = sum(rehearsal.charged_credits().values()) - sum(charged.values())
        _show_second(console, report.to_json(), bought=bought)
        doubles = rehearsal.charged_twice()
        console.print(f"According to the simulated vendors: {doubles} purchases charged twice.")
        if doubles or bought or report.to_json()["crm"]["salesforce"]["write_calls"]:
            raise ConnectorError("the demo's second sync bought or wrote something: please report this")
    console.print("Next: README.md, 'Connect your own org'.")


def _show_undo(
    console: Console,
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    undone: Mapping[str, Any],
    charged: Mapping[str, int],
) -> None:
    """Print the figures of the undo, and how many of the examples have their earlier values again."""
    restored = undone["crm"]["salesforce"]["records_written"]
    spent = " and ".join(f"{count:,} {vendor} credits" for vendor, count in charged.items())
    console.print(
        f"{restored} records have their earlier values again. A field that had changed since would have been left as "
        f"it is. The flag stays cleared, and {spent} stay spent: the values were bought."
    )
    same = sum(
        all(one.get(name) == now.get(name) for name in VALUE_FIELDS) for one, now in zip(before, after, strict=True)
    )
    console.print(f"Of the {len(before)} records above, {same} have their earlier email and mobile again.")


def _show_second(console: Console, second: Mapping[str, Any], *, bought: int) -> None:
    written, calls = second["crm"]["salesforce"]["records_written"], second["crm"]["salesforce"]["write_calls"]
    console.print(Rule("Second sync: no record requests enrichment any more"))
    console.print(
        f"{second['selected']} records selected, {bought} credits charged, {written} records written, "
        f"{calls} write calls."
    )


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
@mapping_option(required=False)
@click.option(
    "--leads",
    type=click.IntRange(min=0, max=200_000),
    default=0,
    help="Seed this many plain Leads, not the demo's org.",
)
@click.option(
    "--new-org", is_flag=True, help="An org without any field of the connector, to rehearse init and provision."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.1, max=10_000),
    default=1.0,
    show_default=True,
    help="Speed of the vendors' clocks.",
)
@click.option("--salesforce-port", type=click.IntRange(0, 65_535), default=0, help="Its port; by default any free one.")
@click.option("--lensmor-port", type=click.IntRange(0, 65_535), default=0, help="Its port; by default any free one.")
@click.option(
    "--salesfinity-port", type=click.IntRange(0, 65_535), default=0, help="Its port; by default any free one."
)
@click.option(
    "--write-env",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the settings and a fresh trigger token to this new file; an existing file is never changed.",
)
def simulate(
    mappings: tuple[str, ...],
    leads: int,
    new_org: bool,
    speed: float,
    salesforce_port: int,
    lensmor_port: int,
    salesfinity_port: int,
    write_env: Path | None,
) -> None:
    """Serve the simulated Salesforce, Lensmor and Salesfinity until Ctrl-C, to rehearse against.

    \b
    -m gives the simulated org the fields of your mapping, filled with the seeded people. The control routes arm
    faults (POST /_control/faults) and show charges (GET /_control/charges).
    Example:
      connector simulate -m lead --speed 100 --write-env .env
    """
    from connector.app import rehearsal

    if new_org and mappings:
        raise ConfigurationError("--new-org gives an org without the fields of any mapping: leave -m out")
    if write_env is not None:
        rehearsal.refuse_existing(write_env)

    def announce(settings: str, control: str, flagged: Mapping[str, int]) -> None:
        if write_env is None:
            click.echo(settings, nl=False)
            say(
                "Put these settings into the .env file of a folder without a ledger, or start again with "
                "--write-env .env."
            )
        else:
            rehearsal.write_env(write_env, settings)
            say(f"Settings written to {write_env}; they are valid for these simulated sites only, until Ctrl-C.")
            following = rehearsal.init_command(write_env) if new_org else rehearsal.next_command(write_env, mappings)
            say(f"Next, in another terminal in this folder: {following}")
        for name, count in flagged.items():
            say(f"Mapping {name}: {count} records of the simulated org request enrichment.")
        say(f"Control: {control} (charges, faults, requests). Ctrl-C stops.")

    ports = {"salesforce": salesforce_port, "lensmor": lensmor_port, "salesfinity": salesfinity_port}
    rehearsal.simulate(announce, leads=leads, speed=speed, ports=ports, mappings=mappings, new_org=new_org)
    say("Stopped.")


COMMANDS = (demo, simulate)
