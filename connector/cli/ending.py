"""A signal to stop ends the process within ten seconds, whatever any thread of it waits for.

In good order: the main thread is interrupted, requests under way are awaited and their answers committed. What has not
ended when the grace is over (a body that drips, a wait that a vendor asked for, a name server that does not answer)
is cut off as a power failure would: the ledger is made for that, and the next run verifies what has no answer.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

NOTICE_S = 0.5  # within which a main thread that waits has noticed its signal
GRACE_S = 8.0  # of the ten: the rest is for a busy machine
INTERRUPTED = 130
INTERRUPTED_TEXT = "Interrupted. Nothing is lost: what was sent is in the ledger, and the next run goes on from there."
CUT_OFF_TEXT = INTERRUPTED_TEXT + " A request had no answer yet: the next run verifies it."
_SHOW_CURSOR = "\x1b[?25h"  # a progress display that is cut off has hidden it
_STANDARD_ERROR = 2


class Ending:
    """The end of this process: begun once, by the first signal.

    Args:
        grace_s: real seconds from the signal to the end.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._begun = False
        self._guard = threading.Lock()
        self._noticed = threading.Event()
        self._repeated = False

    def begin(self) -> None:
        """End the process when the grace is over, if it has not ended by itself."""
        with self._guard:
            if self._begun:
                return
            self._begun = True
        timer = threading.Timer(self._grace_s, _cut_off)
        timer.daemon = True
        timer.start()

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of a signal to stop: a scheduler's SIGTERM ends a run as Ctrl-C does."""
        if self._repeated and self._noticed.is_set():
            self._repeated = False
            return
        self._noticed.set()
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Begin at SIGTERM or SIGINT, even while the main thread is in a call that no signal interrupts.

        The system writes each signal's number into a pipe that a thread of its own reads; handlers of Python run in
        the main thread only, between two of its instructions. A signal that the parent ignores stays ignored.
        """
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        watcher = threading.Thread(target=self._watch, args=(reading,), name="signals", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            os.close(writing)
            watcher.join()
            os.close(reading)

    def _watch(self, reading: int) -> None:
        while numbers := os.read(reading, 64):
            for number in {signal.SIGTERM, signal.SIGINT}.intersection(numbers):
                is_ours = signal.getsignal(number) == self.interrupt
                self.begin()
                if is_ours:
                    self._repeat(number)

    def _repeat(self, number: int) -> None:
        """Send a signal once more that came just before the main thread began to wait, and did not wake it.

        Only where this object handles it: a program that runs on has a handler of its own until it has stopped.
        """
        if not self._noticed.wait(NOTICE_S) and signal.getsignal(number) == self.interrupt:
            self._repeated = True
            signal.pthread_kill(threading.main_thread().ident or 0, number)


def _cut_off() -> None:
    with contextlib.suppress(OSError):
        cursor = _SHOW_CURSOR if os.isatty(_STANDARD_ERROR) else ""
        os.write(_STANDARD_ERROR, f"{cursor}\n{CUT_OFF_TEXT}\n".encode())
    os._exit(INTERRUPTED)


ENDING = Ending()
