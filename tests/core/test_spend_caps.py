"""Caps and sums: the credits that may still be held, and the number of purchases that they cover."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.spend import Cap, EntryKind, Hold, Totals, ending, tightest
from connector.store.credits import RemainingBudget, select_affordable


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [(3000, 0, 3000), (3000, 2999, 1), (3000, 3000, 0), (3000, 3015, 0), (0, 0, 0), (-5, 0, 0)],
)
def test_the_credits_left_are_never_negative(limit: int, used: int, left: int) -> None:
    assert Cap("daily cap", limit, used).left == left


def test_a_refusal_names_the_cap_the_provider_and_the_figures() -> None:
    words = Cap("cap of mapping lead per run", 3000, 2990).refusal("lensmor", 15)
    assert words == "cap of mapping lead per run for lensmor: 10 of 3000 credits left, one purchase costs 15"


def _chosen(caps: list[Cap], price: int, wanted: int) -> set[int]:
    """Half of the caps belong to the mapping, the others are shared."""
    remaining_budget = RemainingBudget(tuple(caps[::2]), {"lead": tuple(caps[1::2])})
    return set(select_affordable([(number, ("lead",), price) for number in range(wanted)], remaining_budget))


@pytest.mark.parametrize(
    ("caps", "price", "wanted", "allowed"),
    [
        ([], 15, 100, 100),
        ([Cap("a", 1500, 0)], 15, 100, 100),
        ([Cap("a", 1500, 1)], 15, 100, 99),
        ([Cap("a", 14, 0)], 15, 100, 0),
        ([Cap("a", 15, 0)], 15, 100, 1),
        ([Cap("a", 9000, 0), Cap("b", 300, 255)], 15, 100, 3),
        ([Cap("a", 0, 0)], 0, 100, 100),
        ([Cap("a", 150, 0)], 150, 0, 0),
    ],
)
def test_the_number_of_affordable_purchases(caps: list[Cap], price: int, wanted: int, allowed: int) -> None:
    assert len(_chosen(caps, price, wanted)) == allowed


def test_the_tightest_cap() -> None:
    narrow = Cap("narrow", 100, 95)
    assert tightest([Cap("wide", 9000, 0), narrow]) is narrow
    assert tightest([]) is None


def test_sums_of_entries() -> None:
    totals = Totals(held=1500, charged=600, released=150)
    assert (totals.open, totals.used) == (750, 1350)
    assert (Totals().open, Totals().used) == (0, 0)


@given(
    st.lists(st.builds(Cap, st.just("c"), st.integers(0, 5000), st.integers(0, 6000)), max_size=5),
    st.integers(1, 200),
    st.integers(0, 500),
)
@settings(max_examples=200, deadline=None)
def test_no_cap_is_exceeded(caps: list[Cap], price: int, wanted: int) -> None:
    count = len(_chosen(caps, price, wanted))
    assert 0 <= count <= wanted
    assert all(count * price <= cap.left for cap in caps) or count == 0
    if count < wanted:
        assert any((count + 1) * price > cap.left for cap in caps)


@pytest.mark.parametrize(
    ("hold", "kind", "entries"),
    [
        (Hold.OPEN, EntryKind.CHARGE, ((EntryKind.CHARGE, 1),)),
        (Hold.OPEN, EntryKind.RELEASE, ((EntryKind.RELEASE, 1),)),
        (Hold.PRESUMED, EntryKind.CHARGE, ()),  # it was counted already
        (Hold.PRESUMED, EntryKind.RELEASE, ((EntryKind.CHARGE, -1), (EntryKind.RELEASE, 1))),
        (Hold.CHARGED, EntryKind.RELEASE, ()),
        (Hold.RELEASED, EntryKind.CHARGE, ()),
        (Hold.NONE, EntryKind.CHARGE, ()),
    ],
)
def test_a_share_of_a_hold_ends_once(hold: Hold, kind: EntryKind, entries: tuple[tuple[EntryKind, int], ...]) -> None:
    assert ending(hold, kind) == entries
