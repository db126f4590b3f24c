"""Past runs as the commands show them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.app.views import CondensedRecords, RecordOutcome, RunLine, RunsView
from connector.core.errors import ConfigurationError
from connector.core.report import iso
from connector.core.states import RunState
from connector.store.ledger import Ledger
from connector.store.runs import LATEST, RunRow

INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class PastRun:
    """One past or running run.

    Attributes:
        condensed: the note that only its sums are left; empty while it has its details.
        state: running, interrupted (its process ended before the run did), or the state in its report.
        report: the run's report; None while it runs and after it was interrupted.
        undone_by: the id of the undo that restored its changes; empty if there is none.
    """

    id: str
    command: str
    mappings: tuple[str, ...]
    state: str
    started_at: datetime
    report: Mapping[str, Any] | None
    undone_by: str = ""
    condensed: str = ""


def past_run(ledger: Ledger, row: RunRow) -> PastRun:
    """A run with its report, from a row of the ledger."""
    return PastRun(
        row.id,
        row.command,
        row.mappings,
        _state(ledger, row),
        row.started_at,
        row.report,
        row.undone_by or "",
        _condensed(row),
    )


def _condensed(row: RunRow) -> str:
    if row.condensed_at is None or row.finished_at is None:
        return ""
    days = (row.condensed_at - row.finished_at).days
    return (
        f"the details of run {row.id} were condensed on {row.condensed_at:%Y-%m-%d}, {days} days after it ended "
        "(CONNECTOR_KEEP_DAYS); its sums are kept"
    )


def with_details(run: PastRun) -> PastRun:
    """The run itself, if its details are still stored.

    Raises:
        ConfigurationError: they were condensed.
    """
    if run.condensed:
        raise ConfigurationError(f"{run.condensed}: connector show {run.id}")
    return run


def newest_runs(ledger: Ledger, limit: int, since: datetime | None = None) -> list[PastRun]:
    """At most `limit` runs that started at `since` or later, newest first."""
    return [past_run(ledger, row) for row in ledger.runs.newest(limit, since)]


def find_run(ledger: Ledger, given: str) -> PastRun:
    """The run that a command names: an id, the beginning of one, or `latest`.

    Raises:
        ConfigurationError: there is no such run, or more than one.
    """
    found = ledger.runs.find(given)
    if found is None and given == LATEST:
        raise ConfigurationError("this ledger has no run yet; see the cost of a first one with: connector plan -m NAME")
    if found is None:
        raise ConfigurationError(
            f"no run has the id {given!r}, or the prefix is ambiguous; list the runs with: connector runs"
        )
    return past_run(ledger, found)


def _state(ledger: Ledger, row: RunRow) -> str:
    """The state that outputs show: a run without a live process was interrupted."""
    if row.state == RunState.DIED or (row.state == RunState.RUNNING and not ledger.is_run_lock_held()):
        return INTERRUPTED
    return row.state


def runs_view(ledger: Ledger, limit: int, since: datetime | None = None) -> RunsView:
    """The view of `connector runs`: at most `limit` runs that started at `since` or later, newest first."""
    return RunsView(
        condensed=[
            CondensedRecords(
                month=one.month, mapping=one.mapping, channel=one.channel, outcome=one.outcome, count=one.count
            )
            for one in ledger.retention.sums()
        ],
        runs=[
            RunLine(
                run_id=run.id,
                command=run.command,
                mappings=list(run.mappings),
                state=run.state,
                started_at=iso(run.started_at),
                selected=(run.report or {}).get("selected"),
                outcomes=(run.report or {}).get("outcomes", {}),
                undone_by=run.undone_by or None,
            )
            for run in newest_runs(ledger, limit, since)
        ],
    )


def outcomes_of(ledger: Ledger, run: PastRun) -> Iterator[RecordOutcome]:
    """Yield every record of a run with its outcome and reason."""
    for one in ledger.run_outcomes.outcomes(run.id):
        yield RecordOutcome(
            mapping=one.mapping,
            object=one.object,
            record_id=one.crm_id,
            outcome=one.outcome.value,
            reason=one.reason,
            attention=one.attention,
        )
