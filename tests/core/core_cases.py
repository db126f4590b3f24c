"""Mappings, records and ledger facts for the tables of `tests/core`: small, complete and without mocks."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from connector.app.mappings import CATALOG
from connector.core.identifiers import LINKEDIN
from connector.core.mapping import MappingFile
from connector.core.mapping_channels import ChannelMapping
from connector.core.model import (
    Channel,
    CrmRecord,
    FieldChange,
    FieldValue,
    Identifier,
    Prices,
    Purchase,
    PurchaseKey,
    Result,
)
from connector.core.person import Source
from connector.core.states import PurchaseState
from connector.providers.lensmor.identifiers import EVENT_ID, PERSONNEL_ID

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
WRITTEN_NOW = "2026-11-20T10:00:00.000+0000"  # in a CRM's format
LEAD_ID = "00QSY00000000012AA"
LENSMOR = Source(
    "lensmor",
    "default",
    Prices({Channel.WORK_EMAIL: 15, Channel.PHONE: 150}),
    (PERSONNEL_ID,),
    (LINKEDIN,),
    EVENT_ID,
)
SALESFINITY = Source("salesfinity", "default", Prices({Channel.WORK_EMAIL: 1, Channel.PERSONAL_EMAIL: 1}), (LINKEDIN,))
SOURCES = {"lensmor": LENSMOR, "salesfinity": SALESFINITY}

_PLAIN: dict[str, object] = {
    "version": 1,
    "name": "lead",
    "object": "Lead",
    "select": {"flag": "Ask__c"},
    "person": {"personnel_id": "Pid__c", "event_id": "Event__c", "linkedin_url": "Url__c"},
    "channels": {
        "work_email": {
            "from": ["lensmor", "salesfinity"],
            "field": "Email",
            "empty_when": "Bounced__c",
            "status": "Email_Status__c",
            "opt_out": "NoEmail__c",
        },
        "phone": {"from": ["lensmor"], "field": "MobilePhone", "status": "Phone_Status__c", "opt_out": "DoNotCall"},
    },
    "stamp": {"enriched_at": "At__c", "source": "Source__c", "error": "Error__c", "personnel_id": "Pid__c"},
    "limits": {"refresh_after": "180d", "retry_not_found_after": "30d"},
}


def mapping_of(
    work_email: Mapping[str, object] | None = None, phone: Mapping[str, object] | None = None, **parts: object
) -> MappingFile:
    """A Lead mapping with some keys of its channels, or whole sections, replaced."""
    data = {**_PLAIN, **parts}
    channels = data["channels"]
    assert isinstance(channels, dict)
    if work_email is not None:
        channels = {**channels, "work_email": {**channels["work_email"], **work_email}}
    if phone is not None:
        channels = {**channels, "phone": {**channels["phone"], **phone}}
    return CATALOG.model.model_validate({**data, "channels": channels})


def rules_of(mapping: MappingFile, channel: Channel = Channel.WORK_EMAIL) -> ChannelMapping:
    """The rules of one channel, which must be mapped."""
    rules = mapping.channels.get(channel)
    assert rules is not None
    return rules


def record_of(**values: FieldValue) -> CrmRecord:
    """A flagged Lead."""
    return CrmRecord(LEAD_ID, "v1", {"Ask__c": True, **values})


def changed(record: CrmRecord, changes: tuple[FieldChange, ...]) -> CrmRecord:
    """The record after a change."""
    return CrmRecord(record.id, record.version + "+", {**record.values, **{c.field: c.after for c in changes}})


def purchase_of(
    source: Source = LENSMOR,
    state: PurchaseState = PurchaseState.FINAL,
    result: Result | None = None,
    age: timedelta = timedelta(),
    person: str = "70011",
    channel: Channel = Channel.WORK_EMAIL,
    reason: str = "",
    repeat_allowed: bool = False,
) -> Purchase:
    """A purchase of the person; if it is final, it has been so for `age`."""
    return Purchase(
        id=7,
        key=PurchaseKey(source.name, source.account, channel, Identifier(source.accepts[0].name, person)),
        generation=1,
        state=state,
        result=result,
        final_at=NOW - age if state is PurchaseState.FINAL else None,
        reason=reason,
        repeat_allowed=repeat_allowed,
    )
