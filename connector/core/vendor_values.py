"""A vendor's raw value as a usable one, or none: the one place that decides whether an answer brought anything.

Vendors send placeholders, masked values and numbers with letters where they have nothing. Taken for values they would
be written to the CRM and count as delivered, and no other source would be queried. The words and ids of an answer are
read here as well: without case and punctuation, from JSON texts and numbers.
"""

import re

from connector.core.digits import EXACT_BELOW
from connector.core.emails import email_of
from connector.core.invisible import has_control
from connector.core.model import Channel
from connector.core.phones import phone_of

MAX_ID_CHARACTERS = 200
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

    Control characters and endless texts are no ids: kept as a handle, such an id could never be asked for again.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= EXACT_BELOW:
            return None
        value = int(value)
    if not isinstance(value, str | int):
        return None
    text = str(value)
    return text if text and len(text) <= MAX_ID_CHARACTERS and not has_control(text) else None
