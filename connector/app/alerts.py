"""Alerts: finds their causes after each run and from time to time, and sends each once a day.

A failure to send never stops a run: it is logged, and the next check tries again.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from connector.app.configuring import Configured, survey
from connector.app.wiring import open_ledger
from connector.config import env_file_here
from connector.core.alerts import (
    LOCKED,
    Check,
    Message,
    RunEnd,
    Thresholds,
    balance_check,
    begun,
    checks_of_run,
    ended,
    no_value_check,
    silence_check,
    spend_check,
)
from connector.core.errors import ConnectorError
from connector.core.model import CONTACT_CHANNELS
from connector.core.person import Source
from connector.engine.context import Services
from connector.engine.guards import ANSWERS
from connector.net.alert_channels import AlertChannel, Mail, NotSentError, Webhook
from connector.store.ledger import Ledger

LOG = logging.getLogger("connector.alerts")
TEST = Message("Connector: this is a test of the alerts", ("Sent by connector doctor --alert-test",))


def channels(configured: Configured) -> list[AlertChannel]:
    """The destinations that are set."""
    settings, found = configured.settings, list[AlertChannel]()
    if settings.connector_alert_webhook_url is not None:
        found.append(Webhook(settings.connector_alert_webhook_url.get_secret_value(), configured.network))
    if settings.connector_smtp_url is not None and settings.connector_alert_email:
        server = settings.connector_smtp_url.get_secret_value()
        found.append(Mail(server, settings.connector_alert_email, lambda: configured.network.tls))
    return found


def send_test(configured: Configured) -> list[tuple[str, str]]:
    """Send a test message to every destination; returns (name, problem) of each, without a problem if it was sent."""
    results: list[tuple[str, str]] = []
    for channel in channels(configured):
        try:
            channel.send(TEST)
            results.append((channel.name, ""))
        except NotSentError as error:
            results.append((channel.name, str(error)))
    return results


@dataclass(frozen=True)
class AlertService:
    """The alerts of one deployment.

    Attributes:
        configured: destinations and limits.
        ledger: knows what was sent.
        now: the ledger's time.
        sources: the providers of this process by name; others are not checked.
    """

    configured: Configured
    ledger: Ledger
    now: Callable[[], datetime]
    sources: Mapping[str, Source]

    @classmethod
    def of(cls, configured: Configured, services: Services) -> "AlertService":
        """The alerts of a process with these services."""
        return cls(configured, services.ledger, services.clock.now, services.sources)

    def run_ended(self, end: RunEnd) -> None:
        """Check everything that a run may have changed."""
        if end.exit_code == LOCKED:
            return
        self._check(lambda now: self._after(end, now))

    def look(self) -> None:
        """Check what no run may report: the silence of all of them."""
        self._check(self._silence)

    def _check(self, find: Callable[[datetime], Iterator[Check]]) -> None:
        """Send what is due; without a destination nothing is checked."""
        destinations = channels(self.configured)
        if not destinations:
            return
        try:
            now = self.now()
            for one in find(now):
                self._announce(one, destinations, now)
        except sa.exc.SQLAlchemyError as error:  # the run has its own answer to a ledger that fails
            LOG.warning("alerts could not be checked", extra={"kind": type(error).__name__})

    def _after(self, end: RunEnd, now: datetime) -> Iterator[Check]:
        if end.is_success:
            self.ledger.alerts.note_success(now)
        yield from checks_of_run(end)
        yield from self._silence(now)
        for name, source in self.sources.items():
            limits = self._limits(name)
            if limits.balance is not None and name in end.balances:
                yield balance_check(name, end.balances[name], limits.balance)
            if limits.credits_per_day is not None:
                spent = self.ledger.credits.used_on(source, now)
                yield spend_check(name, spent, limits.credits_per_day, f"{now:%Y-%m-%d}")
            for channel in source.prices.by_channel.keys() & set(CONTACT_CHANNELS):
                found = self.ledger.run_outcomes.latest_results(source, channel, ANSWERS)
                yield no_value_check(name, channel.value, *found, ANSWERS)

    def _silence(self, now: datetime) -> Iterator[Check]:
        last = self.ledger.alerts.last_success(now)
        yield silence_check(last, now, self.configured.settings.connector_alert_silence)

    def _limits(self, name: str) -> Thresholds:
        found = self.configured.providers[name]
        return Thresholds(found.alert_balance, found.alert_credits_per_day)

    def _announce(self, one: Check, destinations: Sequence[AlertChannel], now: datetime) -> None:
        alerts, key = self.ledger.alerts, one.cause.key
        if one.holds:
            if alerts.claim(one.cause, now) and _send(begun(one.cause), destinations):
                alerts.sent(key, now)
            return
        title = alerts.claim_end(key, now)
        if title is not None and _send(ended(key, title), destinations):
            alerts.sent_end(key, now)


def _send(message: Message, destinations: Sequence[AlertChannel]) -> bool:
    """Send to every destination; whether it arrived at one of them at least."""
    arrived = False
    for channel in destinations:
        try:
            channel.send(message)
            arrived = True
        except NotSentError as error:
            LOG.warning("an alert could not be sent", extra={"channel": channel.name, "error": str(error)})
    return arrived


def run_failed(env_file: Path | None, command: str, mappings: Sequence[str], error: BaseException) -> None:
    """Send the alert of a run that could not begin, or ended with an error, if settings and ledger can be used.

    Args:
        env_file: the settings file; by default `.env` in the working directory, if any.
        command: of the run.
        mappings: the values of `-m`.
        error: ended the run.
    """
    try:
        configured = survey(env_file or env_file_here()).configured
        if not channels(configured):
            return
        with closing(open_ledger(configured, must_exist=True)) as ledger:
            service = AlertService(configured, ledger, lambda: datetime.now(UTC), {})
            service.run_ended(RunEnd.failed(command, [Path(name).stem for name in mappings], error))
    except ConnectorError as problem:
        LOG.warning("alerts could not be checked", extra={"kind": type(problem).__name__})
