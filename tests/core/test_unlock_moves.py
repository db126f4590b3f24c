"""The table of an unlock's states, written out once more and compared."""

import itertools

import pytest

from connector.core.model import UnlockState
from connector.core.task import MOVES, sources_of

P, S, T, U, F = (
    UnlockState.PLANNED,
    UnlockState.SUBMITTING,
    UnlockState.SUBMITTED,
    UnlockState.UNKNOWN,
    UnlockState.FINAL,
)
ALLOWED = {
    (P, S),  # its hold is committed
    (P, T),  # a late answer to the lost request, before its repeat left
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


@pytest.mark.parametrize(("old", "new"), list(itertools.product(UnlockState, repeat=2)))
def test_every_edge(old: UnlockState, new: UnlockState) -> None:
    assert (new in MOVES[old]) is ((old, new) in ALLOWED)


def test_nothing_leaves_final_and_everything_can_reach_it() -> None:
    assert MOVES[F] == frozenset()
    assert set(sources_of(F)) == set(UnlockState) - {F}


@pytest.mark.parametrize("new", UnlockState)
def test_sources_of_is_the_inverse_of_the_table(new: UnlockState) -> None:
    assert set(sources_of(new)) == {old for old, targets in MOVES.items() if new in targets}


def test_nothing_is_submitted_but_what_was_planned() -> None:
    assert sources_of(S) == (P,)


def test_the_table_knows_every_state() -> None:
    assert set(MOVES) == set(UnlockState)
