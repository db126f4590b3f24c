"""Who does what next: each provider has a lane of a few threads, so that a slow vendor never holds up the other."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

Work = Callable[[], None]


class Lane:
    """Work for one provider, a few pieces at a time; each piece has a key, and no key runs twice at once.

    Args:
        width: pieces at a time; 0 runs each piece at once, in the caller's thread.
    """

    def __init__(self, name: str, width: int) -> None:
        self._width = width
        self._pool = ThreadPoolExecutor(width, thread_name_prefix=f"lane-{name}") if width else None
        self._running: dict[Future[None], str] = {}

    @property
    def free(self) -> bool:
        """Whether another piece may start."""
        return self._pool is None or len(self._running) < self._width

    @property
    def keys(self) -> set[str]:
        """What is running."""
        return set(self._running.values())

    @property
    def futures(self) -> set[Future[None]]:
        """The running pieces, for waiting."""
        return set(self._running)

    def start(self, key: str, work: Work) -> None:
        """Begin a piece of work."""
        if self._pool is None:
            work()
        else:
            self._running[self._pool.submit(work)] = key

    def reap(self) -> bool:
        """Forget finished pieces, raising what they raised; whether there were any.

        A piece that had not begun when the lane closed has done nothing, and raises nothing.
        """
        done = [future for future in self._running if future.done()]
        for future in done:
            del self._running[future]
        for future in done:
            if not future.cancelled():
                future.result()
        return bool(done)

    def close(self) -> None:
        """Let running pieces finish: they may hold a vendor's answer; start no more."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def wait_any(lanes: list[Lane], timeout_s: float) -> None:
    """Wait until any piece is finished, or the time is over."""
    futures = set().union(*(lane.futures for lane in lanes))
    if futures:
        wait(futures, timeout=timeout_s, return_when=FIRST_COMPLETED)
