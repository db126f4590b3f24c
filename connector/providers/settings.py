"""What an operator sets for every vendor: key, address, account name, request limit, reserve and caps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connector.core.identifiers import IdentifierKind
from connector.core.limits import MAX_CREDITS
from connector.core.model import Channel
from connector.providers.http import VendorHttp
from connector.providers.interface import Provider


def provider_config(prefix: str) -> SettingsConfigDict:
    """How a vendor's settings are named (the prefix and the field's name); secrets are never echoed in errors."""
    return SettingsConfigDict(env_prefix=prefix, extra="ignore", hide_input_in_errors=True, populate_by_name=True)


class ProviderSettings(BaseSettings):
    """One vendor's settings.

    Attributes:
        api_key: the key of the account; None when the vendor is not used.
        base_url: https, except for a loopback address.
        account: the operator's name for the account; part of every purchase's identity: keep it when the key changes.
        requests_per_minute: the most requests; the vendor's headers win.
        credit_reserve: credits of the balance that are never touched.
        max_per_day: hard cap over all runs and workers.
        max_per_month: hard cap over all runs and workers.
    """

    api_key: SecretStr | None = None
    base_url: str = ""
    account: str = Field(default="default", min_length=1, max_length=80)
    requests_per_minute: int = Field(default=60, ge=1, le=100_000)
    credit_reserve: int = Field(default=0, ge=0, le=MAX_CREDITS)
    max_per_day: int | None = None
    max_per_month: int | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 pydantic-settings names its arguments
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the values that the caller gives: `connector.config` reads the environment, once for all groups."""
        return (init_settings,)


@dataclass(frozen=True)
class BuiltWith:
    """What a provider may be built with, besides its own settings.

    Attributes:
        poll_schedule_s: the operator's seconds between polls, for vendors that recommend such a schedule.
        callback_url: from an attempt's id, where the vendor can tell of its end; None where it cannot reach us.
    """

    poll_schedule_s: tuple[float, ...]
    callback_url: Callable[[str], str] | None = None


@dataclass(frozen=True)
class Registration:
    """How a provider is configured and built.

    Attributes:
        channels: what it sells; mappings are checked against it before any setting is read.
        identifiers: the kinds that mapping files may name for it.
        keeps_records: whether a lost answer can be found in the vendor's own record of a person.
        settings: its settings class.
        headers: its login headers, from an API key.
        build: the provider, from its connection, its settings and the rest.
    """

    channels: frozenset[Channel]
    identifiers: tuple[IdentifierKind, ...]
    keeps_records: bool
    settings: type[ProviderSettings]
    headers: Callable[[str], Mapping[str, str]]
    build: Callable[[VendorHttp, ProviderSettings, BuiltWith], Provider]
