"""Files that only their owner may read, whatever the umask of the process."""

import os
import shlex
import stat
from pathlib import Path

OWNER_ONLY = 0o600


def open_private(path: str, flags: int) -> int:
    """An opener for `open`: a file that it makes is for its owner only; an existing one keeps its mode."""
    return os.open(path, flags, OWNER_ONLY)


def make_private(path: Path) -> None:
    """Make an empty file for its owner only, unless there is one.

    Raises:
        OSError: it cannot be made.
    """
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, OWNER_ONLY))


def advice_if_open(path: Path) -> str:
    """How to close a file that the group or all others can read or change; empty where it is closed or not there."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ""
    return f"other users of this machine can open {path} (mode {mode:04o}): chmod 600 {shlex.quote(str(path))}"
