"""The middle of a run: keeps every provider's pool busy until the run waits for nothing any more.

The scheduler decides only *when* a stage runs; all data for a stage is in the ledger. Its data in memory (groups of
purchases, people to look up) is read from the ledger again whenever it may have changed.
"""

import functools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from connector.core.errors import LockedError, NotThereError, RefusedError, StopError, UnreachableError
from connector.core.model import Channel, Identifier
from connector.core.states import PurchaseState
from connector.engine import collect, plan, prices, purchase, write
from connector.engine.clock_watch import ClockWatch
from connector.engine.context import Run, WaitPolicy
from connector.engine.guards import stop_without_value
from connector.engine.worker_pool import Work, WorkerPool, wait_any
from connector.providers.interface import Provider
from connector.store.rows import PurchaseGroup, RereadRow

WRITE_AT = 2000  # this many finished channels are written at once
WRITE_AFTER_S = 30.0  # the longest wait of a finished record for others
JOIN_S = 15.0  # the longest wait of a batch that is not full for more people
POLL_INTERVAL_S = 1.0
BUY, RESOLVE = "buy ", "resolve "  # the prefixes of the keys of purchases and lookups
SHORT_WAIT_S = 30.0  # how long a run waits for vendors if other work waits for it to end
STOPPING = "the connector is being stopped; the next run continues"
CHECK_EVERY_S = 5.0
CLAIM_S = 60.0  # how long a claimed task or person is reserved; after that, the process that claimed it is dead
FAILURES_IN_A_ROW = 3
RESCAN_S = 0.5  # how long the ledger is not searched again for a source without due work that nothing has changed
WorkItem = tuple[str, Work]


