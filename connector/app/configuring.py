"""Reads all settings and checks them without a network; one error reports every problem."""

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from connector.config import (
    PREFIXES,
    ReservedSettings,
    SettingProblem,
    Settings,
    check_url,
    database_url,
    file_texts,
    raise_all,
    read_group,
    read_values,
    setting_names,
)
from connector.core.addresses import database_address, is_loopback
from connector.core.errors import ConfigurationError
from connector.core.setting_group import SettingGroup
from connector.crm.registration import CrmSettings
from connector.crm.registry import CRMS
from connector.engine.context import AccountLimits
from connector.net import NetworkSettings
from connector.net.settings import NETWORK_SETTINGS
from connector.providers.registration import ProviderSettings
from connector.providers.registry import REGISTRY

Group = TypeVar("Group", bound=SettingGroup)
LEDGER_FILE = "connector.db"
GROUPS: tuple[type[SettingGroup], ...] = (
    Settings,
    *(entry.settings for entry in CRMS.values()),
    *(entry.settings for entry in REGISTRY.values()),
)
SETTING_PREFIXES = (*PREFIXES, *(group.prefix for group in GROUPS if group.prefix))
DEFAULT_CRM = next(iter(CRMS))
WHERE = "put it into the environment or .env"


@dataclass(frozen=True)
class Configured:
    """All settings, checked as far as possible without a network."""

    settings: Settings
    crms: Mapping[str, CrmSettings]
    providers: Mapping[str, ProviderSettings]
    env_file: Path | None
    network: NetworkSettings = field(default_factory=NetworkSettings)

    def ledger_url(self) -> str:
        """The ledger's address: the setting, else a file beside `.env`, else a file in the working directory."""
        if self.settings.connector_database_url:
            return database_url(self.settings.connector_database_url, self.folder())
        return f"sqlite:///{self.folder() / LEDGER_FILE}"

    def ledger_place(self) -> str:
        """The location of the ledger, without a password."""
        url = self.ledger_url()
        if url.startswith("sqlite"):
            return url.removeprefix("sqlite:///")
        return f"PostgreSQL at {database_address(url) or 'an address that cannot be shown'}"

    def folder(self) -> Path:
        """The folder for the process's own files: that of the `.env` file, else the working directory."""
        return folder_of(self.env_file).resolve()

    def limits(self) -> dict[str, AccountLimits]:
        """The operator's caps and reserve for each provider account."""
        return {
            name: AccountLimits(found.max_per_day, found.max_per_month, found.credit_reserve)
            for name, found in self.providers.items()
        }

    def missing_login(self, crm: str) -> str | None:
        """Why a CRM's login is incomplete; None if it is complete."""
        missing = self.crms[crm].missing()
        return f"{CRMS[crm].label}'s login is not set: {missing}; {WHERE}" if missing else None

    def missing(self, providers: Collection[str]) -> Iterator[SettingProblem]:
        """The missing settings that a run with these providers needs."""
        for name in self.crms:
            missing = self.missing_login(name)
            if missing:
                yield SettingProblem("", missing)
        for name in sorted(providers):
            if self.providers[name].api_key is None:
                key = f"{name.upper()}_API_KEY"
                yield SettingProblem(key, f"{key} is missing; {WHERE}")
        if not self.ledger_url().startswith("sqlite") and self.settings.connector_secret_key is None:
            key = "CONNECTOR_SECRET_KEY"
            yield SettingProblem(key, f"{key} is missing; only a SQLite ledger generates its own key")


@dataclass(frozen=True)
class Survey:
    """Settings with all their problems; a setting with a problem has its default in `configured`.

    Attributes:
        configured: the settings.
        problems: one for each wrong setting.
        unused: settings that are given but have no effect in this version.
    """

    configured: Configured
    problems: tuple[SettingProblem, ...]
    unused: tuple[str, ...] = ()

    def about(self, *names: str) -> list[SettingProblem]:
        """The problems of settings whose names begin with one of these prefixes."""
        return [problem for problem in self.problems if problem.name.startswith(names)]

    def needed(self, providers: Collection[str]) -> tuple[SettingProblem, ...]:
        """Every problem, and each setting missing for a run with these providers; a wrong setting counts once."""
        if self.about(str(self.configured.env_file)):
            return self.problems  # an unreadable file may contain any setting
        logins = tuple(found.prefix for found in self.configured.crms.values())
        missing = self.configured.missing(providers)
        return (*self.problems, *(one for one in missing if not self.about(*((one.name,) if one.name else logins))))


def folder_of(env_file: Path | None) -> Path:
    """The folder of the settings file in use; without one, the working directory."""
    return env_file.parent if env_file is not None else Path.cwd()


def configure(env_file: Path | None) -> Configured:
    """Read every setting.

    Raises:
        ConfigurationError: one line for each wrong or unknown setting.
    """
    found = survey(env_file)
    raise_all(found.problems)
    return found.configured


