"""The org's lock. Work that has become due since the last entry is done before the new holder sees the org."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Guard:
    """A reentrant lock; at the outermost entry, due work (such as the rows of bulk jobs) is done first."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._due: list[Callable[[], None]] = []

    def before_entry(self, act: Callable[[], None]) -> None:
        """Call `act` at each outermost entry, with the lock held."""
        self._due.append(act)

    def __enter__(self) -> Self:
        self._lock.acquire()
        self._depth += 1
        try:
            if self._depth == 1:
                for act in self._due:
                    act()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._depth -= 1
        self._lock.release()
