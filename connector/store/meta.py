"""Single values of a ledger, by key."""

import sqlalchemy as sa

from connector.store import tables as t
from connector.store.database import Database

LEDGER_ID = "ledger_id"  # the key of the ledger's own id
_VALUE = sa.select(t.meta.c.value).where(t.meta.c.key == sa.bindparam("key"))


def get_value(connection: sa.Connection, key: str) -> str | None:
    """Read the value of a key; None if the key is absent."""
    return connection.scalar(_VALUE, {"key": key})


def put_value(database: Database, connection: sa.Connection, key: str, value: str) -> None:
    """Store the value of a key, replacing an earlier value."""
    row = database.insert(t.meta).values(key=key, value=value)
    connection.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": value}))
