"""Stage 1 of a frozen plan: read exactly its records, and let nothing through that it does not name.

A plan may be applied again, after a cap, a vendor that was down, or a death: what its earlier runs have finished is
left alone, what they have bought is carried on, and all of them share one ceiling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from connector.core.frozen import FrozenMapping, FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.model import Attention, CrmRecord
from connector.engine.context import Run
from connector.engine.guards import SameReason, stop_for_same_reason
from connector.engine.outcome import names_another
from connector.engine.pull import keep, plan_page
from connector.store.planning import PlannedRecord
from connector.store.rows import RecordRow, chunks

GONE = "it was deleted, merged or converted since the plan was made"


def take_up(run: Run, plan: FrozenPlan) -> None:
    """Carry on what earlier runs of the plan have bought, then read the rest of its records."""
    records = run.parts.ledger.records
    for frozen in plan.mappings:
        begun = records.adopt_of_plan(run.id, plan.plan_id, frozen.name)
        finished = records.finished_by_plan(plan.plan_id, frozen.name)
        ids = [record.id for record in frozen.records if record.id not in finished]
        if finished:
            run.parts.progress.note(f"{len(finished)} of {len(frozen.records)} records were finished by earlier runs")
        guard = SameReason()
        for page in chunks(ids, run.parts.crm.read_size):
            _take_page(run, plan, frozen, page, begun, guard)
            if frozen.name in run.guarded:
                break


def _take_page(
    run: Run,
    plan: FrozenPlan,
    frozen: FrozenMapping,
    ids: Sequence[str],
    begun: Mapping[str, RecordRow],
    guard: SameReason,
) -> None:
    mapping = run.mappings[frozen.name]
    there = run.parts.crm.read(mapping.object, ids, sorted(mapping.read_fields()))
    page = [record for record in there.values() if record is not None and record.moved_to is None]
    gone = set(ids) - {record.id for record in page} - begun.keys()
    run.attention += [Attention(GONE, "nothing; it is no longer part of the plan", record_id) for record_id in gone]
    carried = {record.id for record in page if _carried_on(plan, mapping, record, begun.get(record.id))}
    decided = plan_page(run, mapping, page)
    guard.add(decided)
    if not begun and stop_for_same_reason(run, mapping, guard, chosen=plan.chosen):
        return
    planned = [_held(plan, mapping, record, carried_on=record.crm_id in carried) for record in decided]
    keep(run, mapping, planned, chosen=plan.chosen)


def _carried_on(plan: FrozenPlan, mapping: MappingFile, record: CrmRecord, row: RecordRow | None) -> bool:
    """Whether an earlier run of the plan has bought for the record, which still asks, and for the same person."""
    asks = plan.chosen or record.values.get(mapping.select.flag_field) == mapping.select.asks
    return row is not None and asks and not names_another(row, record, mapping)


def _held(plan: FrozenPlan, mapping: MappingFile, record: PlannedRecord, *, carried_on: bool) -> PlannedRecord:
    """The record's decisions, as far as the plan goes.

    Args:
        plan: the plan.
        mapping: whose record it is.
        record: with the decisions as they would be made now.
        carried_on: an earlier run of the plan has bought for it, and has changed it itself since.
    """
    version = None if carried_on else record.version
    wants = tuple(
        replace(want, decision=plan.hold(mapping.name, record.crm_id, version, want.channel, want.decision))
        for want in record.wants
    )
    return replace(record, wants=wants)
