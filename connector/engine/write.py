"""Stage 5: compare with the current record, and send only changes that the write policy allows.

A decision is based on a read of at most five seconds ago; if writing a large read takes longer, the rest is read again.
Each update is committed with its before-image before it is sent, so that it can be undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.core.errors import ConfigurationError, PassingError
from connector.core.mapping import MappingFile
from connector.core.model import Channel
from connector.core.states import ChangeState
from connector.crm.interface import ErrorClass, Rejection
from connector.engine import bulk, crowding, follow, outcome, plan, send
from connector.engine.context import Run
from connector.engine.partial_update import update_partly
from connector.engine.send import Decided, Reading
from connector.store.record_views import Finish
from connector.store.rows import RecordRow, chunks

ROW_ATTEMPTS = 4
FEW_ROWS = 20  # with this many refused rows, the mapping is at fault, regardless of the object's description
ROW_RETRY_S = 10.0  # a CRM itself may wait ten seconds for a lock, so an earlier retry is useless


def write_complete(run: Run, *, only_full: bool = False) -> int:
    """Write every record that is ready; returns the number of records.

    Args:
        run: the run.
        only_full: leave records that do not fill a whole read for later.
    """
    taken = 0
    while rows := _due(run, only_full=only_full):
        mapping = run.mappings[rows[0].mapping]
        compared = [row for row in rows if row.by_job]
        if compared:
            _write_by_calls(run, mapping, compared)
        elif only_full and len(rows) < _full(run):
            break  # fewer of this mapping
        elif not bulk.is_worth_a_job(run, len(rows)):
            rows = rows[: run.services.crm.read_size]
            _write_rows(run, mapping, rows)
        elif run.bulk_job is None:
            _write_by_job(run, mapping, rows)
        elif not (bulk.wait(run) if run.writing_last else bulk.look(run)):
            break
        else:
            continue
        taken += len(compared or rows)
    return taken


def _full(run: Run) -> int:
    """The number of records that are worth a write before the end of a run."""
    return run.services.crm.read_size if run.bulk is None else run.bulk.most_rows


def _due(run: Run, *, only_full: bool) -> list[RecordRow]:
    """The next records to write, all of one mapping; those that a job carried are compared although they are few."""
    least = _full(run) if only_full and run.bulk is None else 1
    rows = run.services.ledger.records.complete(run.id, _full(run), least)
    return [row for row in rows if row.mapping == rows[0].mapping]


def write_all_complete(run: Run) -> None:
    """Write every record without an unfinished channel that this run has not tried to write."""
    run.services.ledger.records.mark_all_ready(run.id)
    write_complete(run)
    while run.bulk_job is not None and bulk.wait(run):
        write_complete(run)


def _write_by_job(run: Run, mapping: MappingFile, rows: Sequence[RecordRow]) -> None:
    """Read, decide, and send the updates as one job; those that a job cannot express go by single calls."""
    jobs, read_s, decided = run.bulk, run.monotonic(), list[Decided]()
    parent = None if jobs is None else jobs.parent_field(mapping.object)
    for part in chunks(rows, run.services.crm.read_size):
        decided += _decide(send.read(run, mapping, part, parent), part)
    carried, others = ([], decided) if jobs is None else bulk.split(jobs, decided)
    is_sent = bulk.is_worth_a_job(run, len(carried)) and bool(carried) and bulk.start(run, mapping, carried, read_s)
    _write_by_calls(run, mapping, [one.row for one in (others if is_sent else decided)])


def _write_by_calls(run: Run, mapping: MappingFile, rows: Sequence[RecordRow]) -> None:
    for part in chunks(rows, run.services.crm.read_size):
        _write_rows(run, mapping, part)


def write_incomplete(run: Run) -> None:
    """At the end of a run, write the present values and the status "in progress" of records that still wait."""
    size = run.services.crm.read_size
    for name, mapping in run.mappings.items():
        after = 0
        while rows := run.services.ledger.records.incomplete(run.id, name, size, after):
            _write_rows(run, mapping, rows)
            after = rows[-1].id


def _write_rows(run: Run, mapping: MappingFile, rows: Sequence[RecordRow]) -> None:
    """Write one mapping's records; rows that failed for a temporary reason are tried again, fewer at a time."""
    rest: Sequence[RecordRow] = rows
    for attempt in range(ROW_ATTEMPTS):
        if attempt:
            wait_s = ROW_RETRY_S * attempt
            run.services.clock.explain(
                wait_s * run.services.clock.scale, f"{len(rest)} record(s) are locked in the CRM"
            )
            run.services.clock.sleep(wait_s)
        size = max(1, run.services.crm.write_size // 10**attempt)
        rest = _write_fresh(run, mapping, rest, size, last=attempt == ROW_ATTEMPTS - 1)
        if not rest:
            return


@dataclass(frozen=True, slots=True)
class _Try:
    """One try to write a mapping's rows.

    Attributes:
        last: rows that are still locked count as refused.
        later: the rows to try again later.
        refused: the refused rows, with the CRM's answer.
    """

    run: Run
    mapping: MappingFile
    last: bool
    later: list[RecordRow] = field(default_factory=list)
    refused: list[tuple[Decided, Rejection]] = field(default_factory=list)

    @property
    def is_hopeless(self) -> bool:
        """Whether the mapping is at fault, so that all other rows would fail too."""
        return any(answer.error_class is ErrorClass.MAPPING for _, answer in self.refused)


def _write_fresh(
    run: Run, mapping: MappingFile, rows: Sequence[RecordRow], size: int, *, last: bool
) -> list[RecordRow]:
    """Write rows, and everything of refused rows that the CRM accepts; returns the rows to try again later."""
    current = _Try(run, mapping, last)
    _write_part(current, rows, size)
    current.later.extend(_finish_refused(run, mapping, current.refused, last=last))
    _stop_on_configuration(run, current.refused)
    return current.later


def _write_part(current: _Try, rows: Sequence[RecordRow], size: int, *, is_search: bool = False) -> None:
    """Read, decide and write; read again if the read is too old.

    Rows that may have failed because of other rows in their call are sent again at once, half as many at a time.
    """
    waiting: Sequence[RecordRow] = rows
    while waiting:
        reading = send.read(current.run, current.mapping, waiting)
        decided = _decide(reading, waiting)
        waiting = []
        start = 0
        while start < len(decided):
            if start and not reading.is_fresh():
                waiting = [one.row for one in decided[start:]]
                break
            part = decided[start : start + min(size, current.run.collection_size(current.mapping.object))]
            start += len(part)
            fewer = _send(current, reading, part, is_search=is_search)
            if fewer:
                _write_part(current, crowding.shuffled(current.run, fewer), max(1, len(part) // 2), is_search=True)
            if current.is_hopeless:
                return


def _decide(reading: Reading, rows: Sequence[RecordRow]) -> list[Decided]:
    """Decide on each record's update; records without an update are finished here."""
    run, mapping = reading.run, reading.mapping
    decided: list[Decided] = []
    finishes: list[Finish] = []
    unusable: dict[int, str] = {}
    moves = _moves(reading, rows)
    for row in rows:
        record = reading.records.get(row.crm_id)
        if record is None or record.moved_to is not None:
            finishes.append(follow.finish_moved(run, row, moves))
            continue
        if outcome.names_another(row, record, mapping):
            finishes.append(outcome.restarted(run, row))
            continue
        if outcome.waits_for_a_change(run, row, record, mapping):
            finishes.append(outcome.parked_again(run, row, record))
            continue
        parked = outcome.still_parked(run, row, record, mapping)
        write = reading.decide(row, record, parked)
        if write.unusable:
            unusable |= _unusable_channels(row, write.unusable)
        elif write.changes:
            decided.append(Decided(row, record, write))
        elif parked:
            finishes.append(outcome.parked_again(run, row, record))
        else:
            run.unchanged += not row.by_job
            finishes.append(outcome.written(run, mapping, row, record, write))
    _finish(run, finishes)
    _refuse_values(run, unusable)
    return decided


def _moves(reading: Reading, rows: Sequence[RecordRow]) -> follow.Moves:
    """The new places of the converted or merged records among these rows."""
    found = [(row, record) for row in rows if (record := reading.records.get(row.crm_id)) is not None]
    moved = [(row, record) for row, record in found if record.moved_to is not None]
    return follow.Moves(follow.find_places(reading.run, moved), reading.views) if moved else follow.Moves()


def _finish(run: Run, finishes: Sequence[Finish]) -> None:
    run.services.ledger.records.finish(run.id, finishes, run.now())
    run.stamps_due -= {one.record_id for one in finishes}


def _unusable_channels(row: RecordRow, unusable: Mapping[Channel, str]) -> dict[int, str]:
    return {
        record_channel.id: unusable[record_channel.channel]
        for record_channel in row.channels
        if record_channel.channel in unusable
    }


def _refuse_values(run: Run, unusable: Mapping[int, str]) -> None:
    """Mark values as unusable, because the CRM can never accept them; the next sources are due in this run."""
    if unusable:
        run.services.ledger.records.refuse_values(unusable)
        plan.advance_all(run)
        run.reopened = True


def _send(current: _Try, reading: Reading, decided: Sequence[Decided], *, is_search: bool) -> list[RecordRow]:
    """Write one collection, and finish the rows that were written.

    Args:
        current: receives the rows that were not written.
        reading: the read behind the decisions.
        decided: at most one collection.
        is_search: the rows are sent again, fewer at a time.

    Returns:
        The rows to send again at once, fewer at a time.

    Raises:
        StopError: the org accepts no writes at present.
    """
    run, mapping, ledger = reading.run, reading.mapping, reading.run.services.ledger
    try:
        answers = reading.send(decided)
    except PassingError:
        if current.last:
            raise
        current.later.extend(one.row for one in decided)  # it may have taken effect: the next try compares again
        return []
    crowding.learn(run, mapping.object, answers, is_search=is_search)
    pairs = list(zip(decided, _whose_fault(reading, decided, answers), strict=True))
    rows = _SortedRows(run, mapping.object, pairs, last=current.last)
    ledger.runs.record_answers(
        run.id, {one.row.id: ChangeState.WRITTEN if answer is None else ChangeState.REJECTED for one, answer in pairs}
    )
    _finish(run, [outcome.written(run, mapping, one.row, one.record, one.write) for one in rows.written])
    if run.writing_last:
        run.services.progress.step(len(rows.written))
    if rows.org is not None:
        raise outcome.org_stop(rows.org, run.services.crm.label)
    current.later.extend(one.row for one in rows.locked)
    current.refused.extend(rows.refused)
    return [one.row for one in rows.fewer]


class _SortedRows:
    """The rows of one collection, sorted by their next step."""

    def __init__(self, run: Run, name: str, pairs: Sequence[tuple[Decided, Rejection | None]], *, last: bool) -> None:
        self.written: list[Decided] = []
        self.locked: list[Decided] = []
        self.fewer: list[Decided] = []
        self.refused: list[tuple[Decided, Rejection]] = []
        self.org: Rejection | None = None
        for one, answer in pairs:
            if answer is None:
                self.written.append(one)
            elif answer.error_class is ErrorClass.ORG:
                self.org = answer
            elif answer.error_class is ErrorClass.LOCKED and not last:
                self.locked.append(one)
            elif crowding.may_be_anothers(run, name, answer, len(pairs)):
                self.fewer.append(one)
            else:
                self.refused.append((one, answer))


def _whose_fault(
    reading: Reading, decided: Sequence[Decided], answers: Sequence[Rejection | None]
) -> list[Rejection | None]:
    """The answers, with missing permissions classified as the mapping's fault or that of single rows.

    The mapping is at fault only if every row that sends the field is refused. For few rows, the object's description
    decides: some records refuse a field that their object lets the user edit (person accounts).
    """
    run, name = reading.run, reading.mapping.object
    for one, answer in zip(decided, answers, strict=True):
        if answer is None:
            run.accepted |= {(name, change.field.lower()) for change in one.write.changes}
    refused = [answer for answer in answers if answer is not None and answer.error_class is ErrorClass.MAPPING]
    fields = {field_name.lower() for answer in refused for field_name in answer.fields}
    if not refused:
        return list(answers)
    is_writable = bool(fields) and all((name, field_name) in run.accepted for field_name in fields)
    if not is_writable and len(refused) < FEW_ROWS:
        info = run.services.crm.describe(name, refresh=True)
        found = [info.get(field_name) for field_name in fields]
        is_writable = bool(found) and all(one is not None and one.updateable for one in found)
    if not is_writable:
        return list(answers)
    return [
        replace(answer, error_class=ErrorClass.ROW)
        if answer is not None and answer.error_class is ErrorClass.MAPPING
        else answer
        for answer in answers
    ]


def _finish_refused(
    run: Run, mapping: MappingFile, refused: Sequence[tuple[Decided, Rejection]], *, last: bool
) -> list[RecordRow]:
    """Write everything of refused rows that the CRM accepts, and park the rest; returns the rows to try again later."""
    partial = update_partly(run, mapping, refused, last=last)
    unusable: dict[int, str] = {}
    finishes: list[Finish] = []
    for found in partial.results:
        finishes.append(outcome.rejected(run, mapping, found))
        if found.unusable:
            unusable |= _unusable_channels(found.row, found.unusable)
    _finish(run, finishes)
    _refuse_values(run, unusable)
    if run.writing_last:
        run.services.progress.step(len(finishes))
    return partial.later


def _stop_on_configuration(run: Run, refused: Sequence[tuple[Decided, Rejection]]) -> None:
    for _, answer in refused:
        if answer.error_class is ErrorClass.MAPPING:
            fields = ", ".join(answer.fields) or "a mapped field"
            raise ConfigurationError(
                f"{run.services.crm.label} refuses to write {fields} ({answer.code}); give the connector's user edit "
                "permission on it, then run again: nothing that was paid for is lost"
            )
