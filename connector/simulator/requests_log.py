"""The log of a site's requests, so that a benchmark can count submissions and polls."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

DROPPED = 0


@dataclass(frozen=True)
class LoggedRequest:
    """One answered request.

    Attributes:
        operation: the contract's `operationId`; `unknown` for a route outside it.
        status: the HTTP status of the answer, 0 if the connection was cut instead.
        people: the number of persons that the request named.
        at: Unix seconds of the simulated clock.
    """

    operation: str
    status: int
    people: int
    at: float


class RequestLog:
    """All requests of one site, in order; safe to share between threads.

    Attributes:
        most_at_once: the most requests in progress at the same moment.
    """

    def __init__(self) -> None:
        self.most_at_once = 0
        self._under_way = 0
        self._entries: list[LoggedRequest] = []
        self._lock = threading.Lock()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request from when it is read until its answer leaves."""
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def add(self, entry: LoggedRequest) -> None:
        """Write one entry."""
        with self._lock:
            self._entries.append(entry)

    @property
    def entries(self) -> tuple[LoggedRequest, ...]:
        """All entries, oldest first."""
        with self._lock:
            return tuple(self._entries)

    def count(self, operation: str | None = None, status: int | None = None) -> int:
        """The number of requests, of one operation and with one status if given."""
        return sum(operation in {None, entry.operation} and status in {None, entry.status} for entry in self.entries)

    def people(self, operation: str, status: int | None = None) -> int:
        """The number of persons that all requests of an operation named, including repeats."""
        found = (entry for entry in self.entries if entry.operation == operation and status in {None, entry.status})
        return sum(entry.people for entry in found)

    def counters(self) -> dict[str, dict[str, int]]:
        """By operation: `requests`, `people`, and the number of answers by status, such as `"201"`."""
        found: dict[str, Counter[str]] = {}
        for entry in self.entries:
            counter = found.setdefault(entry.operation, Counter())
            counter.update({"requests": 1, "people": entry.people, str(entry.status): 1})
        return {operation: dict(counter) for operation, counter in sorted(found.items())}

    def clear(self) -> None:
        """Remove all entries, for example before the measured part of a run."""
        with self._lock:
            self._entries.clear()
            self.most_at_once = self._under_way
