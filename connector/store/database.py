"""The connection to the ledger's database: opening, migrating, reading and writing.

Both databases run one writing transaction at a time, so a transaction can check a value and then change it, and one set
of tests covers both. SQLite (in WAL mode) begins it with IMMEDIATE; PostgreSQL takes an advisory lock. Readers never
wait for writers. Vendors allow a few requests a second, and each request needs a handful of transactions of a few
milliseconds, so the single writer never limits the number of workers.
"""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connector.core.errors import AccountingError, ConfigurationError
from connector.store.dialects import insert_into
from connector.store.failures import outage
from connector.store.private import make_private
from connector.store.schema import bring_up_to_date, is_current

MIGRATION_LOCK = 7_226_001  # PostgreSQL's advisory locks: arbitrary fixed numbers
WRITE_LOCK = 7_226_002
_BEGIN_WRITING = "BEGIN IMMEDIATE"
# A process that is frozen or paged out during a transaction would block all others: the server ends its session, which
# rolls the transaction back. The keepalives detect a machine without power after about 25 seconds.
_POSTGRES_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "idle_in_transaction_session_timeout": 15_000,
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
        "synchronous_commit": "on",  # overrides the server: a hold must be durable before its request is sent
    }.items()
)


class Database:
    """One ledger's database; safe to share between threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)
        self._reader = self._engine.execution_options(read_only=True)
        if not self.is_sqlite:
            # One snapshot for all statements of a reading transaction, as in SQLite: sums must be consistent.
            self._reader = self._reader.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._concurrent = self._engine.execution_options(concurrent=True)
        # SQLite's own lock is polled by waiting threads, in no order; with this one, they queue.
        self._queue: contextlib.AbstractContextManager[Any] = threading.Lock() if self.is_sqlite else nullcontext()

    @property
    def engine(self) -> sa.Engine:
        """The SQLAlchemy engine, for migrations and for hooks of tests."""
        return self._engine

    @property
    def is_sqlite(self) -> bool:
        """Whether the ledger is embedded."""
        return self._engine.dialect.name == "sqlite"

    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 the two dialects' inserts share no typed base
        """Build an INSERT with `on_conflict_do_nothing` and `on_conflict_do_update`."""
        return insert_into(table, self._engine.dialect.name)

    @contextlib.contextmanager
    def write(self, *, exclusive: bool = True) -> Iterator[sa.Connection]:
        """Run a writing transaction: it commits at the end and rolls back on any error.

        Args:
            exclusive: no other exclusive transaction runs at the same time. A transaction that only adds rows under a
                unique key or changes single rows need not wait.
        """
        engine = self._engine if exclusive else self._concurrent
        with self._queue, engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Run a reading transaction, whose statements see one snapshot."""
        with self._reader.connect() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the schema up to date; several processes may do it at the same time.

        Raises:
            StopError: the database is starting, full or busy; run again later.
            ConfigurationError: the ledger cannot be opened, or is not a ledger.
        """
        if self._is_current():
            return
        try:
            with self._migrating() as connection:
                bring_up_to_date(connection)
        except sa.exc.OperationalError as error:
            found = outage(error)
            if found is not None and _is_temporary(error):
                raise found from error
            raise ConfigurationError(
                "the ledger cannot be opened; check CONNECTOR_DATABASE_URL, the folder and its permissions"
                if self.is_sqlite
                else "the ledger's database cannot be reached; check CONNECTOR_DATABASE_URL and that PostgreSQL runs"
            ) from error
        except sa.exc.DatabaseError as error:
            raise ConfigurationError(
                "CONNECTOR_DATABASE_URL names a file that is not a ledger"
                if self.is_sqlite
                else "the ledger's tables cannot be made; the database user needs the right to create tables"
            ) from error

    @contextlib.contextmanager
    def _migrating(self) -> Iterator[sa.Connection]:
        """Run one exclusive transaction for all migrations.

        SQLite makes most changes of a table by copying it, so foreign keys are checked only at the end
        (https://www.sqlite.org/lang_altertable.html, "Making other kinds of table schema changes", November 2026).
        """
        with self._engine.connect() as connection:
            if not self.is_sqlite:
                with connection.begin():
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                    yield connection
                return
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    if broken:
                        raise AccountingError(
                            f"a migration would leave {len(broken)} row(s) with a broken reference; it was rolled back"
                        )
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    def _is_current(self) -> bool:
        """Whether the newest migration was made; False if the ledger cannot be read: the migration reports why."""
        try:
            with self.read() as connection:
                return is_current(connection)
        except sa.exc.DBAPIError:
            return False

    def clock(self) -> datetime:
        """Read the ledger's clock: the database server's, or the machine's if the ledger is embedded."""
        if self.is_sqlite:
            return datetime.now(UTC)
        with self.read() as connection:
            found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return found

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _is_temporary(error: sa.exc.OperationalError) -> bool:
    """Whether the settings are right: the disk is full, the file is locked, or the server is starting or full."""
    name, state = getattr(error.orig, "sqlite_errorname", None), getattr(error.orig, "sqlstate", None)
    return str(name).startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY")) or str(state).startswith(("53", "57P"))


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for ledgers in memory and for other databases.

    Raises:
        ConfigurationError: the URL is not a database address.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # raised without its cause, whose message shows the address
        raise ConfigurationError("CONNECTOR_DATABASE_URL is not a database address") from None


def _engine(url: str) -> sa.Engine:
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite(parsed, in_memory=sqlite_path(url) is None)
    if backend == "postgresql":
        return _postgres(parsed)
    raise ConfigurationError("CONNECTOR_DATABASE_URL must be sqlite:///path or postgresql://user@host/database")


def _sqlite(url: sa.URL, *, in_memory: bool) -> sa.Engine:
    pool: dict[str, Any] = {"poolclass": sa.pool.StaticPool} if in_memory else {}
    if not in_memory and url.database:
        with contextlib.suppress(OSError):  # SQLite reports the problem when it opens the file
            make_private(Path(url.database))  # the write-ahead log gets the same mode
    engine = sa.create_engine(url, connect_args={"check_same_thread": False}, json_deserializer=_from_json, **pool)
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _postgres(url: sa.URL) -> sa.Engine:
    try:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            connect_args={"options": _POSTGRES_OPTIONS, "connect_timeout": 10, "application_name": "connector"},
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a ledger on PostgreSQL needs more packages: pip install 'crm-enrichment-connector[postgres]'"
        ) from error
    sa.event.listen(engine, "begin", _on_begin_postgres)
    return engine


def _from_json(text: str) -> object:
    """Read a JSON column; most are empty, and not worth a parser."""
    return {} if text == "{}" else [] if text == "[]" else json.loads(text)


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 the driver's own connection
    connection.isolation_level = None
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: sa.Connection) -> None:
    # Directly on the driver, because every transaction begins with it.
    driver: Any = connection.connection.driver_connection
    if connection.get_execution_options().get("read_only", False):
        driver.execute("BEGIN")  # it takes no lock, so it cannot fail
        return
    try:
        driver.execute(_BEGIN_WRITING)
    except sqlite3.OperationalError as error:
        raise sa.exc.OperationalError(_BEGIN_WRITING, None, error) from error


def _on_begin_postgres(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("read_only", False) and not options.get("concurrent", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
