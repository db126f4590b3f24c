"""The embedded driver: one process holds the run lock of the ledger and polls for due work."""

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import sqlalchemy as sa

from connector.core.errors import ConfigurationError, LockedError
from connector.core.report import Report
from connector.engine.context import Services
from connector.engine.sync import RunSpec, run_pass
from connector.jobs.dispatcher import Dispatcher
from connector.store.failures import outage
from connector.store.ledger import Ledger

LOG = logging.getLogger("connector.work")
POLL_INTERVAL_S = 1.0
HEARTBEAT_S = 5.0
HOUR_S = 3600.0
FAULT_PAUSE_S = 30.0


def _pause_after(error: Exception) -> float:
    """Log an error; returns the seconds to wait, which are few after an external failure."""
    failure = error if isinstance(error, ConfigurationError) else outage(error)
    if failure is None:
        LOG.error("internal fault, please report it", exc_info=error)
        return FAULT_PAUSE_S
    if isinstance(failure, ConfigurationError):
        LOG.error("no work is done", extra={"error": str(failure)})
        return FAULT_PAUSE_S
    LOG.warning("the ledger does not answer", extra={"error": str(failure)})
    return POLL_INTERVAL_S


def owner() -> str:
    """Generate a unique name for this process, for the `owner` of attempts."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(6)}"


def run_under_lock(services: Services, spec: RunSpec) -> Report:
    """Make one run while holding the run lock of its mappings.

    Raises:
        LockedError: another process holds the run lock.
    """
    with services.ledger.hold_run_lock(spec.mappings):
        return run_pass(services, spec)


class Driver:
    """The embedded driver of `serve`: it polls for due work and does it in a few threads, at most one per mapping.

    Args:
        ledger: the embedded ledger.
        threads: the most mappings at the same time.

    Attributes:
        holds_run_lock: whether this process holds the ledger's run lock.
    """

    def __init__(self, ledger: Ledger, threads: int = 4) -> None:
        self._ledger = ledger
        self._threads = threads
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._claimed: set[str] = set()
        self._claims_lock = threading.Lock()
        self._heartbeat_at = -HOUR_S
        self.holds_run_lock = False

    @property
    def stopping(self) -> bool:
        """Whether current runs should end soon."""
        return self._stop.is_set()

    def wake(self) -> None:
        """Poll for due work now, because a request was stored."""
        self._woken.set()

    def stop(self) -> None:
        """Stop after the answers to the requests in flight."""
        self._stop.set()
        self._woken.set()

    @contextlib.contextmanager
    def claim(self, mappings: Collection[str]) -> Iterator[None]:
        """Reserve these mappings for this thread.

        Raises:
            LockedError: another thread has reserved one of them.
        """
        with self._claims_lock:
            if self._claimed & set(mappings):
                raise LockedError("another thread of this process has a run of the mapping")
            self._claimed |= set(mappings)
        try:
            yield
        finally:
            with self._claims_lock:
                self._claimed -= set(mappings)

    def run(self, dispatcher: Dispatcher) -> None:
        """Do due work until `stop`; while another process holds the run lock, wait."""
        while not self.stopping:
            try:
                self._yield_run_lock(dispatcher)
                with self._ledger.hold_run_lock():
                    self.holds_run_lock = True
                    self._ledger.runs.mark_crashed(datetime.now(UTC))
                    self._serve(dispatcher)
                continue  # `holds_run_lock` stays True: the lock is only yielded for a moment
            except LockedError:
                self._wait()
            except Exception as error:  # noqa: BLE001 without the driver, the process would seem alive and do no work
                self._stop.wait(_pause_after(error))
            self.holds_run_lock = False
        self.holds_run_lock = False
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # without the ledger, the missing heartbeat is enough
            dispatcher.deregister()

    def _yield_run_lock(self, dispatcher: Dispatcher) -> None:
        """Leave the run lock to a command that requests it, but keep sending heartbeats."""
        while self.holds_run_lock and not self.stopping and self._ledger.locks.yield_requested():
            self._send_heartbeat(dispatcher)
            self._wait()

    def _serve(self, dispatcher: Dispatcher) -> None:
        """Work until `stop`, or until a command requests the run lock and no work is running."""
        purged_at = -HOUR_S
        with ThreadPoolExecutor(self._threads, thread_name_prefix="work") as pool:
            busy: dict[str, Future[None]] = {}
            while not self.stopping:
                self._send_heartbeat(dispatcher)
                if time.monotonic() - purged_at >= HOUR_S:
                    dispatcher.purge()
                    purged_at = time.monotonic()
                busy = {name: work for name, work in busy.items() if not work.done()}
                if self._ledger.locks.yield_requested():
                    if not busy:
                        return
                else:
                    for name in dispatcher.due():
                        if name not in busy:
                            busy[name] = pool.submit(self._work_on, dispatcher, name)
                self._wait()

    def _send_heartbeat(self, dispatcher: Dispatcher) -> None:
        if time.monotonic() - self._heartbeat_at >= HEARTBEAT_S:
            dispatcher.report_alive("serve")
            self._heartbeat_at = time.monotonic()

    def _work_on(self, dispatcher: Dispatcher, name: str) -> None:
        try:
            while not self.stopping and dispatcher.work(name):
                pass
        except LockedError:
            return  # a run of several mappings includes this one: its jobs are polled again later
        except Exception as error:  # noqa: BLE001 a fault in one mapping must not stop the others
            self._stop.wait(_pause_after(error))

    def _wait(self) -> None:
        self._woken.wait(POLL_INTERVAL_S)
        self._woken.clear()
