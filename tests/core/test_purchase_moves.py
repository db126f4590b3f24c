"""The table of a purchase's states, compared with a second copy."""

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
    (P, U),  # the same, while that answer is processed
    (P, F),  # refused finally, or shown at no cost
    (S, P),  # a definite refusal
    (S, T),  # the vendor's id is committed
    (S, U),  # the answer was lost, or the owner died
    (S, F),  # the answer itself is final
    (T, F),  # the final result
    (T, U),  # the vendor lost the task and keeps no records
    (T, P),  # the vendor's record shows no purchase
    (U, T),  # a late answer, or the vendor shows a running task
    (U, P),  # one permitted resubmission
    (U, F),  # the vendor's own record shows the result
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(PurchaseState, repeat=2)))
def test_every_edge(old: PurchaseState, new: PurchaseState) -> None:
    assert (new in PURCHASE[old]) is ((old, new) in ALLOWED)


def test_final_is_terminal_and_reachable() -> None:
    assert PURCHASE[F] == frozenset()
    assert set(before(PURCHASE, F)) == set(PurchaseState) - {F}


@pytest.mark.parametrize("new", PurchaseState)
def test_sources_of_is_the_inverse_of_the_table(new: PurchaseState) -> None:
    assert set(before(PURCHASE, new)) == {old for old, targets in PURCHASE.items() if new in targets}


def test_only_planned_purchases_are_submitted() -> None:
    assert before(PURCHASE, S) == (P,)


def test_the_table_has_every_state() -> None:
    assert set(PURCHASE) == set(PurchaseState)
