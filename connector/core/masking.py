"""Masks whatever may be personal in a text that a CRM or a person wrote, so that the rest can be shown."""

import re
from collections.abc import Iterable

from connector.core.model import FieldValue

MASK = "…"
LONGEST_SHOWN = 300  # characters
SHORTEST_MASKED = 2  # a value of one character stands in every text
_ADDRESS = re.compile(r"\S+@\S+")
_NUMBER = re.compile(r"\+?\d[\d ().-]{5,}\d")


def mask_text(text: str, values: Iterable[FieldValue] = ()) -> str:
    """The text on one line, without addresses, long numbers and the given values of a record.

    >>> mask_text("Roe may not use roe@example.com", ["Roe"])
    '… may not use …'
    """
    for value in sorted({v for v in map(_as_text, values) if len(v) >= SHORTEST_MASKED}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text, flags=re.IGNORECASE)
    for pattern in (_ADDRESS, _NUMBER):
        text = pattern.sub(MASK, text)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + MASK


def _as_text(value: FieldValue) -> str:
    return "" if value is None or isinstance(value, bool) else str(value).strip()
