"""The connection to the ledger's database: how it is opened, migrated, read and written.

SQLite runs in WAL mode; every writing transaction begins IMMEDIATE, so that what it checks is what it changes, and
readers never queue behind writers.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connector.core.errors import ConfigurationError

MIGRATION_LOCK = 7_226_001  # any fixed number: the PostgreSQL advisory lock that serialises migrations


class Database:
    """One ledger's database; safe to share between threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)
        self._reader = self._engine.execution_options(read_only=True)

    @property
    def engine(self) -> sa.Engine:
        """For hooks of tests and for migrations."""
        return self._engine

    @property
    def is_sqlite(self) -> bool:
        """Whether it is the embedded store."""
        return self._engine.dialect.name == "sqlite"

    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 the two dialects' inserts share no typed base
        """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
        from sqlalchemy.dialects import postgresql, sqlite

        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One writing transaction; commits at the end, rolls back on any error."""
        with self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One reading transaction."""
        with self._reader.connect() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the schema up to date; safe when several processes do it at once."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "connector.store:migrations")
        config.set_main_option("path_separator", "os")
        try:
            with self._engine.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except sa.exc.OperationalError as error:
            raise ConfigurationError(
                "the ledger cannot be opened; check CONNECTOR_DATABASE_URL, the folder and its permissions"
            ) from error
        except sa.exc.DatabaseError as error:
            raise ConfigurationError("CONNECTOR_DATABASE_URL names a file that is not a ledger") from error

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for memory and for other databases.

    Raises:
        ConfigurationError: it is no database address.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # without its cause: that message would show the address
        raise ConfigurationError("CONNECTOR_DATABASE_URL is not a database address") from None


def _engine(url: str) -> sa.Engine:
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError("CONNECTOR_DATABASE_URL must be sqlite:///path for now")
    in_memory = sqlite_path(url) is None
    pool: dict[str, Any] = {"poolclass": sa.pool.StaticPool} if in_memory else {}
    engine = sa.create_engine(parsed, connect_args={"check_same_thread": False}, **pool)
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 the driver's own connection
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: sa.Connection) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
