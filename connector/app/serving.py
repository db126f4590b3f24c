"""`connector serve`: what arrives is stored, and where the ledger is embedded, this process also does the work."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from connector.app.delegation import Backfill, chosen_of
from connector.app.inbound import InboundService
from connector.app.wiring import Configured, connect_crm
from connector.core.clock import Clock
from connector.core.errors import ConfigurationError
from connector.core.mapping import MappingFile
from connector.crm.interface import Crm, Selection
from connector.crm.registry import CRMS
from connector.engine.context import Services
from connector.jobs.dispatcher import Claim, Dependencies, Dispatcher
from connector.jobs.inline import Driver

SHORTEST_SECRET = 16


@dataclass(frozen=True)
class Serving:
    """What the server needs to know.

    Attributes:
        intake: stores what arrives.
        alive: whether the process that does the work runs; in distributed mode workers do, elsewhere.
        token, message_secret: what callers must know; None closes the route of Outbound Messages.
        public_url: where this deployment is reached from outside.
        schedule: a line for each mapping, with the next time of its schedule.
    """

    inbound: InboundService
    alive: Callable[[], bool]
    token: str
    message_secret: str | None
    public_url: str
    schedule: tuple[str, ...] = ()


def check_exposure(configured: Configured) -> None:
    """Refuse to serve where a caller could do without the secrets.

    A loopback address needs the token too: other users of the machine reach it, and web pages in a browser on it do.

    Raises:
        ConfigurationError: no token, a weak one, or half a set-up of Outbound Messages.
    """
    settings = configured.settings
    if settings.connector_trigger_token is None:
        raise ConfigurationError(
            "CONNECTOR_TRIGGER_TOKEN is missing, and serve needs it on every address, 127.0.0.1 included (other users "
            "of the machine and web pages reach that too): add it to .env, with a token from "
            'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    for name in ("connector_trigger_token", "connector_outbound_message_secret"):
        found = getattr(settings, name)
        if found is not None and len(found.get_secret_value()) < SHORTEST_SECRET:
            raise ConfigurationError(f"{name.upper()} must have at least {SHORTEST_SECRET} characters")
        if found is not None and not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", found.get_secret_value()):
            raise ConfigurationError(f"{name.upper()} may hold letters, digits and . _ ~ + / = - only")
    if settings.connector_salesforce_org_id and not CRMS["salesforce"].ids.full(settings.connector_salesforce_org_id):
        raise ConfigurationError("CONNECTOR_SALESFORCE_ORG_ID is no id: copy it from Setup, Company Information")
    if (settings.connector_outbound_message_secret is None) is not (not settings.connector_salesforce_org_id):
        raise ConfigurationError(
            "Outbound Messages need both CONNECTOR_OUTBOUND_MESSAGE_SECRET and CONNECTOR_SALESFORCE_ORG_ID"
        )


def serve(
    configured: Configured,
    services: Services,
    mappings: Mapping[str, MappingFile],
    driver: Driver | None,
    schedule: Sequence[str] = (),
) -> Serving:
    """Everything the server needs; requests wake the driver, where this process has one."""
    settings = configured.settings
    wake: Callable[[], None] = driver.wake if driver else _nobody
    token, secret = settings.connector_trigger_token, settings.connector_outbound_message_secret
    # Remembered since the check of the fields: nothing is asked of the CRM again.
    prefixes = {name: services.crm.describe(mapping.object).key_prefix for name, mapping in mappings.items()}
    return Serving(
        inbound=InboundService(
            services.ledger, mappings, services.clock, wake, settings.connector_salesforce_org_id, prefixes
        ),
        alive=(lambda: driver.holds_run_lock) if driver else (lambda: True),
        token=token.get_secret_value() if token else "",
        message_secret=secret.get_secret_value() if secret else None,
        public_url=settings.connector_public_url,
        schedule=tuple(schedule),
    )


def _nobody() -> None:
    """Workers elsewhere are told by the engine."""


class DispatcherHost(Protocol):
    """The part of the application that the dispatcher uses."""

    configured: Configured

    @property
    def clock(self) -> Clock:
        """The ledger's."""

    @property
    def mappings(self) -> Mapping[str, MappingFile]:
        """Those of this process."""

    def check(self, crm: Crm) -> None:
        """Log in, and look at every mapped field."""

    def selections(self, crm: Crm, chosen: Backfill, mappings: Mapping[str, MappingFile]) -> Mapping[str, Selection]:
        """The records of a backfill."""


def dependencies(host: DispatcherHost, claim: Claim, stopping: Callable[[], bool]) -> Dependencies:
    """The dispatcher's dependencies."""

    def select(crm: Crm, mappings: Mapping[str, MappingFile], chosen: Mapping[str, Any]) -> Mapping[str, Selection]:
        found = chosen_of(chosen)
        return {} if found.is_flagged else host.selections(crm, found, mappings)

    return Dependencies(
        connect=lambda: connect_crm(host.configured.settings, host.clock, host.configured.network),
        check=host.check,
        select=select,
        claim=claim,
        stopping=stopping,
    )


@contextlib.contextmanager
def driving(services: Services, host: DispatcherHost) -> Iterator[Driver]:
    """The embedded driver, in a thread of its own while the block runs."""
    driver = Driver(services.ledger)
    dispatcher = Dispatcher(services, host.mappings, dependencies(host, driver.claim, lambda: driver.stopping))
    thread = threading.Thread(target=driver.run, args=(dispatcher,), name="driver")
    thread.start()
    try:
        yield driver
    finally:
        driver.stop()
        thread.join()
        dispatcher.close()


def work(services: Services, host: DispatcherHost, concurrency: int, on_stop: Callable[[], None]) -> None:
    """Be a worker until told to stop.

    Raises:
        ConfigurationError: the ledger is embedded.
    """
    if services.ledger.database.is_sqlite:
        raise ConfigurationError(
            "workers need a ledger on PostgreSQL: set CONNECTOR_DATABASE_URL=postgresql://...; with an embedded "
            "ledger, 'connector serve' does the work"
        )
    from connector.jobs.procrastinate import Worker

    url = sa.make_url(services.ledger.database.url).set(drivername="postgresql")
    worker = Worker(
        url.render_as_string(hide_password=False), services.ledger, list(host.mappings), concurrency, on_stop
    )
    dispatcher = Dispatcher(
        services, host.mappings, dependencies(host, services.ledger.hold_run_lock, lambda: worker.stopping)
    )
    try:
        worker.run(dispatcher)
    finally:
        dispatcher.close()
