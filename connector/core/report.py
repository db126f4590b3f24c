"""The run report: figures, ids and reasons, without personal data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from connector.core.model import Attention, Outcome


@dataclass(frozen=True, slots=True)
class ProviderCredits:
    """One provider's credits in a run.

    Attributes:
        held: credits still held at the end of the run.
        charged: credits charged during the run.
        balance_before, balance_after: the vendor's balances; None if it was not queried or did not answer.
    """

    held: int = 0
    charged: int = 0
    balance_before: int | None = None
    balance_after: int | None = None

    @property
    def other_charges(self) -> int | None:
        """The fall of the balance beyond this run's charges; None if one of the balances is unknown.

        Positive: requests of earlier runs that the vendor charged only now, open holds, or other users of the account.
        Negative: charges that the vendor made before this run, or added credits.
        """
        if self.balance_before is None or self.balance_after is None:
            return None
        return self.balance_before - self.balance_after - self.charged


@dataclass(frozen=True, slots=True)
class PurchaseFigures:
    """People of one provider and channel whose purchase ended in a run, and its cost in credits.

    Attributes:
        bought: the purchases that ended: the sum of delivered, without_value and failed.
        free: people whose value the vendor showed at no cost; not included in `bought`.
        waiting: purchases whose task is still running at the end of the run.
        unknown: purchases whose answer was lost.
        credits_without_value: the part of `credits` for purchases without a value.
    """

    bought: int = 0
    delivered: int = 0
    without_value: int = 0
    failed: int = 0
    free: int = 0
    waiting: int = 0
    unknown: int = 0
    credits: int = 0
    credits_without_value: int = 0


@dataclass(frozen=True, slots=True)
class CrmFigures:
    """The number of requests to the CRM, and of records written, unchanged and refused."""

    read_calls: int = 0
    write_calls: int = 0
    other_calls: int = 0
    records_written: int = 0
    records_unchanged: int = 0
    records_failed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one run.

    Attributes:
        selected: the records of the run; the outcomes sum to it.
        outcomes: the number of records by outcome.
        channels: the number of records by channel and outcome; each channel sums to the records whose mapping has it.
        purchases: figures by provider and channel.
        reasons: the number of records by channel, outcome and reason.
        attention: the first entries; `attention_total` counts all.
        stopped: the reasons why the run, or its purchases at one vendor, ended early.
        read_all: whether the run read all requested records; it has no result for unread ones.
        undoes: the run that this one undid.
        restored: the number of records by field that an undo has restored.
    """

    run_id: str
    command: str
    mappings: tuple[str, ...]
    state: str
    selected: int
    outcomes: Mapping[Outcome, int]
    channels: Mapping[str, Mapping[Outcome, int]]
    credits: Mapping[str, ProviderCredits]
    crm: Mapping[str, CrmFigures]
    started_at: datetime
    finished_at: datetime
    purchases: Mapping[str, Mapping[str, PurchaseFigures]] = field(default_factory=dict)
    attention: tuple[Attention, ...] = ()
    attention_total: int = 0
    reasons: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    read_all: bool = True
    undoes: str = ""
    restored: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The documented exit code: 4 takes precedence over 3, and 3 over 0."""
        if self.stopped or self.outcomes.get(Outcome.DEFERRED):
            return 4
        return 3 if self.attention else 0

    @property
    def is_success(self) -> bool:
        """Whether the run did its work, records that need attention included."""
        return self.exit_code in {0, 3}

    def to_json(self) -> dict[str, Any]:
        """The JSON document of `--json`."""
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "command": self.command,
            "mappings": list(self.mappings),
            "state": self.state,
            "selected": self.selected,
            "outcomes": {outcome.value: self.outcomes.get(outcome, 0) for outcome in _RECORD_ORDER},
            "channels": {
                channel: {outcome.value: counts.get(outcome, 0) for outcome in _CHANNEL_ORDER}
                for channel, counts in self.channels.items()
            },
            "purchases": {
                provider: {channel: asdict(figures) for channel, figures in by_channel.items()}
                for provider, by_channel in self.purchases.items()
            },
            "credits": {
                name: {
                    "held": c.held,
                    "charged": c.charged,
                    "balance_before": c.balance_before,
                    "balance_after": c.balance_after,
                    "other_charges": c.other_charges,
                }
                for name, c in self.credits.items()
            },
            "crm": {name: asdict(figures) for name, figures in self.crm.items()},
            "reasons": {
                channel: {outcome: dict(reasons) for outcome, reasons in by_outcome.items()}
                for channel, by_outcome in self.reasons.items()
            },
            "stopped": list(self.stopped),
            "started_at": iso(self.started_at),
            "finished_at": iso(self.finished_at),
            "attention": [
                {"record_id": a.record_id, "reason": a.reason, "field": a.field, "next": a.next} for a in self.attention
            ],
            "attention_total": max(self.attention_total, len(self.attention)),
        }
        return document | ({"undoes": self.undoes, "restored": dict(self.restored)} if self.undoes else {})


_RECORD_ORDER = (
    Outcome.DELIVERED,
    Outcome.FAILED,
    Outcome.NOT_FOUND,
    Outcome.SKIPPED,
    Outcome.WAITING,
    Outcome.DEFERRED,
    Outcome.PARKED,
    Outcome.UNKNOWN,
)
_CHANNEL_ORDER = (
    Outcome.DELIVERED,
    Outcome.ALREADY_FILLED,
    Outcome.NOT_FOUND,
    Outcome.FAILED,
    Outcome.SKIPPED,
    Outcome.WAITING,
    Outcome.DEFERRED,
    Outcome.PARKED,
    Outcome.UNKNOWN,
)


def iso(moment: datetime) -> str:
    """Format a time in UTC with whole seconds, such as `2026-11-20T10:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
