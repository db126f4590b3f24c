"""The live view of a run: figures above the cursor on a terminal, else one line every half minute.

A thread of its own reads the figures from the ledger, so that the run never waits for its display. An error of the view
is written to the log at level debug, and is no error of the run.
"""

import logging
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from connector.cli.console import LIVE, LineConsole
from connector.cli.logs import is_quiet, log_note, notes_are_lines
from connector.core.run_figures import ASKING, FiguresReader, RunFigures, TimeLeft
from connector.report import run_view
from connector.report.run_view import StageView

LOG = logging.getLogger("connector.view")
READ_EVERY_S = 1.0
LINE_EVERY_S = 30.0
BAR_WIDTH = 30
LEAST_BAR_WIDTH = 80  # a narrower terminal shows no bar
END_WITHIN_S = 2.0  # the longest wait for a read of figures when the ledger is about to be closed


class LiveProgress:
    """Shows the stage and the figures of a run on standard error, and notes; nothing if the command is quiet.

    Args:
        line_every_s: the seconds between two lines without a terminal.
    """

    def __init__(self, line_every_s: float = LINE_EVERY_S) -> None:
        self._console = LineConsole(stderr=True, highlight=False)
        self._is_quiet = is_quiet()
        self._writes_lines = notes_are_lines()
        can_move = self._console.is_terminal and not self._console.is_dumb_terminal and not self._writes_lines
        self._live = (
            Live(console=self._console, get_renderable=self._render, transient=True)
            if can_move and not self._is_quiet
            else None
        )
        self._every_s = READ_EVERY_S if self._live else line_every_s
        self._spinner = Spinner("dots")
        self._began_s = time.monotonic()
        self._stage = StageView("Starting")
        self._left = TimeLeft()
        self._run: FiguresReader | None = None
        self._figures: RunFigures | None = None
        self._reading = threading.Lock()
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        LIVE.append(self._console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(END_WITHIN_S)
        if self._live is not None:
            self._live.stop()
        LIVE.remove(self._console)

    # -- called by the run -----------------------------------------------------------------------------------

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage: on a terminal, its bar replaces the former one; else a line names it."""
        counted = 0 if self._figures is None else self._figures.counted
        self._stage, self._left = StageView(name, total, first_count=counted + 1), TimeLeft()
        if self._live is None and name:
            self._print(run_view.stage_line(self._stage))

    def step(self, count: int = 1) -> None:
        """Count finished units of the stage."""
        self._stage = replace(self._stage, done=self._stage.done + count)

    def note(self, text: str) -> None:
        """Print a line above the view, unless the command is quiet."""
        self._print(text)

    def watch(self, run: FiguresReader | None) -> None:
        """Read the figures of this run from now on; with None, return when the last read has ended."""
        self._run = run
        if run is None:
            if self._reading.acquire(timeout=END_WITHIN_S):
                self._reading.release()
            return
        self._figures, self._stage = None, replace(self._stage, first_count=0)
        if not self._is_quiet:
            self._woken.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="view", daemon=True)
                self._thread.start()

    # -- the view --------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Read the figures again and again; without a terminal, print them after each wait."""
        while not self._ended.is_set():
            if self._live is not None:
                self._read()
                self._woken.wait(self._every_s)
                self._woken.clear()
            elif not self._ended.wait(self._every_s) and self._read():
                self._print(run_view.line(self._view(), self._figures))

    def _read(self) -> bool:
        """Read the figures; False if there are none."""
        with self._reading:
            run = self._run
            if run is None:
                return False
            try:
                before, self._figures = self._figures, run.read()
                self._observe(is_new=before is None or before.counted < self._figures.counted)
            except Exception:  # the run itself reports every failure of the ledger
                LOG.debug("the figures of the run cannot be read", exc_info=True)
                return False
        return True

    def _observe(self, *, is_new: bool) -> None:
        """Observe what remains of the stage; an older count says nothing about the present."""
        stage = self._stage
        remaining = run_view.remaining_of(stage, self._figures)
        if remaining is not None and (is_new or stage.name != ASKING):
            self._left.add(time.monotonic(), remaining)

    def _view(self) -> StageView:
        now_s = time.monotonic()
        return replace(self._stage, elapsed_s=now_s - self._began_s, left_s=self._left.seconds(now_s))

    def _render(self) -> RenderableType:
        """Draw the view; rich calls this in its own thread."""
        try:
            return _drawn(self._console, self._spinner, self._view(), self._figures)
        except Exception:  # an error here would end the thread that refreshes the terminal
            LOG.debug("the view cannot be drawn", exc_info=True)
            return Text()

    def _print(self, text: str) -> None:
        if self._is_quiet:
            return
        if self._writes_lines:
            log_note(text)
        else:
            self._console.print(text, markup=False, soft_wrap=True)


def _drawn(console: Console, spinner: Spinner, stage: StageView, figures: RunFigures | None) -> RenderableType:
    head, *rest = run_view.block(stage, figures, console.width - 3)
    done, total = run_view.progress_of(stage, figures)
    top = Table.grid(padding=(0, 1))
    cells: list[RenderableType] = [spinner, Text(head, overflow="ellipsis", no_wrap=True)]
    if console.width >= LEAST_BAR_WIDTH and console.width - len(head) > BAR_WIDTH + 5:
        cells.append(ProgressBar(total or 100, done, width=BAR_WIDTH, pulse=total is None))
    top.add_row(*cells)
    return Group(top, *(Text(f"  {line}", overflow="ellipsis", no_wrap=True) for line in rest))
