"""The next work items of one provider, such as a purchase, a poll or a lookup.

The data in memory (groups of purchases, people to look up) is read from the ledger again whenever it may have changed.
"""

import functools
import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from connector.core.errors import ConnectorError, NotThereError, RefusedError, StopError, UnreachableError
from connector.core.model import Channel, Identifier
from connector.core.states import PurchaseState
from connector.engine import collect, lookups, plan, prices, purchase
from connector.engine.context import Run
from connector.engine.guards import stop_without_value
from connector.engine.worker_pool import Work, WorkerPool
from connector.providers.interface import Provider
from connector.store.rows import PurchaseGroup, RereadRow, TaskRow

BUY, RESOLVE = "buy ", "resolve "  # the prefixes of the keys of purchases and lookups
CLAIM_S = 60.0  # how long a claimed task or person is reserved; after that, the process that claimed it is dead
FAILURES_IN_A_ROW = 3
BUYS_AT_ONCE = 2  # so that the next request can leave while the answer to the last one is stored
LOOKUP_BATCHES = 2  # at the same time
RESCAN_S = 0.5  # how long the ledger is not searched again for a source without due work that nothing has changed
LEAST_PERMIT_WAIT_S = 0.01  # the rate limit holds back paid requests if one has waited longer than this
NEVER = -1
OLDER_REST_S = 5.0  # how long the tasks of earlier runs are not searched after a search without a result
REST = 20  # after a search of the ledger, no other begins for this many times as long
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
        self._capped = 0  # the number of caps in force when they were read
        self._unresolved: dict[Identifier, list[plan.Pending]] = {}
        self._resolving: set[Identifier] = set()  # those that are being looked up
        self._threads = ThreadPoolExecutor(lookups.MOST_AT_ONCE, f"lookup-{provider.name}") if pool.width > 1 else None
        self._rereads: list[RereadRow] = []
        self._due: deque[TaskRow] = deque()  # tasks of this run that were due when they were read
        self._failures = 0
        self._bought = 0  # batches, for the keys of their work items
        self.begun = 0  # purchases and lookups that were started
        self._read_ahead = 0  # the people read before their purchase, since the groups were read
        self._tried_receipts: set[int] = set()
        self._reread_after = NEVER  # `reuses` of the run when no value had to be read again
        self._refresh_after_s = 0.0
        self._older_after_s = 0.0
        self._searched: tuple[bool, float] | None = None  # the last search, if it found nothing: `partial`, and when
        # No older task is added during a run, and most runs have none.
        self._older = run.services.ledger.polls.has_older_tasks(provider.source, run.started_at, run.id)
        self.refresh(forced=True)

    @property
    def name(self) -> str:
        """The provider's name."""
        return self._provider.name

    @property
    def sends(self) -> bool:
        """Whether a purchase or lookup is being made."""
        return any(key.startswith((BUY, RESOLVE)) for key in self.pool.keys)

    def refresh(self, *, forced: bool = False) -> None:
        """Read the next planned purchases, pending lookups and values to read again.

        Args:
            forced: also if that was done a moment ago. Otherwise it takes a small part of the time only.
        """
        run, began_s = self._run, self._run.monotonic()
        if forced or began_s >= self._refresh_after_s:
            self._read()
            self._refresh_after_s = run.monotonic() + REST * (run.monotonic() - began_s)

    def _read(self) -> None:
        ledger = self._run.services.ledger
        self._read_ahead = 0
        capped = self._run.capped_pairs(self.name)
        self._capped = len(capped)
        self._groups = ledger.attempts.groups(
            self._provider.source, self._run.id, self._run.now(), capped, self._run.mappings
        )
        if self._is_helper:
            return
        if self._reread_after != self._run.reuses:
            reuses = self._run.reuses
            self._rereads = ledger.results.due_rereads(self._provider.source, self._run.id)
            self._reread_after = NEVER if self._rereads else reuses
        if self._provider.source.resolves:
            found = plan.pending_by_identifier(self._run, self.name)
            self._unresolved = {one: rows for one, rows in found.items() if one not in self._resolving}
        if self._groups or self._rereads or self._unresolved:
            self.expect_due_work()

    def collect_finished(self) -> bool:
        """Remove finished work items, which may have made others due; whether there were any."""
        found = self.pool.collect_finished()
        if found:
            self.expect_due_work()
        return found

    def retry_refused_by_balance(self) -> bool:
        """Read the balance again after purchases have ended, and plan those that it refused; whether there are any."""
        if self.name not in self._run.stopped and prices.observe_again(self._run, self._provider):
            self.refresh(forced=True)
            return bool(self._groups or self._unresolved)
        return False

    def expect_due_work(self) -> None:
        """Let the next call of `next` search the ledger again."""
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
        if self._searched is None:
            return False
        was_partial, searched_s = self._searched
        until_s = searched_s + RESCAN_S * self._run.services.clock.scale
        return partial is was_partial and self._run.monotonic() < until_s

    def _items(self, *, partial: bool) -> Iterator[WorkItem]:
        busy = self.pool.keys
        yield from self._poll(busy, older=True)  # purchases of earlier runs come before new ones
        if not self._run.why_closed(self.name):
            yield from self._purchase(busy, partial=partial and not self._is_resolving(busy))
            yield from self._resolve(busy)
        yield from self._poll(busy, older=False)
        yield from self._check(busy)
        yield from self._reread(busy)
        yield from self._receipts(busy)  # last, because callbacks may be forged

    def _is_resolving(self, busy: set[str]) -> bool:
        return bool(self._unresolved) or any(key.startswith(RESOLVE) for key in busy)

    def _purchase(self, busy: set[str], *, partial: bool) -> Iterator[WorkItem]:
        running = sum(key.startswith(BUY) for key in busy)
        if not running and len(self._run.capped_pairs(self.name)) != self._capped:
            self._read()  # without the groups that a new cap forbids: each try would read all their purchases
        for index, group in enumerate(self._groups):
            channel, full_size = group.channel, self._provider.batch_size(group.channel)
            if running and not self._may_buy_beside(running, group):
                continue
            if not (partial or group.size >= full_size) or stop_without_value(self._run, self._provider, channel):
                continue
            if prices.stop_too_dear(self._run, self._provider, channel):
                continue
            most = prices.batch_limit(self._run, self._provider, channel)
            taken = min(group.size, most, self._run.halved.get((self.name, channel), full_size))
            self._groups[index] = replace(group, size=group.size - taken)
            self._groups = [one for one in self._groups if one.size > 0]
            self._bought += 1
            self.begun += 1
            yield (
                f"{BUY}{channel} {self._bought}",
                functools.partial(purchase.buy, self._run, self._provider, group),
            )
            return

    def _may_buy_beside(self, running: int, group: PurchaseGroup) -> bool:
        """Whether a batch may be sent while others are: it is certainly full, and nothing is doubtful.

        The running requests may not have taken their purchases yet, so these may still be in the list.
        """
        run, channel, full_size = self._run, group.channel, self._provider.batch_size(group.channel)
        return (
            running < min(BUYS_AT_ONCE, self._provider.parallel)
            and (self.name, channel) in run.price_seen
            and (self.name, channel) not in run.halved
            and not run.waits[self.name]
            and group.size >= (running + 1) * full_size
            and prices.batch_limit(run, self._provider, channel) == full_size
        )

    def _resolve(self, busy: set[str]) -> Iterator[WorkItem]:
        """Lookups of a batch of people; two batches at the same time, so that the end of one does not delay others."""
        while self._unresolved and sum(key.startswith(RESOLVE) for key in busy) < LOOKUP_BATCHES:
            batch = dict(itertools.islice(self._unresolved.items(), lookups.STORED_AT_ONCE))
            self._unresolved = {one: rows for one, rows in self._unresolved.items() if one not in batch}
            self._resolving |= batch.keys()
            self.begun += 1
            first = next(iter(batch))
            yield f"{RESOLVE}{first.kind} {first.value}", functools.partial(self._look_up, batch)

    def _look_up(self, batch: lookups.Waiting) -> None:
        try:
            answers = lookups.resolve_identities(self._run, self._provider, batch, self._threads)
        finally:
            self._resolving -= batch.keys()
        if answers.errors and not answers.is_answered:
            for error in answers.errors[:-1]:
                self._fail(error)
            raise answers.errors[-1]

    def store_times(self) -> None:
        """Store what the last ended tasks have taught about the times of polls."""
        self._run.poll_times.store(self._provider)

    def close(self) -> None:
        """Start nothing more, and wait for the running work."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self.pool.close()

    def _poll(self, busy: set[str], *, older: bool) -> Iterator[WorkItem]:
        """Polls of due tasks; tasks of earlier runs are polled once each."""
        run, polls = self._run, self._run.services.ledger.polls
        if older and (not self._older or run.monotonic() < self._older_after_s):
            return
        for task in self._due_tasks(busy, older=older):
            if run.services.shared and not polls.claim_task(task, run.later(CLAIM_S)):
                continue
            if older:
                polls.poll_once(task, run.id)
            yield _polling(task), functools.partial(collect.poll, run, self._provider, task)

    def _due_tasks(self, busy: set[str], *, older: bool) -> Iterator[TaskRow]:
        """Due tasks that are not being polled. Those of this run are read many at a time, and each is yielded once."""
        yields = not older and self._must_yield(busy)
        if older or yields or not self._due:
            run, polls = self._run, self._run.services.ledger.polls
            longest = timedelta(seconds=self._provider.poll_rules.longest_s * run.services.clock.scale)
            due_at = run.now() - longest if yields else run.now()
            found = polls.due_tasks(self._provider.source, due_at, run.started_at, run.id, older=older)
            idle = [task for task in found if _polling(task) not in busy]
            if older:
                if not found:  # those that this run has polled are due again, and would be read for every work item
                    self._older = polls.has_older_tasks(self._provider.source, run.started_at, run.id)
                    self._older_after_s = run.monotonic() + OLDER_REST_S * run.services.clock.scale
                yield from idle
                return
            self._due = deque(idle)
        while self._due:
            yield self._due.popleft()

    def _must_yield(self, busy: set[str]) -> bool:
        """Whether polls wait for paid requests, because both wait for the rate limiter; a long overdue poll does not.

        The vendor works on a task while others are submitted, and a later poll shows more of its results.
        """
        is_limited = self._run.permit_wait_s.get(self.name, 0.0) > LEAST_PERMIT_WAIT_S
        return is_limited and any(key.startswith(BUY) for key in busy)

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
            if key not in busy:
                self._run.services.ledger.results.read_once(row.id, self._run.id)
                yield key, functools.partial(collect.reread, self._run, self._provider, row)

    def guarded(self, work: Work) -> None:
        """Run a work item; an error of a provider may stop that provider, but never the run."""
        try:
            with self._run.exclusive(self._provider):
                work()
        except (StopError, RefusedError, NotThereError) as error:
            self._fail(error)
        else:
            self._failures = 0

    def _fail(self, error: ConnectorError) -> None:
        """Count a failure: one task or person must not stop the others, but several in a row are the vendor's."""
        if isinstance(error, UnreachableError):
            self._run.unreachable(self.name, error)
            return
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            self._run.stop(self.name, str(error))


def _polling(task: TaskRow) -> str:
    return f"poll {task.id}"
