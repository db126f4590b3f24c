"""Salesfinity's settings and registration. The provider, with its HTTP library, is loaded when it is first built."""

from collections.abc import Mapping
from typing import Any, ClassVar

from connector.core.identifiers import LINKEDIN
from connector.core.model import Channel
from connector.providers.interface import CallbackParts, Provider
from connector.providers.registration import BuiltWith, ProviderSettings, Registration

NAME = "salesfinity"
CHANNELS = frozenset({Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL})


class SalesfinitySettings(ProviderSettings):
    """`SALESFINITY_*` and the account's caps."""

    prefix: ClassVar[str] = "SALESFINITY_"

    base_url: str = "https://client-api.salesfinity.co"


def _build(settings: ProviderSettings, built_with: BuiltWith) -> Provider:
    from connector.providers.salesfinity.provider import Salesfinity, connect

    if not isinstance(settings, SalesfinitySettings):
        raise TypeError("Salesfinity is built from SalesfinitySettings")
    return Salesfinity(connect(settings, built_with.connection), settings, built_with.callback_url)


def _parse_callback(body: Mapping[str, Any]) -> CallbackParts | None:
    from connector.providers.salesfinity.provider import parse_callback

    return parse_callback(body)


REGISTRATION = Registration(
    name=NAME,
    channels=CHANNELS,
    keeps_records=False,
    settings=SalesfinitySettings,
    build=_build,
    identifiers=(LINKEDIN,),
    parse_callback=_parse_callback,
)
