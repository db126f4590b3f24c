"""Stage 1 of a frozen plan: read exactly its records, and let nothing through that it does not name.

A plan may be applied again, after a cap, a vendor that was down, or a death: what its earlier runs have finished is
left alone, what they have bought is carried on, and all of them share one ceiling.
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
from connector.store.rows import RecordRow, chunks

FLAG_TAKEN_BACK = "its flag was taken back since the plan was made"
GONE = "it was deleted, merged or converted since the plan was made"


def take_up(run: Run, plan: FrozenPlan) -> None:
    """Carry on what earlier runs of the plan have bought, then read the rest of its records."""
    plans = run.services.ledger.plans
    for frozen in plan.mappings:
        begun = plans.adopt(run.id, plan.plan_id, frozen.name)
        guard, finished = SameReason(), 0
        for page in chunks([record.id for record in frozen.records], run.services.crm.read_size):
            ended = plans.finished(frozen.name, page, plan.plan_id, plan.made_at)
            ids = [crm_id for crm_id in page if crm_id not in ended or not ended[crm_id].by_plan]
            finished += len(page) - len(ids)
            if ids:
                _take_page(run, plan, frozen, ids, _Earlier(begun, ended), guard)
            if frozen.name in run.guarded:
                break
        if finished:
            run.services.progress.note(
                f"{finished} of {len(frozen.records)} records were finished by earlier runs of the plan"
            )


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What earlier runs did for the plan's records, by CRM id.

    Attributes:
        begun: the plan has bought for these.
        ended: the run that gave a record its last word.
    """

    begun: Mapping[str, RecordRow]
    ended: Mapping[str, FinishedBy]


def _take_page(
    run: Run,
    plan: FrozenPlan,
    frozen: FrozenMapping,
    ids: Sequence[str],
    earlier: _Earlier,
    guard: SameReason,
) -> None:
    mapping = run.mappings[frozen.name]
    there = run.services.crm.read(mapping.object, ids, sorted(mapping.read_fields()))
    page = [record for record in there.values() if record is not None and record.moved_to is None]
    gone = set(ids) - {record.id for record in page} - earlier.begun.keys()
    run.attention += [Attention(GONE, "nothing; it is no longer part of the plan", record_id) for record_id in gone]
    carried = {record.id for record in page if _carried_on(plan, mapping, record, earlier.begun.get(record.id))}
    left_out = {record.id: why for record in page if (why := _why_not(plan, mapping, record, earlier))}
    decided = plan_page(run, mapping, page)
    guard.add(decided)
    if not earlier.begun and stop_for_same_reason(run, mapping, guard, chosen=plan.chosen):
        return
    planned = [
        _left_out(record, left_out[record.crm_id])
        if record.crm_id in left_out
        else _held(plan, mapping, record, carried_on=record.crm_id in carried)
        for record in decided
    ]
    keep(run, mapping, planned, chosen=plan.chosen)


def _carried_on(plan: FrozenPlan, mapping: MappingFile, record: CrmRecord, row: RecordRow | None) -> bool:
    """Whether an earlier run of the plan has bought for the record, which still asks, and for the same person."""
    asks = plan.chosen or record.values.get(mapping.select.flag_field) == mapping.select.asks
    return row is not None and asks and not names_another(row, record, mapping)


def _why_not(plan: FrozenPlan, mapping: MappingFile, record: CrmRecord, earlier: _Earlier) -> str:
    """Why the plan has nothing more to do for a record that does not ask; empty when it has.

    A record whose flag is set asks for something: it changed since the plan was made, and keeps its flag.
    """
    if record.values.get(mapping.select.flag_field) == mapping.select.asks:
        return ""
    if record.id in earlier.ended:
        return f"finished by run {earlier.ended[record.id].run_id}"
    return "" if plan.chosen else FLAG_TAKEN_BACK


def _left_out(record: PlannedRecord, reason: str) -> PlannedRecord:
    """The record closes for the plan; what was bought for it before is still written."""
    channels = tuple(
        replace(record_channel, decision=Skip(reason, keep_status=True)) for record_channel in record.channels
    )
    return replace(record, channels=channels)


def drop_unselected(run: Run, mappings: Sequence[str]) -> None:
    """Close open records that no longer ask; those of a plan only when it was not applied again for long."""
    before = run.now() - PLAN_KEPT
    released = run.services.ledger.records.drop_unselected(run.id, mappings, run.now(), before)
    run.attention += [
        Attention(
            f"{count} record(s) of plan {plan_id} were released: it was not applied for {PLAN_KEPT.days} days",
            "make a new plan if they are still needed: connector plan",
        )
        for plan_id, count in sorted(released.items())
    ]


def _held(plan: FrozenPlan, mapping: MappingFile, record: PlannedRecord, *, carried_on: bool) -> PlannedRecord:
    """The record's decisions, as far as the plan goes.

    Args:
        plan: the plan.
        mapping: whose record it is.
        record: with the decisions as they would be made now.
        carried_on: an earlier run of the plan has bought for it, and has changed it itself since.
    """
    version = None if carried_on else record.version
    channels = tuple(
        replace(
            record_channel,
            decision=plan.hold(mapping.name, record.crm_id, version, record_channel.channel, record_channel.decision),
        )
        for record_channel in record.channels
    )
    return replace(record, channels=channels)
