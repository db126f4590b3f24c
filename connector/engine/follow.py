"""Follows a converted or merged record to the record that replaces it.

A mapping of the new record's object takes over, if the new record satisfies its condition. Paid values are written
there, and nothing more is bought. If the new record is flagged itself, the next run selects it with its own channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.core.mapping import MappingFile
from connector.core.model import OPEN_OUTCOMES, CrmRecord, Outcome, Person, outcome_of_record
from connector.core.person import person_of
from connector.core.states import ChannelState
from connector.crm.interface import Selection
from connector.engine.context import Run
from connector.engine.outcome import NEXT_RUN, call_attention, channel_result
from connector.store.record_views import Finish, PurchaseView
from connector.store.rows import RecordRow, chunks

PAID_IS_KNOWN = "the purchase stays in the ledger: any other record of the person gets its value"
GIVE_UP = (
    "it is written when the record satisfies the condition; to give it up, see connector status, then run connector "
    "resolve"
)
MOST_HOPS = 10  # conversions and merges in a row
NOT_BOUGHT = "nothing more is bought for a record that was converted or merged"


@dataclass(frozen=True, slots=True)
class NewPlace:
    """The record that replaces a converted or merged one.

    Attributes:
        object: the object of the new record.
        crm_id: the id of the new record.
        covering: the mappings of this run for that object, the former record's own first.
        mapping: the mapping whose condition the new record satisfies; None if there is none.
        record: the new record, with the fields of that mapping.
    """

    object: str
    crm_id: str
    covering: tuple[str, ...]
    mapping: MappingFile | None = None
    record: CrmRecord | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """The new places of records by ledger id, and their purchases by purchase id."""

    places: Mapping[int, NewPlace] = field(default_factory=dict)
    views: Mapping[int, PurchaseView] = field(default_factory=dict)


def find_places(run: Run, moved: Sequence[tuple[RecordRow, CrmRecord]], hops: int = MOST_HOPS) -> dict[int, NewPlace]:
    """Read the new places of moved records, many in one call; a record that was deleted there has none.

    Args:
        run: the run whose mappings may take over.
        moved: the records with the place that they moved to.
        hops: how many further moves of a record are followed.
    """
    places: dict[int, NewPlace] = {}
    for row, record in moved:
        if record.moved_to is not None:
            covering = [m for m in run.mappings.values() if m.object == record.moved_to[0]]
            names = sorted((m.name for m in covering), key=lambda name: name != row.mapping)
            places[row.id] = NewPlace(*record.moved_to, tuple(names))
    for name, mapping in run.mappings.items():
        candidates = {place.crm_id for place in places.values() if name in place.covering}
        accepted = _accepted(run, mapping, sorted(candidates))
        for key, place in places.items():
            found = accepted.get(place.crm_id) if name in place.covering else None
            better = place.mapping is None or place.covering.index(name) < place.covering.index(place.mapping.name)
            if found is not None and better:
                places[key] = NewPlace(place.object, place.crm_id, place.covering, mapping, found)
    return _moved_on(run, [row for row, _ in moved], places, hops)


def _moved_on(run: Run, rows: Sequence[RecordRow], places: dict[int, NewPlace], hops: int) -> dict[int, NewPlace]:
    """Read the places that no condition accepts: their records may be deleted, or moved again."""
    further: list[tuple[RecordRow, CrmRecord]] = []
    for name in run.mappings:
        ids = {p.crm_id for p in places.values() if p.mapping is None and p.covering[:1] == (name,)}
        mapping = run.mappings[name]
        for part in chunks(sorted(ids), run.services.crm.read_size):
            found = run.services.crm.read(mapping.object, part, sorted(mapping.read_fields()))
            for row in rows:
                place = places.get(row.id)
                if place is None or place.crm_id not in found or place.mapping is not None or not place.covering:
                    continue
                record = found[place.crm_id]
                if record is None:
                    del places[row.id]
                elif record.moved_to is not None:
                    further.append((row, record))
    if further and hops:
        for row, _ in further:
            del places[row.id]
        places |= find_places(run, further, hops - 1)
    return places


def _accepted(run: Run, mapping: MappingFile, ids: Sequence[str]) -> dict[str, CrmRecord]:
    """The records that satisfy a mapping's condition, regardless of their flag."""
    where = (mapping.select.where,) if mapping.select.where else ()
    fields = tuple(sorted(mapping.read_fields()))
    found: dict[str, CrmRecord] = {}
    for part in chunks(ids, run.services.crm.read_size):
        for page in run.services.crm.select(Selection(mapping.object, fields, where=where, ids=tuple(part))):
            found |= {record.id: record for record in page}
    return found


