"""Stage 1 of a frozen plan: read exactly its records, and allow only the purchases that it contains.

A plan may be applied again, for example after a cap, a vendor's outage or a crash. Records that its earlier runs have
finished are skipped, their open purchases are continued, and all runs share one ceiling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector.core.ages import PLAN_KEPT
from connector.core.frozen import FrozenMapping, FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.model import Attention, CrmRecord
from connector.core.plan import Skip
from connector.engine.context import Run
from connector.engine.guards import SameReason, stop_for_same_reason
from connector.engine.outcome import names_another
from connector.engine.select import keep, plan_page
from connector.store.planned import PlannedRecord
from connector.store.plans import FinishedBy
from connector.store.rows import RecordRow

FLAG_CLEARED = "its flag was cleared since the plan was made"
GONE = "it was deleted, merged or converted since the plan was made"


def take_up(run: Run, plan: FrozenPlan) -> None:
    """Adopt the records with purchases of earlier runs of the plan, then read the plan's unfinished records."""
    terms, plans = plan.terms, run.services.ledger.plans
    for frozen in terms.mappings:
        is_first = not plans.adopt(run.id, terms.plan_id, frozen.name)
        guard, finished = SameReason() if is_first else None, 0
        for page in plan.records.pages(frozen.name, run.services.crm.read_size):
            every = [record.id for record in page]
            ended = plans.finished(frozen.name, every, terms.plan_id, terms.made_at)
            ids = [crm_id for crm_id in every if crm_id not in ended or not ended[crm_id].by_plan]
            finished += len(every) - len(ids)
            if ids:
                begun = plans.begun(terms.plan_id, frozen.name, ids)
                _take_up_page(run, plan, frozen, ids, _Earlier(begun, ended), guard)
            if frozen.name in run.guarded:
                break
        if finished:
            count = plan.records.count(frozen.name)
            run.services.progress.note(f"{finished} of {count} records were finished by earlier runs of the plan")


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The plan's records that earlier runs have begun or finished, by CRM id.

    Attributes:
        begun: the open records with purchases of the plan.
        ended: the run that gave a record its final outcome.
    """

    begun: Mapping[str, RecordRow]
    ended: Mapping[str, FinishedBy]


def _take_up_page(
    run: Run,
    plan: FrozenPlan,
    frozen: FrozenMapping,
    ids: Sequence[str],
    earlier: _Earlier,
    guard: SameReason | None,
) -> None:
    """Read and plan one page; `guard` judges the first run of a plan."""
    mapping = run.mappings[frozen.name]
    found = run.services.crm.read(mapping.object, ids, sorted(mapping.read_fields()))
    page = [record for record in found.values() if record is not None and record.moved_to is None]
    missing = set(ids) - {record.id for record in page} - earlier.begun.keys()
    for record_id in sorted(missing):
        run.call_attention(Attention(GONE, "nothing; it is no longer part of the plan", record_id), is_stored=False)
    continued = {record.id for record in page if _is_continued(plan, mapping, record, earlier.begun.get(record.id))}
    skipped = {record.id: reason for record in page if (reason := _skip_reason(plan, mapping, record, earlier))}
    decided = plan_page(run, mapping, page)
    if guard is not None:
        guard.add(decided)
        if stop_for_same_reason(run, mapping, guard, chosen=plan.terms.chosen):
            return
    planned = [
        _skipped(record, skipped[record.crm_id])
        if record.crm_id in skipped
        else _limited_to(plan, mapping, record, is_continued=record.crm_id in continued)
        for record in decided
    ]
    keep(run, mapping, planned, page, chosen=plan.terms.chosen)


def _is_continued(plan: FrozenPlan, mapping: MappingFile, record: CrmRecord, row: RecordRow | None) -> bool:
    """Whether the plan has purchases for the record, which is still flagged or chosen and names the same person."""
    is_requested = plan.terms.chosen or record.values.get(mapping.select.flag_field) == mapping.select.asks
    return row is not None and is_requested and not names_another(row, record, mapping)


def _skip_reason(plan: FrozenPlan, mapping: MappingFile, record: CrmRecord, earlier: _Earlier) -> str:
    """The reason to skip a record without a flag; empty if it is not skipped.

    A flagged record is never skipped here: if it changed since the plan was made, it keeps its flag.
    """
    if record.values.get(mapping.select.flag_field) == mapping.select.asks:
        return ""
    if record.id in earlier.ended:
        return f"finished by run {earlier.ended[record.id].run_id}"
    return "" if plan.terms.chosen else FLAG_CLEARED


def _skipped(record: PlannedRecord, reason: str) -> PlannedRecord:
    """The record with a skip for each channel; values that were bought before are still written."""
    channels = tuple(
        replace(record_channel, decision=Skip(reason, keep_status=True)) for record_channel in record.channels
    )
    return replace(record, channels=channels)


def drop_unselected(run: Run, mappings: Sequence[str]) -> None:
    """Close open records that are no longer selected; those of a plan only if it was not applied for a long time."""
    before = run.now() - PLAN_KEPT
    released = run.services.ledger.records.drop_unselected(run.id, mappings, run.now(), before)
    run.attention += [
        Attention(
            f"{count} record(s) of plan {plan_id} were released: it was not applied for {PLAN_KEPT.days} days",
            "make a new plan if they are still needed: connector plan",
        )
        for plan_id, count in sorted(released.items())
    ]


def _limited_to(plan: FrozenPlan, mapping: MappingFile, record: PlannedRecord, *, is_continued: bool) -> PlannedRecord:
    """The record with its decisions limited to those of the plan.

    Args:
        plan: the plan.
        mapping: the mapping of the record.
        record: the record with the present decisions.
        is_continued: an earlier run of the plan has purchases for it, so that its version may have changed.
    """
    version = None if is_continued else record.version
    channels = tuple(
        replace(
            record_channel,
            decision=plan.hold(mapping.name, record.crm_id, version, record_channel.channel, record_channel.decision),
        )
        for record_channel in record.channels
    )
    return replace(record, channels=channels)
