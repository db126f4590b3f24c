"""Stage 5: compare with the record as it is now, and send only what differs and is ours to write.

A decision is made on a read at most five seconds old; when writing a large read takes longer, the rest is read again.
What will be written is committed before it leaves, with its before-image, so that it can be undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.core.errors import ConfigurationError, ConnectorError, PassingError
from connector.core.mapping import MappingFile
from connector.core.model import Channel
from connector.core.states import ChangeState
from connector.crm.interface import ErrorClass, Rejection
from connector.engine import crowding, follow, outcome, plan, send
from connector.engine.context import Run
from connector.engine.partial_update import update_partly
from connector.engine.send import Decided, Reading
from connector.store.record_views import Finish
from connector.store.rows import RecordRow

ROW_ATTEMPTS = 4
FEW_ROWS = 20  # so many refused rows are the mapping's fault, whatever the object's description says
ROW_RETRY_S = 10.0  # a CRM may wait ten seconds for a lock itself: sooner is useless


def write_complete(run: Run, *, only_full: bool = False) -> int:
    """Write every record that waits for nothing else; returns how many were taken.

    Args:
        run: the run.
        only_full: leave what does not fill a whole read for later, when more may have joined it.
    """
    return _write_all(run, complete=True, least=run.services.crm.read_size if only_full else 1)


def write_incomplete(run: Run) -> int:
    """At the end of a run: write what is at hand for records that still wait, and their status "in progress"."""
    return _write_all(run, complete=False)


def _write_all(run: Run, *, complete: bool, least: int = 1) -> int:
    records = run.services.ledger.records
    list_open = records.complete if complete else records.incomplete
    taken = 0
    while rows := list_open(run.id, run.attempted_writes, run.services.crm.read_size):
        name = rows[0].mapping
        rows = [row for row in rows if row.mapping == name]
        if len(rows) < least:
            break
        ids = {row.id for row in rows}
        run.attempted_writes |= ids
        try:
            _write_rows(run, run.mappings[name], rows)
        except ConnectorError:
            run.attempted_writes -= ids - run.finished  # the others get their outcome when the accounting closes
            raise
        taken += len(rows)
    return taken


def _write_rows(run: Run, mapping: MappingFile, rows: Sequence[RecordRow]) -> None:
    """Write one mapping's records; rows that failed for a passing reason are tried again, fewer at a time."""
    left: Sequence[RecordRow] = rows
    for attempt in range(ROW_ATTEMPTS):
        if attempt:
            wait_s = ROW_RETRY_S * attempt
            run.services.clock.explain(
                wait_s * run.services.clock.scale, f"{len(left)} record(s) are locked in the CRM"
            )
            run.services.clock.sleep(wait_s)
        size = max(1, run.services.crm.write_size // 10**attempt)
        left = _write_fresh(run, mapping, left, size, last=attempt == ROW_ATTEMPTS - 1)
        if not left:
            return


@dataclass(frozen=True, slots=True)
class _Try:
    """One try to write a mapping's rows, and what it leaves.

    Attributes:
        last: rows that are still locked are settled as refused.
        later: rows worth another try later.
        refused: rows that were refused, with the CRM's answer.
    """

    run: Run
    mapping: MappingFile
    last: bool
    later: list[RecordRow] = field(default_factory=list)
    refused: list[tuple[Decided, Rejection]] = field(default_factory=list)

    @property
    def is_hopeless(self) -> bool:
        """Whether the mapping is at fault: no other row has a chance."""
        return any(answer.error_class is ErrorClass.MAPPING for _, answer in self.refused)


def _write_fresh(
    run: Run, mapping: MappingFile, rows: Sequence[RecordRow], size: int, *, last: bool
) -> list[RecordRow]:
    """Write rows, and of refused ones everything that the CRM takes; gives the rows worth another try."""
    this = _Try(run, mapping, last)
    _write_part(this, rows, size)
    this.later.extend(_finish_refused(run, mapping, this.refused, last=last))
    _stop_on_configuration(run, this.refused)
    return this.later


def _write_part(this: _Try, rows: Sequence[RecordRow], size: int, *, is_search: bool = False) -> None:
    """Read, decide and write, reading again whenever the read has grown old.

    Rows that may have failed because of the others in their call are sent again at once, half as many at a time.
    """
    waiting: Sequence[RecordRow] = rows
    while waiting:
        reading = send.read(this.run, this.mapping, waiting)
        decided = _decide(reading, waiting)
        waiting = []
        start = 0
        while start < len(decided):
            if start and not reading.is_fresh():
                waiting = [one.row for one in decided[start:]]
                break
            part = decided[start : start + min(size, this.run.collection_size(this.mapping.object))]
            start += len(part)
            fewer = _send(this, reading, part, is_search=is_search)
            if fewer:
                _write_part(this, crowding.mixed(this.run, fewer), max(1, len(part) // 2), is_search=True)
            if this.is_hopeless:
                return


def _decide(reading: Reading, rows: Sequence[RecordRow]) -> list[Decided]:
    """Decide each record's update; records with nothing to send are finished here."""
    run, mapping = reading.run, reading.mapping
    decided: list[Decided] = []
    finishes: list[Finish] = []
    unusable: dict[int, str] = {}
    moves = _moves(reading, rows)
    for row in rows:
        record = reading.there.get(row.crm_id)
        if record is None or record.moved_to is not None:
            finishes.append(follow.finish_moved(run, row, moves))
            continue
        if outcome.names_another(row, record, mapping):
            finishes.append(outcome.renamed(run, row))
            continue
        if outcome.waits_for_a_change(run, row, record, mapping):
            finishes.append(outcome.parked_again(run, row, record))
            continue
        parked = outcome.still_parked(run, row, record, mapping)
        write = reading.decide(row, record, parked)
        if write.unusable:
            unusable |= _unusable_channels(row, write.unusable)
            run.attempted_writes.discard(row.id)
        elif write.changes:
            decided.append(Decided(row, record, write))
        elif parked:
            finishes.append(outcome.parked_again(run, row, record))
        else:
            run.unchanged += 1
            finishes.append(outcome.written(run, mapping, row, record, write))
    _finish(run, finishes)
    _refuse_values(run, unusable)
    return decided


def _moves(reading: Reading, rows: Sequence[RecordRow]) -> follow.Moves:
    """Where the records of these rows that were converted or merged live now."""
    there = [(row, record) for row in rows if (record := reading.there.get(row.crm_id)) is not None]
    moved = [(row, record) for row, record in there if record.moved_to is not None]
    return follow.Moves(follow.find_places(reading.run, moved), reading.words) if moved else follow.Moves()


def _finish(run: Run, finishes: Sequence[Finish]) -> None:
    run.services.ledger.records.finish(finishes, run.now())
    run.finished |= {one.record_id for one in finishes}


def _unusable_channels(row: RecordRow, unusable: Mapping[Channel, str]) -> dict[int, str]:
    return {
        record_channel.id: unusable[record_channel.channel]
        for record_channel in row.channels
        if record_channel.channel in unusable
    }


def _refuse_values(run: Run, unusable: Mapping[int, str]) -> None:
    """Values that the CRM can never take count as none: their records go on to the next source in this run."""
    if unusable:
        run.services.ledger.records.refuse_values(unusable)
        plan.advance(run, None)
        run.reopened = True


def _send(this: _Try, reading: Reading, decided: Sequence[Decided], *, is_search: bool) -> list[RecordRow]:
    """Write one collection, and finish the rows that were written.

    Args:
        this: takes the rows that were not written.
        reading: the read that the decisions rest on.
        decided: at most one collection.
        is_search: the rows are sent again, fewer at a time.

    Returns:
        The rows to be sent again at once, fewer at a time.

    Raises:
        StopError: the org takes no writes at the moment.
    """
    run, mapping, ledger = reading.run, reading.mapping, reading.run.services.ledger
    try:
        answers = reading.send(decided)
    except PassingError:
        if this.last:
            raise
        this.later.extend(one.row for one in decided)  # it may have taken effect: every record is compared again
        return []
    crowding.learn(run, mapping.object, answers, is_search=is_search)
    pairs = list(zip(decided, _whose_fault(reading, decided, answers), strict=True))
    sort = _Sorted(run, mapping.object, pairs, last=this.last)
    ledger.runs.record_answers(
        run.id, {one.row.id: ChangeState.WRITTEN if answer is None else ChangeState.REJECTED for one, answer in pairs}
    )
    ids = {one.row.id for one in sort.written}
    run.updated |= ids
    run.refused -= ids
    _finish(run, [outcome.written(run, mapping, one.row, one.record, one.write) for one in sort.written])
    if run.writing_last:
        run.services.progress.step(len(sort.written))
    if sort.org is not None:
        raise outcome.org_stop(sort.org, run.services.crm.label)
    this.later.extend(one.row for one in sort.locked)
    this.refused.extend(sort.refused)
    return [one.row for one in sort.fewer]


class _Sorted:
    """The rows of one collection by what happens to them next."""

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
    """The answers, with a refused permission told apart: the mapping's fault, or that of a single row.

    It is the mapping's only when every row that sends the field is refused. Where few rows sent it, the object's
    description decides: some records refuse a field that their object lets the user edit (person accounts).
    """
    run, name = reading.run, reading.mapping.object
    for one, answer in zip(decided, answers, strict=True):
        if answer is None:
            run.accepted |= {(name, change.field.lower()) for change in one.write.changes}
    refused = [answer for answer in answers if answer is not None and answer.error_class is ErrorClass.MAPPING]
    fields = {field_name.lower() for answer in refused for field_name in answer.fields}
    if not refused:
        return list(answers)
    taken = bool(fields) and all((name, field_name) in run.accepted for field_name in fields)
    if not taken and len(refused) < FEW_ROWS:
        info = run.services.crm.describe(name, refresh=True)
        found = [info.get(field_name) for field_name in fields]
        taken = bool(found) and all(one is not None and one.updateable for one in found)
    if not taken:
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
    """Write everything of refused rows that the CRM takes, and park the rest; gives the rows worth another try."""
    partial = update_partly(run, mapping, refused, last=last)
    unusable: dict[int, str] = {}
    finishes: list[Finish] = []
    for found in partial.results:
        finishes.append(outcome.rejected(run, mapping, found))
        if not found.is_whole:
            run.refused.add(found.row.id)
        if found.unusable:
            unusable |= _unusable_channels(found.row, found.unusable)
            run.attempted_writes.discard(found.row.id)
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
