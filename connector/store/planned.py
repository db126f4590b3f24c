"""A page of records as it was decided, before it is kept in the ledger."""

from dataclasses import dataclass

from connector.core.model import Channel, Person
from connector.core.plan import Decision


@dataclass(frozen=True, slots=True)
class PlannedWant:
    """The decision for one channel, and the keyed hash of its field as it is now."""

    channel: Channel
    decision: Decision
    baseline: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """A record as it was read, and what to do for it."""

    crm_id: str
    person: Person
    wants: tuple[PlannedWant, ...]
    resolved: str | None = None  # a personnel id that is not on the record yet
    version: str = ""  # the CRM's, as it was read
