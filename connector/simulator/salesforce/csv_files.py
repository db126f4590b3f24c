"""The CSV files of bulk jobs: reading an upload, writing results.

An upload has a header row and the job's line ending and delimiter. A value with a delimiter, a quote or a line break
stands in quotes, and a quote inside is doubled. A file with another line ending fails the job; the text of that error
is reported by many users, and they report it also for the other line ending inside a quoted value. The remaining texts
are unrecorded. Results have every value in quotes; the columns of the upload stand in the header as they were sent, as
in the recorded file of failed rows. Source: Bulk API 2.0 guide, "Prepare CSV Files".
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connector.simulator.salesforce.schema import NUMBER_TYPES, Field, Value

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
NULL = "#N/A"


class FileError(Exception):
    """The whole file is refused; the text is the job's `errorMessage`."""


@dataclass(frozen=True)
class Upload:
    """An uploaded file: the column names, and the cells of each row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def parse(content: bytes, line_ending: str, delimiter: str) -> Upload:
    """Read an upload.

    Args:
        content: the file.
        line_ending: LF or CRLF.
        delimiter: a name in DELIMITERS.

    Raises:
        FileError: the file does not fit the job.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError("ClientInputError : Failed to read request. Exception: invalid UTF-8") from error
    crlf, lf = text.count("\r\n"), text.count("\n")
    if (line_ending == "LF" and crlf) or (line_ending == "CRLF" and crlf < lf):
        words = f"LineEnding is invalid on user data. Current LineEnding setting is {line_ending}"
        raise FileError(f"ClientInputError : {words}")
    text = text.removeprefix("\ufeff")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[delimiter], strict=True))
    except csv.Error as error:
        raise FileError(f"InvalidBatch : Failed to parse CSV: {error}") from error
    rows = [row for row in rows if row]
    if not rows:
        raise FileError("InvalidBatch : Failed to parse CSV: the file is empty")
    header, data = rows[0], rows[1:]
    for place, row in enumerate(data, 1):
        if len(row) != len(header):
            raise FileError(f"InvalidBatch : Row {place} has {len(row)} columns, the header has {len(header)}")
    return Upload(tuple(header), tuple(map(tuple, data)))


def result_file(own: Sequence[str], header: Sequence[str], rows: Iterable[Sequence[str]], job: tuple[str, str]) -> str:
    """A result file: Salesforce's own columns, then those of the upload.

    Args:
        own: the names of Salesforce's columns.
        header: the names of the upload's columns.
        rows: the cells of each row.
        job: the job's line ending and delimiter, by their names.
    """
    end, delimiter = LINE_ENDINGS[job[0]], DELIMITERS[job[1]]
    first = delimiter.join([*map(_quoted, own), *header])
    lines = [first, *(delimiter.join(map(_quoted, row)) for row in rows)]
    return "".join(line + end for line in lines)


def query_file(header: Sequence[str], rows: Iterable[Sequence[str]], job: tuple[str, str]) -> str:
    """A page of a query's result, with its header."""
    return result_file(header, (), rows, job)


def cell(field: Field, value: Value) -> str:
    """A value in the result of a query: times end in Z, numbers have a fraction, null is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if field.type == "datetime":
        return str(value).replace("+0000", "Z")
    return str(float(value)) if field.type in NUMBER_TYPES else str(value)


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
