"""The forecast of a run: purchases with their price, writes, and skips with their reasons."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CapInForce:
    """A cap that applies to a plan, in credits.

    Attributes:
        name: the name for people.
        left: the credits left under the cap at this moment.
        binds: whether it allows less than the worst case.
    """

    name: str
    limit: int
    left: int
    binds: bool


@dataclass(frozen=True, slots=True)
class CreditForecast:
    """The cost of a plan at one provider.

    Attributes:
        worst_case: the cost if everything planned is charged, including all next sources.
        expected: the cost estimated from the ledger's history of results; the worst case without history.
        balance: the vendor's balance; None if it did not answer.
        caps: every cap that applies, including the balance less the reserve.
        limits: the caps as set, by scope; a number, or numbers by mapping.
        prices: credits for one purchase, by channel.
        covered: the people of each channel that the caps can pay for; only for channels where that is not all.
    """

    worst_case: int
    expected: int
    balance: int | None
    caps: tuple[CapInForce, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, int] = field(default_factory=dict)
    covered: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallForecast:
    """The requests to a CRM that a run would make.

    Attributes:
        most_calls: the requests if every record changes.
        left_today: those left today, without the reserve; None if the quota is unknown.
    """

    most_calls: int
    left_today: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The result of a forecast.

    Attributes:
        would_buy: people by provider and channel; `after lookup` counts those who must first be found by LinkedIn.
        would_write: the number of records for each field, as (object, field, source, policy).
        skips: the number of records by channel and reason.
        joins: the number of record channels that share or reuse a purchase, at no cost.
        notes: sentences about guards and deferrals of the run.
        crm_calls: the requests to each CRM.
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
    crm_calls: Mapping[str, CallForecast] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON document of `plan --json`."""
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
            "crm": {name: asdict(calls) for name, calls in self.crm_calls.items()},
            "notes": list(self.notes),
        }
