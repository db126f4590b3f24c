"""The clock that is passed to all code that depends on time."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Gives the time and waits.

    Attributes:
        scale: multiplies every wait; 1 except in rehearsals against loopback addresses.
    """

    scale: float

    def now(self) -> datetime:
        """The current time, aware, in UTC. It may jump: deadlines within a process use `monotonic`."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps; only differences are meaningful."""

    def later(self, seconds: float) -> datetime:
        """The time after a scaled wait of `seconds`."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`, scaled."""

    def pause(self, duration: timedelta) -> None:
        """Wait for exactly `duration`, which is scaled already."""

    def explain(self, seconds: float, reason: str) -> None:
        """Print the reason for a wait of `seconds`, already scaled; a short wait is not explained."""
