"""The states of an unlock, and every move between them that is allowed.

    planned ──hold committed──▶ submitting ──vendor's id committed──▶ submitted ──last word──▶ final
       ▲                          │    │                                                        ▲
       └──definite refusal────────┘    └──answer lost, or owner dead──▶ unknown ────────────────┘

A `planned` one becomes `submitted` without being sent only when the late answer of its lost request arrives after a
repeat was allowed and before it left; one that is `submitting` goes back to `planned` first, if it has not left yet.
An `unknown` becomes `submitted` when a late answer brings its vendor id, `planned` when the vendor shows that nothing
was taken (one counted resubmission) or the operator allows a repeat, and `final` when the vendor's own record of the
person tells the result, or when an older purchase of the same brings its value late; that value ends a `planned` or
`submitted` one too. Nothing ever leaves `final`, with one exception that costs nothing: evidence of a value turns not
found or failed into delivered.
"""

from connector.core.model import UnlockState

_S = UnlockState

MOVES: dict[UnlockState, frozenset[UnlockState]] = {
    _S.PLANNED: frozenset({_S.SUBMITTING, _S.SUBMITTED, _S.FINAL}),
    _S.SUBMITTING: frozenset({_S.PLANNED, _S.SUBMITTED, _S.UNKNOWN, _S.FINAL}),
    _S.SUBMITTED: frozenset({_S.FINAL, _S.UNKNOWN, _S.PLANNED}),
    _S.UNKNOWN: frozenset({_S.SUBMITTED, _S.PLANNED, _S.FINAL}),
    _S.FINAL: frozenset(),
}


def sources_of(new: UnlockState) -> tuple[UnlockState, ...]:
    """The states from which an unlock may come to `new`, for compare-and-set."""
    return tuple(old for old in UnlockState if new in MOVES[old])
