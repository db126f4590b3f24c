"""Reads ids of decimal digits from CRM fields and vendors' JSON, where they are text, whole numbers or floats.

A number field contains `62992312.0`, a spreadsheet adds an apostrophe in front. Both are read as the intended digits.
A value that may have lost digits (`6.3E+07`, a float beyond 2^53) could name another person and is refused.
"""

import re
from dataclasses import dataclass

from connector.core.invisible import has_control, trimmed, visible

MAX_ID_DIGITS = 20
EXACT_BELOW = 2**53  # from here on, one float stands for several whole numbers
_PLAIN = re.compile(r"([0-9]+)(?:\.0+)?")
_EXPONENT = re.compile(r"([0-9])(?:\.([0-9]+))?[eE]\+?([0-9]{1,2})")
_REPEATED = re.compile(r"([0-9])\1{6,}")  # 9999999: typed to fill a required field
_COUNTED = frozenset({"12345678", "123456789", "1234567890"})


@dataclass(frozen=True, slots=True)
class NotDigits:
    """The value is not an id.

    Attributes:
        reason: a text to follow "the field is not an id:".
    """

    reason: str


def digits_of(value: object) -> str | NotDigits:
    """Read the digits of an id, without leading zeros, so that one person has one spelling.

    >>> digits_of(62992312.0), digits_of("'62992312"), digits_of("0062992312")
    ('62992312', '62992312', '62992312')
    """
    found = _from_number(value) if isinstance(value, int | float) else _from_text(value)
    if isinstance(found, NotDigits):
        return found
    digits = found.lstrip("0")
    if not digits:
        return NotDigits("0 is a placeholder")
    if len(digits) > MAX_ID_DIGITS:
        return NotDigits(f"it has more than {MAX_ID_DIGITS} digits")
    return digits


def is_filler(digits: str) -> bool:
    """Whether the digits only fill a required field: seven or more of the same digit, or 1234..."""
    return _REPEATED.fullmatch(digits) is not None or digits in _COUNTED


def _from_number(value: float) -> str | NotDigits:
    if isinstance(value, bool):
        return NotDigits("it must be digits only")
    if isinstance(value, float):
        if not value.is_integer():  # infinite and not-a-number included
            return NotDigits("it must be digits only, without a fraction")
        if abs(value) >= EXACT_BELOW:
            return NotDigits("the number is too large to be exact; use a text field")
    return str(int(value)) if value >= 0 else NotDigits("it must be digits only")


def _from_text(value: object) -> str | NotDigits:
    text = value if isinstance(value, str) else ""
    if text.isascii() and text.isdigit():
        return text
    text = trimmed(text)
    if has_control(text):
        return NotDigits("it holds a tab, a line break or another control character; two entries may have been joined")
    text = visible(text).removeprefix("'").strip()
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        return plain[1]
    exponent = _EXPONENT.fullmatch(text)
    if exponent is not None:
        return _exact(exponent[1], exponent[2] or "", int(exponent[3]))
    return NotDigits("it must be digits only")


def _exact(first: str, rest: str, power: int) -> str | NotDigits:
    """Read a number in scientific notation: `6.2992312E7` has every digit, `6.3E7` may be rounded and is refused."""
    if len(rest.rstrip("0")) > power:
        return NotDigits("it must be digits only, without a fraction")
    if len(rest) < power:
        return NotDigits("it is a rounded number, so digits may be missing; use a text field")
    return first + rest[:power]
