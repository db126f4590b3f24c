"""A plan frozen into a file: the records with their versions, the purchases allowed for each, and the credit ceiling.

It contains ids, versions, counts and credits, but no personal data. Applying it does no more than the plan allows: a
record that has changed since is left unchanged, a purchase that the plan does not name is not made, and all runs of one
plan together stay within its ceiling.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from connector.core.model import Channel
from connector.core.plan import AttachToPending, Buy, Decision, Defer, ResolveIdentity, may_cost

CHANGED = "it was changed since the plan was made; make a new plan for it"
NOT_PLANNED = "the plan does not buy this; make a new plan for it"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FrozenRecord(_Frozen):
    """One record of a plan.

    Attributes:
        id: the CRM's full id.
        version: its version when the plan was made.
        buy: for each channel that may cost credits, the position in the mapping's `from` of the first source to try.
    """

    id: str
    version: str
    buy: dict[Channel, int] = Field(default_factory=dict)


class FrozenMapping(_Frozen):
    """One mapping of a plan; in the file, its `records` follow.

    Attributes:
        source: the value of `-m`.
        digest: the digest of the mapping; a different one makes the plan void.
    """

    source: str
    name: str
    object: str
    digest: str


class PlanTerms(_Frozen):
    """The file of `connector plan --out` without its records.

    Attributes:
        chosen: whether a condition or ids chose the records, not their flag.
        org: the host of the CRM org.
        accounts: the operator's name of the paying account, by provider.
        prices: the credits for one purchase of each channel, by provider.
        ceiling: the most credits that all runs of the plan together may hold or spend, by provider.
    """

    version: Literal[1] = 1
    plan_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")
    made_at: datetime
    org: str
    chosen: bool
    accounts: dict[str, str]
    prices: dict[str, dict[Channel, int]]
    ceiling: dict[str, int]
    mappings: tuple[FrozenMapping, ...]


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a frozen plan allows, for the person who approves it.

    Attributes:
        buys: by mapping, the people of each channel that may be bought.
        free: records that buy nothing.
    """

    terms: PlanTerms
    records: int
    buys: Mapping[str, Mapping[Channel, int]]
    free: int

    def to_json(self) -> dict[str, Any]:
        """The JSON document of `plan --show --json`."""
        terms = self.terms.model_dump(mode="json")
        mappings = [
            {**mapping, "buys": {channel.value: count for channel, count in self.buys[mapping["name"]].items()}}
            for mapping in terms.pop("mappings")
        ]
        return {**terms, "records": self.records, "free": self.free, "mappings": mappings}


class PlanRecords(Protocol):
    """The records of a plan, of which there may be a million."""

    def count(self, mapping: str | None = None) -> int:
        """The number of records of a mapping, or of the plan."""

    def pages(self, mapping: str, size: int) -> Iterator[list[FrozenRecord]]:
        """The records of a mapping in the plan's order, `size` at a time."""

    def get(self, mapping: str, record_id: str) -> FrozenRecord | None:
        """A record of the plan."""


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """A plan: its terms, and its records."""

    terms: PlanTerms
    records: PlanRecords

    def hold(self, mapping: str, record_id: str, version: str | None, channel: Channel, decision: Decision) -> Decision:
        """Limit a decision to the plan: return it unchanged, or defer a purchase that the plan does not allow.

        Args:
            mapping: the record's mapping.
            record_id: the record.
            version: its current version; None if an earlier run of this plan bought for it, and so changed it itself.
            channel: the channel of the decision.
            decision: the decision without the plan.
        """
        record = self.records.get(mapping, record_id)
        if record is None or (version is not None and version != record.version):
            return Defer(CHANGED)
        if isinstance(decision, Buy | ResolveIdentity | AttachToPending) and may_cost(decision):
            named = channel in record.buy and decision.position >= record.buy[channel]
            return decision if named else Defer(NOT_PLANNED, failed_sources=decision.failed_sources)
        return decision
