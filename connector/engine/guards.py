"""Guards against systematic mistakes: they stop a run before it changes or buys anything, or anything more.

The attention entry of each guard names the next step; `sync --all` and `backfill --all` override all guards.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from connector.core.crm_calls import CallSizes, records_for
from connector.core.mapping import MappingFile
from connector.core.model import Attention, Channel, CrmRecord
from connector.core.plan import Skip
from connector.engine.context import Run
from connector.providers.interface import Provider
from connector.store.planned import PlannedRecord

FIRST_RECORDS = 200  # the run stops if these are skipped for one reason
MOST_OF_THEM = 0.9  # the required share of the first records; the others may be filled or opted out
LEAST_RECORDS = 20  # the least number of skipped records
ANSWERS = 100  # the run stops buying after this many answers without a value
USUAL_RUNS = 10  # the runs from which the usual number is computed
LEAST_RUNS = 3  # with fewer runs, there is no usual number
MANY_TIMES = 10  # more flagged records than this multiple of the usual number are unusual
LEAST_FLAGGED = 1000  # fewer flagged records are never unusual


class SameReason:
    """Detects that the first records of a run are all skipped for one systematic reason.

    Reasons are compared by channel. A channel that is filled or opted out does not count.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._skipped = 0
        self._reasons: dict[Channel, set[str]] = {}
        self._is_useful = False

    def add(self, records: Sequence[PlannedRecord]) -> None:
        """Count further records."""
        for record in records[: FIRST_RECORDS - self._seen]:
            self._seen += 1
            reasons = {
                record_channel.channel: _systematic(record_channel.decision) for record_channel in record.channels
            }
            self._is_useful = self._is_useful or not all(
                isinstance(record_channel.decision, Skip) for record_channel in record.channels
            )
            self._skipped += any(reasons.values())
            for channel, reason in reasons.items():
                if reason:
                    self._reasons.setdefault(channel, set()).add(reason)

    @property
    def is_decided(self) -> bool:
        """Whether further records cannot change the result."""
        return self._seen >= FIRST_RECORDS or not self._may_be_systematic

    @property
    def _may_be_systematic(self) -> bool:
        return not self._is_useful and all(len(found) == 1 for found in self._reasons.values())

    def reason(self) -> str:
        """The common reason, or one for each channel; empty if the run may continue."""
        most = self._skipped >= LEAST_RECORDS and self._skipped >= self._seen * MOST_OF_THEM
        if not most or not self._may_be_systematic:
            return ""
        return "; ".join(dict.fromkeys(reason for found in self._reasons.values() for reason in found))

    @property
    def seen(self) -> int:
        """The number of records counted."""
        return self._seen


def _systematic(decision: object) -> str:
    return decision.reason if isinstance(decision, Skip) and decision.systematic else ""


def stop_for_same_reason(run: Run, mapping: MappingFile, guard: SameReason, *, chosen: bool) -> bool:
    """Report and stop a mapping whose records are all skipped for one reason; returns whether it was stopped.

    Args:
        run: the run.
        mapping: the mapping of the records.
        guard: the guard that has counted the records.
        chosen: the records were chosen by a condition or ids, not by their flag.
    """
    reason = guard.reason()
    if not reason or run.override_guards:
        return False
    options = " with the same options" if chosen else ""
    override = f"connector {'backfill' if chosen else 'sync'} -m {mapping.name} --all{options}"
    run.attention.append(
        Attention(
            f"mapping {mapping.name}: the first {guard.seen} records would all be skipped for one reason "
            f"({reason}); nothing was written and no flag was cleared",
            f"correct the mapping or the field, then run again; to skip these records anyway: {override}",
        )
    )
    run.guarded.add(mapping.name)
    return True


def usual_number(run: Run, mapping: str) -> int | None:
    """The median number of flagged records in a mapping's latest runs; None if there are too few runs."""
    counts = run.services.ledger.run_outcomes.usual_selection(mapping, USUAL_RUNS)
    return max(1, int(median(counts))) if len(counts) >= LEAST_RUNS else None


