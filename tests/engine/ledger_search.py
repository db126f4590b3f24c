"""Searches every text column of a ledger. The tables are read from the database, so new ones are covered."""

from collections.abc import Collection

import sqlalchemy as sa


def texts_with(connection: sa.Connection, words: Collection[str]) -> list[str]:
    """The columns (`table.column`) with a text that contains one of the words."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    found: list[str] = []
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, sa.String):
                texts = connection.scalars(sa.select(column).where(column.is_not(None)))
                if any(word in text for text in texts for word in words):
                    found.append(f"{table.name}.{column.name}")
    return found
