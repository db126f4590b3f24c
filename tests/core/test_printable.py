"""Outside text made safe for a terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.printable import one_line, printable, printable_values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Example Expo 2027", "Example Expo 2027"),
        ("Expo\x1b[2K\rfor 0 credits?", "Expo\\x1b[2K\\x0dfor 0 credits?"),
        ("a\x00b\x07c\x08d\x7fe", "a\\x00b\\x07c\\x08d\\x7fe"),
        ("a\x9b2Jb\x85c", "a\\x9b2Jb\\x85c"),
        ("a\tb\nc", "a\\x09b\\x0ac"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("0002\u202e credits", "0002\\u202e credits"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("zero\u200bwidth\ufeff\u00ad", "zerowidth"),
        ("half \ud800", "half \\ud800"),
        ("no\u00a0break\u3000wide", "no break wide"),
        ("\ue000\U0010ffff", "\\ue000\\u10ffff"),
        ("Malm\u00f6 \u6771\u4eac", "Malm\u00f6 \u6771\u4eac"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_line_breaks_of_a_message_are_kept() -> None:
    assert printable("first\nsecond\x1b[A\rthird") == "first\nsecond\\x1b[A\\x0dthird"


def test_long_text_is_cut() -> None:
    assert one_line("x" * 300, 10) == "x" * 9 + "…"
    assert one_line("x" * 10, 10) == "x" * 10


def test_names_and_values_of_a_document() -> None:
    document = {"na\x1bme": ["a\nb", {"x": "\u202e"}], "count": 5, "none": None, "yes": True}
    assert printable_values(document) == {
        "na\\x1bme": ["a\\x0ab", {"x": "\\u202e"}],
        "count": 5,
        "none": None,
        "yes": True,
    }


@given(st.text())
def test_no_text_controls_a_terminal(text: str) -> None:
    shown = one_line(text)
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"} for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert one_line(shown) == shown
    assert json.loads(json.dumps(shown)) == shown
