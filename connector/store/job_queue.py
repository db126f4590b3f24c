"""The queue that delivers jobs to workers, as the ledger sees it: notified in the transaction that creates the work."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa


class JobQueue(Protocol):
    """Carries ids only; a job that is lost or delivered twice is found from the ledger again."""

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """Queue work on a mapping, for now or for a later time."""

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """Queue help with a run of these mappings, for workers that are free."""


class NoQueue:
    """For an embedded ledger, whose driver looks for due work itself."""

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """Queue nothing."""

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """Queue nothing."""
