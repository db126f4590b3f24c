"""The interface of the queue that delivers jobs to workers; the transaction that creates the work notifies it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa


class JobQueue(Protocol):
    """Carries ids only, so a lost or repeated job does no harm: the ledger decides what is due."""

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """Queue work on a mapping, now or at a later time."""

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """Invite free workers to help with a run of these mappings."""


class NoQueue:
    """The queue of an embedded ledger, whose driver polls for due work."""

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """Do nothing."""

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """Do nothing."""
