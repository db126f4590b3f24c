"""A vendor's raw value as a usable one, or none: the one place that decides whether an answer brought anything.

Vendors send placeholders, masked values and numbers with letters where they have nothing. Taken for values they would
be written to the CRM and count as delivered, and no other source would be queried. The words and ids of an answer are
read here as well: without case and punctuation, from JSON texts and numbers.
"""

import re

from connector.core.emails import email_of
from connector.core.limits import is_vendor_id, whole_of
from connector.core.model import Channel
from connector.core.phones import phone_of

MAX_WORD_CHARACTERS = 40
NOT_A_WORD = ""  # a state that is no text at all


def value_of(channel: Channel, raw: object) -> str | None:
    """The email address or phone number in a vendor's value, ready for the CRM; None where there is none."""
    return phone_of(raw) if channel is Channel.PHONE else email_of(raw)


def plain_word(value: object) -> str:
    """A state or reason in the form in which words are compared: without case, `-`, `_` and blanks; empty if no text.

    >>> plain_word("Not-Found"), plain_word("not_found")
    ('notfound', 'notfound')
    """
    return re.sub(r"[-_\s]+", "", value.casefold()) if isinstance(value, str) else ""


def shown_word(value: object) -> str:
    """An unknown word for people: letters, digits, `-`, `_` and blanks, at most 40 characters; empty if none are left.

    Text from a vendor may hold anything, addresses and markup included; an `@` or a long digit run ends the word.
    """
    text = value if isinstance(value, str) else ""
    if "@" in text or re.search(r"\d{5}", re.sub(r"\D", "", text)):
        return ""
    plain = re.sub(r"[^A-Za-z0-9_ -]+", "", text)
    return " ".join(plain.split())[:MAX_WORD_CHARACTERS].strip()


def id_of(value: object) -> str | None:
    """A vendor's id, exactly as sent; a JSON number in its digits. None for anything that cannot be one.

    Texts beyond the limits (`core/limits.py`) are no ids: kept as a handle, such an id could never be asked for again.
    """
    text = value if isinstance(value, str) else _digits(value)
    return text if is_vendor_id(text) else None


def _digits(value: object) -> str:
    found = whole_of(value)
    return "" if found is None else str(found)
