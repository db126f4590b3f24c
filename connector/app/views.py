"""Typed views that use cases return; commands print them as text or as one JSON document."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """The base of all views; the JSON form of a view is part of the public interface."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LastRun(View):
    """The newest run."""

    id: str
    command: str
    state: str


class PurchaseCount(View):
    """The number of purchases at one provider in one state, and their next step."""

    provider: str
    state: str
    count: int
    next: str


class PurchaseToDecide(View):
    """A purchase that needs a decision, since when, and the next step."""

    purchase_id: int
    provider: str
    channel: str
    state: str
    reason: str
    since: str
    next: str


class Overdue(View):
    """Work of one kind that has waited too long."""

    what: str
    subject: str
    count: int
    since: str
    reason: str
    next: str


class HeldAndCharged(View):
    """Credits held and charged at one provider."""

    held: int
    charged: int


class OlderCopy(View):
    """An older copy of the ledger: when it was noticed, by which sign, the trusted providers, and the next step."""

    since: str | None
    sign: str
    trusted: list[str]
    next: str


class WorkingProcess(View):
    """A running `connector serve` or worker."""

    kind: str
    mappings: list[str]


class StatusView(View):
    """Open work, and the next step for each kind of it.

    Attributes:
        ledger: its location, without a password.
        requested_records: the number of records of requests, by state.
        open_requests: the number of requested records without a final outcome.
        accounting: the discrepancies in the ledger; empty if the accounting adds up.
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
    """One provider's account: its balance, or the reason why it cannot be read."""

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
    """The cost of a channel's delivered values; `credits_per_value` is None without any."""

    provider: str
    channel: str
    delivered: int
    credits: int
    credits_per_value: float | None


class CreditsView(View):
    """The vendors' current balances, the ledger's holds and charges, and the spend of each month."""

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


class CondensedRecords(View):
    """Records that were condensed to sums: those closed in a month, by mapping and outcome.

    Attributes:
        channel: the channel whose outcomes are counted; empty for whole records.
        outcome: empty for records that were closed without one.
    """

    month: str
    mapping: str
    channel: str
    outcome: str
    count: int


class RunsView(View):
    """Past runs, newest first, and the sums of records whose details were condensed."""

    runs: list[RunLine]
    condensed: list[CondensedRecords]


class RecordOutcome(View):
    """One record of a run, for the export."""

    mapping: str
    object: str
    record_id: str
    outcome: str
    reason: str
    attention: str


class MovedLedger(View):
    """A ledger that was moved to PostgreSQL.

    Attributes:
        ledger: the old file, which is locked.
        place: where the ledger is now, without a password.
        rows: the number of rows that were copied and compared.
        tables: the number of their tables.
        settings_file: the `.env` file in use; empty if there is none.
        lines: the lines for the settings, without any secret.
        keeps_key: whether CONNECTOR_SECRET_KEY is set already, and so is not in `lines`.
        hides_password: whether a user and a password are left out of the address in `lines`.
    """

    ledger: str
    place: str
    rows: int
    tables: int
    settings_file: str
    lines: list[str]
    keeps_key: bool
    hides_password: bool
