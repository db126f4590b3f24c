"""Makes a SQLite ledger refuse every change of a state that `core/states.py` does not list."""

import sqlalchemy as sa

from connector.core.states import MACHINES
from connector.store.database import Database


def guard_moves(database: Database) -> None:
    """Install one trigger per state machine; they remain in the ledger's file."""
    if not database.is_sqlite:
        return
    with database.write() as connection:
        for table, moves in MACHINES.items():
            allowed = " OR ".join(
                f"(OLD.state = '{old}' AND NEW.state = '{new}')"
                for old, following in moves.items()
                for new in following
            )
            connection.execute(
                sa.text(
                    f"CREATE TRIGGER IF NOT EXISTS moves_of_{table} BEFORE UPDATE OF state ON {table} "
                    f"WHEN OLD.state <> NEW.state AND NOT ({allowed}) "
                    f"BEGIN SELECT RAISE(ABORT, 'no such move of a {table}'); END"
                )
            )
