"""The one clock that is passed to whatever decides by time, or waits."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Gives the time and waits.

    Attributes:
        scale: multiplies every wait; 1 except in rehearsals against loopback addresses.
    """

    scale: float

    def now(self) -> datetime:
        """The present time, aware, UTC. It may jump: deadlines within a process use `monotonic`."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps; only differences have a meaning."""

    def later(self, seconds: float) -> datetime:
        """The time after a wait of so many seconds, scaled."""

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, scaled."""

    def pause(self, duration: timedelta) -> None:
        """Wait exactly so long: for durations that are scaled already."""

    def explain(self, seconds: float, reason: str) -> None:
        """Print why a wait of so many seconds, already scaled, begins; a short one needs no words."""
