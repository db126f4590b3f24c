"""How many tasks of a vendor have ended, by their duration: sums for monitors, which only grow."""

import json
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

# The upper bounds in seconds; a last count without a bound follows.
BOUNDS_S: tuple[float, ...] = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)


@dataclass(frozen=True, slots=True)
class TaskSeconds:
    """The durations of ended tasks, each from its submission to the poll that showed its end.

    Attributes:
        counts: the tasks of each part, one more than the bounds.
        seconds: the sum of all durations.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    seconds: float = 0.0

    def add(self, durations_s: Iterable[float]) -> "TaskSeconds":
        """Add ended tasks."""
        counts, seconds = list(self.counts), self.seconds
        for duration_s in durations_s:
            counts[bisect_left(BOUNDS_S, duration_s)] += 1
            seconds += duration_s
        return TaskSeconds(tuple(counts), round(seconds, 3))

    def to_json(self) -> str:
        """Format the sums, for storage."""
        return json.dumps([*self.counts, self.seconds])

    @classmethod
    def from_json(cls, text: str | None) -> "TaskSeconds":
        """Read stored sums; none, or those with other bounds, count as zero."""
        *counts, seconds = json.loads(text or "[0]")
        return cls(tuple(map(int, counts)), float(seconds)) if len(counts) == len(BOUNDS_S) + 1 else cls()
