"""The console script `connector`. It refuses Windows before it imports any module that exists only on POSIX systems."""

import atexit
import gc
import sys

WINDOWS_TEXT = (
    "error: the connector does not run on Windows itself (its ledger needs POSIX file locks): install WSL with "
    "'wsl --install', and set up and run the connector inside it"
)
# Imports and runs make many objects and few cycles: with Python's own threshold of 700, looking for garbage takes a
# tenth of their time (Python 3.11, November 2026).
GARBAGE_THRESHOLDS = 50_000, 20, 20


def main() -> None:
    """Run one command. Exits with 2 on Windows, and if an installed provider package cannot be used."""
    if sys.platform == "win32":
        sys.stderr.write(f"{WINDOWS_TEXT}\n")
        raise SystemExit(2)
    from connector.core.errors import ConfigurationError

    gc.set_threshold(*GARBAGE_THRESHOLDS)
    atexit.register(gc.freeze)  # at its end, Python would search all objects for garbage: a tenth of a short command
    try:
        from connector.cli.main import main as run
    except ConfigurationError as error:  # an installed provider package cannot be used
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from error
    run()
