"""A run's records as CSV: ids, outcomes and reasons; no personal data."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from connector.core.errors import ConfigurationError
from connector.core.printable import one_line

COLUMNS = ("mapping", "object", "record_id", "outcome", "reason", "attention")


def write_csv(path: Path, rows: Iterable[tuple[str, str, str, str, str, str]]) -> int:
    """Write a header and the rows to a file; returns the number of rows.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            return write_rows(file, rows)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({type(error).__name__}); name another file") from error


def write_rows(file: TextIO, rows: Iterable[tuple[str, str, str, str, str, str]]) -> int:
    """Write a header and the rows to an open file; returns the number of rows."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])
        count += 1
    return count


def _plain(cell: str) -> str:
    """Make a cell safe: no spreadsheet reads it as a formula, no terminal as a control sequence."""
    cell = one_line(cell)
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell
