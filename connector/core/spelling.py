"""Suggestions for misspelt names."""

import difflib
from collections.abc import Iterable

CUTOFF = 0.6


def nearest(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str | None:
    """The known name that is most similar to the given one, ignoring case.

    Args:
        name: the given name.
        known: the names to choose from.
        cutoff: the least similarity, from 0 to 1 (equal); below it the result is None.
    """
    by_lower = {one.lower(): one for one in sorted(known)}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str:
    """The question `did you mean NAME?`; empty if no name is similar."""
    found = nearest(name, known, cutoff)
    return f"did you mean {found}?" if found else ""
