"""Suggestions for misspelt names."""

import difflib
from collections.abc import Iterable

CUTOFF = 0.6


def nearest(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str | None:
    """The known name that is most like the given one, whatever its case; None when none is close (1 is equal)."""
    by_lower = {one.lower(): one for one in sorted(known)}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str:
    """`did you mean NAME?`, or nothing."""
    found = nearest(name, known, cutoff)
    return f"did you mean {found}?" if found else ""
