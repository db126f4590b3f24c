"""Records that need no update: they are finished from the read that selected them, without a second one.

The second read is the compare right before an update; without an update there is nothing to compare.
"""

from collections.abc import Sequence

from connector.core.mapping import MappingFile
from connector.core.model import CrmRecord
from connector.engine import outcome, send
from connector.engine.context import Run
from connector.store.record_views import Finish


def finish_unchanged(run: Run, mapping: MappingFile, records: Sequence[CrmRecord]) -> None:
    """Finish those of these records, which were just planned, that can be written and need no update."""
    by_id = {record.id: record for record in records}
    finishes: list[Finish] = []
    rows = run.services.ledger.records.due_of(run.id, mapping.name, list(by_id))
    reading = send.with_records(run, mapping, by_id) if rows else None
    for row in rows:
        record = by_id[row.crm_id]
        is_plain = row.parked_version is None and not row.stamps_due and not any(c.purchase_id for c in row.channels)
        if reading is None or not is_plain or record.moved_to is not None:
            continue
        write = reading.decide(row, record, {})
        if not write.changes and not write.unusable:
            finishes.append(outcome.written(run, mapping, row, record, write))
    if finishes:
        run.unchanged += len(finishes)
        run.services.ledger.records.finish(run.id, finishes, run.now())
