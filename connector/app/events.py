"""Lensmor events for the commands: read the catalogue, and buy access."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from connector.app.belonging import bind
from connector.app.configuring import configure
from connector.app.delegation import turn
from connector.app.wiring import connect_events, connect_providers, open_ledger
from connector.config import env_file_here
from connector.core.report import Report
from connector.engine.context import Progress, Silent
from connector.engine.event_purchase import EventBuyer
from connector.jobs.inline import SystemClock, owner
from connector.providers.interface import EventAccess
from connector.providers.lensmor.events import LensmorEvents

PROVIDER = "lensmor"


class Events:
    """The events of the configured Lensmor account.

    Args:
        env_file: the settings file; by default `.env` in the working directory, if any.

    Raises:
        ConfigurationError: settings cannot be used.
    """

    def __init__(self, env_file: Path | None = None) -> None:
        self._configured = configure(env_file or env_file_here())
        self._clock = SystemClock(self._configured.settings.connector_time_scale)

    @property
    def ledger_place(self) -> str:
        """The location of the ledger, without a password."""
        return self._configured.ledger_place()

    @contextmanager
    def looking(self) -> Iterator[LensmorEvents]:
        """Lensmor's event routes, for free reads."""
        ledger = open_ledger(self._configured, must_exist=False, throwaway=True)
        try:
            with connect_events(self._configured, ledger, self._clock) as found:
                yield found
        finally:
            ledger.close()

    def purchase(
        self, event_id: str, price_credits: int, progress: Progress | None = None
    ) -> tuple[EventAccess | None, Report]:
        """Buy access to an event, under the caps and through the ledger.

        Returns:
            The vendor's answer, or None if a cap prevents the purchase; and the report of the run.
        """
        told, configured, me = progress or Silent(), self._configured, owner()
        ledger = open_ledger(configured, announce=told.note)
        self._clock.ahead = ledger.database.clock() - datetime.now(UTC)
        try:
            bind(configured, ledger, None, [PROVIDER], {})
            provider = connect_providers(configured, [PROVIDER], ledger, self._clock)[PROVIDER]
            with (
                closing(provider),
                connect_events(configured, ledger, self._clock) as api,
                ledger.locks.present(me),
                turn(ledger, told),
            ):
                limits = configured.limits()[PROVIDER]
                return EventBuyer(ledger, provider, limits, self._clock, me, api.unlock).buy(event_id, price_credits)
        finally:
            ledger.close()
