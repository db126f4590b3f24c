"""Record ids: 15 case-sensitive characters, or 18 with a checksum of which of them are capitals.

The API answers with 18, people copy 15 out of the browser's address. Both name the same record. Ids of one object grow
in the order `0-9A-Za-z`, so two neighbours may differ in case alone: a client that folds case mixes records up.
"""

import secrets

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_BODY = 12
ORGANIZATION_ID_15 = "00DSm0000000001"
"""The org of a world that must be the same at every start."""


def to_18(id_15: str) -> str:
    """The 18-character form of a 15-character id.

    Each group of five characters gives one more: bit n is set when the group's character n is a capital letter.
    """
    suffix = ""
    for start in (0, 5, 10):
        group = id_15[start : start + 5]
        suffix += _CHECK[sum(1 << place for place, char in enumerate(group) if "A" <= char <= "Z")]
    return id_15 + suffix


def new_organization_id() -> str:
    """The id of an org of its own, as every sandbox has one."""
    return to_18("00DSm" + "".join(secrets.choice(DIGITS) for _ in range(_BODY - 2)))


def has_id_shape(text: str) -> bool:
    """Whether the text has an id's length and characters; its checksum is not looked at."""
    return len(text) in (15, 18) and text.isascii() and text.isalnum()


def parse_id(text: object) -> str | None:
    """The 18-character form of either form, or None for anything that is no id."""
    if not isinstance(text, str) or not has_id_shape(text):
        return None
    full = to_18(text[:15])
    return full if text in (full, full[:15]) else None


def both_forms(record_id: str) -> frozenset[str]:
    """The 18- and the 15-character form of one id; an odd text stands for itself."""
    full = parse_id(record_id)
    return frozenset({record_id}) if full is None else frozenset({full, full[:15]})


class IdSequence:
    """Ids of one object, growing.

    Args:
        prefix: the object's three characters, such as `00Q` for Lead.
        start: the first number; the default is high enough that small letters and capitals both appear.
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
