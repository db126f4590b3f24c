"""A plan for a terminal: the most frequent reasons first, and no more of them than a person reads."""

import io
from typing import Any

from rich.console import Console

from connector.report import plan_text

NOTHING: dict[str, Any] = {
    "mappings": ["lead"],
    "selected": 100,
    "credits": {},
    "would_buy": {},
    "would_ask_next": {},
    "would_write": [],
    "joins": 0,
    "skips": {},
}


def shown(**changes: object) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(plan_text.preview(NOTHING | changes))
    return console.export_text()


def test_ten_reasons_are_shown_the_most_frequent_first_and_the_rest_is_counted() -> None:
    reasons = {f"reason {number}": number for number in range(1, 14)}
    text = shown(skips={"work_email": reasons, "phone": {"reason 20": 20}})
    rows = [line.split() for line in text.splitlines() if "reason" in line]
    assert [row[-1] for row in rows[:3]] == ["20", "13", "12"]
    assert len(rows) == 11
    assert rows[-1] == ["...", "10", "4", "more", "reasons;", "see:", "connector", "plan", "--json"]


def test_an_unknown_balance_is_no_number() -> None:
    forecast: dict[str, Any] = {
        "worst_case": 15,
        "expected": 12,
        "balance": None,
        "balance_after": None,
        "hit_rates": {},
    }
    text = shown(credits={"acme": forecast | {"caps_left": [], "covered": {}, "prices": {}}})
    assert ["acme", "15", "12", "-", "-"] in [line.split() for line in text.splitlines()]
