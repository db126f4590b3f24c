"""Commands that record an operator's decision: resolve, forget, release."""

from pathlib import Path

import click

from connector.cli.common import confirm, env_option, out, yes_option
from connector.cli.live import LiveProgress
from connector.core.errors import ConfigurationError
from connector.core.limits import MAX_ROW_ID


@click.command()
@click.argument("purchase_id", type=click.IntRange(1, MAX_ROW_ID))
@click.option(
    "--delivered", "decision", flag_value="delivered", help="You saw the result at the vendor and entered it by hand."
)
@click.option(
    "--allow-repeat", "decision", flag_value="allow-repeat", help="Allow one more purchase; it may be charged twice."
)
@click.option("--give-up", "decision", flag_value="give-up", help="Count it as failed and charged.")
@click.option("--retry-write", "decision", flag_value="retry-write", help="Write a parked value again on the next run.")
@env_option
def resolve(purchase_id: int, decision: str | None, env_file: Path | None) -> None:
    """Record your decision on an unknown or parked purchase.

    'connector status' lists the ids of the purchases that need a decision.

    \b
    Example:
      connector resolve 17 --give-up
    """
    from connector.app.application import Application

    if decision is None:
        raise click.UsageError(
            f"add your decision, such as: connector resolve {purchase_id} --give-up (or --delivered, --allow-repeat, "
            "--retry-write)"
        )
    with LiveProgress() as progress:
        done = Application((), env_file, progress).resolve(purchase_id, decision)
    out().print(done, markup=False)


@click.command()
@click.argument("record_id")
@yes_option
@env_option
def forget(record_id: str, yes: bool, env_file: Path | None) -> None:
    """Erase the data stored about a Salesforce record. The money entries stay in the ledger, without the record.

    \b
    Example:
      connector forget 00Q000000000001AAA
    """
    from connector.app.application import Application

    with Application((), env_file).ledger():  # fails before the question if there is no ledger
        pass
    confirm(
        f"Erase all data about {record_id} from the ledger, and about the records that it was converted from or "
        "merged into? Its changes can then no longer be undone.",
        yes=yes,
    )
    with LiveProgress() as progress:
        count = Application((), env_file, progress).forget(record_id)
    if not count:
        raise ConfigurationError(f"the ledger has no record {record_id}")
    out().print(f"{count} {'trace' if count == 1 else 'traces'} of {record_id} erased.", markup=False)


@click.command()
@click.argument("mapping")
@yes_option
@env_option
def release(mapping: str, yes: bool, env_file: Path | None) -> None:
    """Close the open records of a mapping that no run uses any more.

    Purchases that a vendor has not finished are still collected. The records keep their flags in the CRM.

    \b
    Example:
      connector release old-leads
    """
    from connector.app.application import Application

    with Application((), env_file).ledger():  # fails before the question if there is no ledger
        pass
    confirm(f"Close every open record of mapping {mapping}? Values still to be written for it are erased.", yes=yes)
    with LiveProgress() as progress:
        count = Application((), env_file, progress).release(mapping)
    if not count:
        raise ConfigurationError(f"no record of mapping {mapping} is open; see: connector status")
    out().print(f"{count} {'record' if count == 1 else 'records'} of mapping {mapping} closed.", markup=False)


COMMANDS = (resolve, forget, release)
