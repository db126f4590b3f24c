"""The record ids of a file that people have: what was found in it, and what was left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field


class IdFileError(ValueError):
    """The file has no ids that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Omitted:
    """A line that was left out, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class IdFile:
    """The ids of a file in their full form, each once, in the file's order.

    Attributes:
        ids: of the records.
        omitted: the lines without one.
        repeated: how many lines have an id that stands further up.
        column: which column was taken, where the file has several.
    """

    ids: tuple[str, ...]
    omitted: tuple[Omitted, ...]
    repeated: int = 0
    column: str = field(default="", compare=False)


def omitted_lines(found: IdFile, most: int = 10) -> Iterator[str]:
    """Which column was taken, and the omitted lines as sentences, the first ones by number."""
    if found.column:
        yield f"the ids are those of {found.column}"
    if not found.omitted:
        return
    count = len(found.omitted)
    yield f"{count} {'line was' if count == 1 else 'lines were'} left out:"
    for one in found.omitted[:most]:
        yield f"  line {one.line}: {one.reason}"
    if count > most:
        yield f"  and {count - most} more"
