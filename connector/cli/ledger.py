"""Commands for the ledger itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli.common import confirm, env_option, out, yes_option
from connector.cli.live import LiveProgress

if TYPE_CHECKING:  # imported by the command itself: start-up time
    from connector.app.views import MovedLedger


@click.group()
def ledger() -> None:
    """Maintain the ledger, which records every purchase.

    \b
    Example:
      connector ledger trust
      connector ledger move --to postgresql://connector@db.example/connector
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


@ledger.command()
@click.option(
    "--to",
    required=True,
    metavar="URL",
    help="The empty database: postgresql://user@host/database, or file: and the path of a file with the address.",
)
@yes_option
@env_option
def move(to: str, yes: bool, env_file: Path | None) -> None:
    """Move the ledger from its file to PostgreSQL, so that several machines can work on it.

    Copies every row, compares both ledgers, and then locks the file: no command uses it again. Stop serve and the
    scheduled commands first. If the move is interrupted, run it again. To keep a password out of the list of processes,
    write the address into a file.

    \b
    Example:
      connector ledger move --to postgresql://connector@db.example/connector
    """
    from connector.app.ledger_access import LedgerAccess
    from connector.app.ledger_move import LedgerMove

    configured = LedgerAccess(env_file).configured
    with LiveProgress() as progress:
        question = LedgerMove(configured, to, progress).check()
    confirm(question, yes=yes)
    with LiveProgress() as progress:
        done = LedgerMove(configured, to, progress).make()
    out().print(_next_steps(done), markup=False)


def _next_steps(done: "MovedLedger") -> str:
    """The text after a move: what was done, and what the admin does next."""
    hidden = ["In place of … write the user and the password that you gave with --to.", ""]
    key_as_before = ["CONNECTOR_SECRET_KEY stays as it is.", ""]
    return "\n".join(
        [
            f"The ledger is now in {done.place}: {done.rows:,} rows in {done.tables} tables, all compared.",
            f"{done.ledger} is locked; no command uses it again.",
            "",
            f"1. Put into {done.settings_file or 'the environment or .env'}, in place of earlier values:",
            "",
            *(f"     {line}" for line in done.lines),
            "",
            *(hidden if done.hides_password else []),
            *(key_as_before if done.keeps_key else []),
            "2. Check the new set-up: connector doctor -m NAME",
            "3. Start workers, as many as you need: connector worker -m NAME. From now on, serve only stores requests.",
            "   Each machine needs the same two settings.",
        ]
    )


COMMANDS = (ledger,)
