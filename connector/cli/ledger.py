"""Commands for the ledger itself."""

from pathlib import Path

import click

from connector.cli.common import confirm, env_option, out, yes_option
from connector.cli.live import LiveProgress


@click.group()
def ledger() -> None:
    """Maintain the ledger, which records every purchase.

    \b
    Example:
      connector ledger trust
    """


@ledger.command()
@click.argument("provider", required=False)
@yes_option
@env_option
def trust(provider: str | None, yes: bool, env_file: Path | None) -> None:
    """Buy again without reading each person first, after a backup of the ledger was restored.

    A restored ledger lacks the purchases that were made after the backup. Until you trust it, the connector reads each
    person at the vendor before a purchase, and buys nothing from a vendor that keeps no record of people. With
    PROVIDER, only purchases there are trusted.

    \b
    Example:
      connector ledger trust salesfinity
    """
    from connector.app.application import Application
    from connector.app.older_copy import check_trust, trust_ledger

    application = Application((), env_file)
    with application.ledger() as found:
        check_trust(found, provider)
    where = provider or "any vendor"
    confirm(f"Purchases made at {where} after the backup may be paid for twice. Continue?", yes=yes)
    with LiveProgress() as progress, application.ledger() as found:
        done = trust_ledger(found, provider, progress)
    out().print(done, markup=False)


COMMANDS = (ledger,)
