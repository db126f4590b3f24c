"""The distributed driver: Procrastinate delivers jobs to any number of workers, on any machine.

A queued job carries a mapping's name or a run's id, nothing else. The transaction that creates the work also queues the
job. A lost job is found again from the ledger: every ten seconds one worker looks for due work without waiting for a
job. Wiping the queue's tables therefore loses nothing, and no job alone causes a payment.
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
BEAT_S = 10.0
DEAD_AFTER_S = 30.0  # a worker without a sign of life: its jobs go to others
GRACE_S = 6.0  # below the eight seconds after which the process is ended whatever it waits for
ASSISTANTS = 4  # at most so many workers are asked to help with a run; each helps once
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)


def queue_of(mapping: str) -> str:
    """Workers listen to the queues of the mappings that they know."""
    return f"mapping-{mapping}"


class ProcrastinateQueue(JobQueue):
    """Puts jobs into the queue, on the connection and in the transaction of whoever changes the ledger."""

    def __init__(self) -> None:
        self._app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """One job at a time waits for a mapping, and one more for a later moment."""
        lock = f"{'later' if at else 'now'}:{mapping}"
        self._defer(connection, WORK, mapping, {"mapping": mapping}, lock, at)

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """A few jobs, for whoever is free."""
        if mappings:
            for _ in range(ASSISTANTS):
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
        # A refused double would spoil the ledger's whole transaction: so a savepoint.
        with contextlib.suppress(exceptions.AlreadyEnqueued), connection.begin_nested():
            deferrer.defer(**arguments)


class Worker:
    """One worker process.

    Args:
        address: of the ledger's database, as libpq takes it.
        ledger: the same.
        mappings: those that this worker knows.
        concurrency: jobs at a time.
        on_stop: called at the signal to stop.
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
        """Whether runs under way should come to an end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End as soon as what is under way has its answers."""
        self._stop.set()

    def run(self, dispatcher: Dispatcher) -> None:
        """Take jobs until SIGTERM or Ctrl-C."""
        self._add_tasks(dispatcher)
        beating = threading.Thread(target=self._beat, args=(dispatcher,), name="beat")
        beating.start()
        try:
            asyncio.run(self._serve())
        finally:
            self._stop.set()
            beating.join()

    # -- tasks -----------------------------------------------------------------------------------------------

    def _add_tasks(self, dispatcher: Dispatcher) -> None:
        again = procrastinate.RetryStrategy(
            max_attempts=20, exponential_wait=2, retry_exceptions=[sa.exc.OperationalError]
        )

        @self._app.task(name=WORK, retry=again)
        def work(mapping: str) -> None:
            with contextlib.suppress(LockedError):  # another worker is at it; what is left then is found by the sweep
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
        """Put a job into the queue for whatever is due, whatever became of its former jobs."""
        dispatcher.purge()
        for mapping in dispatcher.due():
            with self._ledger.database.write(exclusive=False) as connection:
                self._queue.work(connection, mapping)

    async def _rescue(self) -> None:
        """Give the jobs of dead workers to others."""
        jobs = self._app.job_manager
        for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_S):
            try:
                if job.task_name in {SWEEP, RESCUE, ASSIST}:  # others follow
                    await jobs.finish_job(job, status=Status.FAILED, delete_job=True)
                else:
                    await jobs.retry_job(job)
            except exceptions.ConnectorException:
                LOG.warning("a dead worker's job stays: one like it waits already", extra={"job": job.id})

    # -- the process -----------------------------------------------------------------------------------------

    def _beat(self, dispatcher: Dispatcher) -> None:
        """Be seen as alive by commands that look for a worker."""
        while not self._stop.is_set():
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # the database is away: what follows says so
                dispatcher.report_alive("worker")
            self._stop.wait(BEAT_S)
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            dispatcher.deregister()

    async def _serve(self) -> None:
        """Take jobs; when the database goes away the engine's worker ends, and is started again."""
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
                update_heartbeat_interval=BEAT_S,
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
