"""Sends one collection to the CRM: the records are read, the updates decided and their intent committed.

Every update of a record is sent here, so that it is based on a read of at most five seconds ago, and its before-image
is in the ledger.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connector.core.mapping import MappingFile
from connector.core.model import Channel, CrmRecord
from connector.core.values import stored_form
from connector.core.writeback import Write, WriteRules
from connector.crm.interface import Rejection, Update
from connector.engine import outcome
from connector.engine.context import Run, Services
from connector.store.record_views import PurchaseView
from connector.store.rows import RecordRow
from connector.store.runs import Intended

FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Decided:
    """A record with its decided update."""

    row: RecordRow
    record: CrmRecord
    write: Write


@dataclass(frozen=True, slots=True)
class Reading:
    """Records as they were read from the CRM, with the ledger's data for them.

    Attributes:
        read_s: the monotonic time before the read.
        records: the records by CRM id; None for a deleted record.
        views: the purchases of the records, by purchase id.
    """

    run: Run
    mapping: MappingFile
    read_s: float
    records: Mapping[str, CrmRecord | None]
    views: Mapping[int, PurchaseView]
    rules: WriteRules

    def decide(self, row: RecordRow, record: CrmRecord, withheld: Mapping[Channel, str]) -> Write:
        """Decide the update of one record.

        Args:
            row: the record in the ledger.
            record: the record as it was read.
            withheld: the channels whose values stay parked, with the reason.
        """
        results = outcome.withhold(outcome.channel_results(self.run, row, record, self.views), withheld)
        stamps_due = row.stamps_due or row.id in self.run.stamps_due
        return self.rules.decide(record, results, row.resolved, value_written=stamps_due)

    def send(self, decided: Sequence[Decided]) -> list[Rejection | None]:
        """Send one collection; returns the CRM's answers in the same order.

        Raises:
            PassingError: the update may or may not have taken effect, or the read was too old to send it.
        """
        run, mapping = self.run, self.mapping
        run.services.ledger.runs.intend(run.id, mapping.object, [intent(mapping, one) for one in decided], run.now())
        updates = [to_update(one) for one in decided]
        return run.services.crm.update(mapping.object, updates, self.is_fresh)

    def is_fresh(self) -> bool:
        """Whether an update based on this read may still be sent."""
        return fresh_since(self.run.services, self.read_s)()


def read(run: Run, mapping: MappingFile, rows: Sequence[RecordRow], parent: str | None = None) -> Reading:
    """Read records from the CRM, and their purchases from the ledger.

    Args:
        run: the run.
        mapping: the mapping of the records.
        rows: the records.
        parent: another field to read, by which the updates of a job are sorted.
    """
    services, read_s = run.services, run.monotonic()
    fields = sorted(mapping.read_fields() | ({parent} if parent is not None else set()))
    records = services.crm.read(mapping.object, [row.crm_id for row in rows], fields)
    views = services.ledger.records.purchase_views(c.purchase_id for row in rows for c in row.channels if c.purchase_id)
    return Reading(run, mapping, read_s, records, views, _rules(run, mapping))


def with_records(run: Run, mapping: MappingFile, records: Mapping[str, CrmRecord]) -> Reading:
    """The reading of records that have no purchases and were read before; nothing may be sent from it."""
    return Reading(run, mapping, -math.inf, records, {}, _rules(run, mapping))


def _rules(run: Run, mapping: MappingFile) -> WriteRules:
    services, info = run.services, run.services.crm.describe(mapping.object)
    return WriteRules(
        mapping,
        info.lengths(),
        services.ledger.seal.matches,
        services.crm.written_time(run.now()),
        info.fixed_lengths(),
        run.id,
    )


def fresh_since(services: Services, read_s: float) -> Callable[[], bool]:
    """A check for the moment of sending: whether the read was at most five seconds ago."""
    return lambda: services.clock.monotonic() - read_s <= FRESH_S


def intent(mapping: MappingFile, one: Decided) -> Intended:
    """The part of an update that can be undone: all fields but the flag, which is a request and not a result."""
    undoable = [change for change in one.write.changes if change.field != mapping.select.flag_field]
    before = {change.field: change.before for change in undoable}
    after = {change.field: stored_form(change.after) for change in undoable}
    statuses = frozenset(rules.status for _, rules in mapping.channels.items() if rules.status)
    return Intended(one.row.id, one.row.crm_id, before, after, statuses)


def to_update(one: Decided) -> Update:
    """The fields that an update sets."""
    return Update(one.row.crm_id, {change.field: change.after for change in one.write.changes})
