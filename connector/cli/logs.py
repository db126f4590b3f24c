"""What a command writes on standard error: notes for the person who started it, and log lines about its work.

A **note** is a sentence for a person: the ledger in use, the stage of a run, the reason of a wait, an error. A **log
line** is an event with fields, for programs and for a later search: a request, the end of a run, a library's warning. A
report is neither: it goes to standard output.

| | notes | log lines of a usual command | log lines of `serve` and `worker` |
| --- | --- | --- | --- |
| (no option) | yes | warnings; as JSON also the end of each run | from level info |
| `--verbose` | yes | all: stages and requests too | all |
| `--quiet` | questions and errors only | warnings | warnings |

`--log-format auto` writes log lines as text on a terminal and as JSON elsewhere; notes stay plain text. With
`--log-format json` notes and errors are log lines too, so that standard error has nothing but JSON lines.
"""

import functools
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import click

from connector.cli.console import LIVE, LineConsole
from connector.report.logs import JsonLines, TextLines

_QUIET, _VERBOSE, _FORMAT = "connector.quiet", "connector.verbose", "connector.log_format"
_NOTES = logging.getLogger("connector.notes")
_OURS = logging.getLogger("connector")


class LogFormat(StrEnum):
    """The values of `--log-format`."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogRules:
    """The options of a command about its log.

    Attributes:
        format: as given.
    """

    quiet: bool = False
    verbose: bool = False
    format: LogFormat = LogFormat.AUTO

    @property
    def is_json(self) -> bool:
        """Whether log lines are JSON."""
        return self.format is LogFormat.JSON or (self.format is LogFormat.AUTO and not sys.stderr.isatty())

    def level(self, *, long_running: bool) -> int:
        """The least level of the connector's own lines."""
        if self.quiet:
            return logging.WARNING
        if self.verbose:
            return logging.DEBUG
        return logging.INFO if long_running or self.is_json else logging.WARNING


class _StandardError(logging.Handler):
    """Writes log lines to standard error as it is at that time; a reader that has left is no error of the work."""

    def __init__(self, rules: LogRules) -> None:
        super().__init__()
        self.rules = rules
        self._is_json = rules.is_json
        self.setFormatter(JsonLines() if self._is_json else TextLines())

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; while the live view is shown, above it."""
        try:
            line = self.format(record)
            if self._is_json:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
            else:
                console = LIVE[-1] if LIVE else LineConsole(stderr=True, highlight=False)
                console.print(line, markup=False, soft_wrap=True)
        except (OSError, ValueError):  # the pipe or the stream is closed
            return


def add_log_options(command: click.Command) -> None:
    """Add the options about output to a command, or to every command of a group; the log begins with the command."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            add_log_options(inner)
        return
    quiet, verbose = ("Print results, questions, warnings and errors only.", "Also log each stage and each request.")
    texts = "Log lines: text on a terminal and JSON elsewhere (auto). With json, notes and errors are JSON lines too."
    formats = click.Choice([one.value for one in LogFormat])
    for option in (
        _option(["--quiet"], _QUIET, is_flag=True, help=quiet),
        _option(["--verbose"], _VERBOSE, is_flag=True, help=verbose),
        _option(["--log-format"], _FORMAT, type=formats, default="auto", help=texts),
    ):
        command.params.append(option)
    if command.callback is not None:
        command.callback = _logged(command.callback)


def _option(names: list[str], key: str, **settings: Any) -> click.Option:  # noqa: ANN401 as click takes them
    def remember(context: click.Context, _option: click.Parameter, value: object) -> None:
        context.meta[key] = value

    return click.Option(names, expose_value=False, callback=remember, **settings)


def _logged(callback: Callable[..., object]) -> Callable[..., object]:
    """Let the log begin before a command does."""

    @functools.wraps(callback)
    def logged(*given: object, **named: object) -> object:
        meta = click.get_current_context().meta
        rules = LogRules(bool(meta.get(_QUIET)), bool(meta.get(_VERBOSE)), LogFormat(meta.get(_FORMAT, "auto")))
        if rules.quiet and rules.verbose:
            raise click.UsageError("--quiet and --verbose contradict each other: give one of them")
        stop_log()
        logging.getLogger().addHandler(_StandardError(rules))
        _OURS.setLevel(rules.level(long_running=False))
        return callback(*given, **named)

    return logged


def keep_log() -> None:
    """Log as a long-running command does, from now on."""
    for handler in _handlers():
        _OURS.setLevel(handler.rules.level(long_running=True))


def stop_log() -> None:
    """End the log of the command that ran in this process."""
    for handler in _handlers():
        logging.getLogger().removeHandler(handler)
        _OURS.setLevel(logging.NOTSET)


def _handlers() -> list[_StandardError]:
    return [one for one in logging.getLogger().handlers if isinstance(one, _StandardError)]


def is_quiet() -> bool:
    """Whether the command that runs in this thread has the option `--quiet`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def notes_are_lines() -> bool:
    """Whether notes and errors are log lines."""
    return any(handler.rules.format is LogFormat.JSON for handler in _handlers())


def log_note(text: str, level: int = logging.INFO) -> None:
    """Write a note as a log line, whatever the level of the log is."""
    for handler in _handlers():
        handler.handle(_NOTES.makeRecord(_NOTES.name, level, "", 0, text, (), None))
