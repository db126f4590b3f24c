"""Renders pages from their views. jinja2 escapes every text; only the charts of this package count as markup."""

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

import jinja2
from markupsafe import Markup

from connector.core.pages import MoneyLine, PeriodPage, RunPage
from connector.report.html import charts

ORDER = (
    *("delivered", "already_filled", "not_found", "failed", "skipped"),
    *("waiting", "deferred", "parked", "unknown"),
)


@dataclass(frozen=True, slots=True)
class NavItem:
    """A link at the top of a page."""

    url: str
    name: str


@dataclass(frozen=True, slots=True)
class Nav:
    """The links of a page, and the address of the current one."""

    items: Sequence[NavItem]
    current: str = ""


@functools.cache
def css() -> str:
    """The style of every page."""
    return (files("connector.report.html") / "style.css").read_text(encoding="utf-8")


@functools.cache
def policy() -> str:
    """The security policy of a page: its own style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(css().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'"


def run_page(run: RunPage) -> str:
    """The page of one run, as a file that stands alone."""
    return page_of_run(run, None)


def page_of_run(run: RunPage, nav: Nav | None, **shared: object) -> str:
    """The page of one run; without `nav` it is a file that stands alone."""
    order = [name for name in ORDER if any(counts.get(name) for counts in run.channels.values())]
    return render(
        "run.html",
        nav,
        run=run,
        order=order,
        head=_run_tiles(run),
        funnel=_markup(charts.bars("Records at each step", [(n, c, f"{c:,}") for n, c in run.funnel])),
        channels=_markup(charts.stacked("Records by channel and outcome", run.channels, order)),
        spend=_spend(run.money),
        timeline=_timeline(run),
        **shared,
    )


def _run_tiles(run: RunPage) -> list[tuple[str, str]]:
    written = [one for one in run.money if one.delivered]
    tiles = [("Records", f"{run.selected:,}"), ("Delivered", f"{run.outcomes.get('delivered', 0):,}")]
    tiles += [(f"Credits at {one.provider}", f"{one.charged:,}") for one in run.balances]
    tiles += [
        (f"Each {_words(one.channel)} at {one.provider}", f"{one.per_value:,.1f} credits")
        for one in written
        if one.per_value is not None
    ]
    wasted = sum(one.credits_without_value for one in run.money)
    return [*tiles, ("Credits without value", f"{wasted:,}")] if run.money else tiles


def _timeline(run: RunPage) -> Markup:
    series = [
        charts.Series("requests", "s0", [one.requests for one in run.timeline]),
        charts.Series("answers", "s1", [one.answers for one in run.timeline]),
        charts.Series("writes", "s2", [one.writes for one in run.timeline]),
    ]
    marks = (_moment(run.started_at), _duration(run.seconds))
    return _markup(charts.over_time("Requests, answers and writes over the time of the run", series, marks))


def _spend(money: Sequence[MoneyLine]) -> Markup:
    rows = [
        (f"{one.provider}, {_words(one.channel)}", float(one.credits), f"{one.credits:,}")
        for one in money
        if one.credits
    ]
    return _markup(charts.bars("Credits by provider and channel", rows)) if rows else Markup()


def period_page(page: PeriodPage) -> str:
    """The page of all runs of a period."""
    order = [name for name in ORDER if any(counts.get(name) for counts in page.channels.values())]
    providers = sorted({name for one in page.weeks for name in one.credits})
    totals = {name: sum(one.credits.get(name, 0) for one in page.weeks) for name in providers}
    head = [("Runs", f"{page.runs:,}"), ("Records", f"{page.selected:,}")]
    head += [("Delivered", f"{page.outcomes.get('delivered', 0):,}")]
    head += [(f"Credits at {name}", f"{count:,}") for name, count in totals.items()]
    weeks = [(one.name[5:], float(one.delivered)) for one in page.weeks]
    return render(
        "period.html",
        None,
        page=page,
        order=order,
        head=head,
        providers=providers,
        weeks=_markup(charts.columns("Records delivered by week", weeks)),
        channels=_markup(charts.stacked("Records by channel and outcome", page.channels, order)),
        spend=_spend(page.money),
    )


def render(template: str, nav: Nav | None, **values: object) -> str:
    """Render a template of this package with its own style."""
    shared = {"css": Markup(css()), "nav": nav, "policy": "" if nav else policy()}  # noqa: S704 the package's own file
    return _environment().get_template(template).render({"message": "", "logout": "", **shared, **values})


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("connector.report", "html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "sentence": _sentence,
        "words": _words,
        "number": _number,
        "percent": _percent,
        "decimal": _decimal,
        "moment": _moment,
        "day": _day,
        "duration": _duration,
    }
    made.globals |= {"swatch": _swatch, "stroke": _stroke}
    return made


def _markup(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 the charts escape their texts


def _swatch(number: int) -> Markup:
    return _markup(
        f'<svg viewBox="0 0 24 12" aria-hidden="true"><rect class="k{number}" width="24" height="12"/></svg>'
    )


def _stroke(number: int) -> Markup:
    line = f'<line class="line s{number}" x1="0" y1="6" x2="24" y2="6"/>'
    return _markup(f'<svg viewBox="0 0 24 12" aria-hidden="true">{line}</svg>')


def _sentence(text: str) -> str:
    """The text with a capital at its start; jinja2's own filter would also change the names in it."""
    return text[:1].upper() + text[1:]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _day(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d")


def _duration(seconds: float) -> str:
    """A duration in the two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
