"""A search of every text in a ledger, by the database's own description of its tables: new tables are covered."""

from collections.abc import Collection

import sqlalchemy as sa


def texts_with(connection: sa.Connection, words: Collection[str]) -> list[str]:
    """Table and column of every text that contains one of the words."""
    described = sa.MetaData()
    described.reflect(connection)
    found: list[str] = []
    for table in described.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, sa.String):
                texts = connection.scalars(sa.select(column).where(column.is_not(None)))
                if any(word in text for text in texts for word in words):
                    found.append(f"{table.name}.{column.name}")
    return found
