"""Statements that each database writes in its own way; only the module of the database in use is imported."""

import functools
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


@functools.cache
def add_credits_to(table: sa.Table, dialect: str) -> sa.Insert:
    """Build a statement that adds `credits` to the rows with these keys, and inserts the rows that do not exist."""
    insert = insert_into(table, dialect)
    added = {"credits": table.c.credits + insert.excluded.credits}
    upsert: sa.Insert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=added)
    return upsert


@functools.cache
def add_new_to(table: sa.Table, dialect: str) -> sa.Insert:
    """Build a statement that inserts rows, and leaves out those that exist."""
    insert: sa.Insert = insert_into(table, dialect).on_conflict_do_nothing()
    return insert
