"""Lensmor's settings and registration. The provider, with its HTTP library, is loaded when it is first built."""

from typing import ClassVar

from pydantic import Field

from connector.core.identifiers import LINKEDIN
from connector.core.limits import MAX_PRICE_CREDITS
from connector.core.model import Channel
from connector.providers.connection import Connection
from connector.providers.events import EventCatalogue
from connector.providers.interface import Provider
from connector.providers.lensmor.identifiers import EVENT_ID, PERSONNEL_ID
from connector.providers.registration import BuiltWith, ProviderSettings, Registration

NAME = "lensmor"
CHANNELS = frozenset({Channel.WORK_EMAIL, Channel.PHONE})


class LensmorSettings(ProviderSettings):
    """`LENSMOR_*` and the account's caps."""

    prefix: ClassVar[str] = "LENSMOR_"

    base_url: str = "https://platform.lensmor.com"
    email_credits: int = Field(default=15, ge=0, le=MAX_PRICE_CREDITS)
    phone_credits: int = Field(default=150, ge=0, le=MAX_PRICE_CREDITS)


def _build(settings: ProviderSettings, built_with: BuiltWith) -> Provider:
    from connector.providers.lensmor.provider import Lensmor, connect

    if not isinstance(settings, LensmorSettings):
        raise TypeError("Lensmor is built from LensmorSettings")
    return Lensmor(connect(settings, built_with.connection), settings, built_with.poll_schedule_s)


def _events(settings: ProviderSettings, connection: Connection) -> EventCatalogue:
    from connector.providers.lensmor.events import LensmorEvents
    from connector.providers.lensmor.provider import connect

    return LensmorEvents(connect(settings, connection))


REGISTRATION = Registration(
    name=NAME,
    channels=CHANNELS,
    keeps_records=True,
    settings=LensmorSettings,
    build=_build,
    identifiers=(PERSONNEL_ID, EVENT_ID, LINKEDIN),
    events=_events,
)
