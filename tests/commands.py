"""The connector as a process of its own: how it is started, in which environment, and what it left behind."""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

# A shell starts background jobs with SIGINT ignored, and children inherit that: ours must obey Ctrl-C all the same.
_START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from connector.cli.entry import main; main()"
)
ENTRY_POINT = (sys.executable, "-c", _START)
OURS = ("SALESFORCE_", "LENSMOR_", "SALESFINITY_", "CONNECTOR_")


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 any document
        """Standard output, which must be one document."""
        return json.loads(self.out)


def clean_environment() -> dict[str, str]:
    """What is around us, without any setting of the connector."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
