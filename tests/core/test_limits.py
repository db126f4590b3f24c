"""The limits of outside values: a value within them is unchanged, any other counts as absent."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.limits import (
    MAX_CREDITS,
    MAX_PRICE_CREDITS,
    MAX_VERSION_CHARACTERS,
    balance_of,
    count_of,
    is_event_id,
    is_identifier,
    is_vendor_id,
    price_of,
    version_of,
    whole_of,
)


@pytest.mark.parametrize(
    ("value", "whole", "count", "price", "balance"),
    [
        (0, 0, 0, 0, 0),
        (15, 15, 15, 15, 15),
        (15.0, 15, 15, 15, 15),
        (15.5, None, None, None, 15),
        (-1, -1, None, None, -1),
        (3_000_000_000, 3_000_000_000, 3_000_000_000, None, 3_000_000_000),
        (MAX_PRICE_CREDITS, MAX_PRICE_CREDITS, MAX_PRICE_CREDITS, MAX_PRICE_CREDITS, MAX_PRICE_CREDITS),
        (MAX_CREDITS, MAX_CREDITS, MAX_CREDITS, None, MAX_CREDITS),
        (MAX_CREDITS + 1, MAX_CREDITS + 1, MAX_CREDITS + 1, None, None),
        (2**63 - 1, 2**63 - 1, 2**63 - 1, None, None),
        (2**63, None, None, None, None),
        (-(2**63), None, None, None, None),
        (10**400, None, None, None, None),
        (1e300, None, None, None, None),
        (math.inf, None, None, None, None),
        (math.nan, None, None, None, None),
        (True, None, None, None, None),
        ("15", None, None, None, None),
        (None, None, None, None, None),
        ([15], None, None, None, None),
    ],
)
def test_numbers(value: object, whole: int | None, count: int | None, price: int | None, balance: int | None) -> None:
    assert (whole_of(value), count_of(value), price_of(value), balance_of(value)) == (whole, count, price, balance)


@pytest.mark.parametrize("text", ["", "a\x00", "a\x1b", "a\u2028b", "a\u0085", "\ud800", "a\ufffdb", "x" * 301])
def test_texts_that_are_not_ids(text: str) -> None:
    assert not is_vendor_id(text)
    assert not is_event_id(text)
    assert not is_identifier(text)


def test_the_lengths_of_ids() -> None:
    assert is_vendor_id("x" * 200)
    assert not is_vendor_id("x" * 201)
    assert is_event_id("x" * 100)
    assert not is_event_id("x" * 101)
    assert is_identifier("x" * 300)
    assert not is_identifier("x" * 301)


@given(st.one_of(st.text(), st.integers(), st.none(), st.floats()))
def test_a_version_can_be_stored_and_changes_with_its_row(value: object) -> None:
    kept = version_of(value)
    assert len(kept) <= MAX_VERSION_CHARACTERS
    assert kept.encode().count(0) == 0
    assert version_of(f"{value}\x00") != version_of(f"{value}\x00\x00")
