"""Credits as append-only entries, and how much of them may still be set aside.

An attempt first holds what it may cost. Each part of the hold ends as a charge or a release. Balances are sums of
entries, never stored; a cap is a limit on the sum of holds and charges within its scope.
"""

from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What an entry does: hold sets aside, charge turns held into spent, release gives held back."""

    HOLD = "hold"
    CHARGE = "charge"
    RELEASE = "release"


class Hold(StrEnum):
    """A purchase's share of an attempt's hold.

    Presumed means: charged, until evidence says otherwise, for its answer was lost too long ago.
    """

    NONE = ""
    OPEN = "open"
    CHARGED = "charged"
    RELEASED = "released"
    PRESUMED = "presumed"


def ending(hold: Hold, kind: EntryKind) -> tuple[tuple[EntryKind, int], ...]:
    """The entries, as (kind, sign), that end a share as charge or release; none where it has ended already."""
    if hold is Hold.OPEN:
        return ((kind, 1),)
    if hold is Hold.PRESUMED and kind is EntryKind.RELEASE:
        return ((EntryKind.CHARGE, -1), (EntryKind.RELEASE, 1))
    return ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of entries in one scope, in credits."""

    held: int = 0
    charged: int = 0
    released: int = 0

    @property
    def open(self) -> int:
        """Set aside and neither charged nor given back yet."""
        return self.held - self.charged - self.released

    @property
    def used(self) -> int:
        """What counts against a cap: charged, or still set aside."""
        return self.held - self.released


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit in words an admin knows, and what is left under it (never below zero)."""

    name: str
    limit: int
    used: int

    @property
    def left(self) -> int:
        """Credits that may still be set aside under this cap."""
        return max(0, self.limit - self.used)

    def refusal(self, provider: str, price: int) -> str:
        """Why nothing more can be bought."""
        return f"{self.name} for {provider}: {self.left} of {self.limit} credits left, one purchase costs {price}"


def tightest(caps: list[Cap]) -> Cap | None:
    """The cap that leaves the least; None when there is none at all."""
    return min(caps, key=lambda cap: cap.left, default=None)
