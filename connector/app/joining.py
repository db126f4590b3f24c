"""From settings to parts: the ledger with its key, the CRM client, and each vendor with its rate budget."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connector.config import Settings, check_url, is_loopback, read_settings
from connector.core.clock import Clock
from connector.core.errors import ConfigurationError
from connector.crm.interface import Crm
from connector.crm.salesforce import Login, SalesforceCrm
from connector.crm.salesforce.client import Client
from connector.engine.context import AccountLimits
from connector.providers import REGISTRY
from connector.providers.http import VendorHttp
from connector.providers.interface import Provider
from connector.providers.lensmor_events import LensmorEvents
from connector.providers.settings import BuiltWith, ProviderSettings
from connector.store.database import Database, sqlite_path
from connector.store.ledger import Ledger
from connector.store.limiter import Limiter
from connector.store.seal import Seal, new_key, read_or_create_key_file

LEDGER_FILE = "connector.db"
CALLBACK_PATH = "/v1/callbacks/salesfinity/"
SPILL_NAME = "connector"  # what a ledger on PostgreSQL keeps on this machine is named after it


@dataclass(frozen=True)
class Configured:
    """All settings, read and checked as far as they can be without a network."""

    settings: Settings
    providers: Mapping[str, ProviderSettings]
    env_file: Path | None

    def ledger_url(self) -> str:
        """Where the ledger is: as set, else beside the `.env` file, else in the working directory."""
        if self.settings.connector_database_url:
            return self.settings.connector_database_url
        return f"sqlite:///{self.folder() / LEDGER_FILE}"

    def folder(self) -> Path:
        """Where this process keeps files of its own: beside the `.env` file, else in the working directory."""
        return (self.env_file.parent if self.env_file is not None else Path.cwd()).resolve()

    def limits(self) -> dict[str, AccountLimits]:
        """The operator's caps and reserves."""
        return {
            name: AccountLimits(found.max_per_day, found.max_per_month, found.credit_reserve)
            for name, found in self.providers.items()
        }


def configure(env_file: Path | None) -> Configured:
    """Read every setting.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs full addresses, with LinkedIn names
    settings = read_settings(Settings, env_file)
    if settings.salesforce_instance_url:
        check_url("SALESFORCE_INSTANCE_URL", settings.salesforce_instance_url)
    if settings.connector_public_url:
        settings.connector_public_url = check_url("CONNECTOR_PUBLIC_URL", settings.connector_public_url)
    providers = {name: read_settings(entry.settings, env_file) for name, entry in REGISTRY.items()}
    for name, found in providers.items():
        check_url(f"{name.upper()}_BASE_URL", found.base_url)
    if settings.connector_time_scale != 1:
        addresses = [settings.salesforce_instance_url, *(p.base_url for p in providers.values() if p.api_key)]
        if not all(is_loopback(address) for address in addresses):
            raise ConfigurationError(
                "CONNECTOR_TIME_SCALE shortens waits and is only for rehearsals: remove it, or let all vendors and "
                "Salesforce be addresses of this machine"
            )
    return Configured(settings, providers, env_file)


def _unannounced(_notice: str) -> None:
    """Nothing."""


def open_ledger(
    configured: Configured,
    *,
    must_exist: bool = False,
    throwaway: bool = False,
    announce: Callable[[str], None] = _unannounced,
) -> Ledger:
    """Open the ledger, creating it where it does not exist.

    Args:
        configured: the settings.
        must_exist: refuse to make a new one.
        throwaway: where there is none, use one in memory: for commands without any effect.
        announce: called with one line where a ledger was created.

    Raises:
        ConfigurationError: it cannot be opened, or its key is missing or another one.
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
            return _in_memory()
        if not path.parent.is_dir():
            raise ConfigurationError(f"CONNECTOR_DATABASE_URL: there is no folder {path.parent}")
    seal = Seal(_keys(configured.settings, path, is_new=not exists))
    database = Database(url)
    database.migrate()
    if database.is_sqlite:
        ledger = Ledger(database, seal, path)
        if path is not None and not exists:
            announce(f"Created a new ledger: {path}{_key_notice(configured.settings, path)}")
        return ledger
    from connector.runtime.distributed import Delivery

    return Ledger(database, seal, configured.folder() / SPILL_NAME, Delivery())


