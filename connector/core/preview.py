"""The forecast of a run: purchases with their price, writes, and skips with their reasons."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HitRate:
    """How often a provider's latest answers for a channel had a value.

    Attributes:
        answers: the number of answers behind the rate.
    """

    answers: int
    with_value: int

    @property
    def share(self) -> float:
        """The share of answers with a value; 0 without answers."""
        return self.with_value / self.answers if self.answers else 0.0


@dataclass(frozen=True, slots=True)
class CapInForce:
    """A cap that applies to a plan, in credits.

    Attributes:
        name: the name for people.
        left: the credits left under the cap at this moment.
        binds: whether it allows less than the worst case.
        of_mapping: whether it limits one mapping only.
    """

    name: str
    limit: int
    left: int
    binds: bool
    of_mapping: bool = False


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
        hit_rates: the ledger's own history by channel; a channel without answers is missing.
    """

    worst_case: int
    expected: int
    balance: int | None
    caps: tuple[CapInForce, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, int] = field(default_factory=dict)
    covered: Mapping[str, int] = field(default_factory=dict)
    hit_rates: Mapping[str, HitRate] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """The most credits that a run can cost: the worst case, or less if the caps of all mappings allow less."""
        return min([self.worst_case, *(cap.left for cap in self.caps if not cap.of_mapping)])

    @property
    def balance_after(self) -> int | None:
        """The balance after the most expensive run; None if the balance is unknown."""
        return None if self.balance is None else self.balance - self.most


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
                    "balance_after": c.balance_after,
                    "prices": dict(c.prices),
                    "caps": dict(c.limits),
                    "hit_rates": {
                        channel: {"answers": rate.answers, "with_value": rate.with_value}
                        for channel, rate in c.hit_rates.items()
                    },
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
