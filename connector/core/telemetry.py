"""The observer of runs, their stages and their requests; by default there is none.

A process has one observer, as it has one log, so that no part passes it on. Names, attributes and figures hold ids,
counts and fixed words only: never an address, a body, or anything about a person.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Value = str | int | float | bool | tuple[str, ...]
Attributes = Mapping[str, Value]
RUN_ID, MAPPINGS, COMMAND = "connector.run_id", "connector.mappings", "connector.command"
SYSTEM, OPERATION, ATTEMPTS = "connector.system", "connector.operation", "connector.attempts"
STATUS = "http.response.status_code"  # of the last attempt; absent without an answer
STATE, EXIT_CODE, STAGE = "connector.state", "connector.exit_code", "connector.stage"
CHANNEL, OUTCOME, PROVIDER = "connector.channel", "connector.outcome", "connector.provider"


class Figure(StrEnum):
    """What is measured.

    The first two are durations in seconds, each a distribution; the others are sums that only grow.
    """

    RUN_SECONDS = "connector.run.duration"
    REQUEST_SECONDS = "connector.request.duration"
    CHANNEL_OUTCOMES = "connector.channel.outcomes"
    CREDITS_CHARGED = "connector.credits.charged"


DURATIONS = frozenset({Figure.RUN_SECONDS, Figure.REQUEST_SECONDS})


class Span(Protocol):
    """Something that takes time, and its facts."""

    def set(self, attributes: Attributes) -> None:
        """Add facts."""

    def fail(self, kind: str) -> None:
        """Mark it as failed by an error of this type."""


class Telemetry(Protocol):
    """An observer."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """Open a span around a block; spans that begin within the block, also in its threads, are its children."""

    def measure(self, figure: Figure, amount: float, attributes: Attributes) -> None:
        """Take one measurement."""


class _NoSpan:
    def set(self, attributes: Attributes) -> None:
        """Do nothing."""

    def fail(self, kind: str) -> None:
        """Do nothing."""


class NoTelemetry:
    """Observes nothing."""

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[Span]:
        """Do nothing."""
        del name, attributes
        yield _NO_SPAN

    def measure(self, figure: Figure, amount: float, attributes: Attributes) -> None:
        """Do nothing."""


_NO_SPAN = _NoSpan()


@dataclass
class _Process:
    """The observer of this process."""

    telemetry: Telemetry = field(default_factory=NoTelemetry)


_PROCESS = _Process()


def observer() -> Telemetry:
    """The observer of this process."""
    return _PROCESS.telemetry


@contextmanager
def observed_by(telemetry: Telemetry) -> Iterator[None]:
    """Let an observer see what this process does while the block runs."""
    before, _PROCESS.telemetry = _PROCESS.telemetry, telemetry
    try:
        yield
    finally:
        _PROCESS.telemetry = before
