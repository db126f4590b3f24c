"""The figures of a run while it works, and the estimate of the time left; for displays, without any effect."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

ASKING = "Asking the vendors"  # the stage whose progress is the number of channels that still wait
LEAST_SPAN_S = 20.0
LEAST_DONE = 5
WINDOW_S = 600.0
MOST_TIMES = 50.0  # the farthest that an observed time is extrapolated


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Counts of a run's records and channels.

    Attributes:
        records: selected by this run, or adopted from an earlier one.
        finished: the records that have their final outcome.
        written: the records that the CRM has updated.
        lookups: the channels whose person must be looked up first.
        unsent: by provider, the channels whose purchase is not sent yet.
        waiting: by provider, the channels whose purchase was sent and has no result.
    """

    records: int = 0
    finished: int = 0
    written: int = 0
    lookups: int = 0
    unsent: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)

    @property
    def open_channels(self) -> int:
        """The channels that wait for a provider."""
        return self.lookups + sum(self.unsent.values()) + sum(self.waiting.values())


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """Credits and requests of one provider account.

    Attributes:
        spent: the credits charged since the run began, also for purchases of earlier runs.
        held: the credits set aside for purchases without a result, also for those of earlier runs.
        sent: the requests of all processes in the last minute; None while it is not known yet.
        per_minute: the allowed requests; None if no limit is known.
    """

    name: str
    spent: int = 0
    held: int = 0
    sent: int | None = None
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class CrmCalls:
    """The run's requests to the CRM, and the org's daily quota as the CRM last reported it."""

    label: str
    calls: int = 0
    daily_used: int | None = None
    daily_limit: int | None = None


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The figures of a run at one time.

    Attributes:
        crm: None while no request is known.
        counted: how many times the records were counted: the counts may be older than the other figures.
    """

    counts: RunCounts = RunCounts()
    providers: tuple[ProviderFigures, ...] = ()
    crm: CrmCalls | None = None
    counted: int = 0


class FiguresReader(Protocol):
    """Reads the figures of one run."""

    def read(self) -> RunFigures:
        """Read the present figures."""


class TimeLeft:
    """Estimates the time that is left from the speed at which the remaining work became less.

    It knows nothing until some work is done in at least twenty seconds, and never extrapolates to more than fifty times
    what it has observed. It observes the last ten minutes, or half of a longer time. If the work grows, as when a value
    is refused and the next source is due, it begins again.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, remaining: int) -> None:
        """Add an observation; `now_s` is a monotonic time."""
        if self._samples and remaining > self._samples[-1][1]:
            self._samples.clear()
        elif len(self._samples) > 1 and self._samples[-1][1] == self._samples[-2][1] == remaining:
            self._samples.pop()  # a wait needs only its beginning and its end
        self._samples.append((now_s, remaining))

    def seconds(self, now_s: float) -> float | None:
        """Estimate the seconds that are left; None while they are unknown."""
        if not self._samples:
            return None
        window_s = max(WINDOW_S, (now_s - self._samples[0][0]) / 2)
        seen = [(at_s, left) for at_s, left in self._samples if now_s - at_s <= window_s]
        if len(seen) < 2:
            return None
        (first_s, before), (last_s, remaining) = seen[0], seen[-1]
        span_s, done = last_s - first_s, before - remaining
        if span_s < LEAST_SPAN_S or done < LEAST_DONE or remaining > done * MOST_TIMES:
            return None
        return max(0.0, remaining * span_s / done - (now_s - last_s))
