"""The console script `connector`: refuses Windows before it imports anything that exists on POSIX systems only."""

import sys

WINDOWS_TEXT = (
    "error: the connector does not run on Windows itself (its ledger needs POSIX file locks): install WSL with "
    "'wsl --install', and set up and run the connector inside it"
)


def main() -> None:
    """Run one command; exit code 2 on Windows, and where an installed provider cannot be used."""
    if sys.platform == "win32":
        sys.stderr.write(f"{WINDOWS_TEXT}\n")
        raise SystemExit(2)
    from connector.core.errors import ConfigurationError

    try:
        from connector.cli.main import main as run
    except ConfigurationError as error:  # a provider of another package that cannot be used
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from error
    run()
