"""The lock of a ledger in a file that was moved to a server: whoever opens the file, or has it open, is refused.

The lock is in three places. A value in table `meta` names the new place, and is checked when a process opens the ledger
and when it takes the run lock. Triggers reject every change by a process that has the ledger open already, such as a
server that stores requests without the run lock. The mark beside the file (`store/mark.py`) recognises a backup of the
file from before the move.
"""

import contextlib
from pathlib import Path

import sqlalchemy as sa

from connector.core.errors import ConfigurationError, JournalError
from connector.store import tables as t
from connector.store.database import Database
from connector.store.failures import MOVED
from connector.store.mark import mark_of
from connector.store.meta import LEDGER_ID, get_value, put_value

_KEY = "moved_to"


def moved_text(place: str) -> str:
    """The refusal of a ledger that was moved.

    Args:
        place: where the ledger is now, without a password.
    """
    return (
        f"{MOVED}{place}, and its file is no longer used: set CONNECTOR_DATABASE_URL to the address of that database, "
        'and CONNECTOR_SECRET_KEY to this ledger\'s key; see "From SQLite to PostgreSQL" in docs/deployment.md'
    )


def refuse_moved(database: Database, path: Path | None = None) -> None:
    """Refuse a ledger that was moved.

    Args:
        database: an embedded ledger.
        path: its file, to read the mark beside it too; None after the ledger was opened.

    Raises:
        ConfigurationError: it was moved; the message names the new place.
    """
    place, ledger_id = _state(database)
    if not place and path is not None and ledger_id:
        with contextlib.suppress(JournalError):  # a command that needs the mark reports it
            place = mark_of(path.parent, ledger_id).moved_to()
    if place:
        raise ConfigurationError(moved_text(place))


def _state(database: Database) -> tuple[str, str]:
    """Where the ledger is now, if it was moved, and its id; empty texts if the file cannot be read as a ledger."""
    try:
        with database.read() as connection:
            return get_value(connection, _KEY) or "", get_value(connection, LEDGER_ID) or ""
    except sa.exc.DBAPIError:
        return "", ""


def lock_moved(database: Database, connection: sa.Connection, place: str) -> None:
    """Lock an embedded ledger for good: no row of any table can be changed, added or deleted any more.

    Args:
        database: the ledger.
        connection: its writing transaction.
        place: where the ledger is now, without a password.
    """
    put_value(database, connection, _KEY, place)
    quote = connection.dialect.identifier_preparer.quote
    words = moved_text(place).replace("'", "''")
    for table in t.metadata.sorted_tables:
        for action in ("INSERT", "UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER moved_{table.name}_{action.lower()} BEFORE {action} ON {quote(table.name)} "
                f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
            )
