"""Options and console output that the commands share."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import BaseModel
from rich.console import Console, RenderableType

from connector.cli.console import LIVE, SafeConsole, ask
from connector.cli.logs import is_quiet, log_note, notes_are_lines
from connector.core.addresses import hide_passwords
from connector.core.errors import ConfigurationError
from connector.core.printable import printable_values
from connector.core.run_figures import FiguresReader
from connector.report import text

if TYPE_CHECKING:  # imported by the commands themselves: start-up time
    from connector.app.application import Application

LOG = logging.getLogger("connector.work")
F = TypeVar("F", bound=Callable[..., Any])


def mapping_option(*, required: bool = True) -> Callable[[F], F]:
    """The repeatable option `-m`."""
    return click.option(
        "-m",
        "--mapping",
        "mappings",
        multiple=True,
        required=required,
        metavar="FILE",
        help="A mapping file, or the name of one in mappings/. May be given several times.",
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
yes_option = click.option("--yes", is_flag=True, help="Skip the question.")
env_option = click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="The settings file; by default .env in the working directory.",
)


def summarize(command: click.Command) -> None:
    """Make lists of commands show the whole first sentence of a command's help; click would cut it off."""
    paragraph = " ".join((command.help or "").partition("\n\n")[0].split())
    command.short_help = paragraph.partition(". ")[0].rstrip(".") + "."
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        summarize(inner)


class _Out(SafeConsole):
    """A console that raises BrokenPipeError when the reader closes the pipe; rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise instead of ending the process; rich calls this."""
        raise BrokenPipeError


def out() -> Console:
    """Standard output, wide enough for tables when it is a pipe. The terminal wraps long lines; none is cut off."""
    console = _Out(highlight=False, soft_wrap=True)
    console.width = text.width_of(console)
    return console


def err() -> Console:
    """Standard error, for progress, notes and questions. While the live view is shown, lines appear above it."""
    return LIVE[-1] if LIVE else SafeConsole(stderr=True, highlight=False)


def say(message: str) -> None:
    """Print a message on standard error, unless the command is quiet."""
    if not is_quiet():
        _tell(message, logging.INFO)


def complain(message: str) -> None:
    """Print an error on standard error, even if the command is quiet."""
    _tell(message, logging.ERROR)


def _tell(message: str, level: int) -> None:
    if notes_are_lines():
        log_note(message, level)
    else:
        err().print(hide_passwords(message), markup=False, soft_wrap=True)


def announce(application: "Application", *, ledger: bool = True) -> None:
    """Print the ledger, the mapping files and the caps in force on standard error."""
    if ledger:
        say(f"Ledger: {application.ledger_place}")
    for line in application.spending_lines():
        say(line)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print within this context: a reader that closes the pipe is no error and leaves the exit code unchanged."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards buffered output


def show(
    found: Mapping[str, Any] | BaseModel, *, as_json: bool, render: Callable[[Mapping[str, Any]], RenderableType]
) -> None:
    """Print a result, as JSON or as text for a person."""
    document = found.model_dump(mode="json") if isinstance(found, BaseModel) else found
    with reader_may_leave():
        if as_json:
            click.echo(json.dumps(document, indent=2))
        else:
            out().print(render(for_eyes(document)))


def for_eyes(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Reduce each text of a document to one line, so that none can imitate a line of the output."""
    return {name: printable_values(value) for name, value in document.items()}


def confirm(question: str, *, yes: bool) -> None:
    """Ask before credits are spent or fields are changed.

    Raises:
        ConfigurationError: standard input is not a terminal.
        click.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("this command asks a question, and there is no terminal: add --yes to continue")
    ask(question)


class StartNotes:
    """Prints the notes of a long-running command while it starts. After `started`, the log takes over."""

    def __init__(self) -> None:
        self._started = False

    def started(self) -> None:
        """Print no more notes."""
        self._started = True

    def stage(self, name: str, total: int | None = None) -> None:
        """Do nothing: there is no progress bar."""

    def step(self, count: int = 1) -> None:
        """Do nothing: there is no progress bar."""

    def watch(self, run: FiguresReader | None) -> None:
        """Do nothing: such a command shows no figures."""

    def note(self, text: str) -> None:
        """Print a line on standard error; after the start, write it to the log."""
        if self._started:
            LOG.info(text)
        else:
            say(text)
