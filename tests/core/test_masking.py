"""Masking of personal data in other systems' texts: addresses, numbers, and the record's own values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.masking import mask_text


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("Please ask Sales Ops first.", (), "Please ask Sales Ops first."),
        ("Use ada@example.com or <bob@example.com>.", (), "Use … or <…>."),
        ("mail to ada@example.com, then call", (), "mail to …, then call"),
        ("Call +1 (415) 555-0100 or 0044 20 7946 0100!", (), "Call … or …!"),
        ("Rule 12 of 2026 applies to 500 records", (), "Rule 12 of 2026 applies to 500 records"),
        ("born 1990-05-17", (), "born …"),
        ("Jane Roe may not be JANE  ROE", ("Jane Roe",), "… may not be …"),
        ("Jane Roe", ("Jane", "Jane Roe"), "…"),
        ("Roebuck and roe", ("Roe",), "Roebuck and …"),
        ("column 'a' of 'an' answer", ("a", "an"), "column '…' of '…' answer"),
        ("value 4711 and 47110", (4711,), "value … and 47110"),
        ("true story, none here", (True, None, "", "  "), "true story, none here"),
        ("path C++ (x) [y]", ("C++", "(x)", "[y]"), "path … … …"),
        (
            "\u7530\u4e2d\u592a\u90ce\u306f\u7121\u52b9\u3067\u3059",
            ("\u7530\u4e2d\u592a\u90ce",),
            "…\u306f\u7121\u52b9\u3067\u3059",
        ),
        ("\u738b\u82b3\u65e0\u6548", ("\u738b\u82b3",), "…\u65e0\u6548"),
        ("\u540d\u524dRosenberg\u306f", ("Rosenberg",), "\u540d\u524d…\u306f"),
        ("Öztürk and Zoë", ("Öztürk", "Zoë"), "… and …"),
        ("at most 12500, not 12500.0 or 12,500.00", (12500.0,), "at most …, not … or …"),
        ("12500.5 is above 1,250", (12500.5, 1250), "… is above …"),
        ("Li and 'Ng'", ("Li", "Ng"), "Li and '…'"),
        ("one\n\ttwo   three", (), "one two three"),
        ("two lines of\na value", ("lines  of a",), "two … value"),
        (
            "\u0645\u0631\u062d\u0628\u0627 \u0661\u0662\u0663\u0664\u0665\u0666\u0667",
            (),
            "\u0645\u0631\u062d\u0628\u0627 …",
        ),
    ],
)
def test_masked_texts(text: str, values: tuple[object, ...], shown: str) -> None:
    assert mask_text(text, values) == shown


def test_long_texts_are_cut() -> None:
    assert mask_text("word " * 100, longest=20) == "word word word word…"


@given(st.text(min_size=3, max_size=12).filter(lambda text: text.strip() == text and text.isalnum()), st.text())
def test_no_value_is_left_as_a_word(value: str, around: str) -> None:
    assert value not in mask_text(f"{around} {value} {around}", (value,), 10_000).split()
