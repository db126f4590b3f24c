"""Lines of the programs that run on: one JSON object each, of fixed words, ids and counts; never a traceback's text."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from connector.core.addresses import hide_passwords

_USUAL = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line: time, level, name, event, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Of an error, its kind and place: its text may quote data."""
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
    """A text without passwords: libraries quote the addresses that they connect to."""
    return hide_passwords(value) if isinstance(value, str) else value


def where(error: BaseException) -> str:
    """Kind and place of a fault in our own code; never its text."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "connector" in Path(frame.filename).parts] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "unknown place"
    return f"{type(error).__name__} at {place}"


def log_to_stderr(*, quiet: bool = False) -> None:
    """Let our own lines go to standard error, and only warnings of others; when `quiet`, only warnings of ours too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("connector").setLevel(logging.WARNING if quiet else logging.INFO)
