"""The CRMs that the connector knows: what is needed of each before a connection to it exists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.core.id_file import IdFile
from connector.crm import salesforce
from connector.crm.interface import InboundRoute
from connector.crm.salesforce.ids import SalesforceIds
from connector.crm.salesforce.messages import OUTBOUND_MESSAGES


class RecordIds(Protocol):
    """How a CRM names its records.

    Attributes:
        example: what an id looks like, for messages.
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
class CrmEntry:
    """One CRM.

    Attributes:
        name: as mapping files call it.
        label: as people call it.
        ids: of its records.
        inbound: the route that its automation calls, if it has one of its own.
    """

    name: str
    label: str
    ids: RecordIds
    inbound: InboundRoute | None = None


CRMS: Mapping[str, CrmEntry] = {
    salesforce.NAME: CrmEntry(salesforce.NAME, salesforce.LABEL, SalesforceIds(), OUTBOUND_MESSAGES),
}
