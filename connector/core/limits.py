"""Limits for values from vendors, the CRM, HTTP callers and stored answers.

The columns of the ledger hold values within these limits on both databases (`store/tables/`). A value that exceeds
them is treated as absent: it makes the answer to a paid request a lost answer, and the answer to a free one a refusal.

    whole numbers   64 bits
    credits         a balance up to 10^15, positive or negative; one purchase, event or price up to 10^7
    vendor's ids    200 characters; of an event, 100; of a person, 300
    texts           no control characters, no lone surrogates, no U+FFFD (a character that was lost in transit)
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
MAX_ROW_ID = 2**31 - 1  # of a row of the ledger, in an operator's command
_LOST = "\ufffd"


def is_plain(text: str, longest: int) -> bool:
    """Whether a text can be stored unchanged: not empty, not too long, and without characters that databases refuse."""
    if not text or len(text) > longest or _LOST in text or has_control(text):
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def whole_of(value: object) -> int | None:
    """Read a whole number of 64 bits from JSON; None for anything else, including fractions."""
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= EXACT_BELOW:  # infinite and not-a-number included
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -LARGEST_WHOLE <= value <= LARGEST_WHOLE else None


def count_of(value: object) -> int | None:
    """Read a non-negative whole number of 64 bits; None for anything else."""
    found = whole_of(value)
    return found if found is not None and found >= 0 else None


def price_of(value: object) -> int | None:
    """Read the price of one purchase, in credits; None for anything else."""
    found = count_of(value)
    return found if found is not None and found <= MAX_PRICE_CREDITS else None


def balance_of(value: object) -> int | None:
    """Read the balance of an account, in credits; fractions are dropped, an overdrawn account is negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= MAX_CREDITS else None  # false for not-a-number


def is_vendor_id(text: str) -> bool:
    """Whether a text can be a vendor's id of a task or a lookup."""
    return is_plain(text, MAX_VENDOR_ID_CHARACTERS)


def is_event_id(text: str) -> bool:
    """Whether a text can be the id of an event."""
    return is_plain(text, MAX_EVENT_ID_CHARACTERS)


def is_identifier(text: str) -> bool:
    """Whether a text can be the value of an identifier of a person."""
    return is_plain(text, MAX_IDENTIFIER_CHARACTERS)


def version_of(value: object) -> str:
    """The version of a CRM row; one that cannot be stored is replaced by its digest."""
    text = str(value)
    if is_plain(text, MAX_VERSION_CHARACTERS) or not text:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:MAX_VERSION_CHARACTERS]
