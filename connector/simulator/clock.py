"""The simulated sites' clock: the only source of time for charges, tasks, rate windows and token lifetimes.

A site never calls `time.time()` itself. The clock can run faster than real time (`speed`) or be advanced by a test, so
that a task of ten minutes finishes at once, with all ratios preserved.
"""

import threading
import time
from collections.abc import Callable


class SimClock:
    """The simulated time in Unix seconds; safe to share between threads.

    Args:
        speed: simulated seconds per real second; 0 stops the clock, which then moves only by `advance`.
        source: a function giving Unix seconds to follow instead (a test's own clock); `speed` is then unused.
    """

    def __init__(self, speed: float = 1.0, source: Callable[[], float] | None = None) -> None:
        self.speed = speed
        self._source = source
        self._start_wall = time.monotonic()
        self._start = time.time()
        self._advanced = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Simulated Unix seconds."""
        with self._lock:
            if self._source is not None:
                return self._source() + self._advanced
            return self._start + (time.monotonic() - self._start_wall) * self.speed + self._advanced

    def advance(self, seconds: float) -> None:
        """Move the simulated time forward at once."""
        with self._lock:
            self._advanced += seconds
