"""The distributed driver: Procrastinate delivers jobs to any number of workers, on any machine.

A queued job carries only a mapping's name or a run's id. The transaction that creates the work also queues the job. A
lost job is recovered from the ledger: every ten seconds, one worker queues a job for all due work. So deleting the
queue's tables loses nothing, and a job by itself causes no payment.
"""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import procrastinate
import sqlalchemy as sa
from procrastinate import exceptions
from procrastinate.jobs import Status

from connector.core.errors import LockedError
from connector.jobs.dispatcher import Dispatcher
from connector.store.job_queue import JobQueue
from connector.store.ledger import Ledger

LOG = logging.getLogger("connector.work")
WORK, ASSIST, SWEEP, RESCUE = "work", "assist", "sweep", "rescue"
UPKEEP = "upkeep"
EVERY_TEN_SECONDS = "* * * * * */10"  # Procrastinate's sixth field is the seconds
HEARTBEAT_S = 10.0
DEAD_AFTER_S = 30.0  # without a heartbeat for this long, a worker is dead and its jobs go to others
GRACE_S = 6.0  # less than the eight seconds after which the process is ended in any case
MOST_HELPERS = 4  # the most workers that are invited to help with a run; each helps once
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)


def queue_of(mapping: str) -> str:
    """The name of a mapping's queue; a worker listens to the queues of its mappings."""
    return f"mapping-{mapping}"


class ProcrastinateQueue(JobQueue):
    """Queues jobs on the connection, and in the transaction, that changes the ledger."""

    def __init__(self) -> None:
        self._app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """Queue work on a mapping; at most one job for now and one for a later time are queued."""
        lock = f"{'later' if at else 'now'}:{mapping}"
        self._defer(connection, WORK, mapping, {"mapping": mapping}, lock, at)

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """Queue a few jobs that free workers take."""
        if mappings:
            for _ in range(MOST_HELPERS):
                self._defer(connection, ASSIST, min(mappings), {"run_id": run_id}, None, None)

    def _defer(
        self,
        connection: sa.Connection,
        task: str,
        mapping: str,
        arguments: dict[str, Any],
        lock: str | None,
        at: datetime | None,
    ) -> None:
        deferrer = self._app.configure_task(
            task,
            queue=queue_of(mapping),
            schedule_at=at,
            queueing_lock=lock,
            connection=connection.connection.driver_connection,
        )
        # A savepoint, because a rejected duplicate would abort the ledger's whole transaction.
        with contextlib.suppress(exceptions.AlreadyEnqueued), connection.begin_nested():
            deferrer.defer(**arguments)


class Worker:
    """One worker process.

    Args:
        address: the address of the ledger's database, in libpq's form.
        ledger: the ledger in that database.
        mappings: the mappings of this worker.
        concurrency: the most jobs at the same time.
        on_stop: is called at the stop signal.
    """

    def __init__(
        self, address: str, ledger: Ledger, mappings: Sequence[str], concurrency: int, on_stop: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._queue = ProcrastinateQueue()
        self._queues = [*map(queue_of, mappings), UPKEEP]
        self._concurrency = concurrency
        self._on_stop = on_stop
        self._stop = threading.Event()
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address))

    @property
    def stopping(self) -> bool:
        """Whether current runs should end soon."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop after the answers to the requests in flight."""
        self._stop.set()

    def run(self, dispatcher: Dispatcher) -> None:
        """Take jobs until SIGTERM or Ctrl-C."""
        self._add_tasks(dispatcher)
        heartbeat = threading.Thread(target=self._send_heartbeats, args=(dispatcher,), name="beat")
        heartbeat.start()
        try:
            asyncio.run(self._serve())
        finally:
            self._stop.set()
            heartbeat.join()

    # -- tasks -----------------------------------------------------------------------------------------------

    def _add_tasks(self, dispatcher: Dispatcher) -> None:
        again = procrastinate.RetryStrategy(
            max_attempts=20, exponential_wait=2, retry_exceptions=[sa.exc.OperationalError]
        )

        @self._app.task(name=WORK, retry=again)
        def work(mapping: str) -> None:
            with contextlib.suppress(LockedError):  # another worker has the mapping; the sweep finds the remaining work
                while not self.stopping and dispatcher.work(mapping):
                    pass

        @self._app.task(name=ASSIST)
        def assist(run_id: str) -> None:
            dispatcher.assist(run_id)

        @self._app.periodic(cron=EVERY_TEN_SECONDS)
        @self._app.task(name=SWEEP, queue=UPKEEP, queueing_lock=SWEEP)
        def sweep(timestamp: int) -> None:
            del timestamp
            self._sweep(dispatcher)

        @self._app.periodic(cron=EVERY_TEN_SECONDS)
        @self._app.task(name=RESCUE, queue=UPKEEP, queueing_lock=RESCUE)
        async def rescue(timestamp: int) -> None:
            del timestamp
            await self._rescue()

    def _sweep(self, dispatcher: Dispatcher) -> None:
        """Queue a job for each mapping with due work, in case its former jobs were lost."""
        dispatcher.purge()
        for mapping in dispatcher.due():
            with self._ledger.database.write(exclusive=False) as connection:
                self._queue.work(connection, mapping)

    async def _rescue(self) -> None:
        """Queue the jobs of dead workers again."""
        jobs = self._app.job_manager
        for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_S):
            try:
                if job.task_name in {SWEEP, RESCUE, ASSIST}:  # not repeated
                    await jobs.finish_job(job, status=Status.FAILED, delete_job=True)
                else:
                    await jobs.retry_job(job)
            except exceptions.ConnectorException:
                LOG.warning(
                    "a dead worker's job was not queued again: the same job waits already", extra={"job": job.id}
                )

    # -- the process -----------------------------------------------------------------------------------------

    def _send_heartbeats(self, dispatcher: Dispatcher) -> None:
        """Send heartbeats, by which commands find a live worker."""
        while not self._stop.is_set():
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a lost connection is reported elsewhere
                dispatcher.report_alive("worker")
            self._stop.wait(HEARTBEAT_S)
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            dispatcher.deregister()

    async def _serve(self) -> None:
        """Take jobs; if the connection to the database is lost, start Procrastinate's worker again."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(self._concurrency + 4, thread_name_prefix="job"))
        stopped = asyncio.Event()

        def stop() -> None:
            self._on_stop()
            self._stop.set()
            stopped.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        failures = 0
        while not stopped.is_set():
            try:
                async with self._app.open_async():
                    failures = 0
                    await self._take_jobs(stopped)
            except (exceptions.ConnectorException, OSError) as error:
                LOG.warning("the queue does not answer", extra={"kind": type(error).__name__})
            if not stopped.is_set():
                pause_s = PAUSES_S[min(failures, len(PAUSES_S) - 1)]
                failures += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), pause_s)

    async def _take_jobs(self, stopped: asyncio.Event) -> None:
        working = asyncio.create_task(
            self._app.run_worker_async(
                queues=self._queues,
                concurrency=self._concurrency,
                install_signal_handlers=False,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=2 * DEAD_AFTER_S,
                fetch_job_polling_interval=1,
                delete_jobs="always",
                shutdown_graceful_timeout=GRACE_S,
            )
        )
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not working.done():
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