def finish_moved(run: Run, row: RecordRow, moves: Moves) -> Finish:
    """Finish a record that was moved or deleted; a deleted record has no new place."""
    place = moves.places.get(row.id)
    if place is None:
        return _closed(run, row, "the record was deleted")
    now = f"the record is now {place.object} {place.crm_id}"
    if not place.covering:
        return _closed(run, row, f"{now}, which no mapping of this run covers")
    if place.mapping is None or place.record is None:
        names = " and ".join(place.covering)
        reason = f"{now}, which the condition of mapping {names} excludes; paid values are kept and not written"
        return _kept(run, row, reason, moves.views)
    is_flagged = _is_flagged(row, place.record, place.mapping)
    if not run.services.ledger.records.move(row.id, place.mapping.name, place.object, place.crm_id):
        return _closed(run, row, f"{now}, which is being enriched itself")
    if is_flagged:
        reason = f"{now}, which is flagged itself; the next run selects it"
        run.leave_for_later(reason)
        shown = {record_channel.id: (Outcome.DEFERRED, reason) for record_channel in row.channels}
        return Finish(row.id, Outcome.DEFERRED, reason, {}, closes=False, shown=shown)
    return Finish(row.id, Outcome.WAITING, f"moved to {place.object} {place.crm_id}", {}, closes=False, again=True)


def _is_flagged(row: RecordRow, record: CrmRecord, mapping: MappingFile) -> bool:
    """Whether the new record is flagged and has an identifier of the person, so that a run will select it."""
    if record.values.get(mapping.select.flag_field) != mapping.select.asks:
        return False
    return _shares_identifier(row, person_of(record, mapping.person))


def _shares_identifier(row: RecordRow, person: Person) -> bool:
    return any(value in {row.person.identifiers.get(k), row.resolved.get(k)} for k, value in person.identifiers.items())


def _kept(run: Run, row: RecordRow, reason: str, views: Mapping[int, PurchaseView]) -> Finish:
    """Finish a record that no mapping takes over: values are parked, open purchases stay, the rest is skipped."""
    found: dict[int, tuple[Outcome, str]] = {}
    parked: dict[int, str] = {}
    for record_channel in row.channels:
        result = channel_result(run, row.mapping, record_channel, views.get(record_channel.purchase_id or 0))
        if record_channel.state != ChannelState.DONE and result.value is not None:
            parked[record_channel.id] = reason
            found[record_channel.id] = (Outcome.PARKED, reason)
        elif result.outcome is Outcome.DEFERRED:
            found[record_channel.id] = (Outcome.SKIPPED, NOT_BOUGHT)
        else:
            found[record_channel.id] = (result.outcome, result.reason)
    not_done = {record_channel.id for record_channel in row.channels if record_channel.state != ChannelState.DONE}
    stays = any(outcome in OPEN_OUTCOMES for outcome, _ in found.values())
    if parked:
        call_attention(run, row.crm_id, reason, "", GIVE_UP)
    return Finish(
        row.id,
        outcome_of_record([outcome for outcome, _ in found.values()]),
        reason,
        {key: one for key, one in found.items() if key in not_done and one[0] not in OPEN_OUTCOMES},
        closes=not stays,
        in_progress=row.in_progress and stays,
        parked_version=NEXT_RUN if parked else None,
        attention=GIVE_UP if parked else "",
        parked=parked,
        shown=found,
    )


def _closed(run: Run, row: RecordRow, reason: str) -> Finish:
    """Close a record that cannot be written any more."""
    is_paid = any(one.purchase_id is not None and one.outcome is None for one in row.channels)
    attention = PAID_IS_KNOWN if is_paid else ""
    if attention:
        call_attention(run, row.crm_id, reason, "", attention)
    channels = {
        record_channel.id: (Outcome.SKIPPED, reason)
        for record_channel in row.channels
        if record_channel.state != ChannelState.DONE
    }
    shown = {record_channel.id: (Outcome.SKIPPED, reason) for record_channel in row.channels}
    return Finish(row.id, Outcome.SKIPPED, reason, channels, closes=True, attention=attention, shown=shown)
