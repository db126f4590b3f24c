"""Wires settings to services: the ledger with its key, the CRM client, and each provider with its rate limiter."""

import functools
from collections.abc import Callable, Collection
from pathlib import Path

from connector.app.configuring import DEFAULT_CRM, WHERE, Configured, configure
from connector.config import Settings
from connector.core.clock import Clock
from connector.core.errors import ConfigurationError
from connector.crm.interface import Crm
from connector.crm.registration import CrmConnection
from connector.crm.registry import CRMS
from connector.providers.connection import Connection
from connector.providers.events import EventCatalogue
from connector.providers.interface import Provider
from connector.providers.registration import BuiltWith, ProviderSettings
from connector.providers.registry import REGISTRY
from connector.store.database import Database, sqlite_path
from connector.store.ledger import Ledger
from connector.store.limiter import Limiter
from connector.store.moved import refuse_moved
from connector.store.seal import Seal, new_key, read_or_create_key_file

__all__ = [
    "Configured",
    "configure",
    "connect_crm",
    "connect_events",
    "connect_providers",
    "event_provider",
    "ledger_in_memory",
    "open_ledger",
    "still_at_work",
]
CALLBACK_PATH = "/v1/callbacks/"
JOURNAL_NAME = "connector"  # prefix of the local files of a ledger on PostgreSQL


def _unannounced(_notice: str) -> None:
    """Nothing."""


def open_ledger(
    configured: Configured,
    *,
    must_exist: bool = False,
    throwaway: bool = False,
    even_if_moved: bool = False,
    announce: Callable[[str], None] = _unannounced,
) -> Ledger:
    """Open the ledger; create it if it does not exist.

    Args:
        configured: the settings.
        must_exist: refuse to create a new one.
        throwaway: if there is none, use one in memory, for commands without any effect.
        even_if_moved: open a ledger whose mark names another place, because a move was interrupted.
        announce: called with one line if a ledger was created.

    Raises:
        ConfigurationError: the ledger cannot be opened, was moved, or its key is missing or wrong.
    """
    url = configured.ledger_url()
    path = sqlite_path(url)
    exists = path is not None and path.exists()
    if path is not None and not exists:
        if must_exist:
            raise ConfigurationError(
                f"there is no ledger at {path} yet: no run has started here. Check the set-up with 'connector doctor "
                "-m NAME' and see the cost of a run with 'connector plan -m NAME'; neither buys anything. If a ledger "
                "exists elsewhere, name its settings with --env-file or set CONNECTOR_DATABASE_URL"
            )
        if throwaway:
            return ledger_in_memory()
        _refuse_another_start(configured, path)
        if not path.parent.is_dir():
            raise ConfigurationError(f"CONNECTOR_DATABASE_URL: there is no folder {path.parent}")
    database = Database(url) if exists else None  # it creates the file of a new ledger, so its key comes first
    if database is not None and not even_if_moved:
        refuse_moved(database, path)
    seal = Seal(_keys(configured.settings, path, is_new=not exists))
    database = database or Database(url)
    database.migrate()
    if database.is_sqlite:
        ledger = Ledger(database, seal, path)
        if path is not None and not exists:
            announce(f"Created a new ledger: {path}{_key_notice(configured.settings, path)}")
        return ledger
    from connector.jobs.procrastinate import ProcrastinateQueue

    return Ledger(database, seal, configured.folder() / JOURNAL_NAME, ProcrastinateQueue())


def _refuse_another_start(configured: Configured, path: Path) -> None:
    """Refuse to create a second ledger if a relative address names one in the working directory.

    Earlier versions resolved relative addresses from there.
    """
    text = configured.settings.connector_database_url
    here = Path.cwd() / text.removeprefix("sqlite:///")
    if text and here.resolve() != path.resolve() and here.is_file():
        raise ConfigurationError(
            f"CONNECTOR_DATABASE_URL is relative to the folder of the settings file: {path} does not exist, but "
            f"{here} does. Write the absolute path of the ledger, such as sqlite:///{here}"
        )


def _key_notice(settings: Settings, path: Path) -> str:
    if settings.connector_secret_key is not None:
        return ""
    return f", with its key {path.name}.key; back up both together"


