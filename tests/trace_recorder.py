"""An observer that keeps all spans and figures of this process, so that tests need no OpenTelemetry."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from connector.core.telemetry import Attributes, Figure, Span


@dataclass
class Seen:
    """A span as a test sees it."""

    name: str
    parent: "Seen | None"
    attributes: dict[str, Any] = field(default_factory=dict)
    failed: str = ""

    def set(self, attributes: Attributes) -> None:
        self.attributes |= attributes

    def fail(self, kind: str) -> None:
        self.failed = kind

    def is_within(self, above: "Seen") -> bool:
        return self is above or (self.parent is not None and self.parent.is_within(above))


@dataclass
class Recorder:
    """An observer that keeps all spans and figures."""

    spans: list[Seen] = field(default_factory=list)
    figures: list[tuple[Figure, float, Mapping[str, Any]]] = field(default_factory=list)
    _present: ContextVar[Seen | None] = field(default_factory=lambda: ContextVar("present", default=None))

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[Span]:
        made = Seen(name, self._present.get(), dict(attributes))
        self.spans.append(made)
        token = self._present.set(made)
        try:
            yield made
        finally:
            self._present.reset(token)

    def measure(self, figure: Figure, amount: float, attributes: Attributes) -> None:
        self.figures.append((figure, amount, attributes))

    def runs(self) -> list[Seen]:
        return [one for one in self.spans if one.name == "run"]

    def within(self, above: Seen) -> list[Seen]:
        """The spans below another one."""
        return [one for one in self.spans if one is not above and one.is_within(above)]
