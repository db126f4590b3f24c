"""Ends the process within ten seconds of a stop signal, whatever its threads wait for.

The signal interrupts the main thread; requests in flight are awaited and their answers committed. After a grace period,
work that still waits (for a slow body, a pause that a vendor requested, a name server) is cut off, as by a power
failure. The ledger is built for that: the next run verifies every request without an answer.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

NOTICE_S = 0.5  # a waiting main thread notices its signal within this time
GRACE_S = 8.0  # of the ten seconds; the rest is margin for a busy machine
INTERRUPTED = 130
INTERRUPTED_TEXT = (
    "Interrupted. Nothing is lost: every request is in the ledger, and the next run continues from there."
)
CUT_OFF_TEXT = INTERRUPTED_TEXT + " A request had no answer yet: the next run verifies it."
_SHOW_CURSOR = "\x1b[?25h"  # the progress display hides it, and cannot show it again when it is cut off
_STANDARD_ERROR = 2


class Ending:
    """Ends this process once, at the first stop signal.

    Args:
        grace_s: real seconds from the signal to the forced end.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._begun = False
        self._guard = threading.Lock()
        self._noticed = threading.Event()
        self._repeated = False

    def begin(self) -> None:
        """Start the grace period: a process that still runs after it is ended by force."""
        with self._guard:
            if self._begun:
                return
            self._begun = True
        timer = threading.Timer(self._grace_s, _cut_off)
        timer.daemon = True
        timer.start()

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a stop signal: SIGTERM from a scheduler interrupts a run as Ctrl-C does."""
        if self._repeated and self._noticed.is_set():
            self._repeated = False
            return
        self._noticed.set()
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Start the grace period at SIGTERM or SIGINT, even if the main thread is in an uninterruptible call.

        Python runs signal handlers only in the main thread, between two instructions. Therefore a separate thread reads
        the numbers of the signals from a pipe (`signal.set_wakeup_fd`). A signal that the parent ignores stays ignored.
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
        """Send a signal again that arrived just before the main thread began to wait and did not wake it.

        Applies only to signals that this object handles: a server has its own handler until it has stopped.
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
