"""Charts as inline SVG, made from figures by pure functions.

Colours come from classes, because the pages' security policy allows no style attribute. Each chart has a title for
screen readers; the page shows the same figures in a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 640
_BAR, _GAP, _LABEL, _END = 22, 8, 190, 70
_HEIGHT = 150
_AXIS = 22


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a time chart: its name, its class, and its values in order."""

    name: str
    css: str
    values: Sequence[float]


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars, each as (label, value, text at its end)."""
    most = max((value for _, value, _ in rows), default=0) or 1
    room = WIDTH - _LABEL - _END
    parts = []
    for place, (label, value, text) in enumerate(rows):
        y = place * (_BAR + _GAP)
        width = max(1.0, room * value / most) if value else 0
        parts.append(_text(_LABEL - 8, y, label, "end"))
        parts.append(f'<rect class="bar" x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3"/>')
        parts.append(_text(_LABEL + width + 8, y, text, "start"))
    return _svg(title, max(1, len(rows)) * (_BAR + _GAP), parts)


def stacked(title: str, rows: Mapping[str, Mapping[str, int]], order: Sequence[str]) -> str:
    """One bar for each row, divided by kind; the kinds keep their order and their class `k0`, `k1`, ..."""
    most = max((sum(counts.values()) for counts in rows.values()), default=0) or 1
    room = WIDTH - _LABEL - _END
    parts = []
    for place, (label, counts) in enumerate(rows.items()):
        y, x = place * (_BAR + _GAP), float(_LABEL)
        parts.append(_text(_LABEL - 8, y, label.replace("_", " "), "end"))
        for number, kind in enumerate(order):
            count = counts.get(kind, 0)
            if not count:
                continue
            width = room * count / most
            name = escape(f"{label}: {count:,} {kind}".replace("_", " "))
            parts.append(
                f'<rect class="k{number}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}">'
                f"<title>{name}</title></rect>"
            )
            x += width
        parts.append(_text(x + 8, y, f"{sum(counts.values()):,}", "start"))
    return _svg(title, max(1, len(rows)) * (_BAR + _GAP), parts)


def over_time(title: str, series: Sequence[Series], marks: tuple[str, str]) -> str:
    """Steps over time, one line for each series, all on the scale of the largest value.

    Args:
        title: for screen readers.
        series: of the same length.
        marks: the text at the start and at the end of the time.
    """
    most = max((value for one in series for value in one.values), default=0) or 1
    length = max((len(one.values) for one in series), default=1) or 1
    step, floor = WIDTH / length, _HEIGHT - _AXIS
    parts = [f'<line class="axis" x1="0" y1="{floor}" x2="{WIDTH}" y2="{floor}"/>']
    for one in series:
        points = []
        for place, value in enumerate(one.values):
            y = floor - (floor - 12) * value / most
            points += [f"{place * step:.1f},{y:.1f}", f"{(place + 1) * step:.1f},{y:.1f}"]
        parts.append(f'<polyline class="line {one.css}" points="{" ".join(points)}"/>')
    parts.append(f'<text class="small" x="0" y="{_HEIGHT - 6}">{escape(marks[0])}</text>')
    parts.append(f'<text class="small" x="{WIDTH}" y="{_HEIGHT - 6}" text-anchor="end">{escape(marks[1])}</text>')
    parts.append(f'<text class="small" x="0" y="10">{escape(f"{most:,.0f}")}</text>')
    return _svg(title, _HEIGHT, parts)


def columns(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """Columns, each as (label, value); at most every second label is shown when they are many."""
    most = max((value for _, value in rows), default=0) or 1
    step, floor = WIDTH / max(1, len(rows)), _HEIGHT - _AXIS
    shown = max(1, -(-len(rows) // 8))
    parts = [f'<line class="axis" x1="0" y1="{floor}" x2="{WIDTH}" y2="{floor}"/>']
    for place, (label, value) in enumerate(rows):
        height = (floor - 14) * value / most
        x, width = place * step + step * 0.15, min(step * 0.7, 60)
        parts.append(
            f'<rect class="bar" x="{x:.1f}" y="{floor - height:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2">'
            f"<title>{escape(f'{label}: {value:,.0f}')}</title></rect>"
        )
        if place % shown == 0:
            parts.append(f'<text class="small" x="{x:.1f}" y="{_HEIGHT - 6}">{escape(label)}</text>')
    return _svg(title, _HEIGHT, parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y + _BAR * 0.7:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    name = escape(title)
    box = f'viewBox="0 0 {WIDTH} {height:.0f}"'
    image = f'<svg role="img" aria-label="{name}" {box}>{"".join(parts)}</svg>'
    return f'<div class="chart" tabindex="0" role="group" aria-label="{name}">{image}</div>'
