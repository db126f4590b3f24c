"""Outbound Messages in Salesforce's form, and malformed ones (docs/salesforce-triggers.md)."""

from collections.abc import Sequence

from server_harness import ORG, lead

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
OUT = "http://soap.sforce.com/2005/09/outbound"
DECLARED = '<?xml version="1.0" encoding="UTF-8"?>'


def note(number: int, record_id: str | None = None, kind: str = "sf:Lead", notification_id: str | None = None) -> str:
    """One notification about the Lead with the same number."""
    notification_id = notification_id or f"04l{number:012d}AAA"
    return (
        f"<Notification><Id>{notification_id}</Id>"
        f'<sObject xsi:type="{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"<sf:Id>{record_id or lead(number)}</sf:Id><sf:Email>ada@example.com</sf:Email>"
        "</sObject></Notification>"
    )


def letter(*notes: str, org: str = ORG, out: str = OUT, soap: str = SOAP, declared: str = DECLARED) -> str:
    """A complete message."""
    return (
        f'{declared}<soapenv:Envelope xmlns:soapenv="{soap}" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f'<notifications xmlns="{out}"><OrganizationId>{org}</OrganizationId><ActionId>04k000000000001AAA</ActionId>'
        '<SessionId xsi:nil="true"/><EnterpriseUrl>https://crm.example.com/c</EnterpriseUrl>'
        f"<PartnerUrl>https://crm.example.com/u</PartnerUrl>{''.join(notes)}"
        "</notifications></soapenv:Body></soapenv:Envelope>"
    )


def letter_about(numbers: Sequence[int]) -> str:
    return letter(*(note(number) for number in numbers))


def with_type(definition: str, used: str = "") -> str:
    """A message with a document type; `used` replaces the record's id."""
    found = letter(note(1, used or lead(1)), declared="")
    return f"{DECLARED}<!DOCTYPE x [{definition}]>{found}"
