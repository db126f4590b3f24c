"""Copies all rows of a ledger in a file to an empty ledger on PostgreSQL, and compares both.

Rows are read in pages, by the primary key, and copied in the form in which they are stored: times as integers, JSON as
its text. A table's digest is the sum of the hashes of its rows, so the databases need not agree on an order of texts.
Memory does not grow with the number of rows.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.core.errors import AccountingError
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import LEDGER_ID, get_value, put_value
from connector.store.utc_time import UtcTime

PAGE = 1000  # a run's report may have many kilobytes
# Rates and heartbeats: a command that reads vendors' balances changes them, and the copy needs no newer ones.
TRANSIENT = frozenset({t.rate_limit.name, t.worker.name})
_COPIED = "copied_rows"  # the key in table `meta` of the copy: the fingerprint of the rows that were copied
_MODULUS = 2**256
OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class TableContents:
    """The contents of one table, to be compared.

    Attributes:
        rows: their number.
        digest: the sum of their hashes.
    """

    rows: int
    digest: int


Contents = Mapping[str, TableContents]


class _Digest:
    """Counts and hashes the rows of one table."""

    def __init__(self) -> None:
        self._rows, self._sum = 0, 0

    def add(self, rows: Sequence[tuple[object, ...]]) -> None:
        self._rows += len(rows)
        for row in rows:
            hashed = hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest()
            self._sum = (self._sum + int.from_bytes(hashed, "big")) % _MODULUS

    @property
    def contents(self) -> TableContents:
        return TableContents(self._rows, self._sum)


def count_rows(connection: sa.Connection) -> int:
    """Count the rows of all tables."""
    return sum(
        int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0) for table in t.metadata.sorted_tables
    )


def ledger_id_in(connection: sa.Connection) -> str | None:
    """The id of the ledger in a database: None if there is none, empty if there are rows without an id.

    The database may have no tables of a ledger, or those of another version. Table `meta` alone makes no ledger: the
    migrations store values there.
    """
    names = set(sa.inspect(connection).get_table_names())
    if t.meta.name in names:
        found = get_value(connection, LEDGER_ID)
        if found is not None:
            return found
    ours = [table for table in t.metadata.sorted_tables if table.name in names and table is not t.meta]
    has_rows = (connection.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)) for table in ours)
    return "" if any(has_rows) else None


def copy_rows(old: sa.Connection, new: sa.Connection, on_rows: OnRows) -> Contents:
    """Copy all rows into a database without a ledger, and let PostgreSQL continue after their ids.

    Args:
        old: a transaction of the embedded ledger that excludes writers.
        new: a writing transaction on PostgreSQL.
        on_rows: called with the number of rows after each page.

    Returns:
        The contents of the embedded ledger.

    Raises:
        AccountingError: a value cannot be stored by PostgreSQL; the message names the table.
    """
    new.execute(sa.delete(t.meta))  # the values of its migrations
    contents = {table.name: _copy_table(table, old, new, on_rows) for table in t.metadata.sorted_tables}
    for table in t.metadata.sorted_tables:
        if "id" in table.c and isinstance(table.c.id.type, sa.Integer):
            _continue_ids(table, new)
    return contents


def contents_of(connection: sa.Connection, on_rows: OnRows) -> Contents:
    """Count and hash the rows of all tables."""
    found: dict[str, TableContents] = {}
    for table in t.metadata.sorted_tables:
        digest = _Digest()
        for rows in _pages(connection, table):
            digest.add(rows)
            on_rows(len(rows))
        found[table.name] = digest.contents
    return found


def differing(one: Contents, other: Contents) -> list[str]:
    """The names of the tables whose contents differ."""
    return [name for name in one if one[name] != other.get(name)]


def keep_fingerprint(database: Database, new: sa.Connection, contents: Contents) -> None:
    """Store in the copy what was copied; see `is_copy_of`."""
    put_value(database, new, _COPIED, _fingerprint(contents))


def is_copy_of(new: sa.Connection, contents: Contents) -> bool:
    """Whether the ledger on PostgreSQL was copied from one with these contents; it may have been used since."""
    return get_value(new, _COPIED) == _fingerprint(contents)


def _fingerprint(contents: Contents) -> str:
    """A hash of the contents that only work on the ledger changes."""
    lasting = {name: [found.rows, f"{found.digest:x}"] for name, found in contents.items() if name not in TRANSIENT}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()


def _copy_table(table: sa.Table, old: sa.Connection, new: sa.Connection, on_rows: OnRows) -> TableContents:
    digest, quote = _Digest(), new.dialect.identifier_preparer.quote
    columns = ", ".join(quote(column.name) for column in table.columns)
    driver: Any = new.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {quote(table.name)} ({columns}) FROM STDIN") as copy:
            for rows in _pages(old, table):
                for row in rows:
                    copy.write_row(row)
                digest.add(rows)
                on_rows(len(rows))
    except Exception as error:
        if not _is_about_a_value(error):
            raise
        raise AccountingError(  # without the value, which the driver's text shows
            f"PostgreSQL cannot store a value of table {table.name} ({type(error).__name__})"
        ) from None
    return digest.contents


def _is_about_a_value(error: Exception) -> bool:
    """Whether the driver or the server rejects a value: too long, out of range, or not in the server's encoding."""
    return any(one.__name__ == "DataError" and one.__module__.startswith("psycopg") for one in type(error).__mro__)


def _continue_ids(table: sa.Table, new: sa.Connection) -> None:
    """Set the sequence of a table's ids; PostgreSQL does not take a sequence back if the transaction is rolled back."""
    newest = new.scalar(sa.select(sa.func.max(table.c.id))) or 0
    sequence = sa.func.pg_get_serial_sequence(new.dialect.identifier_preparer.quote(table.name), "id")
    new.execute(sa.select(sa.func.setval(sequence, newest + 1, False)))


def _pages(connection: sa.Connection, table: sa.Table) -> Iterator[list[tuple[object, ...]]]:
    """The rows of a table as they are stored, a page at a time, in the order of the primary key."""
    key = list(table.primary_key)
    places = [list(table.columns).index(column) for column in key]
    query = sa.select(*map(_stored, table.columns)).order_by(*key).limit(PAGE)
    page = query
    while rows := [tuple(row) for row in connection.execute(page)]:
        yield rows
        last = [rows[-1][place] for place in places]
        page = query.where(sa.tuple_(*key) > sa.tuple_(*last) if len(key) > 1 else key[0] > last[0])


def _stored(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column in its stored form, which is the same in both databases."""
    if isinstance(column.type, sa.JSON):
        return sa.cast(column, sa.Text).label(column.name)
    if isinstance(column.type, UtcTime):
        return sa.type_coerce(column, sa.BigInteger).label(column.name)
    return column
