"""Parses phone numbers; a number is parsed once, although it is checked, formatted and compared at different times."""

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

CACHED = 4096  # the numbers between the poll that brings them and the write


def parse(number: str, region: str | None = None) -> "PhoneNumber | None":
    """Parse a number; None if it cannot be one. Callers do not change the result.

    Args:
        number: digits with separators, with or without a country code.
        region: the country of a number without `+`.
    """
    return _parse(number, None if number.startswith("+") else region)


@functools.lru_cache(CACHED)
def _parse(number: str, region: str | None) -> "PhoneNumber | None":
    import phonenumbers  # large, and needed only for values: start-up time

    try:
        return phonenumbers.parse(number, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None