def _key_notice(settings: Settings, path: Path) -> str:
    if settings.connector_secret_key is not None:
        return ""
    return f", with its key {path.name}.key; back up both together"


def _in_memory() -> Ledger:
    database = Database("sqlite://")
    database.migrate()
    return Ledger(database, Seal([new_key()]), None)


def _keys(settings: Settings, path: Path | None, *, is_new: bool) -> list[str]:
    if settings.connector_secret_key is not None:
        text = settings.connector_secret_key.get_secret_value()
        return [key.strip() for key in text.split(",") if key.strip()]
    if path is None:
        raise ConfigurationError("CONNECTOR_SECRET_KEY is missing; only a SQLite file keeps a key of its own")
    return read_or_create_key_file(path.with_name(path.name + ".key"), may_create=is_new)


def connect_crm(settings: Settings, clock: Clock) -> Crm:
    """The Salesforce client; nothing is sent yet.

    Raises:
        ConfigurationError: login settings are missing.
    """
    secret, token = settings.salesforce_client_secret, settings.salesforce_access_token
    login = Login(
        instance_url=settings.salesforce_instance_url.rstrip("/"),
        client_id=settings.salesforce_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        username=settings.salesforce_username,
        private_key_file=settings.salesforce_private_key_file,
        access_token=token.get_secret_value() if token else None,
    )
    missing = login.missing()
    if missing:
        raise ConfigurationError(f"Salesforce's login is not set: {missing}; put it into the environment or .env")
    client = Client(login, settings.salesforce_api_version, settings.salesforce_api_reserve_percent, clock.sleep)
    return SalesforceCrm(client)


def vendor_http(name: str, found: ProviderSettings, ledger: Ledger, clock: Clock) -> VendorHttp:
    """The connection to one vendor, with its share of the rate budget.

    Raises:
        ConfigurationError: its key is missing.
    """
    if found.api_key is None:
        raise ConfigurationError(f"{name.upper()}_API_KEY is missing; put it into the environment or .env")
    pace = Limiter(ledger.database, f"{name}/{found.account}", found.requests_per_minute, clock)
    headers = REGISTRY[name].headers(found.api_key.get_secret_value())
    return VendorHttp(name, found.base_url.rstrip("/"), headers, pace, clock.sleep, f"{name.upper()}_API_KEY")


def still_at_work(configured: Configured, ledger: Ledger) -> set[str]:
    """Vendors with a key that have something open from earlier runs, whatever the present mappings ask."""
    open_at = {name for name, _ in ledger.runs.open_counts().unlocks}
    return {name for name in open_at if name in configured.providers and configured.providers[name].api_key}


def connect_providers(
    configured: Configured, names: Collection[str], ledger: Ledger, clock: Clock
) -> dict[str, Provider]:
    """The named vendors, in the order of the registry.

    Raises:
        ConfigurationError: a vendor that is asked has no key.
    """
    connected: dict[str, Provider] = {}
    base = configured.settings.connector_public_url

    def callback_url(attempt_id: str) -> str:
        return f"{base}{CALLBACK_PATH}{ledger.seal.address(attempt_id)}"

    built_with = BuiltWith(configured.settings.connector_poll_seconds, callback_url if base else None)
    for name, entry in REGISTRY.items():
        if name in names:
            found = configured.providers[name]
            http = vendor_http(name, found, ledger, clock)
            connected[name] = entry.build(http, found, built_with)
    return connected


@contextmanager
def connect_events(configured: Configured, ledger: Ledger, clock: Clock) -> Iterator[LensmorEvents]:
    """Lensmor's event routes."""
    http = vendor_http("lensmor", configured.providers["lensmor"], ledger, clock)
    try:
        yield LensmorEvents(http)
    finally:
        http.close()
