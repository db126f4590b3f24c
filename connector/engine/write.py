"""Stage 5: compare with the record as it is now, and send only what differs and is ours to write.

A decision is made on a read at most five seconds old; when writing a large read takes longer, the rest is read again.
What will be written is committed before it leaves, with its before-image, so that it can be undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.core.errors import ConfigurationError, ConnectorError, PassingError, StopError
from connector.core.mapping import MappingFile
from connector.core.model import Channel
from connector.crm.interface import ErrorClass, Rejection
from connector.engine import outcome, put, resolve
from connector.engine.context import Run
from connector.engine.partial_update import update_partly
from connector.engine.put import Decided, Reading
from connector.store.records import Finish
from connector.store.rows import RecordRow

ROW_ATTEMPTS = 4
FEW_ROWS = 20  # so many refused rows are the mapping's fault, whatever the object's description says
ROW_RETRY_S = 10.0  # Salesforce waits about ten seconds for a lock: sooner is useless


def write_complete(run: Run, *, only_full: bool = False) -> int:
    """Write every record that waits for nothing else; returns how many were taken.

    Args:
        run: the run.
        only_full: leave what does not fill a whole read for later, when more may have joined it.
    """
    return _write_all(run, complete=True, least=run.parts.crm.read_size if only_full else 1)


def write_incomplete(run: Run) -> int:
    """At the end of a run: what is at hand for records that still wait, and the word for work in progress."""
    return _write_all(run, complete=False)


def _write_all(run: Run, *, complete: bool, least: int = 1) -> int:
    records = run.parts.ledger.records
    list_open = records.complete if complete else records.incomplete
    taken = 0
    while rows := list_open(run.id, run.tried, run.parts.crm.read_size):
        name = rows[0].mapping
        rows = [row for row in rows if row.mapping == name]
        if len(rows) < least:
            break
        ids = {row.id for row in rows}
        run.tried |= ids
        try:
            _write_rows(run, run.mappings[name], rows)
        except ConnectorError:
            run.tried -= ids - run.finished  # the others get their outcome when the accounting closes
            raise
        taken += len(rows)
    return taken


def _write_rows(run: Run, mapping: MappingFile, rows: Sequence[RecordRow]) -> None:
    """Write one mapping's records; rows that failed for a passing reason are tried again, fewer at a time."""
    left: Sequence[RecordRow] = rows
    for attempt in range(ROW_ATTEMPTS):
        if attempt:
            run.parts.clock.sleep(ROW_RETRY_S * attempt)
        size = max(1, run.parts.crm.write_size // 10**attempt)
        left = _write_fresh(run, mapping, left, size, last=attempt == ROW_ATTEMPTS - 1)
        if not left:
            return


def _write_fresh(
    run: Run, mapping: MappingFile, rows: Sequence[RecordRow], size: int, *, last: bool
) -> list[RecordRow]:
    """Read, decide and write, reading again whenever the read has grown old; gives the rows worth another try.

    Rows that failed because of the other rows in their call are sent again at once, half as many at a time.
    """
    left: Sequence[RecordRow] = rows
    again: list[RecordRow] = []
    while left:
        reading = put.read(run, mapping, left)
        decided = _decide(reading, left)
        left = []
        start = 0
        while start < len(decided):
            if start and not reading.is_fresh():
                left = [one.row for one in decided[start:]]
                break
            part = decided[start : start + min(size, run.collection_size(mapping.object))]
            start += len(part)
            sent = _send(reading, part, last=last)
            again += sent.later
            if sent.fewer:
                again += _write_fresh(run, mapping, sent.fewer, max(1, len(part) // 2), last=last)
    return again


def _decide(reading: Reading, rows: Sequence[RecordRow]) -> list[Decided]:
    """Decide each record's update; records with nothing to send are finished here."""
    run, mapping = reading.run, reading.mapping
    decided: list[Decided] = []
    finishes: list[Finish] = []
    unusable: dict[int, str] = {}
    for row in rows:
        record = reading.there.get(row.crm_id)
        if record is None or record.moved_to is not None:
            finishes.append(outcome.moved(run, row, record))
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
            unusable |= _unusable_wants(row, write.unusable)
            run.tried.discard(row.id)
        elif write.changes:
            decided.append(Decided(row, record, write))
        elif parked:
            finishes.append(outcome.parked_again(run, row, record))
        else:
            run.writes["unchanged"] += 1
            finishes.append(outcome.written(run, mapping, row, record, write))
    _finish(run, finishes)
    _refuse_values(run, unusable)
    return decided


def _finish(run: Run, finishes: Sequence[Finish]) -> None:
    run.parts.ledger.records.finish(finishes, run.now())
    run.finished |= {one.record_id for one in finishes}


def _unusable_wants(row: RecordRow, unusable: Mapping[Channel, str]) -> dict[int, str]:
    return {want.id: unusable[want.channel] for want in row.wants if want.channel in unusable}


def _refuse_values(run: Run, unusable: Mapping[int, str]) -> None:
    """Values that the CRM can never take count as none: their records go on to the next source in this run."""
    if unusable:
        run.parts.ledger.records.refuse_values(unusable)
        resolve.advance(run, None)
        run.reopened = True


@dataclass(frozen=True, slots=True)
class _Sent:
    """The rows of a collection that are to be sent again: later, or at once and fewer at a time."""

    later: list[RecordRow] = field(default_factory=list)
    fewer: list[RecordRow] = field(default_factory=list)


def _send(reading: Reading, decided: Sequence[Decided], *, last: bool) -> _Sent:
    """Write one collection, and finish each row by its own answer.

    Args:
        reading: the read that the decisions rest on.
        decided: at most one collection.
        last: rows that are still locked are settled as refused.

    Raises:
        StopError: the org takes no writes at the moment.
        ConfigurationError: the connector's user may not write a mapped field.
    """
    run, mapping, ledger = reading.run, reading.mapping, reading.run.parts.ledger
    try:
        answers = reading.put(decided)
    except PassingError:
        if last:
            raise
        return _Sent(later=[one.row for one in decided])  # it may have taken effect: every record is compared again
    pairs = list(zip(decided, _whose_fault(reading, decided, answers), strict=True))
    sort = _Sorted(pairs, last=last)
    ledger.runs.settle(run.id, {one.row.id: "written" if answer is None else "rejected" for one, answer in pairs})
    finishes = [outcome.written(run, mapping, one.row, one.record, one.write) for one in sort.written]
    run.writes["written"] += len(sort.written)
    _finish(run, finishes)
    if sort.org is not None:
        raise StopError(f"{sort.org.errors[0].text or sort.org.code}; run again later")
    if sort.over_limit:
        run.smaller[mapping.object] = max(1, len(decided) // 2)
    _finish_refused(run, mapping, sort.refused)
    if run.writing_last:
        run.parts.progress.step(len(finishes) + len(sort.refused))
    _stop_on_configuration(sort.refused)
    return _Sent([one.row for one in sort.locked], [one.row for one in sort.fewer])


class _Sorted:
    """The rows of one collection by what happens to them next."""

    def __init__(self, pairs: Sequence[tuple[Decided, Rejection | None]], *, last: bool) -> None:
        self.written: list[Decided] = []
        self.locked: list[Decided] = []
        self.fewer: list[Decided] = []
        self.refused: list[tuple[Decided, Rejection]] = []
        self.org: Rejection | None = None
        self.over_limit = False
        for one, answer in pairs:
            match None if answer is None else answer.error_class:
                case None:
                    self.written.append(one)
                case ErrorClass.ORG:
                    self.org = answer
                case ErrorClass.LOCKED if not last:
                    self.locked.append(one)
                case ErrorClass.LIMIT | ErrorClass.AUTOMATION if len(pairs) > 1:
                    self.fewer.append(one)
                    self.over_limit |= answer is not None and answer.error_class is ErrorClass.LIMIT
                case _:
                    if answer is not None:
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
        info = run.parts.crm.describe(name, refresh=True)
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


def _finish_refused(run: Run, mapping: MappingFile, refused: Sequence[tuple[Decided, Rejection]]) -> None:
    """Write everything of refused rows that the CRM takes, and park the rest."""
    run.writes["failed"] += len(refused)
    unusable: dict[int, str] = {}
    finishes: list[Finish] = []
    for found in update_partly(run, mapping, refused).values():
        finishes.append(outcome.rejected(run, mapping, found))
        if found.unusable:
            unusable |= _unusable_wants(found.row, found.unusable)
            run.tried.discard(found.row.id)
    _finish(run, finishes)
    _refuse_values(run, unusable)


def _stop_on_configuration(refused: Sequence[tuple[Decided, Rejection]]) -> None:
    for _, answer in refused:
        if answer.error_class is ErrorClass.MAPPING:
            fields = ", ".join(answer.fields) or "a mapped field"
            raise ConfigurationError(
                f"Salesforce refuses to write {fields} ({answer.code}); give the connector's user edit permission on "
                "it, then run again: nothing that was paid for is lost"
            )
