"""Detects from the balance whether a vendor charges more for a purchase than the settings state.

The rule, and its reasons:

- Two consecutive observations of an account's balance delimit an interval. In it the vendor can have charged for our
  purchases at most the present holds plus the charges since the first observation, whenever the vendor charges. A
  larger fall of the balance is an excess.
- Other people use the same credits, so one excess proves nothing. An excess below one credit per new purchase of the
  interval does not indicate a higher price. Nor do two excesses that differ, per purchase, by more than a factor of
  two, because a higher price costs the same each time.
- Two consecutive intervals that agree, with ten purchases in total, stop further purchases of that kind. It is
  improbable that other people spend twice in proportion to our purchases, and a wrong stop costs no credits: the
  operator lifts it.
- During a suspicion, everything is counted from the observation before it. Otherwise purchases that were in flight at a
  later observation, but charged before it, could hide an excess.
- An interval whose fall our purchases explain clears the suspicion, and so does a rise of the balance. An interval
  without a visible charge is inconclusive.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

INTERVALS = 2  # consecutive intervals that must agree
PURCHASES = 10  # the least purchases in all of them: a single purchase proves little
AGREE = 2.0  # the largest factor between their excesses per purchase


@dataclass(frozen=True, slots=True)
class Fall:
    """The fall of a balance, and the part that our purchases explain.

    Attributes:
        since: the observation at its start.
        credits: the fall of the balance; negative for a rise.
        most: the most credits that our purchases can have cost at the prices of the settings.
    """

    since: int
    credits: int
    most: int

    @property
    def excess(self) -> int:
        """The credits that our purchases do not explain."""
        return self.credits - self.most


@dataclass(frozen=True, slots=True)
class Interval:
    """The interval between two observations of an account's balance.

    Attributes:
        fall: the fall of the balance.
        open: the credits that are held and not charged yet.
        bought: the purchases sent in the interval, by channel.
        new_credits: the expected cost of these purchases.
    """

    fall: Fall
    open: int
    bought: Mapping[str, int]
    new_credits: int


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The evidence for a higher price of one channel.

    Attributes:
        price: the price in the settings; a new setting ends the suspicion.
        since: the observation from which the fall is counted.
        fell: the fall of the balance since then.
        most: the most credits that our purchases can have cost since then.
        intervals: the number of consecutive intervals that agree.
        purchases: the number of purchases in these intervals.
        excess_each: the excess per purchase in the last interval.
    """

    price: int
    since: int
    fell: int
    most: int
    intervals: int
    purchases: int
    excess_each: float

    @property
    def is_proved(self) -> bool:
        """Whether the evidence suffices to stop buying."""
        return self.intervals >= INTERVALS and self.purchases >= PURCHASES

    def to_json(self) -> dict[str, Any]:
        """The form in which the ledger stores it."""
        return asdict(self)


def judge(known: Suspicion | None, interval: Interval, fall: Fall, channel: str, price: int) -> Suspicion | None:
    """Update the suspicion about one channel with a new interval; None means that there is no suspicion.

    Args:
        known: the suspicion so far, about this price.
        interval: the newest interval.
        fall: the fall since the start of the suspicion; without one, the fall of the interval.
        channel: the kind of purchase.
        price: the price in the settings.
    """
    if interval.fall.credits < 0:  # credits were added: earlier and later balances cannot be compared
        return known if known is not None and known.is_proved else None
    purchases = sum(interval.bought.values())
    if not interval.bought.get(channel) or (known is not None and known.is_proved):
        return known
    growth = fall.excess - (known.fell - known.most if known is not None else 0)
    charges_seen = interval.fall.credits >= interval.new_credits or not interval.open
    if growth <= 0 and interval.fall.credits > 0 and charges_seen:
        return None
    if growth < purchases:
        return known
    each = growth / purchases
    if known is None or max(each, known.excess_each) > AGREE * min(each, known.excess_each):
        own = interval.fall
        return Suspicion(price, own.since, own.credits, own.most, 1, purchases, each)
    return Suspicion(
        price, known.since, fall.credits, fall.most, known.intervals + 1, known.purchases + purchases, each
    )
