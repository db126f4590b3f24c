"""The time that one exchange may take, from the connection to the last byte of the body.

The limits of HTTP libraries hold for single reads: a body of one byte every two seconds never meets them. Here one
clock runs for the whole exchange, and every operation on the socket gets what is left of it.
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
    """What an exchange may cost.

    Attributes:
        total_s: from the beginning to the last byte.
        max_bytes: of the body, unpacked.
        answer_s: from the answer's headers to its last byte; None where `total_s` is short enough for both.
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
        """The headers are here: from now on the rest must follow."""
        if self._answer_s is not None and not self._answered:
            self._ends = min(self._ends, self._clock() + self._answer_s)
        self._answered = True

    def left_s(self) -> float:
        """Seconds until the end; never negative."""
        return max(0.0, self._ends - self._clock())

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._clock() >= self._ends

    @property
    def allowed_s(self) -> float:
        """How long the exchange may take in all, for messages."""
        return self._ends - self._began

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it bound every operation of this thread's transports."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """The exchange that this thread is in."""
    return _CURRENT.get()
