"""The log of long-running commands: JSON lines with fixed texts, ids and counts, never the text of an error."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from connector.core.addresses import hide_passwords

_USUAL = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a log record as one line: time, level, name, event, and the fields given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record. Of an error, only its type and place appear: its text may quote data."""
        found: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "name": record.name,
            "event": record.getMessage(),
        }
        found |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info and record.exc_info[1] is not None:
            found["fault"] = where(record.exc_info[1])
        return json.dumps({name: _shown(value) for name, value in found.items()}, default=str)


def _shown(value: object) -> object:
    """Hide passwords in a text: libraries quote the addresses that they connect to."""
    return hide_passwords(value) if isinstance(value, str) else value


def where(error: BaseException) -> str:
    """The type of an error and its place in the connector's code, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "connector" in Path(frame.filename).parts] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "unknown place"
    return f"{type(error).__name__} at {place}"


def log_to_stderr(*, quiet: bool = False) -> None:
    """Log to standard error: the connector's lines and warnings of libraries; if `quiet`, only warnings of both."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("connector").setLevel(logging.WARNING if quiet else logging.INFO)
