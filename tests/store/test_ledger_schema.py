"""The ledger's schema: new and migrated ledgers have the same tables, also if two processes start at once."""

import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from commands import clean_environment
from forked_commands import started
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_harness import open_ledger_at

from connector.core.errors import ConfigurationError
from connector.store import migrations
from connector.store import tables as t
from connector.store.database import Database, sqlite_path
from connector.store.schema import HEAD_REVISION, upgrade
from connector.store.utc_time import UtcTime


@pytest.fixture(name="url")
def _url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def described(engine: sa.Engine) -> dict[str, object]:
    """Tables, columns, keys and indexes (partial ones with their condition) as plain values."""
    inspector = sa.inspect(engine)
    found: dict[str, object] = {}
    for table in sorted(inspector.get_table_names()):
        if table == "alembic_version":
            continue
        found[table] = {
            "columns": sorted(
                (c["name"], str(c["type"]), c["nullable"], str(c.get("default"))) for c in inspector.get_columns(table)
            ),
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(str(u["column_names"]) for u in inspector.get_unique_constraints(table)),
            "foreign": sorted(
                (str(f["constrained_columns"]), f["referred_table"]) for f in inspector.get_foreign_keys(table)
            ),
            "indexes": sorted(
                (str(i["name"]), str(i["column_names"]), bool(i["unique"])) for i in inspector.get_indexes(table)
            ),
        }
    with engine.connect() as connection:
        partial = connection.execute(
            sa.text(
                "SELECT name, lower(substr(sql, instr(lower(sql), ' where '))) FROM sqlite_master "
                "WHERE type = 'index' AND lower(sql) LIKE '% where %' ORDER BY name"
            )
        )
        found["partial indexes"] = [tuple(row) for row in partial]
    return found


def test_a_migrated_ledger_has_the_same_schema_as_a_new_one(url: str) -> None:
    """Compare a ledger that ran every revision with a new one."""
    migrated, created = Database("sqlite://"), Database(url)
    with migrated.engine.begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), t.metadata) == []
    created.migrate()
    assert described(migrated.engine) == described(created.engine)
    assert set(described(created.engine)) == {*t.metadata.tables, "partial indexes"}
    with created.read() as connection:
        assert connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all() == [HEAD_REVISION]


def test_tables_of_another_program_stay(url: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE other (id INTEGER)"))
    database.migrate()
    assert set(t.metadata.tables) | {"other"} <= set(sa.inspect(database.engine).get_table_names())


def test_an_incomplete_schema_is_refused(url: str) -> None:
    database = Database(url)
    with database.write() as connection:
        t.meta.create(connection)
    with pytest.raises(ConfigurationError):
        database.migrate()


def test_the_head_revision_is_the_newest_migration(url: str) -> None:
    """Without this, a new migration could be added and never run on existing ledgers."""
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == HEAD_REVISION
    database = Database(url)
    database.migrate()
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(ConfigurationError, match="newer version"):
        database.migrate()


def test_migrating_twice_changes_nothing(url: str) -> None:
    database = Database(url)
    database.migrate()
    before = described(database.engine)
    with database.write() as connection:
        connection.execute(sa.insert(t.meta).values(key="a", value="b"))
    database.migrate()
    assert described(database.engine) == before
    with database.read() as connection:
        assert connection.scalar(sa.select(t.meta.c.value)) == "b"


MIGRATE = "import sys; from connector.store.database import Database; Database(sys.argv[1]).migrate()"


def test_two_processes_may_migrate_at_once(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MIGRATE, url]
    processes = [started(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE) for _ in range(2)]
    ended = [(process.communicate()[1], process.returncode) for process in processes]
    assert ended == [("", 0)] * 2
    database = Database(url)
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM alembic_version")) == 1
        assert compare_metadata(MigrationContext.configure(connection), t.metadata) == []


def test_sqlite_runs_in_wal_mode_with_foreign_keys(url: str) -> None:
    database = Database(url)
    with database.read() as connection:
        pragmas = {name: connection.scalar(sa.text(f"PRAGMA {name}")) for name in
                   ("journal_mode", "synchronous", "busy_timeout", "foreign_keys", "secure_delete")}  # fmt: skip
    assert pragmas == {
        "journal_mode": "wal", "synchronous": 2, "busy_timeout": 30000, "foreign_keys": 1, "secure_delete": 1
    }  # fmt: skip


def test_a_failed_transaction_leaves_nothing(url: str) -> None:
    database = Database(url)
    database.migrate()
    add = sa.insert(t.meta).values(key="a", value="b")
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        _ = connection.execute(add), connection.execute(add)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(t.meta)) == 0


def test_readers_do_not_wait_for_a_writer(url: str) -> None:
    database = Database(url)
    database.migrate()
    with database.write() as writer:
        writer.execute(sa.insert(t.meta).values(key="a", value="b"))
        with database.read() as reader:
            assert reader.scalar(sa.select(sa.func.count()).select_from(t.meta)) == 0


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:////data/a.db", Path("/data/a.db")),
        ("sqlite:///a.db", Path("a.db")),
        ("postgresql://host/name", None),
    ],
)
def test_the_file_of_a_url(url: str, path: Path | None) -> None:
    assert sqlite_path(url) == path


@pytest.mark.parametrize("url", ["", "ledger.db", "sqlite", "postgresql://user:hunter2@host:port/x"])
def test_an_invalid_address_is_refused_without_showing_it(url: str) -> None:
    for use in (sqlite_path, Database):
        with pytest.raises(ConfigurationError, match="CONNECTOR_DATABASE_URL is not a database address") as raised:
            use(url)
        assert "hunter2" not in "".join(traceback.format_exception(raised.value))


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the ledger cannot be opened"):
        open_ledger_at(tmp_path / "nowhere" / "ledger.db")


# -- times ------------------------------------------------------------------------------------------------------


def test_a_time_without_zone_is_refused(url: str) -> None:
    database = Database(url)
    database.migrate()
    naive = datetime(2026, 11, 20, 10, 0)  # noqa: DTZ001 the tested mistake
    with pytest.raises(sa.exc.StatementError, match="times must be aware"), database.write() as connection:
        connection.execute(
            sa.insert(t.observation).values(
                provider="p", account="a", run_id="r", began_at=naive, last_entry=0, balance=0
            )
        )


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 zone beside it
    st.integers(-12, 14),
)
@settings(max_examples=200, deadline=None)
def test_times_come_back_exactly_and_in_utc(moment: datetime, offset_hours: int) -> None:
    local = moment.astimezone(timezone(timedelta(hours=offset_hours)))
    stored = UtcTime().process_bind_param(local, None)
    found = UtcTime().process_result_value(stored, None)
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


def test_no_time_is_no_time() -> None:
    assert UtcTime().process_bind_param(None, None) is None
    assert UtcTime().process_result_value(None, None) is None
