"""CSV files of bulk jobs: the upload, the files of answers, the pages of a query's result.

The library's reader splits lines inside values and writes None as an empty cell, which leaves a field unchanged; its
columns have no fixed order. Here `csv` reads the whole text, `#N/A` empties a field, and the columns are in the order
in which the updates first name them. A file that is cut off, has a wrong number of cells, or lacks its columns is
unreadable, so that it is fetched again.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from connector.core.model import FieldValue
from connector.crm.interface import ObjectInfo, Update
from connector.crm.salesforce.request import File
from connector.net import UnreadableError

NULL = "#N/A"
END = "null"  # the locator of the last page
_WHOLE = frozenset({"int", "long"})
_FRACTIONS = frozenset({"double", "currency", "percent"})


def can_carry(value: FieldValue) -> bool:
    """Whether a cell can hold a value.

    The text `#N/A` would empty the field. Users report that line breaks in a value fail the whole job, with the message
    that its line endings are wrong, although the guide allows them.
    """
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, str):
        return True
    is_encodable = not any("\ud800" <= character <= "\udfff" for character in value)
    return is_encodable and not {"\n", "\r", "\0"} & set(value) and value.strip().upper() != NULL


def upload_of(info: ObjectInfo, updates: Sequence[Update]) -> bytes:
    """The file of an ingest job with LF and commas."""
    names = list(dict.fromkeys(name for update in updates for name in update.values))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Id", *names))
    for update in updates:
        values = update.values
        writer.writerow((update.id, *(_cell(info, name, values[name]) if name in values else "" for name in names)))
    return text.getvalue().encode("utf-8")


def _cell(info: ObjectInfo, name: str, value: FieldValue) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        return NULL
    if isinstance(value, bool):
        return str(value).lower()
    field = info.get(name)
    if field is not None and field.type == "datetime" and isinstance(value, str):
        return value.removesuffix("+0000") + "Z" if value.endswith("+0000") else value  # a form that the guide lists
    return str(value)


def rows_of(text: str, *needed: str) -> Iterator[dict[str, str]]:
    """The rows of a file as {column: cell}.

    Args:
        text: the whole file.
        needed: the columns that it must have, in any case.

    Raises:
        UnreadableError: it is no such file, or not a whole one.
    """
    if text.endswith(","):
        raise UnreadableError("sent a CSV file that is cut off")  # the last cell of a whole one is in quotes
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = next(reader, [])
        known = [name.lower() for name in header]
        if len(set(known)) < len(known) or not {name.lower() for name in needed} <= set(known):
            raise UnreadableError("sent a CSV file with other columns than were asked for")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise UnreadableError("sent a CSV file with an incomplete row")
            yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise UnreadableError("sent a CSV file that is cut off") from error


def page_of(file: File, names: Iterable[str]) -> tuple[list[dict[str, str]], str]:
    """One page of a query's result, and the locator of the next one.

    Raises:
        UnreadableError: the page is incomplete, or says nothing about the next one.
    """
    headers = {name.lower(): value for name, value in file.headers.items()}
    locator, count = headers.get("sforce-locator", ""), headers.get("sforce-numberofrecords", "")
    if not locator:
        raise UnreadableError("sent a result without its locator")
    is_empty = not file.text.strip() and count in {"", "0"}
    rows = [] if is_empty else list(rows_of(file.text, *names))
    if count.isdecimal() and int(count) != len(rows):
        raise UnreadableError("sent an incomplete page of a result")
    return rows, locator


def typed(info: ObjectInfo, row: Mapping[str, str]) -> dict[str, FieldValue]:
    """The values of a row in the form of the REST API."""
    return {name: _value(info, name, text) for name, text in row.items()}


def _value(info: ObjectInfo, name: str, text: str) -> FieldValue:
    field = info.get(name)
    kind = field.type if field is not None else "string"
    if not text:
        return False if kind == "boolean" else None
    if kind == "boolean":
        return text.lower() == "true"
    if kind == "datetime":
        return _rest_time(text)
    if kind in _WHOLE or kind in _FRACTIONS:
        return _number(text, is_whole=kind in _WHOLE)
    return text


def _rest_time(text: str) -> str:
    return f"{text[:-1]}+0000" if text.endswith("Z") and _is_time(text) else text


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _number(text: str, *, is_whole: bool) -> FieldValue:
    try:
        return int(text) if is_whole else float(text)
    except ValueError:
        pass  # a whole number with a fraction of zero, or no number
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
