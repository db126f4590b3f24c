"""Lines about the limits of a process: its mapping files, caps and schedules."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from connector.core.mapping import MappingFile
from connector.core.preview import CreditForecast, Preview
from connector.engine.context import AccountLimits

OWN_CAP = "cap of mapping"  # the prefix of the names of caps for one mapping only


def caps_lines(mappings: Mapping[str, MappingFile], limits: Mapping[str, AccountLimits]) -> list[str]:
    """The caps in force, one line for each mapping and for each vendor account that the mappings use.

    Args:
        mappings: by name.
        limits: the operator's caps and reserves by provider; a missing provider has none.
    """
    used = sorted({name for mapping in mappings.values() for name in mapping.providers()})
    lines = [f"Caps for {name}: {_of_mapping(mapping)}" for name, mapping in mappings.items()]
    lines += [f"Caps for {name}, all runs: {_of_account(limits.get(name, AccountLimits()))}" for name in used]
    return lines


def no_daily_cap_lines(mappings: Mapping[str, MappingFile], limits: Mapping[str, AccountLimits]) -> list[str]:
    """Warnings for a process that serves requests: one line for each mapping and provider without a daily cap.

    Args:
        mappings: by name.
        limits: the operator's caps by provider; a missing provider has none.
    """
    return [
        f"No daily cap: requests and schedules may spend credits at {provider} for {name} up to the whole balance each "
        f"day, because each request and each run has its own budget. Set limits.max_credits_per_day in the mapping, "
        f"or CONNECTOR_MAX_CREDITS_PER_DAY_{provider.upper()}"
        for name, mapping in mappings.items()
        for provider in sorted(mapping.providers())
        if provider not in mapping.limits.max_credits_per_day and limits.get(provider, AccountLimits()).day is None
    ]


def _of_mapping(mapping: MappingFile) -> str:
    return "; ".join(
        _caps(
            name,
            (
                (mapping.limits.max_credits.get(name), "a run"),
                (mapping.limits.max_credits_per_day.get(name), "a day"),
            ),
        )
        for name in sorted(mapping.providers())
    )


def _of_account(found: AccountLimits) -> str:
    text = _caps("", ((found.day, "a day"), (found.month, "a month")))
    return f"{text}; the last {found.reserve:,} credits of the balance are kept" if found.reserve else text


def _caps(name: str, caps: tuple[tuple[int | None, str], ...]) -> str:
    shown = [f"{cap:,} {scope}" for cap, scope in caps if cap is not None]
    if not shown:
        return f"{name} no cap".strip()
    return f"{name} {', '.join(shown)} (credits)".strip()


def flag_lines(mappings: Iterable[MappingFile], given: Iterable[str]) -> list[str]:
    """Lines for a run that selected no record: the flag and condition of each mapping.

    Args:
        mappings: the mappings of the run.
        given: the value of `-m` for each of them.
    """
    return [
        f"No {found.object} has {found.select.flag_field} set to request enrichment"
        f"{' and meets the condition of where' if found.select.where else ''}; see: connector plan -m {name}"
        for found, name in zip(mappings, given, strict=True)
    ]


def most_credits(found: Preview, mappings: Mapping[str, MappingFile]) -> dict[str, int]:
    """The most credits that a run may cost at each provider: its worst case, or less if the caps allow less."""
    return {name: _most(name, forecast, mappings) for name, forecast in found.credits.items()}


def _most(name: str, forecast: CreditForecast, mappings: Mapping[str, MappingFile]) -> int:
    own = [
        min((cap.left for cap in forecast.caps if cap.name.startswith(f"{OWN_CAP} {mapping} per ")), default=None)
        for mapping, found in mappings.items()
        if name in found.providers()
    ]
    bounds = [forecast.worst_case, *(cap.left for cap in forecast.caps if not cap.name.startswith(OWN_CAP))]
    capped = [left for left in own if left is not None]
    if len(capped) == len(own):
        bounds.append(sum(capped))
    return min(bounds)


def file_lines(paths: Mapping[str, Path]) -> list[str]:
    """One line for each mapping file in use."""
    return [f"Mapping {name}: {path}" for name, path in paths.items()]


def schedule_lines(
    mappings: Mapping[str, MappingFile], due: Mapping[str, datetime], now: datetime, *, by_workers: bool = False
) -> list[str]:
    """One line for each mapping: the next time of its schedule, in UTC.

    Args:
        mappings: by name.
        due: by name, when the next sync of each schedule is due.
        now: the ledger's time.
        by_workers: whether workers follow the schedules instead of this process.
    """
    lines = []
    for name, mapping in mappings.items():
        if name not in due:
            lines.append(f"Schedule for {name}: none; it runs on request only")
            continue
        at = due[name]
        when = "now (a time was missed)" if at <= now else f"next at {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        lines.append(f"Schedule for {name}: {mapping.schedule}, {when}{' by the workers' if by_workers else ''}")
    return lines
