"""A test plugin: a private PostgreSQL server, and `--store postgres` to run the tests' ledgers on it.

With `CONNECTOR_TEST_DATABASE_URL` a given server is used instead; its user must be allowed to create databases. Without
either, tests that need one are skipped with a reason, unless `CONNECTOR_TEST_POSTGRES=required`.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30  # for a server with the databases of a few tests
NONE_HERE = "no PostgreSQL: install Debian's postgresql, or set CONNECTOR_TEST_DATABASE_URL"


@dataclass(frozen=True)
class Postgres:
    """A server; every test gets its own database, copied from a migrated one."""

    admin_url: str
    template: str

    def new(self, *, migrated: bool = True) -> str:
        """Create a database and return its address."""
        name = f"t_{secrets.token_hex(6)}"
        run_sql(self.admin_url, f"CREATE DATABASE {name}" + (f" TEMPLATE {self.template}" if migrated else ""))
        return address(self.admin_url, name)

    def drop(self, url: str) -> None:
        """Remove a database, even if clients are still connected."""
        run_sql(self.admin_url, f"DROP DATABASE IF EXISTS {sa.make_url(url).database} WITH (FORCE)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--store", choices=("sqlite", "postgres"), default="sqlite", help="where ledgers of the tests are")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server, started at its first use."""
    given = os.environ.get("CONNECTOR_TEST_DATABASE_URL")
    if given:
        yield _prepared(given)
        return
    tools = _dependencies()
    if tools is None:
        if os.environ.get("CONNECTOR_TEST_POSTGRES") == "required":
            pytest.fail(NONE_HERE)
        pytest.skip(NONE_HERE)
    folder = Path(tempfile.mkdtemp(prefix="connector-pg-", dir=MEMORY if _has_room(MEMORY) else None))
    user = _unprivileged()
    if user:
        shutil.chown(folder, user)
    port = _free_port()
    _run([tools / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], user)
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    settings += " -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
    control: list[str | Path] = [tools / "pg_ctl", "-D", folder / "data", "-w"]
    _run([*control, "-l", folder / "log", "-o", settings, "start"], user)
    try:
        yield _prepared(f"postgresql://postgres@127.0.0.1:{port}/postgres")
    finally:
        _run([*control, "-m", "immediate", "stop"], user)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A migrated, empty database."""
    url = postgres.new()
    yield url
    postgres.drop(url)


def address(url: str, database: str) -> str:
    """The address of another database on the same server."""
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)


def run_sql(url: str, statement: str) -> None:
    """Run one statement outside any transaction."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def _prepared(admin_url: str) -> Postgres:
    from connector.store.database import Database  # not earlier: what a plugin imports is not measured

    template = f"template_{secrets.token_hex(4)}"
    run_sql(admin_url, f"CREATE DATABASE {template}")
    database = Database(address(admin_url, template))
    database.migrate()
    database.close()
    return Postgres(admin_url, template)


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free >= ROOM_BYTES


def _dependencies() -> Path | None:
    found = [Path(path).parent for path in (shutil.which("initdb"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "pg_ctl").exists()), None)


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _run(command: list[str | Path], user: str | None) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, user=user, cwd="/")  # noqa: S603


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
