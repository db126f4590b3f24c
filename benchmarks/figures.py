"""The results of the benchmark as values: figures with their aims, sections, and their form as JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


class SkippedError(Exception):
    """A scenario cannot be measured here; holds the reason."""


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        name: the thing measured.
        value: its value.
        unit: such as `s` or `MB`; empty for a count or a ratio.
        at_most: the aim, if the value should not be larger.
        at_least: the aim, if the value should not be smaller.
        note: a short addition, such as a comparison.
    """

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without an aim."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


@dataclass(frozen=True)
class Table:
    """A table of the page that compares several programs."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """The results of one scenario.

    Attributes:
        name: the scenario's name on the command line.
        title: its heading.
        figures: the measured values.
        text: how they were measured, in Markdown.
        table: a comparison, if there is one.
        skipped: why it was not measured; empty if it was.
        failed: why it failed; empty if it did not.
        seconds: how long it took.
    """

    name: str
    title: str
    figures: tuple[Figure, ...] = ()
    text: str = ""
    table: Table | None = None
    skipped: str = ""
    failed: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Results:
    """All results of one run of the benchmark.

    Attributes:
        command: the command that took them, such as `make bench`.
        python: the version of Python.
        system: the operating system and processor.
        cores: the number of processors.
        sections: the scenarios in the order of the page.
    """

    command: str
    python: str
    system: str
    cores: int
    sections: tuple[Section, ...]

    @property
    def failed(self) -> bool:
        """Whether a scenario failed."""
        return any(section.failed for section in self.sections)

    def to_json(self) -> str:
        """The results as a JSON document."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """The results of an earlier run.

        Raises:
            ValueError: the text is no such document.
        """
        try:
            given = json.loads(text)
            return cls(**{**given, "sections": tuple(map(_section, given["sections"]))})
        except (KeyError, TypeError) as error:
            raise ValueError("these are no results of a benchmark of this version") from error


def _section(given: dict[str, Any]) -> Section:
    table = given["table"]
    return Section(
        **{
            **given,
            "figures": tuple(Figure(**one) for one in given["figures"]),
            "table": None if table is None else Table(tuple(table["head"]), _rows(table["rows"])),
        }
    )


def _rows(rows: Iterable[Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row) for row in rows)
