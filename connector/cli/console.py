"""The only path of text to a terminal or a pipe, so that no outside text can control the terminal.

Texts from vendors, from the CRM and from its administrators pass through `core/printable.py`. Only the control codes of
rich itself (colours, the cursor of a progress bar) pass unchanged. JSON documents are ASCII: json escapes the rest.
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
    """A console that prints the control characters in texts as numbers."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Make each segment of text printable; rich calls this for all output, progress bars included."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class LineConsole(SafeConsole):
    """A console for lines beside the work; when its reader closes the pipe, the work goes on without them."""

    def on_broken_pipe(self) -> None:
        """Print nothing more; rich calls this, and would end the process."""
        self.quiet = True


LIVE: list[Console] = []  # the console of the live view, if one is shown: only it prints above the view


def ask(question: str) -> None:
    """Ask a yes-or-no question on standard error.

    Raises:
        click.Abort: the answer is not yes.
    """
    click.confirm(one_line(question), abort=True, err=True)


def show_usage_error(error: click.ClickException) -> None:
    """Print a usage error of click, which quotes the arguments: a script may have passed on any text."""
    text = io.StringIO()
    error.show(file=text)
    click.echo(printable(text.getvalue()), err=True, nl=False)


class _PlainLines(logging.Formatter):
    """Formats a log record as one line, without its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(hide_passwords(f"{record.levelname.lower()}: {record.getMessage()}"))


def plain_warnings() -> None:
    """Make library warnings printable that Python prints for a command without a log."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_PlainLines())
