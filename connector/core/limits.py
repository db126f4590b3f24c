"""The limits of values from outside: vendors, the CRM, HTTP callers, stored answers. The ledger can keep what fits.

The columns of the ledger are made for these limits on both databases (`store/tables/`). A value beyond them is no
value: in the answer to a paid request it makes the answer a lost one, in a free answer a refused one.

    whole numbers   64 bits
    credits         a balance up to 10^15 either way; one purchase, event or price up to 10^7
    vendor's ids    200 characters; of an event, 100; of a person, 300
    texts           no control characters, no half surrogate pairs, no U+FFFD (a character that was lost on the way)
"""

import hashlib

from connector.core.digits import EXACT_BELOW
from connector.core.invisible import has_control

LARGEST_WHOLE = 2**63 - 1
MAX_CREDITS = 10**15  # sums of 9,000 such numbers fit into 64 bits
MAX_PRICE_CREDITS = 10_000_000  # a hold of 100 purchases fits into 32 bits
MAX_VENDOR_ID_CHARACTERS = 200
MAX_EVENT_ID_CHARACTERS = 100
MAX_IDENTIFIER_CHARACTERS = 300
MAX_VERSION_CHARACTERS = 60
MAX_ROW_ID = 2**31 - 1  # of a row of the ledger, as operators name it
_LOST = "\ufffd"


def is_plain(text: str, longest: int) -> bool:
    """Whether a text can be kept as it is: not empty, not too long, and without characters that databases refuse."""
    if not text or len(text) > longest or _LOST in text or has_control(text):
        return False
    return not any("\ud800" <= character <= "\udfff" for character in text)


def whole_of(value: object) -> int | None:
    """A whole number of 64 bits from JSON; None for anything else, fractions included."""
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= EXACT_BELOW:  # infinite and not-a-number included
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -LARGEST_WHOLE <= value <= LARGEST_WHOLE else None


def count_of(value: object) -> int | None:
    """A whole number of 64 bits that is not negative."""
    found = whole_of(value)
    return found if found is not None and found >= 0 else None


def price_of(value: object) -> int | None:
    """What one purchase costs, or has cost."""
    found = count_of(value)
    return found if found is not None and found <= MAX_PRICE_CREDITS else None


def balance_of(value: object) -> int | None:
    """Credits of an account; fractions are left out, and an overdrawn account is below zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= MAX_CREDITS else None  # of what is no number, nothing is smaller


def is_vendor_id(text: str) -> bool:
    """Whether a text can be a vendor's handle of a task or a lookup."""
    return is_plain(text, MAX_VENDOR_ID_CHARACTERS)


def is_event_id(text: str) -> bool:
    """Whether a text can be the id of an event."""
    return is_plain(text, MAX_EVENT_ID_CHARACTERS)


def is_identifier(text: str) -> bool:
    """Whether a text can be the value of an identifier of a person."""
    return is_plain(text, MAX_IDENTIFIER_CHARACTERS)


def version_of(value: object) -> str:
    """The version of a CRM row; one that cannot be kept is replaced by its digest, which changes with it."""
    text = str(value)
    if is_plain(text, MAX_VERSION_CHARACTERS) or not text:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:MAX_VERSION_CHARACTERS]
