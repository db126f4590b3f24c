"""Stores the progress of a delegated run in the ledger, for the process that displays it."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from connector.core.run_figures import CrmCalls
from connector.store.jobs import Jobs
from connector.store.run_progress import RunWatch

PROGRESS_EVERY_S = 0.5


class StoredProgress:
    """Stores stages, steps and notes of a delegated run at most twice a second.

    Args:
        jobs: the ledger's queue.
        job_id: the delegated run.
    """

    def __init__(self, jobs: Jobs, job_id: str) -> None:
        self._jobs = jobs
        self._id = job_id
        self._stored_at = 0.0
        self._crm_calls: Callable[[], CrmCalls | None] = lambda: None
        self._state: dict[str, Any] = {"stage": "", "total": None, "done": 0, "notes": []}

    def stage(self, name: str, total: int | None = None) -> None:
        """Store a new stage with its number of units."""
        self._state |= {"stage": name, "total": total, "done": 0}
        self._store(at_once=True)

    def step(self, count: int = 1) -> None:
        """Count finished units."""
        self._state["done"] += count
        self._store()

    def watch(self, run: RunWatch | None) -> None:
        """Store the start of the run, from which the other process reads the figures. Calls of the CRM follow."""
        if run is not None:
            self._state["run"] = run.start.to_json()
            self._crm_calls = run.crm_calls
            self._store(at_once=True)

    def note(self, text: str) -> None:
        """Store a note."""
        self._state["notes"].append(text)
        self._store(at_once=True)

    def _store(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._stored_at >= PROGRESS_EVERY_S:
            self._stored_at = time.monotonic()
            calls = self._crm_calls()
            self._state["crm"] = None if calls is None else asdict(calls)
            self._jobs.show_progress(self._id, self._state)
