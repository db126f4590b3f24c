"""When to poll a task: within the vendor's schedule, and close to the time at which such tasks usually end.

The times of ended tasks are kept as a decayed histogram of fixed size, by provider and channel. The end of a task lies
between two polls; its weight is spread over that interval as the earlier tasks suggest.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

STRETCH_AFTER_S = 300.0
STRETCHED_S = 60.0  # the least wait between polls after that, and the longest that learned times may cause
DECAY = 0.97  # of the weight of earlier tasks with each new one: about the last thirty count
LEAST_WEIGHT = 4.0  # with fewer tasks, the schedule decides alone
SHARE = 0.5  # of such tasks that have ended when the next one is polled
_PRIOR = 0.02  # the weight of each part of an interval without any earlier task
_RATIO = 1.25
# The upper bounds of the parts of the histogram, in seconds: from one second to a day.
BOUNDS_S: tuple[float, ...] = tuple(_RATIO**power for power in range(52))


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """The rules of a vendor for the polls of a task.

    Attributes:
        waits_s: seconds before each poll; the last value repeats.
        is_exact: the operator has set the schedule: it is not stretched, and no poll is left out.
    """

    waits_s: tuple[float, ...]
    is_exact: bool = False

    def wait_s(self, polls: int, elapsed_s: float) -> float:
        """The seconds from the last of so many polls, or from the submission, to the next one."""
        seconds = self.waits_s[min(polls, len(self.waits_s) - 1)]
        is_long = elapsed_s > STRETCH_AFTER_S and not self.is_exact
        return max(seconds, STRETCHED_S) if is_long else seconds

    @property
    def longest_s(self) -> float:
        """The longest wait between two polls."""
        return max(STRETCHED_S, *self.waits_s)


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """A histogram of the seconds from the submission of a task to its end; `weights` belong to `BOUNDS_S`."""

    weights: tuple[float, ...] = (0.0,) * len(BOUNDS_S)

    def add(self, after_s: float, until_s: float) -> "TaskTimes":
        """Add a task that still ran after so many seconds and had ended at the next poll."""
        inside = [_overlap(place, after_s, until_s) for place in range(len(BOUNDS_S))]
        likely = [part * (weight + _PRIOR) for part, weight in zip(inside, self.weights, strict=True)]
        total = sum(likely)
        if not total:  # later than the histogram ends
            likely, total = [0.0] * (len(BOUNDS_S) - 1) + [1.0], 1.0
        return TaskTimes(
            tuple(round(DECAY * weight + new / total, 6) for weight, new in zip(self.weights, likely, strict=True))
        )

    def end_s(self, elapsed_s: float) -> float | None:
        """The seconds after which `SHARE` of the tasks have ended that still run after `elapsed_s`; None if unknown."""
        left = [weight * _overlap(place, elapsed_s, BOUNDS_S[-1]) for place, weight in enumerate(self.weights)]
        if sum(self.weights) < LEAST_WEIGHT or sum(left) < SHARE:
            return None
        sums = itertools.accumulate(left)
        return next(bound for bound, found in zip(BOUNDS_S, sums, strict=True) if found >= SHARE * sum(left))

    def to_json(self) -> str:
        """Format the weights, for storage."""
        return json.dumps(self.weights)

    @classmethod
    def from_json(cls, text: str) -> "TaskTimes":
        """Read stored weights; those of another form count as none."""
        found = json.loads(text)
        return cls(tuple(map(float, found))) if len(found) == len(BOUNDS_S) else cls()


def next_poll_s(schedule: PollSchedule, polls: int, elapsed_s: float, times: TaskTimes) -> float:
    """The seconds to the next poll of a task: never sooner than the schedule has it, nor later than its longest wait.

    Args:
        schedule: the vendor's rules.
        polls: the number of polls so far.
        elapsed_s: seconds since the submission.
        times: the times of earlier tasks.
    """
    soonest_s = schedule.wait_s(polls, elapsed_s)
    ends_s = None if schedule.is_exact else times.end_s(elapsed_s)
    return soonest_s if ends_s is None else min(max(soonest_s, ends_s - elapsed_s), schedule.longest_s)


def running_until_s(schedule: PollSchedule, polls: int, due_s: float) -> float:
    """The seconds after which a task certainly still ran: when it was polled before its next poll was due."""
    return 0.0 if polls == 0 else max(0.0, due_s - schedule.wait_s(polls, due_s))


def _overlap(place: int, after_s: float, until_s: float) -> float:
    """The share of a part of the histogram that lies in an interval."""
    lower = BOUNDS_S[place - 1] if place else 0.0
    upper = BOUNDS_S[place]
    return max(0.0, min(upper, until_s) - max(lower, after_s)) / (upper - lower)


def times_of(intervals: Sequence[tuple[float, float]], before: TaskTimes) -> TaskTimes:
    """Add the intervals of several tasks."""
    for after_s, until_s in intervals:
        before = before.add(after_s, until_s)
    return before
