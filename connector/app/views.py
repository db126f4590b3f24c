"""What use cases return: typed views, which commands print for people or as one JSON document."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """A view; its JSON form is part of the public interface."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LastRun(View):
    """The newest run."""

    id: str
    command: str
    state: str


class PurchaseCount(View):
    """Purchases of one provider in one state, and what happens to them next."""

    provider: str
    state: str
    count: int
    next: str


class PurchaseToDecide(View):
    """A purchase that needs a look, since when, and the next step."""

    purchase_id: int
    provider: str
    channel: str
    state: str
    reason: str
    since: str
    next: str


class Overdue(View):
    """Things of one kind that have waited longer than their age."""

    what: str
    subject: str
    count: int
    since: str
    reason: str
    next: str


class HeldAndCharged(View):
    """Credits of one provider."""

    held: int
    charged: int


class OlderCopy(View):
    """Since when the ledger is known to be an older copy, by what sign, which providers are trusted, the next step."""

    since: str | None
    sign: str
    trusted: list[str]
    next: str


class WorkingProcess(View):
    """A process that does work for others."""

    kind: str
    mappings: list[str]


class StatusView(View):
    """Open work, and the next step for each kind of it.

    Attributes:
        ledger: which one, without a password.
        requested_records: records of requests, by state.
        open_requests: those of them that have no final outcome yet.
        accounting: what does not add up; empty when everything does.
    """

    ledger: str
    last_run: LastRun | None
    purchases: list[PurchaseCount]
    needs_a_look: list[PurchaseToDecide]
    overdue: list[Overdue]
    open_tasks: int
    open_records: int
    parked_records: int
    credits: Mapping[str, HeldAndCharged]
    older_copy: OlderCopy | None
    requested_records: Mapping[str, int]
    open_requests: int
    workers: list[WorkingProcess]
    accounting: str


class ProviderBalance(View):
    """One provider's account: its balance, or why it cannot be read."""

    balance: int | None
    trouble: str
    held: int
    charged: int


class MonthSpend(View):
    """Credits of one month, provider and mapping."""

    month: str
    provider: str
    mapping: str
    charged: int
    held: int


class ValueCost(View):
    """What the delivered values of a channel have cost; None without any."""

    provider: str
    channel: str
    delivered: int
    credits: int
    credits_per_value: float | None


class CreditsView(View):
    """Balances as the vendors show them now, holds and charges by the ledger, and the spend of each month."""

    providers: Mapping[str, ProviderBalance]
    months: list[MonthSpend]
    values: list[ValueCost]


class RunLine(View):
    """One run in a list."""

    run_id: str
    command: str
    mappings: list[str]
    state: str
    started_at: str
    selected: int | None
    outcomes: Mapping[str, int]
    undone_by: str | None


class RunsView(View):
    """Past runs, the newest first."""

    runs: list[RunLine]


class RecordOutcome(View):
    """One record of a run, for the export."""

    mapping: str
    object: str
    record_id: str
    outcome: str
    reason: str
    attention: str
