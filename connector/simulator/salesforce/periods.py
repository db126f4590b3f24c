"""The date literals of SOQL, such as TODAY, LAST_N_DAYS:7 and THIS_MONTH, as ranges of days.

A literal is a range: `=` tests whether a time is in it, `<` whether it is before it, `>` whether it is after it. Days
start at midnight in the user's time zone, which in the simulated org is UTC; weeks start on Sunday, as in the US
locale. `LAST_N_DAYS:n` starts n days ago and includes today, contrary to its documentation
(salesforce.stackexchange.com/q/190643). Source: SOQL Reference, "Date Formats and Date Literals". Fiscal periods are
not supported.
"""

import re
from datetime import UTC, date, datetime, timedelta

_COUNTED = re.compile(r"(LAST|NEXT)_N_(DAYS|WEEKS|MONTHS|QUARTERS|YEARS):(\d+)")
_AGO = re.compile(r"N_(DAYS|WEEKS|MONTHS|QUARTERS|YEARS)_AGO:(\d+)")
_PLAIN = re.compile(r"(LAST|THIS|NEXT)_(WEEK|MONTH|QUARTER|YEAR)")
_DAYS = {"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}
_STEPS = {"LAST": -1, "THIS": 0, "NEXT": 1}


def period(word: str, now: float) -> tuple[date, date] | None:
    """The first day of a date literal's range, and the first day after it; None if the word is not a date literal.

    Args:
        word: the literal in capitals.
        now: Unix seconds.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    word = {"LAST_90_DAYS": "LAST_N_DAYS:90", "NEXT_90_DAYS": "NEXT_N_DAYS:90"}.get(word, word)
    if word in _DAYS:
        return _span("DAY", today, _DAYS[word], 1)
    if match := _PLAIN.fullmatch(word):
        return _span(match[2], today, _STEPS[match[1]], 1)
    if match := _AGO.fullmatch(word):
        return _span(match[1][:-1], today, -int(match[2]), 1)
    if match := _COUNTED.fullmatch(word):
        return _counted(match[1], match[2][:-1], int(match[3]), today)
    return None


def _counted(side: str, unit: str, count: int, today: date) -> tuple[date, date]:
    if side == "LAST":
        return _span(unit, today, -count, count + (unit == "DAY"))
    return _span(unit, today, 1, count)


def _span(unit: str, today: date, first: int, length: int) -> tuple[date, date]:
    """A range of `length` units that starts `first` units after the current one."""
    return _start(unit, today, first), _start(unit, today, first + length)


def _start(unit: str, today: date, step: int) -> date:
    if unit == "DAY":
        return today + timedelta(days=step)
    if unit == "WEEK":
        return today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=step)
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    index = today.year * 12 + today.month - 1
    index = index - index % months + step * months
    return date(index // 12, index % 12 + 1, 1)
