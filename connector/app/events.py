"""Events for the commands: read a provider's catalogue, and buy access."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from connector.app.belonging import bind
from connector.app.configuring import configure
from connector.app.delegation import turn
from connector.app.wiring import connect_events, connect_providers, event_provider, open_ledger
from connector.config import env_file_here
from connector.core.report import Report
from connector.engine.context import Progress, Silent
from connector.engine.event_purchase import EventBuyer
from connector.jobs.clock import SystemClock
from connector.jobs.inline import owner
from connector.providers.events import EventCatalogue, EventFilter
from connector.providers.interface import EventAccess

__all__ = ["EventFilter", "Events"]


class Events:
    """The events of the account of the provider that sells them.

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
    def looking(self) -> Iterator[EventCatalogue]:
        """The catalogue, for free reads."""
        ledger = open_ledger(self._configured, must_exist=False, throwaway=True)
        try:
            with closing(connect_events(self._configured, ledger, self._clock)) as found:
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
            name = event_provider()
            bind(configured, ledger, None, [name], {})
            provider = connect_providers(configured, [name], ledger, self._clock)[name]
            with (
                closing(provider),
                closing(connect_events(configured, ledger, self._clock)) as api,
                ledger.locks.present(me),
                turn(ledger, told),
            ):
                limits = configured.limits()[name]
                return EventBuyer(ledger, provider, limits, self._clock, me, api.unlock).buy(event_id, price_credits)
        finally:
            ledger.close()
