"""The org's allowance of API requests: a number per rolling 24 hours, shared by every client."""

from collections import deque
from collections.abc import Callable

DAY = 86_400


class DailyUsage:
    """Requests of the last 24 hours.

    Args:
        now: gives Unix seconds.
        limit: the requests allowed in 24 hours; an Enterprise org has at least 15,000.
    """

    def __init__(self, now: Callable[[], float], limit: int = 15_000) -> None:
        self._now = now
        self.limit = limit
        self._entries: deque[tuple[float, int]] = deque()
        self._used = 0

    @property
    def used(self) -> int:
        """The requests of the last 24 hours."""
        oldest = self._now() - DAY
        while self._entries and self._entries[0][0] <= oldest:
            self._used -= self._entries.popleft()[1]
        return self._used

    @used.setter
    def used(self, count: int) -> None:
        self._entries.clear()
        self._entries.append((self._now(), count))
        self._used = count

    def take(self) -> bool:
        """Count one request; False, without counting, if the allowance is used up."""
        if self.used >= self.limit:
            return False
        self._entries.append((self._now(), 1))
        self._used += 1
        return True
