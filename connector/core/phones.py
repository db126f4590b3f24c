"""Extracts a phone number from a vendor's text.

A phone library reads letters as keypad digits, so `+1 415 555 XXXX` would become a stranger's number. A text with
letters other than a label or an extension is therefore rejected. Also rejected are numbers that cannot be dialled
(placeholders, masks, too few digits), dates and IP addresses. Everything else is kept as the vendor writes it;
`core/values.py` formats it for the CRM.
"""

import re
import unicodedata
from dataclasses import dataclass

from connector.core.digits import EXACT_BELOW
from connector.core.invisible import has_control, trimmed, visible
from connector.core.phone_parsing import parse

MAX_PHONE_CHARACTERS = 64
MIN_DIGITS = 7  # a local number without its area code
MAX_DIGITS = 15  # E.164; a few more with a national prefix or `00`
_MAX_PREFIX_DIGITS = 3
_LABEL = re.compile(
    r"(?:tel|telephone|phone|mobile|cell|direct|work|office|home|main|hq|business|m|c|p|t|d|w|o)(?:\s?(?:no|number)\.?)?"
    r"\s*[.:]\s*(?://)?",
    re.IGNORECASE,
)
_NOTE = re.compile(r"\s*\((?:mobile|cell|direct|work|office|home|main|hq|business|[mcdwoh])\)$", re.IGNORECASE)
_EXTENSION = re.compile(r"[\s,;]*(?:(?:\b|(?<=\d))(?:extension|extn|ext|x)|#)\s*[.:=]?\s*(\d{1,7})#?$", re.IGNORECASE)
_CONTEXT = re.compile(r";phone-context=(\+[\d.()-]+)", re.IGNORECASE)
_PARAMETER = re.compile(r";(?!ext=)[a-z-]+=[^;]*", re.IGNORECASE)
_NUMBER = re.compile(r"\(?\+?[\d\s().\-/~]+")
_USUAL = re.compile(r"\+?[0-9(][0-9() .-]*[0-9]")  # most texts are such a number, with nothing around it
_SEPARATOR = re.compile(r"[,;|/]|\bor\b|\band\b|(?<=\d)\s*(?=\+)", re.IGNORECASE)
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
_SIGNS = {ord("\uff0b"): "+", ord("\uff08"): "(", ord("\uff09"): ")", ord("\uff0e"): ".", ord("\u2044"): "/"}
_DATE = re.compile(r"(?:19|20)\d\d([-./])\d{1,2}\1\d{1,2}|\d{1,2}([-./])\d{1,2}\2(?:19|20)\d\d")
# Four pairs of digits are not an IP address: Norwegian and Danish numbers are written like that.
_IP_ADDRESS = re.compile(r"(?!\d\d(?:\.\d\d){3}$)\d{1,3}(?:\.\d{1,3}){3}")
_COUNTING = "01234567890123456789"
_COUNTING_DOWN = _COUNTING[::-1]
_MIN_COUNTED = 7
_QUOTES = ('""', "''", "``", "<>", "[]", "\u201c\u201d", "\u2018\u2019")


@dataclass(frozen=True, slots=True)
class Dialled:
    """A number and its extension as written; `extension` is digits or empty."""

    number: str
    extension: str = ""

    def __str__(self) -> str:
        return f"{self.number} ext. {self.extension}" if self.extension else self.number


def split(text: str) -> Dialled | None:
    """Split a text into a number and its extension; None if the number contains letters or other characters."""
    found = _EXTENSION.search(text)
    number = text[: found.start()] if found is not None else text
    extension = found[1] if found is not None else ""
    return Dialled(number.strip(), extension) if _NUMBER.fullmatch(number.strip()) else None


def phone_of(raw: object) -> str | None:
    """The one phone number in a vendor's value, with its extension; None if there is none, or it is ambiguous.

    >>> phone_of("tel:+1-415-555-0123;ext=5"), phone_of("+1 415 555 XXXX")
    ('+1-415-555-0123 ext. 5', None)
    """
    if isinstance(raw, str) and len(raw) <= MAX_PHONE_CHARACTERS and _USUAL.fullmatch(raw):
        return raw if _can_be_dialled(raw) else None
    text = _text(raw)
    if text is None:
        return None
    numbers = {_digits(part): part for part in _SEPARATOR.split(text) if len(_digits(part)) >= MIN_DIGITS}
    if len(numbers) > 1:
        return None
    if sum(_digits(part) in numbers for part in _SEPARATOR.split(text)) > 1:  # one number, written twice
        text = next(iter(numbers.values())).strip()
    dialled = split(text)
    if dialled is None or not _can_be_dialled(dialled.number):
        return None
    return str(dialled) if ";" in text else text


def _text(raw: object) -> str | None:
    """The value as plain text with ASCII digits and dashes, without label, quotes and invisible characters."""
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < EXACT_BELOW:
        raw = int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw) if raw > 0 else None
    if not isinstance(raw, str) or len(raw) > MAX_PHONE_CHARACTERS:
        return None
    text = trimmed(raw)
    if has_control(text):
        return None
    text = "".join(map(_ascii_digit, visible(text))).translate(_DASHES | _SIGNS)
    for _ in range(3):
        text = text.strip().rstrip(",;.")
        if len(text) > 1 and any(text[0] == pair[0] and text[-1] == pair[1] for pair in _QUOTES):
            text = text[1:-1].strip()
        text = _NOTE.sub("", text.removeprefix("'"))
        label = _LABEL.match(text)
        text = text[label.end() :] if label is not None else text
    context = _CONTEXT.search(text)
    text = _PARAMETER.sub("", text)
    return f"{context[1]} {text}" if context is not None else text


def _ascii_digit(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _can_be_dialled(number: str) -> bool:
    digits = _digits(number)
    if _DATE.fullmatch(number.strip("()")) or _IP_ADDRESS.fullmatch(number):
        return False
    longest = MAX_DIGITS if number.startswith("+") else MAX_DIGITS + _MAX_PREFIX_DIGITS
    if not MIN_DIGITS <= len(digits) <= longest or "+" in number.lstrip("(+ "):
        return False
    return not _is_filler(digits) and (number.lstrip("( ")[0] != "+" or _is_plausible(number))


def _is_plausible(number: str) -> bool:
    """Whether an international number is complete, and not a placeholder after its country code."""
    import phonenumbers  # large, and needed only for values: start-up time

    parsed = parse(number)
    if parsed is None:
        return True  # a country that the library does not know: accepted as given
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    pieces = (phonenumbers.ValidationResult.TOO_SHORT, phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY)
    return reason not in pieces and not _is_filler(str(parsed.national_number))


def _is_filler(digits: str) -> bool:
    """Whether the digits only fill a field: one digit repeated, zeros at the end, or 1234..."""
    counted = len(digits) >= _MIN_COUNTED and (digits in _COUNTING or digits in _COUNTING_DOWN)
    return len(set(digits)) == 1 or digits.endswith("0" * _MIN_COUNTED) or counted
