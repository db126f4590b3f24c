"""A plan frozen into a file: which records at which version, what may be bought for each, and the most it may cost.

It holds ids, versions, counts and credits, nothing about people. Applying it does that much and no more: a record that
changed since is left alone, a purchase that the plan did not name is not made, and all runs of one plan together stay
below its ceiling.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Literal

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
        version: as it was when the plan was made.
        buy: by channel that may cost something, the place in the mapping's `from` of the first source to be asked.
    """

    id: str
    version: str
    buy: dict[Channel, int] = Field(default_factory=dict)


class FrozenMapping(_Frozen):
    """The records of one mapping.

    Attributes:
        source: what `-m` was given.
        digest: of the mapping's meaning; another one makes the plan void.
    """

    source: str
    name: str
    object: str
    digest: str
    records: tuple[FrozenRecord, ...]


class FrozenPlan(_Frozen):
    """The file of `connector plan --out`.

    Attributes:
        chosen: the records were chosen by a condition or ids, not by their flag.
        org: host of the CRM org whose records these are.
        accounts: by provider, the operator's name of the account that pays.
        prices: by provider, credits per purchase of each channel.
        ceiling: by provider, the most credits that all runs of the plan together may hold or spend.
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

    @cached_property
    def by_record(self) -> Mapping[tuple[str, str], FrozenRecord]:
        """By mapping and record id."""
        return {(found.name, record.id): record for found in self.mappings for record in found.records}

    @property
    def selected(self) -> int:
        """How many records the plan has."""
        return len(self.by_record)

    def hold(self, mapping: str, record_id: str, version: str | None, channel: Channel, decision: Decision) -> Decision:
        """The decision, or why it is no part of this plan.

        Args:
            mapping: whose record it is.
            record_id: the record.
            version: its present one; None where an earlier run of this plan has bought for it, and changed it itself.
            channel: what is decided.
            decision: as it would be without the plan.
        """
        record = self.by_record.get((mapping, record_id))
        if record is None or (version is not None and version != record.version):
            return Defer(CHANGED)
        if isinstance(decision, Buy | ResolveIdentity | AttachToPending) and may_cost(decision):
            named = channel in record.buy and decision.position >= record.buy[channel]
            return decision if named else Defer(NOT_PLANNED, failed_sources=decision.failed_sources)
        return decision