class WorkSource:
    """The next work items of one provider.

    Args:
        run: the run.
        provider: the provider.
        pool: the pool of the provider.
        is_helper: yield only work that any process may claim: purchases, due tasks and people.
    """

    def __init__(self, run: Run, provider: Provider, pool: WorkerPool, *, is_helper: bool = False) -> None:
        self._is_helper = is_helper
        self._run = run
        self._provider = provider
        self.pool = pool
        self._groups: list[PurchaseGroup] = []
        self._unresolved: dict[Identifier, list[plan.Pending]] = {}
        self._rereads: list[RereadRow] = []
        self._failures = 0
        self._read_ahead = 0  # the people read before their purchase, since the groups were read
        self._read_once: set[int] = set()  # purchases
        self._tried_receipts: set[int] = set()
        self._searched: tuple[bool, float] | None = None  # the last search, if it found nothing: `partial`, and when
        # No older task is added during a run, and most runs have none.
        self._older = run.services.ledger.polls.has_older_tasks(provider.source, run.started_at)
        self.refresh()

    @property
    def name(self) -> str:
        """The provider's name."""
        return self._provider.name

    def refresh(self) -> None:
        """Read the planned purchases, the pending lookups and the values to read again."""
        ledger = self._run.services.ledger
        self._read_ahead = 0
        capped = self._run.capped_pairs(self.name)
        self._groups = ledger.attempts.groups(self._provider.source, self._run.id, self._run.now(), capped)
        if self._is_helper:
            return
        due = ledger.results.due_rereads(self._provider.source, self._run.id)
        self._rereads = [row for row in due if row.id not in self._read_once]
        if self._provider.source.resolves:
            busy = self.pool.keys
            found = plan.pending_by_identifier(self._run, self.name)
            self._unresolved = {one: rows for one, rows in found.items() if _resolving(one) not in busy}
        if self._groups or self._rereads or self._unresolved:
            self.expect_due_work()

    def collect_finished(self) -> bool:
        """Remove finished work items, which may have made others due; whether there were any."""
        found = self.pool.collect_finished()
        if found:
            self._searched = None
        return found

    def retry_refused_by_balance(self) -> bool:
        """Read the balance again after purchases have ended, and plan those that it refused; whether there are any."""
        if self.name not in self._run.stopped and prices.observe_again(self._run, self._provider):
            self.refresh()
            return bool(self._groups or self._unresolved)
        return False

    def expect_due_work(self) -> None:
        """Search again: time has passed."""
        self._searched = None

    def next(self, *, partial: bool) -> WorkItem | None:
        """The next work item, or None; purchases come first, because the vendor's tasks take longest.

        Args:
            partial: a batch that is not full may be sent.
        """
        if self.name in self._run.stopped or self._is_searched(partial=partial):
            return None
        found = next(iter(self._items(partial=partial)), None)
        self._searched = None if found else (partial, self._run.monotonic())
        return found

    def _is_searched(self, *, partial: bool) -> bool:
        was_partial, searched_s = self._searched or (not partial, 0.0)
        until_s = searched_s + RESCAN_S * self._run.services.clock.scale
        return partial is was_partial and self._run.monotonic() < until_s

    def _items(self, *, partial: bool) -> Iterator[WorkItem]:
        busy = self.pool.keys
        yield from self._poll(busy, older=True)  # purchases of earlier runs come before new ones
        if not self._run.why_closed(self.name):
            yield from self._purchase(busy, partial=partial and not self._is_resolving(busy))
            yield from self._resolve()
        yield from self._poll(busy, older=False)
        yield from self._check(busy)
        yield from self._reread(busy)
        yield from self._receipts(busy)  # last, because callbacks may be forged

    def _is_resolving(self, busy: set[str]) -> bool:
        return bool(self._unresolved) or any(key.startswith(RESOLVE) for key in busy)

    def _purchase(self, busy: set[str], *, partial: bool) -> Iterator[WorkItem]:
        if any(key.startswith(BUY) for key in busy):  # one at a time: the next one must see the remaining purchases
            return
        for index, group in enumerate(self._groups):
            channel, full_size = group.channel, self._provider.batch_size(group.channel)
            if not (partial or group.size >= full_size) or stop_without_value(self._run, self._provider, channel):
                continue
            if prices.stop_too_dear(self._run, self._provider, channel):
                continue
            most = prices.batch_limit(self._run, self._provider, channel)
            taken = min(group.size, most, self._run.halved.get((self.name, channel), full_size))
            self._groups[index] = replace(group, size=group.size - taken)
            self._groups = [one for one in self._groups if one.size > 0]
            yield (
                f"{BUY}{channel} {group.grouping_key}",
                functools.partial(purchase.buy, self._run, self._provider, group),
            )
            return

    def _resolve(self) -> Iterator[WorkItem]:
        for identifier in list(self._unresolved):
            pending = self._unresolved.pop(identifier)
            look_up = functools.partial(plan.resolve_identity, self._run, self._provider, identifier, pending)
            yield _resolving(identifier), look_up

    def _poll(self, busy: set[str], *, older: bool) -> Iterator[WorkItem]:
        """Polls of due tasks; tasks of earlier runs are polled once each."""
        run, polls = self._run, self._run.services.ledger.polls
        if older and not self._older:
            return
        polled = run.polled if older else ()  # a corrected clock can turn an older task into one of this run
        for task in polls.due_tasks(self._provider.source, run.now(), run.started_at, polled, older=older):
            key = f"poll {task.id}"
            if key in busy or (run.services.shared and not polls.claim_task(task, run.later(CLAIM_S))):
                continue
            if older:
                run.polled.add(task.id)
            yield key, functools.partial(collect.poll, run, self._provider, task)

    def _check(self, busy: set[str]) -> Iterator[WorkItem]:
        if not self._provider.keeps_records:
            return
        run, polls = self._run, self._run.services.ledger.polls
        for row in polls.due_checks(self._provider.source, run.now()):
            key = f"check {row.id}"
            if row.state is PurchaseState.PLANNED and not self._is_affordable(row.channel):
                continue
            if key not in busy and (not run.services.shared or polls.claim_check(row, run.later(CLAIM_S))):
                self._read_ahead += row.state is PurchaseState.PLANNED
                yield key, functools.partial(collect.check, self._run, self._provider, row)

    def _is_affordable(self, channel: Channel) -> bool:
        """Whether a person who is read first could be bought now; at most one batch of people is read ahead."""
        run = self._run
        if run.out_of_time or run.why_closed(self.name):
            return False
        if all((self.name, channel.value, mapping) in run.capped for mapping in run.mappings):
            return False
        ready = sum(one.size for one in self._groups if one.channel is channel) + self._read_ahead
        return ready < self._provider.batch_size(channel)

    def _receipts(self, busy: set[str]) -> Iterator[WorkItem]:
        """Confirmations of callback receipts; each receipt is tried once a run, and only while the run has time."""
        if not self._provider.calls_back or self._run.out_of_time:
            return
        for receipt in self._run.services.ledger.callback_receipts.waiting(self._provider.source):
            key = f"receipt {receipt.id}"
            if key not in busy and receipt.id not in self._tried_receipts:
                self._tried_receipts.add(receipt.id)
                yield key, functools.partial(collect.adopt_receipt, self._run, self._provider, receipt)

    def _reread(self, busy: set[str]) -> Iterator[WorkItem]:
        while self._rereads:
            row = self._rereads.pop(0)  # removed: `refresh` reads from the ledger whether it is still requested
            key = f"read again {row.id}"
            if key not in busy and row.id not in self._read_once:
                self._read_once.add(row.id)  # once a run: the vendor may show the value in a later run
                yield key, functools.partial(collect.reread, self._run, self._provider, row)

    def guarded(self, work: Work) -> None:
        """Run a work item; an error of a provider may stop that provider, but never the run."""
        try:
            with self._run.exclusive(self._provider):
                work()
        except UnreachableError as error:
            self._run.unreachable(self.name, error)
        except (StopError, RefusedError, NotThereError) as error:
            # One failing task or person must not stop the others; several failures in a row are the vendor's.
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                self._run.stop(self.name, str(error))
        else:
            self._failures = 0


