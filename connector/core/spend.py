"""Credits as append-only entries, and the caps on them.

An attempt first holds its highest cost. Each part of the hold ends as a charge or a release. Balances are sums of
entries and never stored; a cap limits the sum of holds and charges in its scope.
"""

from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """The kinds of entries: a hold sets credits aside, a charge spends held credits, a release returns them."""

    HOLD = "hold"
    CHARGE = "charge"
    RELEASE = "release"


class Hold(StrEnum):
    """A purchase's share of an attempt's hold.

    Presumed: its answer was lost too long ago, so it counts as charged until there is evidence to the contrary.
    """

    NONE = ""
    OPEN = "open"
    CHARGED = "charged"
    RELEASED = "released"
    PRESUMED = "presumed"


def ending(hold: Hold, kind: EntryKind) -> tuple[tuple[EntryKind, int], ...]:
    """The entries, as (kind, sign), that end a share as a charge or a release; empty if it has ended already."""
    if hold is Hold.OPEN:
        return ((kind, 1),)
    if hold is Hold.PRESUMED and kind is EntryKind.RELEASE:
        return ((EntryKind.CHARGE, -1), (EntryKind.RELEASE, 1))
    return ()


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of entries in one scope, in credits."""

    held: int = 0
    charged: int = 0
    released: int = 0

    @property
    def open(self) -> int:
        """The credits that are held and not yet charged or released."""
        return self.held - self.charged - self.released

    @property
    def used(self) -> int:
        """The credits that count against a cap: charged or still held."""
        return self.held - self.released


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit with its name for admins, and the credits left under it (never below zero)."""

    name: str
    limit: int
    used: int

    @property
    def left(self) -> int:
        """The credits that may still be held under this cap."""
        return max(0, self.limit - self.used)

    def refusal(self, provider: str, price: int) -> str:
        """The reason for a deferral by this cap; `report/next_steps.py` recognises it by its start."""
        return f"{self.name} for {provider}: {self.left} of {self.limit} credits left, one purchase costs {price}"


def tightest(caps: list[Cap]) -> Cap | None:
    """The cap with the fewest credits left; None if there is no cap."""
    return min(caps, key=lambda cap: cap.left, default=None)
