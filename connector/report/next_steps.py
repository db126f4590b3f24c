"""Next steps for deferred records: one line for each cap that deferred them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# The start of each reason of a cap, and the next step. Days and months are those of UTC.
_STEPS = (
    (
        re.compile(r"cap of mapping (?P<mapping>\S+) per run for (?P<provider>\w+):"),
        "Run again for the next part, or raise limits.max_credits.{provider} in the file of mapping {mapping}.",
    ),
    (
        re.compile(r"cap of mapping (?P<mapping>\S+) per day for (?P<provider>\w+):"),
        "Wait for the next day (UTC), or raise limits.max_credits_per_day.{provider} in the file of mapping {mapping}.",
    ),
    (
        re.compile(r"daily cap over all runs for (?P<provider>\w+):"),
        "Wait for the next day (UTC), or raise CONNECTOR_MAX_CREDITS_PER_DAY_{PROVIDER}.",
    ),
    (
        re.compile(r"monthly cap over all runs for (?P<provider>\w+):"),
        "Wait for the next month (UTC), or raise CONNECTOR_MAX_CREDITS_PER_MONTH_{PROVIDER}.",
    ),
    (
        re.compile(r"balance at the vendor for (?P<provider>\w+):"),
        "Add credits to the account at {provider}, or lower {PROVIDER}_CREDIT_RESERVE where one is set.",
    ),
)


def deferred(document: Mapping[str, Any]) -> Iterator[str]:
    """The lines for a run's report; none if no record is deferred."""
    count = document.get("outcomes", {}).get("deferred", 0)
    if not count:
        return
    them = "1 record is deferred: its flag is" if count == 1 else f"{count:,} records are deferred: their flags are"
    yield f"{them} kept, and the next sync processes {'it' if count == 1 else 'them'}, within the caps."
    if document.get("command") == "apply":
        yield "Records that the plan's credits do not cover need a new plan (connector plan --out), or a sync."
        return
    reasons = (found.get("deferred", {}) for found in document.get("reasons", {}).values())
    yield from dict.fromkeys(step for found in reasons for reason in found for step in _step(reason))


def _step(reason: str) -> Iterator[str]:
    for begins, words in _STEPS:
        found = begins.match(reason)
        if found is not None:
            names = found.groupdict()
            yield words.format(**names, PROVIDER=names["provider"].upper())
