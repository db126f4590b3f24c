"""External failures are distinguished from faults of the connector by the driver's own error codes."""

import errno
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.core.errors import ConfigurationError, StopError
from connector.store import tables as t
from connector.store.database import Database
from connector.store.failures import outage


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    made.migrate()
    return made


def _write(database: Database, pragma: str = "", size: int = 1) -> BaseException:
    def write() -> None:
        with database.write() as connection:
            if pragma:
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            connection.execute(sa.insert(t.meta).values(key="x", value="y" * size))

    with pytest.raises(sa.exc.SQLAlchemyError) as caught:
        write()
    return caught.value


def test_a_full_disk(database: Database) -> None:
    found = outage(_write(database, "max_page_count=1", 1_000_000))
    assert isinstance(found, StopError)
    assert "disk of the ledger is full" in str(found)


def test_a_file_system_that_became_read_only(database: Database) -> None:
    found = outage(_write(database, "query_only=ON"))
    assert isinstance(found, StopError)
    assert "read-only" in str(found)


def test_a_lock_of_another_program(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    sa.event.listen(
        database.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout=1"), named=False
    )
    found = outage(_write(database))
    other.close()
    assert isinstance(found, StopError)
    assert "another program has locked the ledger" in str(found)


def test_a_damaged_file_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    connection = sqlite3.connect(tmp_path / "ledger.db")
    with pytest.raises(sqlite3.DatabaseError) as caught:
        connection.execute("SELECT * FROM meta")
    connection.close()
    found = outage(caught.value)
    assert isinstance(found, ConfigurationError)
    assert "damaged" in str(found)


def test_an_invalid_statement_is_not_an_outage(database: Database) -> None:
    with pytest.raises(sa.exc.OperationalError) as caught, database.read() as connection:
        connection.execute(sa.text("SELECT nothing FROM nowhere"))
    assert outage(caught.value) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_file_errors(number: int) -> None:
    error = RuntimeError("wrapped")
    error.__cause__ = OSError(number, "as the system calls it")
    assert isinstance(outage(error), StopError)


def test_other_errors_are_not_outages() -> None:
    assert outage(OSError(errno.ENOENT, "no such file")) is None
    assert outage(ValueError()) is None
    assert outage(sa.exc.IntegrityError("", {}, Exception())) is None


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (None, "went away"),
        ("57P01", "went away"),
        ("08006", "went away"),
        ("25006", "read-only"),
        ("53100", "full"),
        ("53300", "no more connections"),
        ("55P03", "locked"),
        ("40001", "transaction"),
        ("42P01", ""),
        ("22021", ""),
    ],
)
def test_postgresql(state: str | None, text: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    error = psycopg.errors.lookup(state)("message") if state else psycopg.OperationalError("the connection is lost")
    found = outage(sa.exc.DBAPIError("SELECT", {}, error))
    assert (text in str(found)) if text else found is None


def test_pool_timeout_and_lost_connection_are_outages() -> None:
    lost = sa.exc.DBAPIError("SELECT", {}, Exception(), connection_invalidated=True)
    for error in (sa.exc.TimeoutError("pool"), lost):
        assert isinstance(outage(error), StopError)
