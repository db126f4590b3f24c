"""The clock of a process."""

import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

LOG = logging.getLogger("connector.work")
EXPLAINED_S = 10.0
EXPLAINED_AGAIN_S = 300.0
# On Linux, CLOCK_MONOTONIC stops while the machine is suspended; CLOCK_BOOTTIME does not.
_MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The system's time; every wait is multiplied by `scale`.

    Attributes:
        ahead: the time by which the ledger's clock is ahead of this machine's, if several machines share the ledger.
        on_wait: is called with the reason of each long wait.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.ahead = timedelta(0)
        self.on_wait: Callable[[str], None] = LOG.info
        self._explained: dict[str, float] = {}

    def now(self) -> datetime:
        """The present time on the ledger's clock."""
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        """Seconds since an arbitrary time; only differences have a meaning."""
        return time.clock_gettime(_MONOTONIC)

    def later(self, seconds: float) -> datetime:
        """The time after a scaled wait."""
        return self.now() + timedelta(seconds=seconds * self.scale)

    def sleep(self, seconds: float) -> None:
        """Wait for a scaled time."""
        time.sleep(max(0.0, seconds * self.scale))

    def pause(self, duration: timedelta) -> None:
        """Wait for exactly this time."""
        time.sleep(max(0.0, duration.total_seconds()))

    def explain(self, seconds: float, reason: str) -> None:
        """Report the reason of a wait of more than ten seconds; the same reason at most every five minutes."""
        now_s = self.monotonic()
        if seconds <= EXPLAINED_S or now_s - self._explained.get(reason, -math.inf) < EXPLAINED_AGAIN_S:
            return
        self._explained = {text: at for text, at in self._explained.items() if now_s - at < EXPLAINED_AGAIN_S}
        self._explained[reason] = now_s
        self.on_wait(f"{reason}; waiting {seconds:.0f} s")