def survey(env_file: Path | None, answers: Mapping[str, str] = MappingProxyType({})) -> Survey:
    """Read every setting and collect every problem.

    Args:
        env_file: the settings file, if any.
        answers: settings that are not in a file yet, by documented name; they win.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs full addresses, with LinkedIn names
    values = read_values(env_file, prefixes=SETTING_PREFIXES)
    problems = [*values.problems, *values.unknown(known_settings())]
    texts = {**values.texts, **answers}
    settings, wrong = read_group(Settings, texts)
    problems += wrong + read_group(ReservedSettings, texts)[1]
    crms, wrong = _read_groups({name: crm.settings for name, crm in CRMS.items()}, texts)
    problems += wrong
    providers, wrong = _read_groups({name: entry.settings for name, entry in REGISTRY.items()}, texts)
    problems += wrong
    configured = Configured(settings, crms, providers, env_file, network_settings(env_file))
    problems += _addresses(configured)
    problems += _time_scale(configured)
    problems += _alert_addresses(settings)
    return Survey(configured, tuple(problems), tuple(sorted(_unused_settings() & set(texts))))


def _read_groups(
    classes: Mapping[str, type[Group]], texts: Mapping[str, str]
) -> tuple[dict[str, Group], list[SettingProblem]]:
    """Read one group of settings for each name, and collect the problems of all."""
    read = {name: read_group(one, texts) for name, one in classes.items()}
    return {name: group for name, (group, _) in read.items()}, [one for _, found in read.values() for one in found]


def network_settings(env_file: Path | None, environment: Mapping[str, str] = os.environ) -> NetworkSettings:
    """Proxies and certificates from the environment and `.env`; the environment wins."""
    names = {name for known in NETWORK_SETTINGS for name in (known, known.lower())}
    in_file = file_texts(env_file)
    given = {name for name in names if environment.get(name)}
    hidden = {name.upper() for name in given}
    found = {name: value for name, value in in_file.items() if name in names and value and name.upper() not in hidden}
    return NetworkSettings({**found, **{name: environment[name] for name in given}})


def known_settings() -> set[str]:
    """The names of all documented settings."""
    return {name for group in GROUPS for name in setting_names(group).values()} | _unused_settings()


def _unused_settings() -> set[str]:
    """The documented names that have no effect in this version."""
    return set(setting_names(ReservedSettings).values())


def _addresses(configured: Configured) -> Iterator[SettingProblem]:
    """The problems with addresses. Side effect: a usable address loses the slash at its end."""
    settings = configured.settings
    urls = {
        **{name: url for found in configured.crms.values() for name, url in found.addresses().items()},
        "CONNECTOR_PUBLIC_URL": settings.connector_public_url,
        **{f"{name.upper()}_BASE_URL": found.base_url for name, found in configured.providers.items()},
    }
    for name, url in urls.items():
        try:
            usable = check_url(name, url) if url else ""
        except ConfigurationError as error:
            yield _named(name, error)
            continue
        if name == "CONNECTOR_PUBLIC_URL":
            settings.connector_public_url = usable
    try:
        configured.ledger_url()
    except ConfigurationError as error:
        settings.connector_database_url = ""
        yield _named("CONNECTOR_DATABASE_URL", error)


def _alert_addresses(settings: Settings) -> Iterator[SettingProblem]:
    """The problems with the destinations of alerts, which are secrets and are never shown."""
    hook, server = settings.connector_alert_webhook_url, settings.connector_smtp_url
    if hook is not None:
        try:
            check_url("CONNECTOR_ALERT_WEBHOOK_URL", hook.get_secret_value())
        except ConfigurationError:
            words = "CONNECTOR_ALERT_WEBHOOK_URL must be an https address (http only for this machine)"
            yield SettingProblem("CONNECTOR_ALERT_WEBHOOK_URL", words)
    if server is not None and not _is_mail_server(server.get_secret_value()):
        words = "CONNECTOR_SMTP_URL must be smtp://user:password@host:587 or smtps://user:password@host:465"
        yield SettingProblem("CONNECTOR_SMTP_URL", words)
    if (server is None) is not (not settings.connector_alert_email):
        words = "alerts by email need both CONNECTOR_ALERT_EMAIL and CONNECTOR_SMTP_URL"
        yield SettingProblem("CONNECTOR_ALERT_EMAIL", words)


def _is_mail_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _named(name: str, error: ConfigurationError) -> SettingProblem:
    return SettingProblem(name, str(error))


def _time_scale(configured: Configured) -> Iterator[SettingProblem]:
    if configured.settings.connector_time_scale == 1:
        return
    used = [found.base_url for found in configured.providers.values() if found.api_key]
    orgs = [found.address for found in configured.crms.values()]
    if not all(is_loopback(address) for address in (*orgs, *used)):
        yield SettingProblem(
            "CONNECTOR_TIME_SCALE",
            "CONNECTOR_TIME_SCALE shortens waits and is only for rehearsals: remove it, or let the CRM and all vendors "
            "be addresses of this machine",
        )
