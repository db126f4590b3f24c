"""The part of a run that helpers do: planned purchases, and polls."""

from collections.abc import Callable
from datetime import timedelta

from connector.engine.context import Run
from connector.engine.scheduler import POLL_INTERVAL_S, Scheduler
from connector.engine.work_source import WorkSource


class HelperRun(Scheduler):
    """Helps another process with its run: it sends planned purchases and makes due polls, but plans and writes nothing.

    It claims all its work in the ledger and stores all results there, where the run's own process finds them. Providers
    that accept one request at a time are left to that process.

    Args:
        run: the run of the other process.
        stopping: whether this process should stop.
    """

    is_helper = True

    def __init__(self, run: Run, stopping: Callable[[], bool]) -> None:
        super().__init__(run)
        self._stopping = stopping

    def work(self) -> None:
        """Help until the run has ended, or this process should stop."""
        try:
            while self._is_active() and not self._stopping():
                busy = sum(source.pool.collect_finished() for source in self._work_sources) + sum(
                    map(self._fill, self._work_sources)
                )
                self._run.finalized.clear()
                if not busy:
                    self._refresh()
                    self._run.services.clock.pause(timedelta(seconds=POLL_INTERVAL_S))
        finally:
            for source in self._work_sources:
                source.close()
            for source in self._work_sources:
                source.pool.collect_finished()
            for source in self._work_sources:
                source.store_times()

    def _is_active(self) -> bool:
        """Whether the run continues and its own process still holds the run lock."""
        ledger = self._run.services.ledger
        return ledger.runs.is_running(self._run.id) and all(map(ledger.locks.is_mapping_locked, self._run.mappings))

    def _may_send_partial(self, source: WorkSource) -> bool:
        """Never: only the run's own process knows whether further people will join the batch."""
        del source
        return False
