"""The pages as files: every figure also as text, nothing from outside, no text that becomes markup."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from connector.core.pages import (
    AttentionLine,
    BalanceLine,
    FieldLine,
    Moment,
    MoneyLine,
    PeriodLine,
    PeriodPage,
    ReasonLine,
    RunPage,
    SlowTask,
)
from connector.report.html.render import Nav, NavItem, css, page_of_run, period_page, policy, run_page

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ATTACK = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
RUN = RunPage(
    run_id="20261120T100000-a1b2c3",
    command="sync",
    mappings=("lead",),
    state="finished",
    exit_code=3,
    meaning="finished, but records need attention",
    started_at=NOW,
    finished_at=NOW + timedelta(minutes=3, seconds=20),
    selected=300,
    funnel=(("selected", 300), ("decided", 300), ("delivered", 241)),
    outcomes={"delivered": 241, "skipped": 59},
    channels={
        "work_email": {"delivered": 200, "not_found": 30, "skipped": 70},
        "phone": {"delivered": 41, "skipped": 259},
    },
    money=(MoneyLine("acme", "work_email", 230, 200, 30, 0, 3450, 450), MoneyLine("acme", "phone", 0, 0, 0, 0, 0, 0)),
    balances=(BalanceLine("acme", 3450, 0, 9115, None),),
    reasons=(ReasonLine("work_email", "skipped", "opted out (HasOptedOutOfEmail)", 13),),
    attention=(AttentionLine("00Q1", "https://acme.example.com/00Q1", "refused", "correct it"),),
    attention_total=1200,
    timeline=(Moment(0, 3, 0, 0), Moment(100, 0, 3, 241)),
    slowest=(SlowTask("acme", "work_email", 100, 95.0),),
    fields=(FieldLine("Lead", "Email", 200, 198),),
    stopped=("the reserve is reached",),
)
PERIOD = PeriodPage(
    since=NOW - timedelta(days=30),
    until=NOW,
    runs=4,
    without_report=1,
    selected=900,
    outcomes={"delivered": 600},
    channels=RUN.channels,
    money=RUN.money,
    mappings=(PeriodLine("lead", 4, 900, 600, {"acme": 9000}),),
    weeks=(
        PeriodLine("2026-11-02", 1, 300, 200, {"acme": 3000}),
        PeriodLine("2026-11-09", 3, 600, 400, {"acme": 6000}),
    ),
    reasons=RUN.reasons,
)
PAGES = {"run": run_page(RUN), "period": period_page(PERIOD)}


class Reader(HTMLParser):
    """Collects what a screen reader would meet."""

    VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} is not the open element"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def texts(page: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Reader(page).text))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_and_nothing_runs(name: str) -> None:
    page = Reader(PAGES[name])
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed", "form"} == set()
    for _, attrs in page.tags:
        assert not any(key.startswith("on") or key in {"src", "style"} for key in attrs), attrs
    assert "url(" not in css()
    assert "@import" not in css()
    (allowed,) = [one["content"] for one in page.named("meta") if one.get("http-equiv")]
    assert allowed == policy()
    assert policy().startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize("name", PAGES)
def test_headings_tables_and_charts_have_names(name: str) -> None:
    page = Reader(PAGES[name])
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert len(page.named("caption")) == len(page.named("table"))
    assert all(attrs.get("scope") for attrs in page.named("th"))
    images = [attrs for attrs in page.named("svg") if attrs.get("aria-hidden") != "true"]
    assert images
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in images)
    assert page.named("html") == [{"lang": "en"}]
    assert next(attrs.get("href") for attrs in page.named("a")) == "#main"


def test_every_figure_of_a_chart_is_also_text() -> None:
    text = texts(PAGES["run"])
    for figure in (
        "300",
        "241",
        "200",
        "30",
        "3,450",
        "450",
        "87 %",
        "17.2",
        "9,115",
        "198",
        "1 min 35 s",
        "1,199 more",
    ):
        assert figure in text, figure
    assert "connector export 20261120T100000-a1b2c3 --csv outcomes.csv" in text
    assert "Stopped early: the reserve is reached" in text


def test_a_record_leads_to_the_crm() -> None:
    links = [attrs["href"] for attrs in Reader(PAGES["run"]).named("a")]
    assert "https://acme.example.com/00Q1" in links
    plain = run_page(replace(RUN, attention=(AttentionLine("00Q1", "", "refused", ""),)))
    assert [attrs["href"] for attrs in Reader(plain).named("a")] == ["#main"]


@pytest.mark.parametrize(
    "hostile",
    [
        replace(RUN, reasons=(ReasonLine(ATTACK, ATTACK, ATTACK, 1),)),
        replace(RUN, attention=(AttentionLine(ATTACK, "", ATTACK, ATTACK),)),
        replace(RUN, stopped=(ATTACK,), meaning=ATTACK, command=ATTACK, mappings=(ATTACK,)),
        replace(RUN, channels={ATTACK: {"delivered": 1}}, money=(MoneyLine(ATTACK, ATTACK, 1, 1, 0, 0, 1, 0),)),
        replace(RUN, fields=(FieldLine(ATTACK, ATTACK, 1, 1),), funnel=((ATTACK, 1),), condensed=ATTACK),
    ],
)
def test_a_text_from_outside_is_never_markup(hostile: RunPage) -> None:
    page = run_page(hostile)
    assert "<script" not in page
    assert "<img" not in page
    assert "script" not in {tag for tag, _ in Reader(page).tags}


def test_an_empty_run_and_an_empty_period_have_pages() -> None:
    empty = RunPage(
        run_id="r", command="sync", mappings=(), state="finished", exit_code=0, meaning="done", started_at=NOW,
        finished_at=NOW, selected=0, funnel=(("selected", 0),), outcomes={}, channels={}, money=(), balances=(),
        reasons=(), attention=(), attention_total=0,
    )  # fmt: skip
    assert "no mapping" in texts(run_page(empty))
    nothing = PeriodPage(NOW, NOW, 0, 0, 0, {}, {}, (), (), (), ())
    assert "No run started in this period." in texts(period_page(nothing))


def test_a_page_in_the_server_has_links_and_leaves_the_policy_to_the_server() -> None:
    page = Reader(page_of_run(RUN, Nav((NavItem("/", "Overview"), NavItem("/runs", "Runs")), "/runs")))
    current = [attrs for attrs in page.named("a") if attrs.get("aria-current")]
    assert [attrs["href"] for attrs in current] == ["/runs"]
    assert not any(attrs.get("http-equiv") for attrs in page.named("meta"))


def test_the_page_of_a_run_with_many_entries_stays_small() -> None:
    many = tuple(
        AttentionLine(f"00Q{n:015}", f"https://acme.example.com/{n}", "refused " * 10, "correct it") for n in range(200)
    )
    assert len(run_page(replace(RUN, attention=many)).encode()) < 100_000


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def modes() -> Iterator[dict[str, str]]:
    light, dark = css().split("prefers-color-scheme: dark", 1)
    for part in (light, dark.partition("* {")[0]):
        yield dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part))


def test_texts_have_enough_contrast_in_both_modes() -> None:
    for colours in modes():
        for name, ground in (
            *((name, "ground") for name in ("text", "quiet", "accent", "good", "warn", "bad")),
            *((name, "soft") for name in ("text", "quiet")),
            ("on-button", "button"),
        ):
            first, second = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
            assert (first + 0.05) / (second + 0.05) >= 4.5, (name, ground, colours)
