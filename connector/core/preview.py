"""What a plan says before anything is done: purchases with their price, writes, and skips with their reasons."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CapInForce:
    """A cap that applies to a plan, in credits.

    Attributes:
        name: in words.
        left: under the cap at this moment.
        binds: it allows less than the worst case.
    """

    name: str
    limit: int
    left: int
    binds: bool


@dataclass(frozen=True, slots=True)
class CreditForecast:
    """The cost of a plan at one provider.

    Attributes:
        worst_case: if everything planned is charged, and every next source is queried too.
        expected: by the ledger's own history of results; equal to the worst case without history.
        balance: as the vendor shows it; None when it did not answer.
        caps: every cap that applies, the balance less the reserve among them.
        limits: the caps as set: by scope, for each mapping or as one number.
        prices: credits for one purchase, by channel.
        covered: how many people of each channel the caps can pay for; only where that is not all of them.
    """

    worst_case: int
    expected: int
    balance: int | None
    caps: tuple[CapInForce, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, int] = field(default_factory=dict)
    covered: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview:
    """The result of a dry run.

    Attributes:
        would_buy: people by provider and channel; `after lookup` counts those who must first be found by LinkedIn.
        would_write: the fields that may be written, as (object, field, from what, policy), with the number of records.
        skips: number of records by channel and reason.
        joins: channels of records that share a purchase or reuse one, at no cost.
        notes: what a run would stop at or leave for later.
    """

    mappings: tuple[str, ...]
    selected: int
    credits: Mapping[str, CreditForecast]
    would_buy: Mapping[str, Mapping[str, int]]
    would_write: tuple[tuple[str, str, str, str, int], ...]
    skips: Mapping[str, Mapping[str, int]]
    joins: int = 0
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The documented document."""
        return {
            "mappings": list(self.mappings),
            "selected": self.selected,
            "credits": {
                name: {
                    "worst_case": c.worst_case,
                    "expected": c.expected,
                    "balance": c.balance,
                    "prices": dict(c.prices),
                    "caps": dict(c.limits),
                    "caps_left": [asdict(cap) for cap in c.caps],
                    "covered": dict(c.covered),
                }
                for name, c in self.credits.items()
            },
            "would_buy": {name: dict(channels) for name, channels in self.would_buy.items()},
            "would_ask_next": dict(self.fallbacks),
            "would_write": [
                {"object": o, "field": f, "from": source, "policy": policy, "records": count}
                for o, f, source, policy, count in self.would_write
            ],
            "joins": self.joins,
            "skips": {channel: dict(reasons) for channel, reasons in self.skips.items()},
            "notes": list(self.notes),
        }
