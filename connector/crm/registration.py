"""What a CRM's folder gives the connector: its settings, its ids, its inbound route, and how it is connected."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from connector.core.id_file import IdFile
from connector.core.setting_group import SettingGroup
from connector.crm.interface import Crm, InboundRoute
from connector.crm.starting import Starter
from connector.net import NetworkSettings


class RecordIds(Protocol):
    """How a CRM names its records.

    Attributes:
        example: an id, for messages.
    """

    example: str

    def full(self, text: str) -> str | None:
        """The id in its full form; None for a text that is no id."""

    def prefix_of(self, object_name: str) -> str | None:
        """The characters with which every id of an object begins; None where they are not known."""

    def spellings(self, record_id: str) -> set[str]:
        """Every form in which an id may be written down; a text that is no id stands for itself."""

    def parse_file(self, raw: bytes, objects: Sequence[str]) -> IdFile:
        """The ids of these objects in a file.

        Raises:
            IdFileError: it has no ids that can be used.
        """


@dataclass(frozen=True, slots=True)
class InboundAccess:
    """What a caller of the CRM's inbound route must show.

    Attributes:
        secret: the part of the path that only the CRM knows.
        org_id: the one org whose messages are accepted.
    """

    secret: str
    org_id: str


class CrmSettings(SettingGroup):
    """One CRM's settings. An adapter derives its own class.

    Attributes:
        api_reserve_percent: the share of the org's daily quota of requests that the connector never uses.
    """

    api_reserve_percent: int = Field(default=20, ge=0, le=99)

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the org is reached; empty while it is not set."""

    def addresses(self) -> Mapping[str, str]:
        """By documented name, every setting that must be a web address."""
        return {}

    @abstractmethod
    def missing(self) -> str | None:
        """The settings without which no login is possible, in words; None when nothing is missing."""

    def record_url(self, record_id: str) -> str:  # noqa: ARG002 a CRM may have no such address
        """The address of a record's page for people; empty if it is unknown."""
        return ""

    def inbound_access(self) -> InboundAccess | None:
        """What callers of the inbound route must show; None closes the route.

        Raises:
            ConfigurationError: its settings are incomplete or wrong.
        """
        return None


@dataclass(frozen=True)
class CrmConnection:
    """What a connection to a CRM uses of the application.

    Attributes:
        sleep: waits a number of seconds (scaled in rehearsals).
        explain: gets the seconds and the reason of each wait between tries.
        network: proxies and trusted certificates.
    """

    sleep: Callable[[float], None]
    explain: Callable[[float, str], None]
    network: NetworkSettings | None = None


@dataclass(frozen=True)
class CrmRegistration:
    """One CRM.

    Attributes:
        name: as mapping files call it.
        label: as people call it.
        ids: of its records.
        settings: its settings class.
        connect: the adapter, from its settings and the rest; nothing is sent yet. Raises TypeError for settings of
            another class.
        inbound: the route that its automation calls, if it has one of its own.
        starter: gives the first steps; None if `connector init` cannot begin with this CRM.
    """

    name: str
    label: str
    ids: RecordIds
    settings: type[CrmSettings]
    connect: Callable[[CrmSettings, CrmConnection], Crm]
    inbound: InboundRoute | None = None
    starter: Callable[[], Starter] | None = None
