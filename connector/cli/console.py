"""The one place through which text reaches a terminal or a pipe: nothing that comes from outside controls it.

Reasons, names and texts of vendors, of the CRM and of its administrators are shown by `core/printable.py`; only what
rich itself sends (colours, the cursor of a progress bar) passes unchanged. JSON documents are ASCII: json escapes them.
"""

import io
import logging
from collections.abc import Iterable

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from connector.core.addresses import hide_passwords
from connector.core.printable import one_line, printable


class SafeConsole(Console):
    """A console that shows control characters of texts by their numbers."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Called by rich for whatever it prints, progress bars included."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def ask(question: str) -> None:
    """Ask on standard error for a yes.

    Raises:
        click.Abort: the answer is another one.
    """
    click.confirm(one_line(question), abort=True, err=True)


def show_usage_error(error: click.ClickException) -> None:
    """Print an error of click, which quotes what was typed or what a script has passed on."""
    text = io.StringIO()
    error.show(file=text)
    click.echo(printable(text.getvalue()), err=True, nl=False)


class _PlainLines(logging.Formatter):
    """A record in one line, without its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(hide_passwords(f"{record.levelname.lower()}: {record.getMessage()}"))


def plain_warnings() -> None:
    """Let warnings of libraries, which a command without a log of its own prints, control nothing either."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_PlainLines())