def ledger_in_memory() -> Ledger:
    """A new ledger in memory, with a key of its own."""
    database = Database("sqlite://")
    database.migrate()
    return Ledger(database, Seal([new_key()]), None)


def _keys(settings: Settings, path: Path | None, *, is_new: bool) -> list[str]:
    if settings.connector_secret_key is not None:
        text = settings.connector_secret_key.get_secret_value()
        return [key.strip() for key in text.split(",") if key.strip()]
    if path is None:
        raise ConfigurationError("CONNECTOR_SECRET_KEY is missing; only a SQLite ledger generates its own key")
    return read_or_create_key_file(key_file_of(path), may_create=is_new)


def key_file_of(path: Path) -> Path:
    """The file with the generated key of an embedded ledger."""
    return path.with_name(path.name + ".key")


def connect_crm(configured: Configured, clock: Clock, name: str = DEFAULT_CRM) -> Crm:
    """Build a CRM's client, without sending a request.

    Args:
        configured: the login, and the reserved share of the quota.
        clock: waits between attempts.
        name: of the CRM.

    Raises:
        ConfigurationError: login settings are missing.
    """
    missing = configured.missing_login(name)
    if missing:
        raise ConfigurationError(missing)
    return CRMS[name].connect(configured.crms[name], CrmConnection(clock.sleep, _explain(clock), configured.network))


def connection_to(configured: Configured, name: str, ledger: Ledger, clock: Clock) -> Connection:
    """The connection to one vendor account, with the rate limiter that all processes share.

    Raises:
        ConfigurationError: the vendor's key is missing.
    """
    found = configured.providers[name]
    if found.api_key is None:
        raise ConfigurationError(f"{name.upper()}_API_KEY is missing; {WHERE}")
    pace = Limiter(ledger.database, f"{name}/{found.account}", found.requests_per_minute, clock)
    return Connection(pace, clock.sleep, _explain(clock), configured.network)


def _explain(clock: Clock) -> Callable[[float, str], None]:
    """A callback that explains waits in real seconds."""
    return lambda seconds, reason: clock.explain(seconds * clock.scale, reason)


def still_at_work(configured: Configured, ledger: Ledger) -> set[str]:
    """Providers with a key and open purchases from earlier runs, whether or not the present mappings use them."""
    return set(ledger.runs.open_providers(name for name, one in configured.providers.items() if one.api_key))


def connect_providers(
    configured: Configured, names: Collection[str], ledger: Ledger, clock: Clock
) -> dict[str, Provider]:
    """Build the named providers, in the order of the registry.

    Raises:
        ConfigurationError: a named provider has no key.
    """
    connected: dict[str, Provider] = {}
    base = configured.settings.connector_public_url

    def callback_url(name: str, attempt_id: str) -> str:
        return f"{base}{CALLBACK_PATH}{name}/{ledger.seal.address(attempt_id)}"

    for name, entry in REGISTRY.items():
        if name in names:
            connection = connection_to(configured, name, ledger, clock)
            address = functools.partial(callback_url, name) if base else None
            provider = entry.build(configured.providers[name], BuiltWith(connection, callback_url=address))
            if configured.settings.connector_poll_seconds is not None:
                provider.poll_schedule_s = configured.settings.connector_poll_seconds
                provider.polls_exactly = True
            connected[name] = provider
    return connected


def event_provider() -> str:
    """The provider that sells access to events.

    Raises:
        ConfigurationError: none does.
    """
    return _event_source()[0]


def connect_events(configured: Configured, ledger: Ledger, clock: Clock) -> EventCatalogue:
    """The catalogue of the provider that sells access to events; the caller closes it.

    Raises:
        ConfigurationError: there is none, or its key is missing.
    """
    name, connect = _event_source()
    return connect(configured.providers[name], connection_to(configured, name, ledger, clock))


def _event_source() -> tuple[str, Callable[[ProviderSettings, Connection], EventCatalogue]]:
    for name, entry in REGISTRY.items():
        if entry.events is not None:
            return name, entry.events
    raise ConfigurationError("no installed provider sells access to events")
