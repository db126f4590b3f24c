"""Checks the connector's own files for `doctor`: their permissions, and room in the recovery journal."""

from collections.abc import Iterator
from pathlib import Path

from connector.app.configuring import Configured
from connector.core.errors import JournalError
from connector.store.database import sqlite_path
from connector.store.ledger import Ledger
from connector.store.private import advice_if_open

BESIDE_LEDGER = (".key", ".lock", ".lock.wanted", ".spill")


def open_to_others(configured: Configured, ledger: Ledger) -> list[str]:
    """One line with the remedy for each file that other users of this machine can open."""
    return [advice for path in _files(configured, ledger) if (advice := advice_if_open(path))]


def _files(configured: Configured, ledger: Ledger) -> Iterator[Path]:
    if configured.env_file is not None:
        yield configured.env_file
    path = sqlite_path(configured.ledger_url())
    if path is not None:
        yield path
        log = () if advice_if_open(path) else ("-wal", "-shm")  # SQLite creates them with the ledger's mode
        yield from (path.with_name(path.name + suffix) for suffix in (*log, *BESIDE_LEDGER))
    yield from ledger.journal.files()
    if ledger.mark.path is not None:
        yield ledger.mark.path


def why_nothing_can_be_bought(ledger: Ledger) -> str:
    """Why the recovery journal could not store the answer to a paid request; empty if it could."""
    try:
        with ledger.journal.reserve(1):
            return ""
    except JournalError as error:
        return str(error)
