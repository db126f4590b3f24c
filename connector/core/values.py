"""Compares and formats values in the form that the CRM stores, so that every difference is a real one."""

from connector.core.mapping_channels import ChannelMapping, PhoneChannel
from connector.core.model import FieldValue


def stored_form(value: FieldValue, *, is_email: bool = False) -> FieldValue:
    """The value in the form that CRMs store: trimmed, emails in lower case, an empty text as None.

    Sources, seen November 2026: docs/salesforce.md, "How values are stored".
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    return (text.lower() if is_email else text) or None


def same(left: FieldValue, right: FieldValue, *, is_email: bool = False) -> bool:
    """Whether two values are equal once stored; an unticked checkbox equals an unset one."""
    if left == right:
        return True
    a, b = stored_form(left, is_email=is_email), stored_form(right, is_email=is_email)
    return a == b or (a in (None, False) and b in (None, False))


def outgoing(value: str, channel: ChannelMapping) -> str:
    """A vendor's value in the mapping's format."""
    if isinstance(channel, PhoneChannel):
        from connector.core.phone_format import format_phone

        return format_phone(value.strip(), channel.format, channel.default_region)
    return value.strip().lower()
