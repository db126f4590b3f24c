"""The middle of a run: keeps every provider's pool busy until the run waits for nothing any more.

The scheduler decides only *when* a stage runs; all data for a stage is in the ledger.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta

from connector.core.errors import LockedError
from connector.core.run_figures import ASKING
from connector.engine import bulk, plan, write
from connector.engine.clock_watch import ClockWatch
from connector.engine.context import Run, WaitPolicy
from connector.engine.work_source import REST, WorkSource
from connector.engine.worker_pool import WorkerPool, wait_any

WRITE_AT = 2000  # this many finished channels are written at once
WRITE_AFTER_S = 30.0  # the longest wait of a finished record for others
JOB_AFTER_S = 600.0  # the same, where jobs write the records
ADVANCE_AT = 50  # so many purchases that became final advance their channels at once
ADVANCE_AFTER_S = 1.0  # the longest wait of a purchase that became final for others
JOIN_S = 15.0  # the longest wait of a batch that is not full for more people
POLL_INTERVAL_S = 1.0
SHORT_WAIT_S = 30.0  # how long a run waits for vendors if other work waits for it to end
FILL_AGAIN_S = 0.02  # while the main thread is busy
STOPPING = "the connector is being stopped; the next run continues"
CHECK_EVERY_S = 5.0


class Scheduler:
    """Works until the run waits for nothing any more, or its time is over.

    Args:
        run: the run.
        until_s: the monotonic time until which it waits for vendors. By default `wait_s` after the last of the requests
            that leave without a pause: a run of a million records sends for longer than it should wait.

    Attributes:
        until_s: the same time, as it is now.
    """

    is_helper = False

    def __init__(self, run: Run, until_s: float | None = None) -> None:
        self._run = run
        services = run.services
        self._work_sources = [
            WorkSource(
                run,
                provider,
                WorkerPool(name, 0 if services.workers <= 1 else min(provider.parallel, services.workers)),
                is_helper=self.is_helper,
            )
            for name, provider in services.providers.items()
            if name in run.used_providers and not (self.is_helper and provider.parallel == 1)
        ]
        self._searched_s = self._checked_s = self._changed_s = self._advanced_s = run.monotonic()
        self._search_after_s = 0.0
        self._wait_s = services.wait_s * services.clock.scale
        self.until_s = self._searched_s + self._wait_s if until_s is None else until_s
        self._is_sending = until_s is None  # it has not waited for vendors yet
        self._begun = 0
        self._clock_watch = ClockWatch(run)
        self._ready = 0
        self._ready_since_s: float | None = None

    def work(self) -> None:
        """Keep the pools busy until the end; running work items finish even after an error."""
        channels = self._run.services.ledger.run_outcomes.open_channels(self._run.id)
        self._run.services.progress.stage(ASKING, channels)
        self._search(forced=True)
        try:
            while self._turn():
                pass
            for source in self._work_sources:
                source.store_times()
        finally:
            for source in self._work_sources:
                source.close()
            for source in self._work_sources:
                source.pool.collect_finished()

    def _turn(self) -> bool:
        """Do one round; False when the run may begin its last writes."""
        self._check_time()
        if self._run.bulk_job is not None and bulk.look(self._run):
            write.write_complete(self._run, only_full=True)
        finished = sum(source.collect_finished() for source in self._work_sources) > 0
        started = sum(self._fill(source) for source in self._work_sources) > 0
        if started or finished:
            if len(self._run.finalized) >= ADVANCE_AT or self._is_past(self._advanced_s, ADVANCE_AFTER_S):
                self._advance()
            if self._run.services.shared and self._is_past(self._searched_s, JOIN_S):
                self._search()
            if not started:
                self._refresh()
            return True
        if self._busy():
            if self._is_past(self._advanced_s, ADVANCE_AFTER_S):
                self._advance()
            wait_any([source.pool for source in self._work_sources], POLL_INTERVAL_S)
            return True
        moved = self._advance(idle=True) or (self._run.services.shared and self._search())
        if moved and not self._run.out_of_time:
            return True
        # The next purchases may not have been read since the last ones left: that would end the series, and the run
        # would wait beside work that it could send.
        self._refresh(forced=self._is_sending)
        if sum(self._fill(source) for source in self._work_sources) > 0:
            return True
        return self._wait()

    def _check_time(self) -> None:
        self._check_ownership()
        self._clock_watch.check()
        run, wait_policy = self._run, self._run.services.wait_policy()
        if wait_policy is WaitPolicy.NONE:
            for source in self._work_sources:
                run.stop_buying(source.name, STOPPING)
        is_short = wait_policy is WaitPolicy.SHORT and self._is_past(run.began_s, SHORT_WAIT_S)
        if is_short or wait_policy is WaitPolicy.NONE:
            self.until_s = min(self.until_s, run.monotonic())
            self._is_sending = False
        self._check_deadline()

    def _postpone_end(self) -> None:
        """Let the wait for vendors begin with the last request, as long as requests leave without a pause."""
        begun = sum(source.begun for source in self._work_sources)
        sends = begun > self._begun or any(source.sends for source in self._work_sources)
        if self._is_sending and sends and not self._run.out_of_time:
            self.until_s = self._run.monotonic() + self._wait_s
        self._begun = begun

    def _check_deadline(self) -> None:
        self._postpone_end()
        if self._run.monotonic() >= self.until_s:
            self._run.out_of_time = True

    def _check_ownership(self) -> None:
        """Check that no other process has taken the run over, after the run lock was lost with its session.

        Raises:
            LockedError: another process has.
        """
        run = self._run
        if run.services.shared and self._is_past(self._checked_s, CHECK_EVERY_S):
            self._checked_s = run.monotonic()
            if not run.services.ledger.runs.is_running(run.id):
                raise LockedError("another process has taken this run over")

    @contextlib.contextmanager
    def _filling(self) -> Iterator[None]:
        """Start further work in another thread while the block runs: planning and writing many records take seconds.

        The pools' own work may run beside the block in any case; only one thread at a time starts it.
        """
        if self._run.services.workers <= 1:
            yield
            return
        done = threading.Event()
        with ThreadPoolExecutor(1, thread_name_prefix="filling") as beside:
            filled = beside.submit(copy_context().run, self._fill_until, done)
            try:
                yield
            finally:
                done.set()
        filled.result()

    def _fill_until(self, done: threading.Event) -> None:
        while not done.is_set():
            for source in self._work_sources:
                source.collect_finished()
                self._fill(source)
            done.wait(FILL_AGAIN_S)

    def _fill(self, source: WorkSource) -> bool:
        started = False
        partial = self._may_send_partial(source)
        # Without threads, items end at once: their results are advanced before too many are in memory.
        while source.pool.free and len(self._run.finalized) < WRITE_AT:
            self._check_deadline()
            item = source.next(partial=partial)
            if item is None:
                break
            key, work = item
            source.pool.start(key, functools.partial(source.guarded, work))
            started = True
        return started

    def _may_send_partial(self, source: WorkSource) -> bool:
        """Whether a batch that is not full may be sent; while other providers work, it first waits for more people."""
        others = any(other.pool.keys for other in self._work_sources if other is not source)
        return not others or self._is_past(self._changed_s, JOIN_S)

    def _busy(self) -> bool:
        return any(source.pool.keys for source in self._work_sources)

    def _refresh(self, *, forced: bool = False) -> None:
        for source in self._work_sources:
            source.refresh(forced=forced)

    def _search(self, *, forced: bool = False) -> bool:
        """Advance every channel whose purchase is final; returns whether any channel advanced.

        All open records are searched, so a search that is not forced takes a small part of the time only.
        """
        run, began_s = self._run, self._run.monotonic()
        if not forced and began_s < self._search_after_s:
            return False
        run.finalized.clear()
        with self._filling():
            moved = plan.advance_all(run)
        self._searched_s = run.monotonic()
        self._search_after_s = self._searched_s + REST * (self._searched_s - began_s)
        return self._write_ready(moved)

    def _advance(self, *, idle: bool = False) -> bool:
        """Advance the channels of purchases that became final; returns whether any channel advanced.

        Args:
            idle: there is no other work, so the next sources are planned for as few people as there are.
        """
        self._advanced_s = self._run.monotonic()
        ids: list[int] = []
        while self._run.finalized:
            ids.append(self._run.finalized.popleft())
        moved = plan.advance(self._run, ids) if ids else 0
        if self._run.without_value and (idle or len(self._run.without_value) >= self._run.services.crm.read_size):
            with self._filling():
                moved += plan.advance_without_value(self._run)
        return self._write_ready(moved)

    def _write_ready(self, moved: int) -> bool:
        """Write when enough channels are ready, or the first of them has waited long; returns whether any advanced."""
        run = self._run
        if moved:
            self._ready += moved
            self._changed_s = self._run.monotonic()
            self._ready_since_s = self._changed_s if self._ready_since_s is None else self._ready_since_s
        since_s = self._ready_since_s
        if since_s is not None and self._is_past(since_s, WRITE_AFTER_S if run.bulk is None else JOB_AFTER_S):
            with self._filling():
                write.write_complete(run)
            self._ready, self._ready_since_s = 0, None
        elif self._ready >= (WRITE_AT if run.bulk is None else run.bulk.most_rows):
            with self._filling():
                write.write_complete(run, only_full=True)
            self._ready = 0
        return moved > 0

    def _wait(self) -> bool:
        """Sleep until work is due; False if none will be, or the time of the run is over."""
        self._is_sending = False
        run, now = self._run, self._run.now()
        active = [source.name for source in self._work_sources if source.name not in run.stopped]
        left_s = self.until_s - run.monotonic()
        due = run.services.ledger.polls.next_due(run.id, run.started_at, active, now, now + timedelta(seconds=left_s))
        if left_s <= 0:
            return False
        if due is None:
            return self._finds_more()
        due_s = (due - now).total_seconds()
        if self._ready_since_s is not None:
            due_s = min(due_s, self._ready_since_s - run.monotonic() + self._scaled(WRITE_AFTER_S))
        if run.bulk_job is not None:
            due_s = min(due_s, run.bulk_job.next_look_s - run.monotonic())
        run.services.clock.explain(due_s, f"purchases of this run are not finished at {' and '.join(active)}")
        run.services.clock.pause(timedelta(seconds=max(self._sleep_s(due_s), 0.001)))
        for source in self._work_sources:
            source.expect_due_work()
        return True

    def _finds_more(self) -> bool:
        """Search everything once more when nothing is due; whether there is more work."""
        if self._search(forced=True):
            return True
        self._refresh(forced=True)
        if sum(self._fill(source) for source in self._work_sources) > 0:
            return True
        return sum(source.retry_refused_by_balance() for source in self._work_sources) > 0

    def _sleep_s(self, due_s: float) -> float:
        """The seconds to sleep: short if other runs may finalize purchases of this run, or callbacks may arrive."""
        return min(due_s, POLL_INTERVAL_S if self._run.services.shared else WRITE_AFTER_S * 1000)

    def _is_past(self, since_s: float, wait_s: float) -> bool:
        """Whether a scaled wait since a monotonic time is over."""
        return self._run.monotonic() >= since_s + self._scaled(wait_s)

    def _scaled(self, seconds: float) -> float:
        return seconds * self._run.services.clock.scale
