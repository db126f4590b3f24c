"""New ledgers for tests: a folder each, with a ledger in which nothing is written yet, on either database."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from postgres_server import Postgres
from pydantic import SecretStr
from state_moves import guard_moves

from connector.app.wiring import Configured, open_ledger
from connector.config import Settings

MEMORY = Path("/dev/shm")  # a ledger flushes each of its commits
URL_FILE = "ledger.url"
KEY = SecretStr("C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0=")


class Ledgers:
    """Makes them as copies of one, for its schema takes a while.

    Args:
        blank: a folder with a new SQLite ledger.
        postgres: a server to keep the ledgers on, instead.
    """

    def __init__(self, blank: Path, postgres: Postgres | None) -> None:
        self._blank = blank
        self._postgres = postgres

    @contextmanager
    def new(self) -> Iterator[Path]:
        """A folder with a new ledger; both are gone when the block ends."""
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
            folder = Path(name)
            if self._postgres is None:
                yield Path(shutil.copytree(self._blank, folder, dirs_exist_ok=True))
                return
            url = self._postgres.new()
            (folder / URL_FILE).write_text(url)
            try:
                yield folder
            finally:
                self._postgres.drop(url)


def blank(folder: Path) -> Path:
    """Make a new SQLite ledger in a folder, which refuses every change of a state that is not in the tables."""
    settings = Settings(connector_database_url=f"sqlite:///{folder / 'connector.db'}")
    with closing(open_ledger(Configured(settings, {}, {}, None))) as ledger:
        guard_moves(ledger.database)
    return folder


def settings_of(folder: Path) -> tuple[str, SecretStr | None]:
    """The address of a folder's ledger, and the key that goes with it."""
    file = folder / URL_FILE
    return (file.read_text(), KEY) if on_postgres(folder) else (f"sqlite:///{folder / 'connector.db'}", None)


def on_postgres(folder: Path) -> bool:
    """Whether a folder's ledger is on PostgreSQL: then it has no file to look into."""
    return (folder / URL_FILE).exists()


def journal_of(folder: Path) -> list[Path]:
    """The files of answers that the database could not take."""
    return sorted(folder.glob("connector-*.journal"))


def has_ledger(folder: Path) -> bool:
    """Whether anybody has made one there."""
    return on_postgres(folder) or (folder / "connector.db").exists()
