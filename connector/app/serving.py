"""`connector serve`: stores requests; with an embedded ledger, the process also executes the jobs."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from connector.app.alerts import AlertService
from connector.app.delegation import Backfill, chosen_of
from connector.app.inbound import InboundService
from connector.app.operations import Operations
from connector.app.wiring import Configured, connect_crm
from connector.core.clock import Clock
from connector.core.errors import ConfigurationError
from connector.core.mapping import MappingFile
from connector.core.shared_secret import check_shared_secret
from connector.crm.interface import Crm, Selection
from connector.engine.context import Services
from connector.jobs.dispatcher import Claim, Dependencies, Dispatcher
from connector.jobs.inline import Driver


@dataclass(frozen=True)
class Serving:
    """The dependencies of the server.

    Attributes:
        inbound: stores requests, messages and callbacks.
        alive: whether the process that does the work runs; in distributed mode workers do, elsewhere.
        token: what callers of the trigger API must show.
        message_secrets: by CRM, the secret of its inbound route; a CRM without one has its route closed.
        public_url: where this deployment is reached from outside.
        operations: what the operations pages show and do.
        schedule: a line for each mapping, with the next time of its schedule.
    """

    inbound: InboundService
    operations: Operations
    alive: Callable[[], bool]
    token: str
    message_secrets: Mapping[str, str]
    public_url: str
    schedule: tuple[str, ...] = ()


def check_exposure(configured: Configured) -> None:
    """Refuse to serve if a caller needs no secret.

    A loopback address needs the token too: other users of the machine reach it, and web pages in a browser on it do.

    Raises:
        ConfigurationError: no token, a weak one, or an incomplete set-up of a CRM's inbound route.
    """
    settings = configured.settings
    if settings.connector_trigger_token is None:
        raise ConfigurationError(
            "CONNECTOR_TRIGGER_TOKEN is missing, and serve needs it on every address, 127.0.0.1 included (other users "
            "of the machine and web pages reach that too): add it to .env, with a token from "
            'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    check_shared_secret("CONNECTOR_TRIGGER_TOKEN", settings.connector_trigger_token.get_secret_value())
    for crm in configured.crms.values():
        crm.inbound_access()


def serve(
    configured: Configured,
    services: Services,
    mappings: Mapping[str, MappingFile],
    driver: Driver | None,
    schedule: Sequence[str] = (),
) -> Serving:
    """Build the dependencies of the server; requests wake the driver, if this process has one."""
    settings = configured.settings
    wake: Callable[[], None] = driver.wake if driver else _no_driver
    token = settings.connector_trigger_token
    access = {name: found for name, crm in configured.crms.items() if (found := crm.inbound_access()) is not None}
    # Remembered since the check of the fields: nothing is asked of the CRM again.
    prefixes = {name: services.crm.describe(mapping.object).key_prefix for name, mapping in mappings.items()}
    return Serving(
        inbound=InboundService(
            services.ledger,
            mappings,
            services.clock,
            wake,
            {name: found.org_id for name, found in access.items()},
            prefixes,
            list(services.sources.values()),
        ),
        operations=Operations(configured, services, mappings),
        alive=(lambda: driver.holds_run_lock) if driver else (lambda: True),
        token=token.get_secret_value() if token else "",
        message_secrets={name: found.secret for name, found in access.items()},
        public_url=settings.connector_public_url,
        schedule=tuple(schedule),
    )


def _no_driver() -> None:
    """Do nothing: the job engine notifies the workers."""


class DispatcherHost(Protocol):
    """The part of the application that the dispatcher uses."""

    configured: Configured

    @property
    def clock(self) -> Clock:
        """The ledger's clock."""

    @property
    def mappings(self) -> Mapping[str, MappingFile]:
        """The mappings of this process, by name."""

    def check(self, crm: Crm) -> None:
        """Log in and check every mapped field."""

    def selections(self, crm: Crm, chosen: Backfill, mappings: Mapping[str, MappingFile]) -> Mapping[str, Selection]:
        """The records of a backfill."""


def dependencies(services: Services, host: DispatcherHost, claim: Claim, stopping: Callable[[], bool]) -> Dependencies:
    """The dependencies of the dispatcher, from the application."""
    alerts = AlertService.of(host.configured, services)

    def select(crm: Crm, mappings: Mapping[str, MappingFile], chosen: Mapping[str, Any]) -> Mapping[str, Selection]:
        found = chosen_of(chosen)
        return {} if found.is_flagged else host.selections(crm, found, mappings)

    return Dependencies(
        connect=lambda: connect_crm(host.configured, host.clock),
        check=host.check,
        select=select,
        claim=claim,
        stopping=stopping,
        ended=alerts.run_ended,
        look=alerts.look,
    )


@contextlib.contextmanager
def driving(services: Services, host: DispatcherHost) -> Iterator[Driver]:
    """Run the embedded driver in a thread while the block runs."""
    driver = Driver(services.ledger)
    dispatcher = Dispatcher(
        services, host.mappings, dependencies(services, host, driver.claim, lambda: driver.stopping)
    )
    thread = threading.Thread(target=driver.run, args=(dispatcher,), name="driver")
    thread.start()
    try:
        yield driver
    finally:
        driver.stop()
        thread.join()
        dispatcher.close()


def work(services: Services, host: DispatcherHost, concurrency: int, on_stop: Callable[[], None]) -> None:
    """Work on jobs until a signal stops the process.

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
        services, host.mappings, dependencies(services, host, services.ledger.hold_run_lock, lambda: worker.stopping)
    )
    try:
        worker.run(dispatcher)
    finally:
        dispatcher.close()
