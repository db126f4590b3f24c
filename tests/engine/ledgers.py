"""New ledgers for tests: each in a folder of its own, empty, on SQLite or on PostgreSQL."""

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

MEMORY = Path("/dev/shm")  # faster than a disk: a ledger flushes every commit
URL_FILE = "ledger.url"
KEY = SecretStr("C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0=")


class Ledgers:
    """Creates ledgers as copies of a blank one, because creating the schema is slow.

    Args:
        blank: a folder with an empty SQLite ledger.
        postgres: the server to create the ledgers on; None: SQLite.
    """

    def __init__(self, blank: Path, postgres: Postgres | None) -> None:
        self._blank = blank
        self._postgres = postgres

    @contextmanager
    def new(self) -> Iterator[Path]:
        """A folder with a new ledger. Both are deleted at the end of the block."""
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
    """Create a SQLite ledger that rejects every state change that is not in the tables of `core/states.py`."""
    settings = Settings(connector_database_url=f"sqlite:///{folder / 'connector.db'}")
    with closing(open_ledger(Configured(settings, {}, None))) as ledger:
        guard_moves(ledger.database)
    return folder


def settings_of(folder: Path) -> tuple[str, SecretStr | None]:
    """The database URL of a folder's ledger, and its encryption key (None for SQLite)."""
    file = folder / URL_FILE
    return (file.read_text(), KEY) if on_postgres(folder) else (f"sqlite:///{folder / 'connector.db'}", None)


def on_postgres(folder: Path) -> bool:
    """Whether a folder's ledger is on PostgreSQL, so that it has no database file."""
    return (folder / URL_FILE).exists()


def journal_of(folder: Path) -> list[Path]:
    """The files of the recovery journal: answers that could not be stored in the database."""
    return sorted(folder.glob("connector-*.journal"))


def has_ledger(folder: Path) -> bool:
    """Whether a ledger was created in the folder."""
    return on_postgres(folder) or (folder / "connector.db").exists()