def is_unusual(count: int, usual: int) -> bool:
    """Whether a run does not take this number of flagged records without `--all`."""
    return count > max(LEAST_FLAGGED, MANY_TIMES * usual)


def usual_pages(run: Run, mapping: MappingFile, pages: Iterator[list[CrmRecord]]) -> Iterator[list[CrmRecord]]:
    """Yield at most ten times the usual number of flagged records; the others keep their flag.

    The usual number is the median of the mapping's latest runs. Up to a thousand records are never unusual.
    """
    usual = usual_number(run, mapping.name)
    if usual is None or run.override_guards:
        yield from pages
        return
    most, seen, held = MANY_TIMES * usual, 0, list[CrmRecord]()
    for page in pages:
        seen += len(page)
        held += page
        if seen <= LEAST_FLAGGED:
            continue  # not unusual yet
        if seen > most:
            yield held[: max(0, most - (seen - len(held)))]
            _report_many(run, mapping, usual, most)
            return
        yield held
        held = []
    if held:
        yield held


def affordable_pages(run: Run, pages: Iterator[list[CrmRecord]]) -> Iterator[list[CrmRecord]]:
    """Yield as many records as the CRM's requests that are left today can read and write; the others keep their flag.

    The records that earlier runs have left open come first.
    """
    left = run.services.crm.usage().daily_left
    if left is None:
        yield from pages
        return
    most = max(0, records_for(left, call_sizes(run)) - run.services.ledger.run_outcomes.open_records(run.id))
    for page in pages:
        if len(page) > most:
            _report_quota(run, left)
            if most:
                yield page[:most]
            return
        most -= len(page)
        yield page


def call_sizes(run: Run) -> CallSizes:
    """The records of one CRM request of each kind in this run."""
    crm = run.services.crm
    return CallSizes(crm.read_size, crm.write_size, None if run.bulk is None else run.bulk.most_rows)


def _report_quota(run: Run, left: int) -> None:
    label = run.services.crm.label
    text = f"{label} allows {left:,} more requests today, without the reserve: records beyond that are left for later"
    run.leave_for_later(text)
    run.services.progress.note(text)


def _report_many(run: Run, mapping: MappingFile, usual: int, taken: int) -> None:
    text = (
        f"mapping {mapping.name}: unusually many records are flagged (the usual number is {usual:,}); {taken:,} are "
        "taken now, the others keep their flag"
    )
    run.leave_for_later(text)
    run.attention.append(
        Attention(text, f"check what set the flags; to take all of them: connector sync -m {mapping.name} --all")
    )


def has_no_values(run: Run, provider: Provider, channel: Channel) -> bool:
    """Whether a provider's latest answers for a channel contained no value."""
    since = run.started_at if run.override_guards else None
    answers, with_value = run.services.ledger.run_outcomes.latest_results(provider.source, channel, ANSWERS, since)
    # The newest value is followed by `answers - with_value` others at most, so the guard needs so many further results.
    run.checked_at[provider.name, channel] = run.results + ANSWERS - answers + with_value
    return answers >= ANSWERS and not with_value


def _must_check(run: Run, provider: Provider, channel: Channel) -> bool:
    """Whether the answers since the last check may be without a value; other runs store answers too."""
    return run.services.shared or run.results >= run.checked_at.get((provider.name, channel), 0)


def stop_without_value(run: Run, provider: Provider, channel: Channel) -> bool:
    """Stop buying a channel whose latest answers contained no value; returns whether it was stopped."""
    if not _must_check(run, provider, channel) or not has_no_values(run, provider, channel):
        return False
    reason = f"the last {ANSWERS} answers of {provider.name} for {channel.replace('_', ' ')} contained no value"
    for name in run.mappings:
        run.capped[provider.name, channel.value, name] = reason
    if reason not in run.reported:
        run.reported.add(reason)
        names = " ".join(f"-m {name}" for name in run.mappings)
        run.attention.append(
            Attention(
                f"{reason}; no more is bought",
                f"ask {provider.name}, or check the identifiers; to try {ANSWERS} more people: "
                f"connector sync {names} --all",
            )
        )
    return True
