"""Tables that show every cell in full at any width: a truncated id cannot be copied into the next command."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

NARROWEST = 12  # the least characters of a column of prose; below that, rows become blocks
PADDING = 2


class WholeTable(Table):
    """A table without frames. If the terminal is too narrow for it, each row is a block of `column: cell` lines."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table, or its rows as blocks; rich calls this."""
        needed = 0
        for column in self.columns:
            longest = max((text.cell_len for text in _texts(console, (column.header, *column.cells))), default=0)
            column.min_width = longest if column.no_wrap else min(longest, NARROWEST)
            column.overflow = "fold"
            needed += column.min_width + 2 * PADDING
        if needed <= options.max_width:
            yield from super().__rich_console__(console, options)
        else:
            yield from self._blocks(console)

    def _blocks(self, console: Console) -> Iterable[Text]:
        headers = list(_texts(console, (column.header for column in self.columns)))
        rows = zip(*(_texts(console, column.cells) for column in self.columns), strict=True)
        for row in rows:
            for place, (header, cell) in enumerate(zip(headers, row, strict=True)):
                if place and not cell.plain:
                    continue
                yield Text.assemble("" if place == 0 else "  ", (header.plain, "bold"), ": ", cell)


def _texts(console: Console, cells: Iterable[object]) -> Iterable[Text]:
    return (cell if isinstance(cell, Text) else console.render_str(str(cell)) for cell in cells)


def whole_table(first: str, *others: str, one_line: frozenset[str]) -> Table:
    """An empty table.

    Args:
        first: the header of the first column, which holds ids: its cells stay on one line.
        others: the other headers.
        one_line: the headers of number columns, aligned to the right; their cells also stay on one line.
    """
    made = WholeTable(show_edge=False, pad_edge=False, header_style="bold", box=None, padding=(0, PADDING))
    made.add_column(first, no_wrap=True)
    for name in others:
        numeric = name in one_line
        made.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
    return made


NUMERIC = frozenset(
    {
        *("People, at most", "Credits, at most"),
        *("Count", "Records", "People", "Records, at most", "Credits", "Credits per value", "Channels of records"),
        *("Already filled", "Not found", "Skipped", "Waiting", "Deferred", "Parked", "Unknown"),
        *("Bought", "Delivered", "Without value", "Failed", "Charged", "Still held", "Held"),
        *(
            "Balance before",
            "Balance after",
            "Balance",
            "Balance after, at least",
            "With a value",
            "Answers",
            "Worst case",
            "Expected",
            "Price",
            "Limit",
            "Left",
            "Caps allow",
        ),
    }
)


def new_table(first: str, *others: str) -> Table:
    """An empty table; columns of numbers are known by their headers."""
    return whole_table(first, *others, one_line=NUMERIC)


def words(name: str) -> str:
    """A name as words."""
    return name.replace("_", " ")


def number(value: object) -> str:
    """A number with separators; `-` for anything else."""
    return f"{value:,}" if isinstance(value, int) else "-"


def counted(value: object, noun: str) -> str:
    """A number with its noun."""
    return f"{number(value)} {noun}" if value == 1 else f"{number(value)} {noun}s"
