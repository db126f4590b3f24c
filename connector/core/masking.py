"""Takes personal data out of text that another system wrote, so that a person may read the rest."""

import re
from collections.abc import Iterable

MASK = "…"
_ADDRESS = re.compile(r"[^\s<>\"'(),;]+@[^\s<>\"'(),;]+")
_NUMBER = re.compile(r"\+?\d[\d ().\-/]{4,}\d")
_SHORT = 2  # a value of one or two characters is masked in quotes only: elsewhere it is part of ordinary words


def mask_text(text: str, values: Iterable[object] = (), longest: int = 300) -> str:
    """The text in one line, without addresses, long numbers and the given values.

    Args:
        text: of the CRM or a vendor.
        values: a record's own values, or the literals of a condition; numbers, booleans and None may be among them.
        longest: the result is cut to so many characters.
    """
    plain = " ".join(text.split())
    for value in sorted({" ".join(str(value).split()) for value in values if _is_private(value)}, key=len)[::-1]:
        plain = _pattern(value).sub(MASK, plain)
    for pattern in (_ADDRESS, _NUMBER):
        plain = pattern.sub(MASK, plain)
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + MASK


def _is_private(value: object) -> bool:
    return value is not None and not isinstance(value, bool) and bool(str(value).strip())


def _pattern(value: str) -> re.Pattern[str]:
    escaped = re.escape(value)
    if len(value) <= _SHORT:
        return re.compile(rf"(?<=['\"]){escaped}(?=['\"])", re.IGNORECASE)
    start = r"(?<!\w)" if value[0].isalnum() else ""
    end = r"(?!\w)" if value[-1].isalnum() else ""
    return re.compile(start + escaped + end, re.IGNORECASE)
