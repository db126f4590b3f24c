"""The command `provision`: what a mapping needs in the CRM, shown, written as a package, or created."""

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.text import Text

from connector.cli.common import complain, confirm, env_option, mapping_option, out, say, yes_option
from connector.core.errors import ConfigurationError
from connector.core.printable import one_line
from connector.report import text

if TYPE_CHECKING:  # imported by the command itself: start-up time
    from connector.app.provisioning import Applied, Provisioning

_STATES = {"new": "to create", "present": "there", "changed": "to change", "unseen": "not known"}


@click.command()
@mapping_option()
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a package to this folder, for the CRM's own deployment tool.",
)
@click.option("--apply", "applies", is_flag=True, help="Create what is missing, after a question.")
@click.option(
    "--assign", "user", metavar="USER", help="With --apply: the login name of the CRM user who gets the access."
)
@yes_option
@env_option
@click.pass_context
def provision(
    ctx: click.Context,
    mappings: tuple[str, ...],
    folder: Path | None,
    applies: bool,
    user: str | None,
    yes: bool,
    env_file: Path | None,
) -> None:
    """Show, write or create what mappings need in the CRM: fields, access, a list of flagged records, a flow.

    Without --out and --apply, it only shows the list. No part contains a secret. Existing fields are never changed.

    \b
    Example:
      connector provision -m lead --out salesforce
      connector provision -m lead --apply --assign integration@acme.example.com
    """
    from connector.app.provisioning import provisioning
    from connector.server.openapi import RECORD_OPERATION, record_document

    if user is not None and not applies:
        raise ConfigurationError("--assign gives access in the CRM: use it with --apply")
    version = importlib.metadata.version("crm-enrichment-connector")
    description = json.dumps(record_document(version, "{url}"))
    with provisioning(mappings, env_file, RECORD_OPERATION, description) as found:
        out().print(_listed(found))
        if folder is not None:
            _write(found, folder)
        refused = _apply(found, yes=yes) if applies else 0
        not_assigned = _assign(found, user) if user is not None else None
        if found.needed.missing:
            _tell_rest(found.needed.notes if not_assigned == 0 else (*found.needed.notes, found.needed.access))
        ctx.exit(3 if refused or not_assigned else 0)


def _tell_rest(steps: "Sequence[str]") -> None:
    if steps:
        say("Left for you:")
    for step in steps:
        say(f"- {step}")


def _listed(found: "Provisioning") -> RenderableType:
    rows = [(item.kind, item.name, _STATES[item.state], item.detail) for item in found.needed.items]
    missing = len(found.needed.missing)
    total = f"{missing} of {len(rows)} parts are missing in {found.label}."
    if not missing:
        total = f"{found.label} has everything that the mappings need."
    if not found.needed.is_certain:
        total = f"The login may not read {found.label}'s configuration: some parts may exist already."
    return Group(text.table("Part", ("Name", "State", "Detail"), rows), Text(total, style="bold"))


def _write(found: "Provisioning", folder: Path) -> None:
    written = found.write(folder)
    say(f"{len(written)} files written to {folder}." if written else f"{folder} has all files already.")
    say(f"Deploy them in {folder}, as an admin:")
    for command in found.needed.deploy:
        say(f"  {command}")


def _apply(found: "Provisioning", *, yes: bool) -> int:
    """Create what is missing; returns the number of refused parts."""
    missing = found.needed.missing
    if not missing:
        say("Nothing to create.")
        return 0
    confirm(f"Create or change {_parts(len(missing))} in {found.label}?", yes=yes)
    return _told(found.apply(), "created")


def _assign(found: "Provisioning", user: str) -> int:
    return _told(found.assign(user), "assigned")


def _parts(count: int) -> str:
    return f"{count} {'part' if count == 1 else 'parts'}"


def _told(done: "Sequence[Applied]", verb: str) -> int:
    refused = [one for one in done if one.problem]
    say(f"{_parts(len(done) - len(refused))} {verb}.")
    for one in refused:
        complain(one_line(f"error: {one.item.kind} {one.item.name}: {one.problem}"))
    return len(refused)


COMMANDS = (provision,)
