"""Files that only their owner can read, regardless of the umask of the process."""

import os
import shlex
import stat
from pathlib import Path

OWNER_ONLY = 0o600


def open_private(path: str, flags: int) -> int:
    """An opener for `open`: a new file is readable by its owner only; an existing file keeps its mode."""
    return os.open(path, flags, OWNER_ONLY)


def make_private(path: Path) -> None:
    """Create an empty file that only its owner can read, unless the file exists.

    Raises:
        OSError: the file cannot be created.
    """
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, OWNER_ONLY))


def advice_if_open(path: Path) -> str:
    """The advice to restrict a file that other users can read or change; empty if they cannot, or if it is absent."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ""
    return f"other users of this machine can open {path} (mode {mode:04o}): chmod 600 {shlex.quote(str(path))}"
