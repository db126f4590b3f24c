"""One collection on its way to the CRM: read and decided, its intent committed, sent while the decision is fresh.

Everything that writes passes here, so that no update leaves on a comparison older than five seconds, and none without
its before-image in the ledger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connector.core.mapping import MappingFile
from connector.core.model import Channel, CrmRecord, FieldChange
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
    """A record with what shall be written to it."""

    row: RecordRow
    record: CrmRecord
    write: Write


@dataclass(frozen=True, slots=True)
class Reading:
    """Records as they were at one moment, and what the ledger has for them.

    Attributes:
        read_s: the monotonic time before the CRM was asked.
        there: by id; None for one that is gone.
        words: what the purchases of the records say, by purchase id.
    """

    run: Run
    mapping: MappingFile
    read_s: float
    there: Mapping[str, CrmRecord | None]
    words: Mapping[int, PurchaseView]
    rules: WriteRules

    def decide(self, row: RecordRow, record: CrmRecord, withheld: Mapping[Channel, str]) -> Write:
        """Decide the update of one record.

        Args:
            row: the record in the ledger.
            record: as it is now.
            withheld: channels whose values stay parked, with the reason.
        """
        results = outcome.withhold(outcome.channel_results(self.run, row, record, self.words), withheld)
        stamps_due = row.stamps_due or row.id in self.run.stamps_due
        return self.rules.decide(record, results, row.resolved, value_written=stamps_due)

    def send(self, decided: Sequence[Decided]) -> list[Rejection | None]:
        """Send one collection.

        Raises:
            PassingError: it may or may not have taken effect, or had grown old before it could leave.
        """
        run, mapping = self.run, self.mapping
        run.services.ledger.runs.intend(run.id, mapping.object, [_intent(mapping, one) for one in decided], run.now())
        updates = [_to_update(one.row.crm_id, one.write.changes) for one in decided]
        return run.services.crm.update(mapping.object, updates, self.is_fresh)

    def is_fresh(self) -> bool:
        """Whether what is decided on this reading may still leave."""
        return fresh_since(self.run.services, self.read_s)()


def read(run: Run, mapping: MappingFile, rows: Sequence[RecordRow]) -> Reading:
    """Records as they are now."""
    services, read_s = run.services, run.monotonic()
    there = services.crm.read(mapping.object, [row.crm_id for row in rows], sorted(mapping.read_fields()))
    words = services.ledger.records.purchase_views(w.purchase_id for row in rows for w in row.channels if w.purchase_id)
    info = services.crm.describe(mapping.object)
    rules = WriteRules(
        mapping,
        info.lengths(),
        services.ledger.seal.matches,
        services.crm.written_time(run.now()),
        info.fixed_lengths(),
    )
    return Reading(run, mapping, read_s, there, words, rules)


def fresh_since(services: Services, read_s: float) -> Callable[[], bool]:
    """Whether what was decided on a read may still leave; asked when the bytes are about to."""
    return lambda: services.clock.monotonic() - read_s <= FRESH_S


def _intent(mapping: MappingFile, one: Decided) -> Intended:
    """What can be undone of the write: everything but the flag, which asks and is no result."""
    undoable = [change for change in one.write.changes if change.field != mapping.select.flag_field]
    before = {change.field: change.before for change in undoable}
    after = {change.field: stored_form(change.after) for change in undoable}
    statuses = frozenset(rules.status for _, rules in mapping.channels.items() if rules.status)
    return Intended(one.row.id, one.row.crm_id, before, after, statuses)


def _to_update(crm_id: str, changes: Sequence[FieldChange]) -> Update:
    return Update(crm_id, {change.field: change.after for change in changes})
