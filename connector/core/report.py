"""The run report: what every run says of itself, in figures, ids and reasons, without personal data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connector.core.model import Attention, Outcome


@dataclass(frozen=True, slots=True)
class ProviderCredits:
    """One provider's credits in a run.

    Attributes:
        held: still set aside when the run ended.
        charged: taken during the run.
        balance_before, balance_after: as the vendor said; None where it was not asked or did not answer.
    """

    held: int = 0
    charged: int = 0
    balance_before: int | None = None
    balance_after: int | None = None


@dataclass(frozen=True, slots=True)
class CrmFigures:
    """Requests to the CRM, and what became of the records written."""

    read_calls: int = 0
    write_calls: int = 0
    other_calls: int = 0
    records_written: int = 0
    records_unchanged: int = 0
    records_failed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """One run's word.

    Attributes:
        selected: records of the run; the outcomes sum to it.
        channels: by channel, how many unlocks became final in the run, by result.
        reasons: how many records were skipped, failed or deferred, by reason.
        stopped: why the run, or one vendor's part of it, ended early.
        read_all: it has read every record that it was asked for; of others it says nothing.
    """

    run_id: str
    command: str
    mappings: tuple[str, ...]
    state: str
    selected: int
    outcomes: Mapping[Outcome, int]
    channels: Mapping[str, Mapping[str, int]]
    credits: Mapping[str, ProviderCredits]
    crm: CrmFigures
    started_at: datetime
    finished_at: datetime
    attention: tuple[Attention, ...] = ()
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    read_all: bool = True

    @property
    def exit_code(self) -> int:
        """4 before 3 before 0, as documented for every command that runs."""
        if self.stopped or self.outcomes.get(Outcome.DEFERRED):
            return 4
        return 3 if self.attention else 0

    def to_json(self) -> dict[str, Any]:
        """The documented document."""
        return {
            "run_id": self.run_id,
            "command": self.command,
            "mappings": list(self.mappings),
            "state": self.state,
            "selected": self.selected,
            "outcomes": {outcome.value: self.outcomes.get(outcome, 0) for outcome in _JSON_ORDER},
            "channels": {channel: dict(counts) for channel, counts in self.channels.items()},
            "credits": {
                name: {
                    "held": c.held,
                    "charged": c.charged,
                    "balance_before": c.balance_before,
                    "balance_after": c.balance_after,
                }
                for name, c in self.credits.items()
            },
            "salesforce": {
                "read_calls": self.crm.read_calls,
                "write_calls": self.crm.write_calls,
                "other_calls": self.crm.other_calls,
                "records_written": self.crm.records_written,
                "records_unchanged": self.crm.records_unchanged,
                "records_failed": self.crm.records_failed,
            },
            "reasons": {outcome: dict(counts) for outcome, counts in self.reasons.items()},
            "stopped": list(self.stopped),
            "started_at": iso(self.started_at),
            "finished_at": iso(self.finished_at),
            "attention": [
                {"record_id": a.record_id, "reason": a.reason, "field": a.field, "next": a.next} for a in self.attention
            ],
        }


_JSON_ORDER = (
    Outcome.DELIVERED,
    Outcome.NOT_FOUND,
    Outcome.FAILED,
    Outcome.SKIPPED,
    Outcome.WAITING,
    Outcome.DEFERRED,
    Outcome.PARKED,
    Outcome.UNKNOWN,
)


def iso(moment: datetime) -> str:
    """A time in UTC, whole seconds, with Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
