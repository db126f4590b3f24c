"""Answers to paid requests that the database could not take (gone, disk full): one line each, flushed to disk.

They hold the vendor's task id and ours, nothing about people; the next start reads them first. Several processes may
share the file: whoever adds or adopts holds its lock.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path


class Spill:
    """The file of spilled answers.

    Args:
        path: where it is while it holds something; None keeps nothing, for ledgers in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def keep(self, answer: Mapping[str, object]) -> None:
        """Add an answer; it is on disk when this returns."""
        if self._path is None:
            return
        with _locked(self._path) as file:
            file.write("\n" + json.dumps(dict(answer)) + "\n")  # first ends a line that a full disk may have cut off
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def adopting(self) -> Iterator[list[dict[str, object]]]:
        """All answers, while nobody adds one; when the block ends well they are committed, and the file goes.

        A line cut off by a crash is left out.
        """
        if self._path is None or not self._path.exists():
            yield []
            return
        with _locked(self._path) as file:
            file.seek(0)
            found: list[dict[str, object]] = []
            for line in file.read().splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    found.append(json.loads(line))
            yield found
            self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[TextIOWrapper]:
    """The file, open at its end and locked; one that was adopted between opening and locking is opened anew."""
    while True:
        with path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                yield file
                return
