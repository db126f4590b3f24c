"""What a plan says before anything is done: purchases with their price, writes, and skips with their reasons."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CreditForecast:
    """What a plan may cost at one provider.

    Attributes:
        worst_case: if everything planned is charged, and every next source is asked too.
        expected: by the ledger's own history of results; equal to the worst case without history.
        balance: as the vendor says; None when it did not answer.
        cap: the tightest limit that applies, in credits; None without limits.
    """

    worst_case: int
    expected: int
    balance: int | None
    cap: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A dry run's word.

    Attributes:
        would_buy: unlocks by provider and channel; `after lookup` counts people who must first be found by LinkedIn.
        would_write: the fields that may be written, as (object, field, from what, policy), with the number of records.
        skips: records' channels that nothing is bought for, by reason.
        joins: channels that hang on what was bought or planned already, at no cost.
    """

    mappings: tuple[str, ...]
    selected: int
    credits: Mapping[str, CreditForecast]
    would_buy: Mapping[str, Mapping[str, int]]
    would_write: tuple[tuple[str, str, str, str, int], ...]
    skips: Mapping[str, int]
    joins: int = 0
    fallbacks: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The documented document."""
        return {
            "mappings": list(self.mappings),
            "selected": self.selected,
            "credits": {
                name: {"worst_case": c.worst_case, "expected": c.expected, "balance": c.balance, "cap": c.cap}
                for name, c in self.credits.items()
            },
            "would_buy": {name: dict(channels) for name, channels in self.would_buy.items()},
            "would_ask_next": dict(self.fallbacks),
            "would_write": [
                {"object": o, "field": f, "from": source, "policy": policy, "records": count}
                for o, f, source, policy, count in self.would_write
            ],
            "joins": self.joins,
            "skips": dict(self.skips),
        }
