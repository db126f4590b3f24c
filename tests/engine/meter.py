"""Counts the work of commands instead of their time, so that two sizes can be compared on any machine.

SQLite executes a statement as a program of its virtual machine, with a fixed number of steps for each row that it
reads. `sqlite3` calls a function after each `STEPS` of them (https://www.sqlite.org/c3ref/progress_handler.html).
"""

import re
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from connector.store import tables as t

SHOWN = 400  # characters of a statement in a message
STEPS = 50  # the unit in which steps are counted
_LISTS = re.compile(r"\((?:\?|NULL)(?:, (?:\?|NULL))*\)")
_WORDS = re.compile(r"\w+")
_CONTAINERS = (list, dict, set, frozenset, tuple, deque)


@dataclass
class Work:
    """The work of some commands.

    Attributes:
        calls: how often each statement was sent; one call may execute it for many rows.
        steps: the steps of each statement.
        transactions: those that may write, and those that only read.
        longest: the most elements in each container of the watched objects, by class and attribute.
    """

    calls: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    transactions: Counter[str] = field(default_factory=Counter)
    longest: Counter[str] = field(default_factory=Counter)

    @property
    def tables(self) -> set[str]:
        """The tables that the statements name."""
        words = {word for statement in self.calls for word in _WORDS.findall(statement)}
        return words & set(t.metadata.tables)


class Meter:
    """Counts the work of all SQLAlchemy engines of this process; made by `counting`."""

    def __init__(self) -> None:
        self._work = Work()
        self._last: dict[int, str] = {}  # the last statement of each connection
        self._texts: dict[str, str] = {}  # without the lengths of lists
        self._watched: list[object] = []

    def take(self) -> Work:
        """The work since the last call; objects that were watched until now are watched no more."""
        done, self._work = self._work, Work()
        self._watched.clear()
        return done

    def watch(self, one: object) -> None:
        """Measure the containers in an object's attributes before each statement."""
        self._watched.append(one)

    def connected(self, connection: sqlite3.Connection, _record: object) -> None:
        """Begin to count the steps of a new connection."""
        key = id(connection)

        def step() -> int:
            self._work.steps[self._last.get(key, "")] += STEPS
            return 0

        connection.set_progress_handler(step, STEPS)

    def executed(self, connection: sa.Connection, _cursor: object, statement: str, *_more: object) -> None:
        """Count a call of a statement."""
        text = self._texts.get(statement)
        if text is None:
            text = self._texts[statement] = _LISTS.sub("(?)", " ".join(statement.split()))
        self._last[id(connection.connection.driver_connection)] = text
        self._work.calls[text] += 1
        for one in self._watched:
            for name, value in vars(one).items():
                if isinstance(value, _CONTAINERS):
                    key = f"{type(one).__name__}.{name}"
                    self._work.longest[key] = max(self._work.longest[key], len(value))

    def begun(self, connection: sa.Connection) -> None:
        """Count a transaction."""
        self._work.transactions["read" if connection.get_execution_options().get("read_only") else "write"] += 1


@contextmanager
def counting() -> Iterator[Meter]:
    """Count the work of the block, which opens its ledgers itself."""
    meter = Meter()
    events: list[tuple[Any, str, Callable[..., None]]] = [
        (sa.pool.Pool, "connect", meter.connected),
        (sa.engine.Engine, "before_cursor_execute", meter.executed),
        (sa.engine.Engine, "begin", meter.begun),
    ]
    for target, name, listener in events:
        sa.event.listen(target, name, listener)
    try:
        yield meter
    finally:
        for target, name, listener in events:
            sa.event.remove(target, name, listener)


@dataclass(frozen=True, slots=True)
class Bound:
    """How much work is allowed.

    Attributes:
        times: the work of the larger measurement is at most this multiple of the smaller one ...
        more: ... and as many steps.
        more_calls: the same for calls, transactions and requests.
        longest: the most elements in a container.
    """

    times: float
    more: int
    more_calls: int
    longest: int


def excess(small: Work, large: Work, bound: Bound, except_for: Mapping[str, str]) -> list[str]:
    """Describe everything in the larger measurement above the bound.

    Args:
        small: the smaller measurement.
        large: the larger one.
        bound: the bound.
        except_for: parts of statements, or names of containers, that may grow, with the reason.
    """
    found: list[str] = []

    def compare(what: str, name: str, before: int, after: int, more: int) -> None:
        if after > bound.times * before + more and not any(part in name for part in except_for):
            found.append(f"{what}: {before:,} -> {after:,}: {name[:SHOWN]}")

    for name in sorted(large.calls.keys() | large.steps.keys()):
        compare("steps", name, small.steps[name], large.steps[name], bound.more)
        compare("calls", name, small.calls[name], large.calls[name], bound.more_calls)
    for name, count in large.transactions.items():
        compare("transactions", name, small.transactions[name], count, bound.more_calls)
    for name, length in large.longest.items():
        if length > max(bound.longest, small.longest[name]) and not any(part in name for part in except_for):
            found.append(f"elements: {small.longest[name]:,} -> {length:,}: {name}")
    return found
