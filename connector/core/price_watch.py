"""Whether a vendor takes more for a purchase than the settings say, judged by its balance.

The rule, and its reasons:

- Two consecutive observations of an account's balance bound an interval. In it the vendor can have taken for our
  purchases at most what is held now, and what was charged since the first observation: it does not matter when the
  vendor charges. A fall beyond that is an excess.
- People share the account's credits, so one excess proves nothing. An excess below one credit for each new purchase of
  the interval is no sign of another price; nor are two that differ, for each purchase, by more than a factor of two,
  for a higher price costs the same each time.
- Two intervals in a row that agree, with ten purchases between them, stop further purchases of that kind. It is
  improbable that other people spend twice in proportion to our purchases, and a wrong stop costs no credit: the
  operator lifts it.
- While there is a suspicion, everything is counted from the observation before it, so that purchases which were under
  way at a later observation, and charged before, do not hide an excess.
- An interval whose fall our purchases explain clears the suspicion, and so does a balance that rose. An interval
  without a visible charge says nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

INTERVALS = 2  # in a row
PURCHASES = 10  # in all of them: a single purchase says little
AGREE = 2.0  # how much the excess for each purchase may differ between them


@dataclass(frozen=True, slots=True)
class Fall:
    """How far a balance fell, and what explains it.

    Attributes:
        since: the observation from which it is counted.
        credits: by which the balance fell; negative where it rose.
        most: credits that our purchases can have cost at the prices of the settings.
    """

    since: int
    credits: int
    most: int

    @property
    def excess(self) -> int:
        """Credits that our purchases do not explain."""
        return self.credits - self.most


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened on one account between two observations of its balance.

    Attributes:
        fall: of the balance.
        open: credits that are held and not charged yet.
        bought: purchases sent in the interval, by channel.
        new_credits: the expected cost of those.
    """

    fall: Fall
    open: int
    bought: Mapping[str, int]
    new_credits: int


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The evidence for a higher price of one channel.

    Attributes:
        price: credits of one purchase by the settings; another setting ends the suspicion.
        since: the observation from which the fall is counted.
        fell: credits by which the balance fell since then.
        most: credits that our purchases can have cost since then.
        intervals: in a row, that agree.
        purchases: in these intervals.
        excess_each: of the last interval, for each purchase.
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
        """Whether no more is bought."""
        return self.intervals >= INTERVALS and self.purchases >= PURCHASES

    def to_json(self) -> dict[str, Any]:
        """For the ledger."""
        return asdict(self)


def judge(known: Suspicion | None, interval: Interval, fall: Fall, channel: str, price: int) -> Suspicion | None:
    """What an interval adds to, or takes from, the suspicion about one channel.

    Args:
        known: the suspicion so far, about this price.
        interval: the newest.
        fall: since the observation from which the suspicion counts; of the interval, where there is none.
        channel: the kind of purchase.
        price: credits of one purchase by the settings.
    """
    if interval.fall.credits < 0:  # credits were bought: nothing before can be compared with what comes
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
