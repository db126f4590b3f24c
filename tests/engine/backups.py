"""Backups of a ledger, taken and restored in the middle of a test."""

import sqlalchemy as sa
from harness import Harness

from connector.store import tables as t


class Backup:
    """A snapshot of all rows of a ledger, which can be restored on SQLite and on PostgreSQL."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        with harness.ledger() as ledger, ledger.database.read() as connection:
            self._rows = {
                table: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
                for table in t.metadata.sorted_tables
            }

    def restore(self) -> None:
        """Replace all rows with those of the backup, as restoring a database would."""
        with self._harness.ledger() as ledger, ledger.database.write() as connection:
            for table in reversed(t.metadata.sorted_tables):
                connection.execute(sa.delete(table))
            for table, rows in self._rows.items():
                if rows:
                    connection.execute(sa.insert(table), rows)
            if not ledger.database.is_sqlite:
                for table in self._rows:
                    if "id" in table.c and isinstance(table.c.id.type, sa.Integer):
                        name = connection.dialect.identifier_preparer.quote(table.name)
                        newest = connection.scalar(sa.select(sa.func.max(table.c.id))) or 0
                        sequence = sa.func.pg_get_serial_sequence(name, "id")
                        connection.execute(sa.select(sa.func.setval(sequence, newest + 1, False)))
