"""The times of the next polls of a run's tasks, learned from the tasks that have ended before."""

import threading
from datetime import datetime

from connector.core.clock import Clock
from connector.core.model import Channel
from connector.core.poll_times import TaskTimes, next_poll_s, running_until_s
from connector.providers.interface import Provider
from connector.store.rows import TaskRow
from connector.store.task_times import StoredTaskTimes

STORED_AT_ONCE = 10  # ended tasks; a crash loses only what they have taught


class PollTimes:
    """Chooses the next polls; safe to share between threads.

    Args:
        stored: the times of earlier runs.
        clock: its scale shortens every wait in rehearsals.
    """

    def __init__(self, stored: StoredTaskTimes, clock: Clock) -> None:
        self._stored = stored
        self._clock = clock
        self._guard = threading.Lock()
        self._known: dict[tuple[str, Channel], TaskTimes] = {}
        self._first: dict[tuple[str, Channel], tuple[TaskTimes, float]] = {}  # computed again when the times change
        self._new: dict[tuple[str, Channel], list[tuple[float, float]]] = {}

    def first(self, provider: Provider, channel: Channel) -> datetime:
        """The first poll of a task that was accepted just now."""
        key, times = (provider.name, channel), self._times(provider, channel)
        if self._first.get(key, (None, 0.0))[0] is not times:
            self._first[key] = times, next_poll_s(provider.poll_rules, 0, 0.0, times)
        return self._clock.later(self._first[key][1])

    def next(self, provider: Provider, task: TaskRow) -> datetime:
        """The next poll of a task that was polled just now and still runs."""
        elapsed_s = self._since(task, self._clock.now())
        times = self._times(provider, task.channel)
        return self._clock.later(next_poll_s(provider.poll_rules, task.polls + 1, elapsed_s, times))

    def ended(self, provider: Provider, task: TaskRow) -> None:
        """Learn from a task of this run whose end the present poll has shown."""
        due_s = self._since(task, task.due_at or self._clock.now())
        interval = running_until_s(provider.poll_rules, task.polls, due_s), self._since(task, self._clock.now())
        if interval[0] >= interval[1]:  # a corrected clock
            return
        key = provider.name, task.channel
        with self._guard:
            found = self._new.setdefault(key, [])
            found.append(interval)
            if len(found) >= STORED_AT_ONCE or key not in self._known:
                self._store(provider, task.channel)

    def store(self, provider: Provider) -> None:
        """Store what the last tasks of a provider have taught."""
        with self._guard:
            for name, channel in list(self._new):
                if name == provider.name:
                    self._store(provider, channel)

    def _store(self, provider: Provider, channel: Channel) -> None:
        key = provider.name, channel
        self._known[key] = self._stored.add(provider.source, channel, self._new.pop(key))

    def _times(self, provider: Provider, channel: Channel) -> TaskTimes:
        key = provider.name, channel
        with self._guard:
            if key not in self._known:
                self._known[key] = self._stored.read(provider.source, channel)
            return self._known[key]

    def _since(self, task: TaskRow, moment: datetime) -> float:
        """The unscaled seconds from the submission of a task to a moment."""
        return max(0.0, (moment - task.submitted_at).total_seconds()) / self._clock.scale
