"""The route for Outbound Messages. Their reader, with an XML library, is loaded when the first message arrives."""

from connector.crm.interface import InboundRoute, Message

MOST_BYTES = 1024 * 1024
ACK = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    "</soapenv:Body></soapenv:Envelope>"
)


def _parse(raw: bytes) -> Message | None:
    from connector.crm.salesforce.messages import parse

    return parse(raw)


OUTBOUND_MESSAGES = InboundRoute(
    path="/v1/salesforce/outbound-messages/{secret}",
    message_name="Outbound Message",
    media_types=frozenset({"text/xml", "application/xml"}),
    most_bytes=MOST_BYTES,
    parse=_parse,
    acknowledgement=(ACK, "text/xml"),
)
