"""Log lines, as JSON for programs and as text for a terminal: fixed texts, ids and counts, never the text of an error.

Every text in a line is redacted, also that of a library: passwords, the paths of addresses, and whatever looks like an
email, a phone number or a LinkedIn name.
"""

import json
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from connector.core.masking import redact
from connector.core.printable import one_line

_USUAL = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a log record as one line: time, level, logger, message, and the fields given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record. Of an error, only its type and place appear: its text may quote data."""
        head = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        return json.dumps(head | {name: one for name, one in fields_of(record).items() if name not in head})


class TextLines(logging.Formatter):
    """Formats a log record as one line for a person: time in UTC, level, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, with the same content as `JsonLines`."""
        shown = {"logger": record.name} | fields_of(record)
        fields = " ".join(f"{name}={one if isinstance(one, str) else json.dumps(one)}" for name, one in shown.items())
        head = f"{_time(record):%H:%M:%S}Z {record.levelname.lower()}: {redact(record.getMessage())}"
        return one_line(f"{head}  {fields}")


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The fields given as `extra`, and the type and place of an error; all redacted."""
    found = {name: value for name, value in vars(record).items() if name not in _USUAL}
    if record.exc_info and record.exc_info[1] is not None:
        found["fault"] = where(record.exc_info[1])
    return {name: _shown(value) for name, value in found.items()}


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _shown(value: object) -> object:
    """A value that JSON can hold, with all its texts redacted."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(name)): _shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return redact(str(value))


def where(error: BaseException) -> str:
    """The type of an error and its place in the connector's code, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "connector" in Path(frame.filename).parts] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "unknown place"
    return f"{type(error).__name__} at {place}"
