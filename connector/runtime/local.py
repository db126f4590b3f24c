"""The embedded runtime: this process is the one driver of its ledger, and keeps its own time."""

import os
import socket
import time
from datetime import UTC, datetime, timedelta

from connector.core.report import Report
from connector.engine.context import Parts
from connector.engine.sync import Job, run_pass


class SystemClock:
    """Real time; every wait multiplied by `scale`."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def now(self) -> datetime:
        """The present time."""
        return datetime.now(UTC)

    def later(self, seconds: float) -> datetime:
        """The time after a scaled wait."""
        return self.now() + timedelta(seconds=seconds * self.scale)

    def sleep(self, seconds: float) -> None:
        """Wait, scaled."""
        time.sleep(max(0.0, seconds * self.scale))

    def pause(self, duration: timedelta) -> None:
        """Wait exactly so long."""
        time.sleep(max(0.0, duration.total_seconds()))


def owner() -> str:
    """This process, for the owner column of attempts: pid only tells processes of one machine apart."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


def drive(parts: Parts, job: Job) -> Report:
    """Do one job as the ledger's driver.

    Raises:
        LockedError: another process drives this ledger.
    """
    with parts.ledger.drive():
        return run_pass(parts, job)
