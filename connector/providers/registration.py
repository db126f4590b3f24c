"""The registration of a provider package: its settings, its channels, and how it is built.

A package names its `Registration` in the entry point group `connector.providers`; see docs/extending.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, SecretStr

from connector.core.identifiers import IdentifierKind
from connector.core.limits import MAX_CREDITS
from connector.core.model import Channel
from connector.core.setting_group import SettingGroup
from connector.providers.connection import Connection
from connector.providers.events import EventCatalogue
from connector.providers.interface import CallbackParts, Provider


class ProviderSettings(SettingGroup):
    """One vendor's settings. A provider derives its own class, with `prefix` and the vendor's address.

    Attributes:
        api_key: the key of the account; None if the vendor is not used.
        base_url: https, except for a loopback address.
        account: the operator's name for the account. It is part of every purchase's identity: keep it if the key
            changes.
        requests_per_minute: the rate limit; the vendor's headers win.
        credit_reserve: credits of the balance that are never spent.
        max_per_day: hard cap over all runs and workers.
        max_per_month: hard cap over all runs and workers.
        alert_balance: a lower balance is a cause of an alert.
        alert_credits_per_day: more credits on one day are a cause of an alert.
    """

    api_key: SecretStr | None = None
    base_url: str = ""
    account: str = Field(default="default", min_length=1, max_length=80)
    requests_per_minute: int = Field(default=60, ge=1, le=100_000)
    credit_reserve: int = Field(default=0, ge=0, le=MAX_CREDITS)
    max_per_day: int | None = Field(default=None, ge=0, le=MAX_CREDITS)
    max_per_month: int | None = Field(default=None, ge=0, le=MAX_CREDITS)
    alert_balance: int | None = Field(default=None, ge=0, le=MAX_CREDITS)
    alert_credits_per_day: int | None = Field(default=None, ge=0, le=MAX_CREDITS)

    @classmethod
    def documented_names(cls) -> dict[str, str]:
        """The settings that are not named by the prefix and their field: caps belong to the connector."""
        name = cls.prefix.rstrip("_")
        return {
            "max_per_day": f"CONNECTOR_MAX_CREDITS_PER_DAY_{name}",
            "max_per_month": f"CONNECTOR_MAX_CREDITS_PER_MONTH_{name}",
            "alert_balance": f"CONNECTOR_ALERT_BALANCE_{name}",
            "alert_credits_per_day": f"CONNECTOR_ALERT_CREDITS_PER_DAY_{name}",
        }


USUAL_POLLS_S = (3.0, 5.0, 10.0, 20.0)


@dataclass(frozen=True)
class BuiltWith:
    """The dependencies of a provider besides its own settings.

    Attributes:
        connection: its rate limiter, clock and network.
        poll_schedule_s: the usual seconds between polls, for vendors that recommend no others.
        callback_url: gives the callback address for an attempt id; None if the vendor cannot reach the connector.
    """

    connection: Connection
    poll_schedule_s: tuple[float, ...] = USUAL_POLLS_S
    callback_url: Callable[[str], str] | None = None


def no_callback(_body: Mapping[str, Any]) -> CallbackParts | None:
    """Return None, for a provider that never calls back."""
    return None


@dataclass(frozen=True)
class Registration:
    """How a provider is configured and built.

    Attributes:
        name: its name in mapping files, settings and addresses; lower-case letters and digits.
        channels: the channels that it sells; mappings are checked against them before settings are read.
        keeps_records: whether the vendor's own record of a person can resolve a lost answer.
        settings: its settings class.
        build: builds the provider. Raises TypeError for settings of another class.
        identifiers: the kinds of identifiers that mapping files may name for it.
        events: the catalogue of an account, where the provider sells access to events.
        parse_callback: reads the ids from the body of a callback; None for a body of another kind.
    """

    name: str
    channels: frozenset[Channel]
    keeps_records: bool
    settings: type[ProviderSettings]
    build: Callable[[ProviderSettings, BuiltWith], Provider]
    identifiers: tuple[IdentifierKind, ...] = ()
    events: Callable[[ProviderSettings, Connection], EventCatalogue] | None = None
    parse_callback: Callable[[Mapping[str, Any]], CallbackParts | None] = field(default=no_callback)
