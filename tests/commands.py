"""The connector in a separate process: its start, its environment, and its output."""

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any

# A shell starts background jobs with SIGINT ignored, and children inherit that: our commands must obey Ctrl-C.
_START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from connector.cli.entry import main; main()"
)
ENTRY_POINT = (sys.executable, "-c", _START)
OURS = ("SALESFORCE_", "LENSMOR_", "SALESFINITY_", "CONNECTOR_")


@dataclass(frozen=True)
class Said:
    """The exit code and the output of a command; `shown` is the output in its order, if it ran in this process."""

    code: int
    out: str
    err: str
    shown: str = field(default="", compare=False)

    @property
    def json(self) -> Any:  # noqa: ANN401 any document
        """Standard output, which must be one document."""
        return json.loads(self.out)


def clean_environment() -> dict[str, str]:
    """The environment of this process, without the connector's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
