"""How values are compared and written: as the CRM stores them, so that a difference is a real one."""

from datetime import UTC, datetime

import phonenumbers

from connector.core.mapping import ChannelMapping, PhoneChannel, PhoneFormat
from connector.core.model import FieldValue
from connector.core.phones import Dialled, split

_FORMATS = {
    PhoneFormat.E164: phonenumbers.PhoneNumberFormat.E164,
    PhoneFormat.INTERNATIONAL: phonenumbers.PhoneNumberFormat.INTERNATIONAL,
}


def stored_form(value: FieldValue, *, is_email: bool = False) -> FieldValue:
    """The value as Salesforce keeps it: trimmed, emails lower-cased, an empty text as None.

    Source: help.salesforce.com 000384328 (emails), practice (trimming), seen November 2026.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    return (text.lower() if is_email else text) or None


def same(left: FieldValue, right: FieldValue, *, is_email: bool = False) -> bool:
    """Whether writing one over the other would change nothing; an unticked box and an unset one are the same."""
    a, b = stored_form(left, is_email=is_email), stored_form(right, is_email=is_email)
    return a == b or (a in (None, False) and b in (None, False))


def outgoing(value: str, channel: ChannelMapping) -> str:
    """A vendor's value in the form in which the mapping wants it written."""
    if isinstance(channel, PhoneChannel):
        return format_phone(value.strip(), channel.format, channel.default_region)
    return value.strip().lower()


def format_phone(number: str, form: PhoneFormat, region: str | None) -> str:
    """The number in the wanted form, an extension behind it; one that cannot be read comes back as given.

    So does one with letters, which the library would turn into digits, and a local number, whose area it would leave
    out: both would be other numbers.
    """
    dialled = split(number)
    if form is PhoneFormat.AS_GIVEN or dialled is None:
        return number
    try:
        parsed = phonenumbers.parse(dialled.number, region)
    except phonenumbers.NumberParseException:
        return number
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return number
    return str(Dialled(phonenumbers.format_number(parsed, _FORMATS[form]), dialled.extension))


def crm_time(moment: datetime) -> str:
    """A time as Salesforce writes it, in whole seconds of UTC: `2026-11-20T10:00:00.000+0000`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
