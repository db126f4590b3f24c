"""The deadline of one exchange, from opening the connection to the last byte of the body.

The timeouts of HTTP libraries apply to single reads: a body of one byte every two seconds never exceeds them. Here one
clock runs for the whole exchange, and each operation on the socket gets the time that is left.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Monotonic = Callable[[], float]
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of one exchange.

    Attributes:
        total_s: seconds from the start to the last byte.
        max_bytes: size of the unpacked body.
        answer_s: seconds from the answer's headers to its last byte; None for no limit besides `total_s`.
    """

    total_s: float
    max_bytes: int
    answer_s: float | None = None


class Deadline:
    """The end of one exchange on a monotonic clock."""

    def __init__(self, budget: Budget, clock: Monotonic = time.monotonic) -> None:
        self._clock = clock
        self._answer_s = budget.answer_s
        self._began = clock()
        self._ends = self._began + budget.total_s
        self._answered = False

    def answered(self) -> None:
        """Note the arrival of the headers: from now on `answer_s` limits the rest."""
        if self._answer_s is not None and not self._answered:
            self._ends = min(self._ends, self._clock() + self._answer_s)
        self._answered = True

    def left_s(self) -> float:
        """The seconds that are left; never negative."""
        return max(0.0, self._ends - self._clock())

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() >= self._ends

    @property
    def allowed_s(self) -> float:
        """The total seconds that the exchange may take, for messages."""
        return self._ends - self._began

    @contextmanager
    def running(self) -> Iterator[None]:
        """Apply this deadline to all socket operations of the thread inside the context."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """The deadline of this thread's current exchange; None outside of one."""
    return _CURRENT.get()
