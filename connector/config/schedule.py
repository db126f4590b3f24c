"""Schedules: five plain cron fields in UTC. The cron library accepts more (seconds, `R`, `H`, `L`, `#`, `@daily`)."""

import re
from datetime import UTC, datetime

from croniter import CroniterBadDateError, croniter

_NUMBER = r"(?:[0-9]{1,2}|[A-Za-z]{3})"
_ITEM = rf"(?:\*|{_NUMBER}-{_NUMBER})(?:/[0-9]{{1,2}})?|{_NUMBER}"
_FIELD = re.compile(rf"(?:{_ITEM})(?:,(?:{_ITEM}))*")
_NAMED = (3, 4)  # month and weekday may be names
EXAMPLE = "such as '*/15 * * * *' (UTC)"


def schedule_problem(text: str) -> str | None:
    """The reason why a schedule cannot be used; None for a valid one."""
    fields = text.split()
    if text.strip().startswith("@"):
        return f"must be five cron fields (minute hour day month weekday), {EXAMPLE}; write out {text.strip()[:20]}"
    if len(fields) != 5:
        why = " A sixth field for seconds is not supported." if len(fields) in {6, 7} else ""
        return f"has {len(fields)} fields; must be exactly five (minute hour day month weekday), {EXAMPLE}.{why}"
    for number, field in enumerate(fields):
        if not _FIELD.fullmatch(field) or (number not in _NAMED and re.search("[A-Za-z]", field)):
            return f"must be a cron expression of numbers, * / , and - only, {EXAMPLE}; {field[:20]!r} is not supported"
    if not croniter.is_valid(text):
        return f"must be a cron expression whose numbers are in range, {EXAMPLE}"
    try:
        next_time(text, datetime.now(UTC))
    except CroniterBadDateError:
        return "must be a cron expression that matches some date"
    return None


def next_time(text: str, now: datetime) -> datetime:
    """The first time after `now` at which a valid schedule is due, in UTC."""
    found: datetime = croniter(text, now).get_next(datetime)
    return found
