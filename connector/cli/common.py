"""Shared parts of the commands: options, progress on standard error, and one way to print."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connector.cli.console import SafeConsole, ask
from connector.core.addresses import hide_passwords
from connector.core.errors import ConfigurationError
from connector.core.printable import printable_values
from connector.report import text

if TYPE_CHECKING:  # imported by the commands themselves: start-up time
    from connector.app import Application

_QUIET = "connector.quiet"
F = TypeVar("F", bound=Callable[..., Any])
_LIVE: list[Console] = []  # the console of the progress on the screen, if any: only it can print above the bars


def mapping_option(*, required: bool = True) -> Callable[[F], F]:
    """`-m`, once or several times."""
    return click.option(
        "-m",
        "--mapping",
        "mappings",
        multiple=True,
        required=required,
        metavar="FILE",
        help="A mapping file, or the name of one in mappings/. May be given several times.",
    )


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
env_option = click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="The settings file; by default .env in the working directory.",
)


def add_quiet(command: click.Command) -> None:
    """Give a command, or every command of a group, the option `--quiet`."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            add_quiet(inner)
    else:
        command.params.append(
            click.Option(
                ["--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_remember_quiet,
                help="Print results, questions and errors only.",
            )
        )


def summarize(command: click.Command) -> None:
    """Let a list of commands show the whole first sentence of a command's help, which click cuts off."""
    paragraph = " ".join((command.help or "").partition("\n\n")[0].split())
    command.short_help = paragraph.partition(". ")[0].rstrip(".") + "."
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        summarize(inner)


def _remember_quiet(context: click.Context, _option: click.Parameter, value: bool) -> None:
    context.meta[_QUIET] = value


def is_quiet() -> bool:
    """Whether the command that runs in this thread prints results, questions and errors only."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


class _Out(SafeConsole):
    """A console that tells of a reader who went away, instead of ending the process with a code of its own."""

    def on_broken_pipe(self) -> None:
        """Called by rich."""
        raise BrokenPipeError


def out() -> Console:
    """Standard output; wide enough for tables when it is a pipe. No line is cut off: the terminal wraps long ones."""
    console = _Out(highlight=False, soft_wrap=True)
    console.width = text.width_of(console)
    return console


def err() -> Console:
    """Standard error: progress, notes, questions. While progress is shown, its own console: lines go above the bars."""
    return _LIVE[-1] if _LIVE else SafeConsole(stderr=True, highlight=False)


def say(message: str) -> None:
    """A message on standard error; none where the command is quiet."""
    if not is_quiet():
        complain(message)


def complain(message: str) -> None:
    """An error on standard error, whatever the options."""
    err().print(hide_passwords(message), markup=False, soft_wrap=True)


def announce(application: "Application", *, ledger: bool = True) -> None:
    """The files in use and the caps in force, on standard error."""
    if ledger:
        say(f"Ledger: {application.ledger_place}")
    for line in application.spending_lines():
        say(line)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print within this: a reader who went away is no fault, and changes no exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere


def show(
    found: Mapping[str, Any] | BaseModel, *, as_json: bool, render: Callable[[Mapping[str, Any]], RenderableType]
) -> None:
    """Print a result, as JSON or for eyes."""
    document = found.model_dump(mode="json") if isinstance(found, BaseModel) else found
    with reader_may_leave():
        if as_json:
            click.echo(json.dumps(document, indent=2))
        else:
            out().print(render(for_eyes(document)))


def for_eyes(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A document whose texts are one line each, so that none of them looks like a line of ours."""
    return {name: printable_values(value) for name, value in document.items()}


def confirm(question: str, *, yes: bool) -> None:
    """Ask before credits are spent or fields are changed.

    Raises:
        ConfigurationError: there is nobody to ask.
        click.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("this asks a question, and there is no terminal: add --yes to go ahead")
    ask(question)


class StartNotes:
    """Notes of a program that runs on, while it starts; later its log lines take over, one JSON object each."""

    def __init__(self) -> None:
        self._started = False

    def started(self) -> None:
        """Print nothing from now on."""
        self._started = True

    def stage(self, name: str, total: int | None = None) -> None:
        """Nothing."""

    def step(self, count: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """A line on standard error."""
        if not self._started:
            say(text)


class LiveProgress:
    """Progress bars on standard error; only notes where that is no terminal."""

    def __init__(self) -> None:
        console = err()
        self._is_quiet = is_quiet()
        shown = console.is_terminal and not self._is_quiet
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not shown,
        )
        self._task = self._progress.add_task("Starting", total=None) if shown else None

    def __enter__(self) -> Self:
        self._progress.start()
        _LIVE.append(self._progress.console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._progress.update(self._task, visible=False)
        self._progress.stop()
        _LIVE.remove(self._progress.console)

    def stage(self, name: str, total: int | None = None) -> None:
        """A new bar for what begins."""
        if self._task is not None:
            self._progress.update(self._task, visible=False)
            self._task = self._progress.add_task(name, total=total)

    def step(self, count: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def note(self, text: str) -> None:
        """A line above the bar."""
        if not self._is_quiet:
            self._progress.console.print(text, markup=False, soft_wrap=True)
