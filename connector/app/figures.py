"""The figures of `/metrics`; reading them counts open work, and its cost does not depend on what is finished."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connector.core.person import Source
from connector.core.task_seconds import TaskSeconds
from connector.store.ledger import Ledger

Values = Mapping[tuple[str, ...], float]  # by labels


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """Counts, credits and times.

    Attributes:
        values: by metric and labels.
        tasks: the durations of vendor tasks by (provider, channel).
    """

    values: Mapping[str, Values] = field(default_factory=dict)
    tasks: Mapping[tuple[str, str], TaskSeconds] = field(default_factory=dict)


def service_figures(ledger: Ledger, mappings: Sequence[str], sources: Iterable[Source]) -> ServiceFigures:
    """Read the figures of the ledger; some are those of these mappings and provider accounts only."""
    counts, totals = ledger.runs.open_counts(), ledger.credits.totals()
    last = next(iter(ledger.runs.newest(1)), None)
    found = ledger.monitoring.read(mappings, sources)
    runs = found.runs
    return ServiceFigures(
        {
            "requested_records": {(state,): count for state, count in ledger.inbox.open_counts().items()},
            "open_purchases": {(*key,): count for key, count in counts.purchases.items()},
            "open_records": {(): counts.records},
            "parked_records": {(): counts.parked},
            "attention_records": {(name,): one.attention for name, one in runs.items()},
            "credits_held": {(name,): one.open for name, one in totals.items()},
            "credits_charged": {(name,): one.charged + found.corrected.get(name, 0) for name, one in totals.items()},
            "credits_reversed": {(name,): found.corrected.get(name, 0) for name in totals},
            "vendor_balance": {(name,): one.credits for name, one in found.balances.items()},
            "vendor_balance_timestamp_seconds": {(name,): one.at.timestamp() for name, one in found.balances.items()},
            "channel_outcomes": {(*key,): count for key, count in found.outcomes.items()},
            "last_run_started_timestamp_seconds": {(): last.started_at.timestamp()} if last else {},
            "last_success_timestamp_seconds": {
                (name,): one.success_at.timestamp() for name, one in runs.items() if one.success_at is not None
            },
        },
        found.tasks,
    )
