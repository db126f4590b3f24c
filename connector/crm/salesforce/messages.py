"""Salesforce's Outbound Messages: which records a message is about, and the answer that stops it from being sent again.

The form is Salesforce's own (docs/salesforce-triggers.md): up to 100 notifications, at least once, in any order.
Only ids are taken; values are read from Salesforce when the work is done. Entities and document types are refused.
"""

from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import ValidationError

from connector.crm.interface import Message, Notified
from connector.crm.salesforce.bodies import OutboundMessage

_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_OUT = "{http://soap.sforce.com/2005/09/outbound}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def parse(raw: bytes) -> Message | None:
    """A message; None for everything else."""
    try:
        root = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    all_found = root.findall(f"{_SOAP}Body/{_OUT}notifications")
    if root.tag != f"{_SOAP}Envelope" or len(all_found) != 1:  # what a second one held would be acknowledged unread
        return None
    try:
        found = OutboundMessage.model_validate(_members(all_found[0]))
    except ValidationError:
        return None
    return Message(found.org_id, tuple(Notified(one.id, one.object, one.record_id) for one in found.notifications))


def _members(node: Element) -> dict[str, object]:
    """The members of the model in the XML; empty where an element is missing."""
    rows = [_notification(one) for one in node.findall(f"{_OUT}Notification")]
    return {"org_id": _stripped(node.findtext(f"{_OUT}OrganizationId")), "notifications": rows}


def _notification(node: Element) -> dict[str, str]:
    record = node.find(f"{_OUT}sObject")
    ids = [] if record is None else [child.text for child in record if child.tag.rpartition("}")[2] == "Id"]
    return {
        "id": _stripped(node.findtext(f"{_OUT}Id")),
        "object": "" if record is None else record.get(_TYPE, "").rpartition(":")[2],
        "record_id": _stripped(ids[0]) if ids else "",
    }


def _stripped(text: str | None) -> str:
    return (text or "").strip()
