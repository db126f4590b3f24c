"""Salesforce's Outbound Messages: which records a message is about, and the answer that stops it from being sent again.

The form is Salesforce's own (docs/salesforce.md, Triggering): up to 100 notifications, at least once, in any order.
Only ids are taken; values are read from Salesforce when the work is done. Entities and document types are refused.
"""

from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connector.crm.interface import InboundRoute, Message, Notified

_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_OUT = "{http://soap.sforce.com/2005/09/outbound}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
MOST_NOTIFICATIONS = 100
MOST_BYTES = 1024 * 1024
ACK = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    "</soapenv:Body></soapenv:Envelope>"
)


def parse(raw: bytes) -> Message | None:
    """A message; None for everything else."""
    try:
        root = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    all_found = root.findall(f"{_SOAP}Body/{_OUT}notifications")
    if root.tag != f"{_SOAP}Envelope" or len(all_found) != 1:  # what a second one held would be acknowledged unread
        return None
    (found,) = all_found
    org_id = (found.findtext(f"{_OUT}OrganizationId") or "").strip()
    rows = [_notified(one) for one in found.findall(f"{_OUT}Notification")]
    notified = tuple(row for row in rows if row is not None)
    if not org_id or not rows or len(rows) > MOST_NOTIFICATIONS or len(notified) < len(rows):
        return None
    return Message(org_id, notified)


def _notified(node: Element) -> Notified | None:
    notification_id = (node.findtext(f"{_OUT}Id") or "").strip()
    record = node.find(f"{_OUT}sObject")
    if record is None or not notification_id.isalnum() or len(notification_id) not in {15, 18}:
        return None
    object_name = record.get(_TYPE, "").rpartition(":")[2]
    ids = [child.text for child in record if child.tag.rpartition("}")[2] == "Id"]
    record_id = (ids[0] or "").strip() if ids else ""
    return Notified(notification_id, object_name, record_id) if object_name and record_id else None


OUTBOUND_MESSAGES = InboundRoute(
    path="/v1/salesforce/outbound-messages/{secret}",
    message_name="Outbound Message",
    media_types=frozenset({"text/xml", "application/xml"}),
    most_bytes=MOST_BYTES,
    parse=parse,
    acknowledgement=(ACK, "text/xml"),
)