def _resolving(identifier: Identifier) -> str:
    return f"{RESOLVE}{identifier.kind} {identifier.value}"


class Scheduler:
    """Works until the run waits for nothing any more, or its time is over.

    Args:
        run: the run.
        until_s: the monotonic time until which it waits for vendors; by default `wait_s` from now.
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
        self._advanced_s = self._checked_s = self._changed_s = run.monotonic()
        self._until_s = self._advanced_s + services.wait_s * services.clock.scale if until_s is None else until_s
        self._clock_watch = ClockWatch(run)
        self._ready = 0
        self._ready_since_s: float | None = None

    def work(self) -> None:
        """Keep the pools busy until the end; running work items finish even after an error."""
        channels = self._run.services.ledger.run_outcomes.open_channels(self._run.id)
        self._run.services.progress.stage("Asking the vendors", channels)
        self._advance(everything=True)
        try:
            while self._turn():
                pass
        finally:
            for source in self._work_sources:
                source.pool.close()
            for source in self._work_sources:
                source.pool.collect_finished()

    def _turn(self) -> bool:
        """Do one round; False when the run may begin its last writes."""
        self._check_time()
        finished = sum(source.collect_finished() for source in self._work_sources) > 0
        started = sum(self._fill(source) for source in self._work_sources) > 0
        if started or finished:
            self._advance(everything=self._run.services.shared and self._is_past(self._advanced_s, JOIN_S))
            if not started:
                self._refresh()
            return True
        if self._busy():
            wait_any([source.pool for source in self._work_sources], POLL_INTERVAL_S)
            return True
        if self._advance(everything=True) and not self._run.out_of_time:
            return True
        self._refresh()
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
            self._until_s = min(self._until_s, run.monotonic())
        self._check_deadline()

    def _check_deadline(self) -> None:
        if self._run.monotonic() >= self._until_s:
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

    def _fill(self, source: WorkSource) -> bool:
        started = False
        partial = self._may_send_partial(source)
        while source.pool.free:
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

    def _refresh(self) -> None:
        for source in self._work_sources:
            source.refresh()

    def _advance(self, *, everything: bool) -> bool:
        """Advance the channels of final purchases, and write when it is time; returns whether any channel advanced."""
        ids: list[int] = []
        while self._run.finalized:
            ids.append(self._run.finalized.popleft())
        moved = plan.advance(self._run, None if everything else ids) if everything or ids else 0
        if everything:
            self._advanced_s = self._run.monotonic()
        if moved:
            self._ready += moved
            self._changed_s = self._run.monotonic()
            self._ready_since_s = self._changed_s if self._ready_since_s is None else self._ready_since_s
        since_s = self._ready_since_s
        if since_s is not None and self._is_past(since_s, WRITE_AFTER_S):
            write.write_complete(self._run)
            self._ready, self._ready_since_s = 0, None
        elif self._ready >= WRITE_AT:
            write.write_complete(self._run, only_full=True)
            self._ready = 0
        return moved > 0

    def _wait(self) -> bool:
        """Sleep until work is due; False if none will be, or the time of the run is over."""
        run, now = self._run, self._run.now()
        active = [source.name for source in self._work_sources if source.name not in run.stopped]
        left_s = self._until_s - run.monotonic()
        due = run.services.ledger.polls.next_due(run.id, run.started_at, active, now, now + timedelta(seconds=left_s))
        if left_s <= 0:
            return False
        if due is None:
            return sum(source.retry_refused_by_balance() for source in self._work_sources) > 0
        due_s = (due - now).total_seconds()
        if self._ready_since_s is not None:
            due_s = min(due_s, self._ready_since_s - run.monotonic() + self._scaled(WRITE_AFTER_S))
        run.services.clock.explain(due_s, f"purchases of this run are not finished at {' and '.join(active)}")
        run.services.clock.pause(timedelta(seconds=max(self._sleep_s(due_s), 0.001)))
        for source in self._work_sources:
            source.expect_due_work()
        return True

    def _sleep_s(self, due_s: float) -> float:
        """The seconds to sleep: short if other runs may finalize purchases of this run, or callbacks may arrive."""
        return min(due_s, POLL_INTERVAL_S if self._run.services.shared else WRITE_AFTER_S * 1000)

    def _is_past(self, since_s: float, wait_s: float) -> bool:
        """Whether a scaled wait since a monotonic time is over."""
        return self._run.monotonic() >= since_s + self._scaled(wait_s)

    def _scaled(self, seconds: float) -> float:
        return seconds * self._run.services.clock.scale
