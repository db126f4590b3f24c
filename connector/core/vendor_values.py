"""Decides whether a vendor's raw value is usable; the only place that does.

Vendors send placeholders, masked values and numbers with letters if they have no value. Accepted as values, they would
be written to the CRM and count as delivered, and no other source would be queried. States and ids are also read here:
states without case and punctuation, ids from JSON texts and numbers.
"""

import re

from connector.core.emails import email_of
from connector.core.limits import is_vendor_id, whole_of
from connector.core.model import Channel
from connector.core.phones import phone_of

MAX_WORD_CHARACTERS = 40


def value_of(channel: Channel, raw: object) -> str | None:
    """The email address or phone number in a vendor's value; None if there is no usable one."""
    return phone_of(raw) if channel is Channel.PHONE else email_of(raw)


def plain_word(value: object) -> str:
    """A state or reason in the form for comparison: without case, `-`, `_` and blanks; empty if it is not text.

    >>> plain_word("Not-Found"), plain_word("not_found")
    ('notfound', 'notfound')
    """
    return re.sub(r"[-_\s]+", "", value.casefold()) if isinstance(value, str) else ""


def shown_word(value: object) -> str:
    """An unknown state for people: letters, digits, `-`, `_` and blanks, at most 40 characters; may be empty.

    A vendor's text may contain anything, including addresses and markup. An `@` or a long run of digits ends the state.
    """
    text = value if isinstance(value, str) else ""
    if "@" in text or re.search(r"\d{5}", re.sub(r"\D", "", text)):
        return ""
    plain = re.sub(r"[^A-Za-z0-9_ -]+", "", text)
    return " ".join(plain.split())[:MAX_WORD_CHARACTERS].strip()


def id_of(value: object) -> str | None:
    """A vendor's id, unchanged, or the digits of a JSON number; None for anything else.

    Texts that exceed the limits (`core/limits.py`) are not accepted: the ledger could not store such an id.
    """
    text = value if isinstance(value, str) else _digits(value)
    return text if is_vendor_id(text) else None


def _digits(value: object) -> str:
    found = whole_of(value)
    return "" if found is None else str(found)
