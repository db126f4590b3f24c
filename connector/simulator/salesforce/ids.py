"""Record ids: 15 case-sensitive characters, or 18 with a checksum of the capitals.

The API returns 18 characters, the browser's address has 15. Both name the same record. Ids of one object increase in
the order `0-9A-Za-z`, so consecutive ids may differ only in case: a client that ignores case confuses records.
"""

import secrets

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_BODY = 12
ORGANIZATION_ID_15 = "00DSm0000000001"
"""The org id of a world that must be the same at every start."""


def to_18(id_15: str) -> str:
    """The 18-character form of a 15-character id.

    Each group of five characters adds one: its bit n is set if the group's character n is a capital letter.
    """
    suffix = ""
    for start in (0, 5, 10):
        group = id_15[start : start + 5]
        suffix += _CHECK[sum(1 << place for place, char in enumerate(group) if "A" <= char <= "Z")]
    return id_15 + suffix


def new_organization_id() -> str:
    """A random org id, as every sandbox has its own."""
    return to_18("00DSm" + "".join(secrets.choice(DIGITS) for _ in range(_BODY - 2)))


def has_id_shape(text: str) -> bool:
    """Whether the text has an id's length and characters; the checksum is not verified."""
    return len(text) in (15, 18) and text.isascii() and text.isalnum()


def parse_id(text: object) -> str | None:
    """The 18-character form of an id in either form; None for anything else."""
    if not isinstance(text, str) or not has_id_shape(text):
        return None
    full = to_18(text[:15])
    return full if text in (full, full[:15]) else None


def both_forms(record_id: str) -> frozenset[str]:
    """The 18- and the 15-character form of an id; any other text is returned unchanged."""
    full = parse_id(record_id)
    return frozenset({record_id}) if full is None else frozenset({full, full[:15]})


class IdSequence:
    """Generates increasing ids of one object.

    Args:
        prefix: the object's three characters, such as `00Q` for Lead.
        start: the first number; the default is high enough for both small letters and capitals.
    """

    def __init__(self, prefix: str, start: int = 14_776_336) -> None:
        self._prefix = prefix
        self._next = start

    def take(self) -> str:
        """The next id, in its 18-character form."""
        number, digits = self._next, ""
        self._next += 1
        while number:
            number, digit = divmod(number, len(DIGITS))
            digits = DIGITS[digit] + digits
        return to_18(self._prefix + "Sm" + digits.rjust(_BODY - 2, "0"))
