"""Durations in the notation of mapping files, and in words."""

from datetime import timedelta

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: object) -> timedelta:
    """Read `30m`, `12h` or `180d`.

    Raises:
        ValueError: the value has another form.
    """
    if isinstance(value, timedelta):
        return value
    text = value if isinstance(value, str) else ""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdecimal()) or len(text) > 6:
        raise ValueError("write a whole number and m, h or d, such as 30m, 12h or 180d")
    return timedelta(**{_UNITS[unit]: int(number)})


def write_duration(value: timedelta) -> str:
    """Write a duration in the shortest form that `parse_duration` accepts."""
    minutes = int(value.total_seconds() // 60)
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes and minutes % size == 0:
            return f"{minutes // size}{unit}"
    return f"{minutes}m"


def duration_in_words(value: timedelta) -> str:
    """Write a duration for people, such as `180 days`, `12 hours` or `30 minutes`."""
    short = write_duration(value)
    return f"{short[:-1]} {_UNITS[short[-1]]}"
