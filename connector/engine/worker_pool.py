"""A pool of a few threads for each provider, so that a slow provider does not delay the others."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

Work = Callable[[], None]


class WorkerPool:
    """Runs the work items of one provider, a few at the same time; each has a key.

    Args:
        name: the provider's name, for the names of the threads.
        width: the most items at the same time; 0 runs each item at once in the caller's thread.
    """

    def __init__(self, name: str, width: int) -> None:
        self.width = width
        self._pool = ThreadPoolExecutor(width, thread_name_prefix=f"pool-{name}") if width else None
        self._running: dict[Future[None], str] = {}

    @property
    def free(self) -> bool:
        """Whether another item may start."""
        return self._pool is None or len(self._running) < self.width

    @property
    def keys(self) -> set[str]:
        """The keys of the running items."""
        return set(self._running.values())

    @property
    def futures(self) -> set[Future[None]]:
        """The futures of the running items."""
        return set(self._running)

    def start(self, key: str, work: Work) -> None:
        """Start a work item under a key that is not running."""
        if self._pool is None:
            work()
        else:
            self._running[self._pool.submit(copy_context().run, work)] = key

    def collect_finished(self) -> bool:
        """Remove finished items and raise their errors; returns whether there were any.

        An item that had not begun when the pool closed raises nothing.
        """
        done = [future for future in self._running if future.done()]
        for future in done:
            del self._running[future]
        for future in done:
            if not future.cancelled():
                future.result()
        return bool(done)

    def close(self) -> None:
        """Start no more items, and wait for the running ones, which may have a provider's answer."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def wait_any(pools: list[WorkerPool], timeout_s: float) -> None:
    """Wait until any item is finished, or the timeout ends."""
    futures = set().union(*(pool.futures for pool in pools))
    if futures:
        wait(futures, timeout=timeout_s, return_when=FIRST_COMPLETED)
