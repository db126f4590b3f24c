"""The table of a purchase's states, written out once more and compared."""

import itertools

import pytest

from connector.core.states import PURCHASE, PurchaseState, before

P, S, T, U, F = (
    PurchaseState.PLANNED,
    PurchaseState.SUBMITTING,
    PurchaseState.SUBMITTED,
    PurchaseState.UNKNOWN,
    PurchaseState.FINAL,
)
ALLOWED = {
    (P, S),  # its hold is committed
    (P, T),  # a late answer to the lost request, before its repeat left
    (P, U),  # the same, while that answer is taken apart
    (P, F),  # refused for good, or shown for nothing
    (S, P),  # a definite refusal
    (S, T),  # the vendor's id is committed
    (S, U),  # the answer was lost, or the owner died
    (S, F),  # the answer itself is the last word
    (T, F),  # the last word
    (T, U),  # the vendor lost the task and keeps no records
    (T, P),  # the vendor's record shows that nothing was taken
    (U, T),  # a late answer, or the vendor shows work under way
    (U, P),  # one permitted resubmission
    (U, F),  # the vendor's own record tells
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(PurchaseState, repeat=2)))
def test_every_edge(old: PurchaseState, new: PurchaseState) -> None:
    assert (new in PURCHASE[old]) is ((old, new) in ALLOWED)


def test_nothing_leaves_final_and_everything_can_reach_it() -> None:
    assert PURCHASE[F] == frozenset()
    assert set(before(PURCHASE, F)) == set(PurchaseState) - {F}


@pytest.mark.parametrize("new", PurchaseState)
def test_sources_of_is_the_inverse_of_the_table(new: PurchaseState) -> None:
    assert set(before(PURCHASE, new)) == {old for old, targets in PURCHASE.items() if new in targets}


def test_nothing_is_submitted_but_what_was_planned() -> None:
    assert before(PURCHASE, S) == (P,)


def test_the_table_knows_every_state() -> None:
    assert set(PURCHASE) == set(PurchaseState)
