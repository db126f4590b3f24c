"""Checks the container: sends a request to /healthz if `connector serve` runs there.

A worker or a sync has no port; it is healthy while its process runs.
"""

import http.client
import sys
from pathlib import Path

COMMAND_LINE = Path("/proc/1/cmdline")
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 nothing is bound here


def option(words: list[str], name: str, default: str) -> str:
    """The value of an option in a command line, given as `--name value` or `--name=value`."""
    for word, following in zip(words, [*words[1:], default], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return default


def is_healthy(words: list[str]) -> bool:
    """Check the server that this command line started; True if it started none."""
    if "serve" not in words:
        return True
    host = option(words, "--host", "127.0.0.1")
    connection = http.client.HTTPConnection(
        EVERY_ADDRESS.get(host, host), int(option(words, "--port", "8080")), timeout=4
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_healthy(COMMAND_LINE.read_bytes().decode().split("\0")) else 1)
