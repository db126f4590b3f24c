"""Statements that each database writes in its own way; only the module of the database in use is imported."""

from typing import Any

import sqlalchemy as sa


def insert_into(table: sa.Table, dialect: str) -> Any:  # noqa: ANN401 the two dialects' inserts share no typed base
    """Build an INSERT with `on_conflict_do_nothing` and `on_conflict_do_update`.

    Args:
        table: receives the rows.
        dialect: `sqlite` or `postgresql`.
    """
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)
