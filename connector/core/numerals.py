"""Reads numbers that people type into settings and mapping files.

Only ASCII digits are accepted. Any other spelling is refused with a hint, because a misread number costs money.
"""

import re

_SEPARATED = re.compile(r"[+-]?[0-9]{1,3}(?:[,_'’ \u00a0\u202f][0-9]{3})+")
_DOTTED = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+")
_SHORTENED = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?\s*[kKmM]")
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,9})?")


def whole_number(text: str, example: int = 3000) -> int:
    """Read a whole number.

    Args:
        text: the number as typed.
        example: a valid number, for the message.

    Raises:
        ValueError: the text is not a whole number. The message has the spelling to use, and of the text only digits.
    """
    plain = text.strip()
    if _WHOLE.fullmatch(plain):
        return int(plain)
    raise ValueError(misspelt(plain) or f"must be a whole number, such as {example}")


def decimal_number(text: str, example: float = 900) -> float:
    """Read a number that may have decimals after a point.

    Args:
        text: the number as typed.
        example: a valid number, for the message.

    Raises:
        ValueError: the text is not a number; the message has the spelling to use.
    """
    plain = text.strip()
    if _DECIMAL.fullmatch(plain):
        return float(plain)
    if _SEPARATED.fullmatch(plain) or _SHORTENED.fullmatch(plain):
        raise ValueError(str(misspelt(plain)))
    raise ValueError(f"must be a number, such as {example:g} or 0.5")


def misspelt(text: str) -> str | None:
    """A hint for a whole number in another spelling; None if the text is not one."""
    if _SEPARATED.fullmatch(text):
        return f"write {re.sub('[^0-9+-]', '', text)}, without separators"
    if _DOTTED.fullmatch(text):
        return f"write {text.replace('.', '')}, without separators (or without decimals, if the point begins them)"
    if _SHORTENED.fullmatch(text):
        return "write the whole number out, such as 50000"
    if _DECIMAL.fullmatch(text):
        return "must be a whole number, without decimals"
    return None
