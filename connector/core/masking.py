"""Removes personal data from the text of another system, so that the rest may be shown."""

import math
import re
from collections.abc import Iterable

from connector.core.addresses import hide_passwords
from connector.core.printable import one_line

MASK = "…"
_ADDRESS = re.compile(r"[^\s<>\"'(),;]+@[^\s<>\"'(),;]+")
_NUMBER = re.compile(r"\+?\d[\d ().\-/]{4,}\d")
# For log lines, whose ids of records, runs and tasks stay: only texts that are certainly about a person, or that hold
# more of an address than its host.
_EMAIL = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"\+\d[\d ().\-/]{4,}\d")
_PATH = re.compile(r"(?P<site>\bhttps?://[^\s/?#'\"<>]+)[/?#][^\s'\"<>]*", re.IGNORECASE)
_LINKEDIN_NAME = re.compile(r"(?P<site>\blinkedin\.com/)[^\s'\"<>]+", re.IGNORECASE)
# A value this short is masked only in quotes: elsewhere it may be part of ordinary words. In Chinese or Japanese, two
# characters are a complete name.
_SHORT, _SHORT_BEYOND_ASCII = 2, 1


def mask_text(text: str, values: Iterable[object] = (), longest: int = 300) -> str:
    """The text as one line, without addresses, long numbers and the given values.

    Args:
        text: a message of the CRM or a vendor.
        values: a record's values, or the literals of a condition; may include numbers, booleans and None.
        longest: the most characters of the result.
    """
    plain = " ".join(one_line(part) for part in text.split())
    private = {" ".join(form.split()) for value in values if _is_private(value) for form in _forms(value)}
    for value in sorted(_possible(private, plain), key=len)[::-1]:
        plain = _pattern(value).sub(MASK, plain)
    for pattern in (_ADDRESS, _NUMBER):
        plain = pattern.sub(MASK, plain)
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + MASK


def redact(text: str) -> str:
    """The text of a log line, without passwords, paths of addresses, emails, phone numbers and LinkedIn names."""
    shown = hide_passwords(text)
    shown = _LINKEDIN_NAME.sub(rf"\g<site>{MASK}", _PATH.sub(rf"\g<site>/{MASK}", shown))
    for pattern in (_EMAIL, _PHONE):
        shown = pattern.sub(MASK, shown)
    return shown


def _possible(values: Iterable[str], text: str) -> list[str]:
    """The values that may be in the text: to search for one is cheap, to build its pattern is not."""
    if not text.isascii():
        return list(values)
    lower = text.lower()
    return [value for value in values if not value.isascii() or value.lower() in lower]


def _is_private(value: object) -> bool:
    return value is not None and not isinstance(value, bool) and bool(str(value).strip())


def _forms(value: object) -> set[str]:
    """The possible spellings of a value: a CRM returns 12500.0 for a number that its texts show as 12,500.00."""
    if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return {str(value)}
    if value != int(value):
        return {str(value), f"{value:,}"}
    return {f"{digits}{cents}" for digits in (str(int(value)), f"{int(value):,}") for cents in ("", ".0", ".00")}


def _pattern(value: str) -> re.Pattern[str]:
    """A pattern for a value as a separate word; in scripts without blanks, anywhere."""
    escaped = re.escape(value)
    if len(value) <= (_SHORT if value.isascii() else _SHORT_BEYOND_ASCII):
        return re.compile(rf"(?<=['\"]){escaped}(?=['\"])", re.IGNORECASE)
    start = r"(?<![a-z0-9_])" if _is_ascii_word(value[0]) else ""
    end = r"(?![a-z0-9_])" if _is_ascii_word(value[-1]) else ""
    return re.compile(start + escaped + end, re.IGNORECASE)


def _is_ascii_word(character: str) -> bool:
    return character.isascii() and character.isalnum()
