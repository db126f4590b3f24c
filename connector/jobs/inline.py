"""The embedded driver: one process drives the ledger and looks for due work itself."""

import contextlib
import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from connector.core.errors import LockedError
from connector.core.report import Report
from connector.engine.context import Services
from connector.engine.sync import RunSpec, run_pass
from connector.jobs.dispatcher import Dispatcher
from connector.store.failures import outage
from connector.store.ledger import Ledger

LOG = logging.getLogger("connector.work")
LOOK_EVERY_S = 1.0
BEAT_S = 5.0
HOUR_S = 3600.0
FAULT_PAUSE_S = 30.0
EXPLAINED_S = 10.0
# On Linux the monotonic clock stands still while a machine is suspended; this one does not.
_NEVER_SET = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
EXPLAINED_AGAIN_S = 300.0


def _pause_after(error: Exception) -> float:
    """Log an error; the seconds until the work goes on: soon, where something outside has failed."""
    known = outage(error)
    if known is None:
        LOG.error("internal fault, please report it", exc_info=error)
        return FAULT_PAUSE_S
    LOG.warning("the ledger does not answer", extra={"error": str(known)})
    return LOOK_EVERY_S


class SystemClock:
    """Real time; every wait multiplied by `scale`.

    Attributes:
        ahead: what a ledger's own clock is ahead of this machine's, where several machines share the ledger.
        on_wait: gets the reason of each long wait.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.ahead = timedelta(0)
        self.on_wait: Callable[[str], None] = LOG.info
        self._explained: dict[str, float] = {}

    def now(self) -> datetime:
        """The present time."""
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.clock_gettime(_NEVER_SET)

    def later(self, seconds: float) -> datetime:
        """The time after a scaled wait."""
        return self.now() + timedelta(seconds=seconds * self.scale)

    def sleep(self, seconds: float) -> None:
        """Wait, scaled."""
        time.sleep(max(0.0, seconds * self.scale))

    def pause(self, duration: timedelta) -> None:
        """Wait exactly so long."""
        time.sleep(max(0.0, duration.total_seconds()))

    def explain(self, seconds: float, reason: str) -> None:
        """Print the reason of a wait of more than ten seconds, the same one at most every five minutes."""
        now_s = self.monotonic()
        if seconds <= EXPLAINED_S or now_s - self._explained.get(reason, -math.inf) < EXPLAINED_AGAIN_S:
            return
        self._explained = {text: at for text, at in self._explained.items() if now_s - at < EXPLAINED_AGAIN_S}
        self._explained[reason] = now_s
        self.on_wait(f"{reason}; waiting {seconds:.0f} s")


def owner() -> str:
    """This process, for the owner column of attempts; no other process ever has the same name."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(6)}"


def run_under_lock(services: Services, spec: RunSpec) -> Report:
    """Do one job as the driver of its mappings.

    Raises:
        LockedError: another process drives this ledger.
    """
    with services.ledger.hold_run_lock(spec.mappings):
        return run_pass(services, spec)


class Driver:
    """The embedded driver of `serve`: looks for due work and does it in a few threads, one for each mapping at most.

    Args:
        ledger: driven as long as this runs.
        threads: at most so many mappings at a time.
    """

    def __init__(self, ledger: Ledger, threads: int = 4) -> None:
        self._ledger = ledger
        self._threads = threads
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._claimed: set[str] = set()
        self._guard = threading.Lock()
        self._beaten_at = -HOUR_S
        self.holds_run_lock = False

    @property
    def stopping(self) -> bool:
        """Whether runs under way should come to an end."""
        return self._stop.is_set()

    def wake(self) -> None:
        """Something was stored: look now."""
        self._woken.set()

    def stop(self) -> None:
        """End as soon as what is under way has its answers."""
        self._stop.set()
        self._woken.set()

    @contextlib.contextmanager
    def claim(self, mappings: Collection[str]) -> Iterator[None]:
        """Keep these mappings to one thread.

        Raises:
            LockedError: another thread has one of them.
        """
        with self._guard:
            if self._claimed & set(mappings):
                raise LockedError("another run of this process is at work for the mapping")
            self._claimed |= set(mappings)
        try:
            yield
        finally:
            with self._guard:
                self._claimed -= set(mappings)

    def run(self, dispatcher: Dispatcher) -> None:
        """Serve what the dispatcher finds due until told to stop; while another process drives the ledger, wait."""
        while not self.stopping:
            try:
                self._step_aside(dispatcher)
                with self._ledger.hold_run_lock():
                    self.holds_run_lock = True
                    self._ledger.runs.mark_crashed(datetime.now(UTC))
                    self._drive(dispatcher)
                continue  # it drives still: it only steps aside for a moment
            except LockedError:
                self._wait()
            except Exception as error:  # noqa: BLE001 a driver that died in silence would leave everything undone, and look alive
                self._stop.wait(_pause_after(error))
            self.holds_run_lock = False
        self.holds_run_lock = False
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # the ledger went away: we are forgotten by our silence
            dispatcher.deregister()

    def _step_aside(self, dispatcher: Dispatcher) -> None:
        """Leave the ledger to a command that must have it alone, but go on being seen."""
        while self.holds_run_lock and not self.stopping and self._ledger.locks.yield_requested():
            self._beat(dispatcher)
            self._wait()

    def _drive(self, dispatcher: Dispatcher) -> None:
        """Work until told to stop, or until another command wants the ledger and nothing is under way."""
        tidied_at = -HOUR_S
        with ThreadPoolExecutor(self._threads, thread_name_prefix="work") as pool:
            busy: dict[str, Future[None]] = {}
            while not self.stopping:
                self._beat(dispatcher)
                if time.monotonic() - tidied_at >= HOUR_S:
                    dispatcher.purge()
                    tidied_at = time.monotonic()
                busy = {name: work for name, work in busy.items() if not work.done()}
                if self._ledger.locks.yield_requested():
                    if not busy:
                        return
                else:
                    for name in dispatcher.due():
                        if name not in busy:
                            busy[name] = pool.submit(self._work, dispatcher, name)
                self._wait()

    def _beat(self, dispatcher: Dispatcher) -> None:
        if time.monotonic() - self._beaten_at >= BEAT_S:
            dispatcher.report_alive("serve")
            self._beaten_at = time.monotonic()

    def _work(self, dispatcher: Dispatcher, name: str) -> None:
        try:
            while not self.stopping and dispatcher.work(name):
                pass
        except LockedError:
            return  # a run of several mappings is at work for this one: it is looked at again when that has ended
        except Exception as error:  # noqa: BLE001 one mapping's fault must not keep the others from being served
            self._stop.wait(_pause_after(error))

    def _wait(self) -> None:
        self._woken.wait(LOOK_EVERY_S)
        self._woken.clear()
