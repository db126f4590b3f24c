"""Empty ledgers for measurements: a SQLite file, or a database on a throw-away PostgreSQL server."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY = "C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0="  # opens nothing but ledgers of tests and benchmarks


class NoPostgresError(RuntimeError):
    """There is no PostgreSQL on this machine."""


@dataclass(frozen=True)
class Store:
    """An empty ledger.

    Attributes:
        settings: the connector's settings for it.
        url: its address.
    """

    settings: dict[str, str]
    url: str
    _server: "PostgresServer | None" = None

    def size(self) -> int:
        """The bytes on disk."""
        if self._server is not None:
            name = self.url.rpartition("/")[2]
            return int(self._server.query(f"SELECT pg_database_size('{name}')"))
        path = Path(self.url.removeprefix("sqlite:///"))
        return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*"))


@contextmanager
def sqlite() -> Iterator[Store]:
    """A ledger in a file of a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as folder:
        yield _store(f"sqlite:///{Path(folder) / 'connector.db'}", None)


class PostgresServer:
    """A server of one's own, started at its first use; it does not wait for the disk, whose speed is not measured."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._port = 0

    @contextmanager
    def ledger(self) -> Iterator[Store]:
        """A ledger in a database of its own.

        Raises:
            NoPostgresError: there is no PostgreSQL.
        """
        self._start()
        name = f"b_{secrets.token_hex(6)}"
        self.query(f"CREATE DATABASE {name}")
        try:
            yield _store(f"postgresql://postgres@127.0.0.1:{self._port}/{name}", self)
        finally:
            self.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def query(self, statement: str) -> str:
        """Run one statement as the server's owner; returns the output."""
        command = ["psql", "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres", "-Atc", statement]
        return self._run(command, None).strip()

    def close(self) -> None:
        """Stop the server and remove its data."""
        if self._folder is None:
            return
        self._run(["pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-w", "stop"], _unprivileged())
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def _start(self) -> None:
        if self._folder is not None:
            return
        _binaries()
        folder, user = Path(tempfile.mkdtemp(prefix="connector-bench-pg-")), _unprivileged()
        if user:
            shutil.chown(folder, user)
        self._port = _free_port()
        options = f"-c listen_addresses=127.0.0.1 -c port={self._port} -c unix_socket_directories={folder}"
        options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
        data = folder / "data"
        self._run(["initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], user)
        self._run(["pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"], user)
        self._folder = folder

    @staticmethod
    def _run(command: Sequence[str | Path], user: str | None) -> str:
        program = _binaries() / str(command[0])
        done = subprocess.run(  # noqa: S603 PostgreSQL's own programs
            [str(program), *(str(part) for part in command[1:])],
            check=True,
            stdout=subprocess.PIPE if command[0] == "psql" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            user=user,
            cwd="/",
        )
        return done.stdout or ""


def _store(url: str, server: PostgresServer | None) -> Store:
    return Store({"CONNECTOR_DATABASE_URL": url, "CONNECTOR_SECRET_KEY": KEY}, url, server)


def _binaries() -> Path:
    found = [Path(path).parent for path in (shutil.which("initdb"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "psql")):
            return folder
    raise NoPostgresError("there is no PostgreSQL on this machine")


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
