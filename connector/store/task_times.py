"""The times that tasks take, by provider and channel: one small value each in table `meta`."""

import hashlib
from collections.abc import Sequence

from connector.core.model import Channel
from connector.core.person import Source
from connector.core.poll_times import TaskTimes, times_of
from connector.store.database import Database
from connector.store.meta import get_value, put_value
from connector.store.monitoring import tasks_ended


class StoredTaskTimes:
    """Reads the times, and adds those of further tasks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def read(self, source: Source, channel: Channel) -> TaskTimes:
        """Read the times of earlier tasks."""
        with self._db.read() as connection:
            return _times(get_value(connection, _key(source, channel)))

    def add(self, source: Source, channel: Channel, intervals: Sequence[tuple[float, float]]) -> TaskTimes:
        """Add tasks, each with its last poll before the end and its first poll after it; returns all times."""
        key = _key(source, channel)
        with self._db.write() as connection:
            times = times_of(intervals, _times(get_value(connection, key)))
            put_value(self._db, connection, key, times.to_json())
            tasks_ended(self._db, connection, source, channel, [until_s for _, until_s in intervals])
        return times


def _times(text: str | None) -> TaskTimes:
    return TaskTimes() if text is None else TaskTimes.from_json(text)


def _key(source: Source, channel: Channel) -> str:
    name = f"{source.name}/{source.account}/{channel.value}"
    return f"task times:{hashlib.sha256(name.encode()).hexdigest()[:40]}"
