"""The part of a run that other processes take over: its purchases and polls, as far as they are planned."""

from collections.abc import Callable
from datetime import timedelta

from connector.engine.context import Run
from connector.engine.scheduler import POLL_INTERVAL_S, Scheduler, WorkSource


class HelperRun(Scheduler):
    """Helps another process with its run: buys what it has planned and reads what is due, but plans and writes nothing.

    Everything it takes is claimed in the ledger, and everything it learns is found there by the run's own process. A
    vendor that wants one request at a time is left to that process.

    Args:
        run: the other process's.
        stopping: whether this process is to stop.
    """

    is_helper = True

    def __init__(self, run: Run, stopping: Callable[[], bool]) -> None:
        super().__init__(run)
        self._stopping = stopping

    def work(self) -> None:
        """Help until the run has ended, or this process is to stop."""
        try:
            while self._is_led() and not self._stopping():
                busy = sum(source.pool.collect_finished() for source in self._work_sources) + sum(
                    map(self._fill, self._work_sources)
                )
                self._run.settled.clear()
                if not busy:
                    self._refresh()
                    self._run.services.clock.pause(timedelta(seconds=POLL_INTERVAL_S))
        finally:
            for source in self._work_sources:
                source.pool.close()
            for source in self._work_sources:
                source.pool.collect_finished()

    def _is_led(self) -> bool:
        """Whether the run goes on and the process that leads it is alive."""
        ledger = self._run.services.ledger
        return ledger.runs.is_running(self._run.id) and all(map(ledger.locks.is_mapping_locked, self._run.mappings))

    def _may_leave_partly_filled(self, source: WorkSource) -> bool:
        """Whether a batch is as full as it will be, only the run's own process knows."""
        del source
        return False
