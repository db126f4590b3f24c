"""The engine that delivers work to several workers, as the ledger sees it: told in the transaction it follows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa


class Outbox(Protocol):
    """Passes ids on, nothing else; what is passed twice, or lost, is found in the ledger."""

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """Something is to be done for a mapping, now or then."""

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """A run of these mappings has begun: other workers may help."""


class NoOutbox:
    """The driver of an embedded ledger looks for itself."""

    def work(self, connection: sa.Connection, mapping: str, at: datetime | None = None) -> None:
        """Nothing."""

    def assist(self, connection: sa.Connection, run_id: str, mappings: Sequence[str]) -> None:
        """Nothing."""
