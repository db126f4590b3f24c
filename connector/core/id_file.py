"""The record ids in an operator's file, and the lines that were left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field


class IdFileError(ValueError):
    """The file has no usable ids; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Omitted:
    """A line that was left out, and the reason."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class IdFile:
    """The ids of a file in their full form, each once, in the file's order.

    Attributes:
        ids: the ids of the records.
        omitted: the lines without an id.
        repeated: the number of lines with an id that occurred before.
        column: the column that was read, if the file has several.
    """

    ids: tuple[str, ...]
    omitted: tuple[Omitted, ...]
    repeated: int = 0
    column: str = field(default="", compare=False)


def omitted_lines(found: IdFile, most: int = 10) -> Iterator[str]:
    """Sentences for the operator: the column that was read, and the omitted lines, at most `most` of them by number."""
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
