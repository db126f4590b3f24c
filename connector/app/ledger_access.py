"""The settings and the ledger of one invocation, for commands that use no mapping file and no CRM."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from connector.app.configuring import configure
from connector.app.views import CreditsView, StatusView
from connector.app.wiring import open_ledger
from connector.config import env_file_here
from connector.store.ledger import Ledger


class LedgerAccess:
    """The use cases that read the ledger.

    Args:
        env_file: the settings file; by default `.env` in the working directory, if any.

    Raises:
        ConfigurationError: settings cannot be used.
    """

    def __init__(self, env_file: Path | None = None) -> None:
        self.configured = configure(env_file or env_file_here())

    @contextmanager
    def ledger(self, *, must_exist: bool = True) -> Iterator[Ledger]:
        """The ledger; one in memory if there is none and it need not exist."""
        found = open_ledger(self.configured, must_exist=must_exist, throwaway=not must_exist)
        try:
            yield found
        finally:
            found.close()

    def credits(self) -> CreditsView:
        """The vendors' current balances, the ledger's holds and charges, and the spend of each month."""
        from connector.app.credits import credits_of
        from connector.jobs.clock import SystemClock

        with self.ledger(must_exist=False) as ledger:
            return credits_of(self.configured, ledger, SystemClock(self.configured.settings.connector_time_scale))

    def status(self) -> StatusView:
        """Open work, and the next step for each kind of it."""
        from connector.app.status import status_of

        with self.ledger() as ledger:
            return status_of(ledger, self.configured.ledger_place(), datetime.now(UTC))
