"""The live view of a run as text: lines of a terminal, or one line for a log."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from connector.core.run_figures import ASKING, CrmCalls, ProviderFigures, RunCounts, RunFigures

LEAST_WIDTH = 20


@dataclass(frozen=True, slots=True)
class StageView:
    """The present stage of a run.

    Attributes:
        total: the units of the stage; None if their number is unknown.
        done: the finished ones.
        elapsed_s: seconds since the command began.
        left_s: the estimated seconds until the end of the stage; None while they are unknown.
        first_count: the number of the first count of records that was made in this stage.
    """

    name: str
    total: int | None = None
    done: int = 0
    elapsed_s: float = 0.0
    left_s: float | None = None
    first_count: int = 0


def progress_of(stage: StageView, figures: RunFigures | None) -> tuple[int, int | None]:
    """The finished units of a stage and their total; while vendors are asked, the ledger knows the finished ones."""
    if stage.total is None:
        return stage.done, None
    if stage.name == ASKING and figures is not None and figures.counted >= stage.first_count:
        return max(0, stage.total - figures.counts.open_channels), stage.total
    return min(stage.done, stage.total), stage.total


def remaining_of(stage: StageView, figures: RunFigures | None) -> int | None:
    """The units that are left of a stage; None if their number is unknown."""
    done, total = progress_of(stage, figures)
    return None if total is None else total - done


def block(stage: StageView, figures: RunFigures | None, width: int) -> list[str]:
    """The lines of the view on a terminal, none wider than `width` unless a single word is."""
    lines = list(_fitted(_head(stage, figures), width))
    for label, parts in _groups(figures):
        lines += _fitted([f"{label}: {parts[0]}", *parts[1:]], width, "  ")
    return lines


def line(stage: StageView, figures: RunFigures | None) -> str:
    """The view in one line, for a log or a pipe."""
    groups = [f"{label}: {', '.join(parts)}" for label, parts in _groups(figures)]
    return "; ".join([", ".join(_head(stage, figures)), *groups])


def stage_line(stage: StageView) -> str:
    """The line at the beginning of a stage."""
    return stage.name if stage.total is None else f"{stage.name}: {stage.total:,} open"


def duration(seconds: float) -> str:
    """A duration for people: `45 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def time_left(seconds: float) -> str:
    """An estimated duration, only as exact as an estimate can be."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    if minutes < 60:
        return f"about {minutes} min left"
    minutes = 5 * round(minutes / 5)
    hours, rest = divmod(minutes, 60)
    return f"about {hours:,} h {rest} min left" if rest else f"about {hours:,} h left"


def _head(stage: StageView, figures: RunFigures | None) -> list[str]:
    done, total = progress_of(stage, figures)
    parts = [stage.name]
    if total is not None:
        parts.append(f"{done:,} of {total:,}")
    parts.append(duration(stage.elapsed_s))
    if stage.left_s is not None:
        parts.append(time_left(stage.left_s))
    return parts


def _groups(figures: RunFigures | None) -> Iterator[tuple[str, list[str]]]:
    """The label and the figures of each group; a group without figures is left out."""
    if figures is None:
        return
    counts = figures.counts
    yield from _if_any("Records", _of_records(counts))
    for provider in figures.providers:
        yield from _if_any(provider.name, _of_provider(provider, counts))
    if figures.crm is not None:
        yield from _if_any(figures.crm.label, _of_crm(figures.crm))


def _if_any(label: str, parts: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    found = [part for part in parts if part]
    if found:
        yield label, found


def _of_records(counts: RunCounts) -> list[str]:
    return _counted(
        (counts.records, "read"),
        (counts.finished, "finished"),
        (counts.written, "written"),
        (counts.lookups, "to look up"),
    )


def _of_provider(provider: ProviderFigures, counts: RunCounts) -> list[str]:
    parts = _counted(
        (counts.unsent.get(provider.name, 0), "to ask for"), (counts.waiting.get(provider.name, 0), "waiting")
    )
    parts += _counted((provider.spent, "credit{s} spent"), (provider.held, "credit{s} held"))
    if provider.sent:
        limit = f" ({provider.per_minute:,} allowed)" if provider.per_minute is not None else ""
        parts += _counted((provider.sent, f"request{{s}} in the last minute{limit}"))
    return parts


def _of_crm(crm: CrmCalls) -> list[str]:
    parts = _counted((crm.calls, "request{s}"))
    if crm.daily_used is not None and crm.daily_limit is not None:
        parts.append(f"{crm.daily_used:,} of {crm.daily_limit:,} of the day's quota used")
    return parts


def _counted(*counts: tuple[int, str]) -> list[str]:
    """A part for each count that is not zero; `{s}` is the plural."""
    return [f"{count:,} {what.replace('{s}', '' if count == 1 else 's')}" for count, what in counts if count]


def _fitted(parts: Sequence[str], width: int, indent: str = "") -> Iterator[str]:
    """Join parts with commas, and begin a new line, indented, before a part that does not fit."""
    width = max(width, LEAST_WIDTH)
    current = parts[0]
    for part in parts[1:]:
        if len(current) + len(part) + 2 > width:
            yield f"{current},"
            current = f"{indent}{part}"
        else:
            current = f"{current}, {part}"
    yield current
