"""Stage 5: compare with the record as it is now, and send only what differs and is ours to write.

A decision is made on a read at most five seconds old; when writing a large read takes longer, the rest is read again.
What will be written is committed before it leaves, with its before-image, so that it can be undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from connector.core.errors import ConfigurationError, ConnectorError, PassingError
from connector.core.mapping import MappingFile
from connector.core.model import CrmRecord, FieldChange
from connector.core.values import stored_form
from connector.core.writeback import Write, WriteRules
from connector.crm.interface import Rejection, Trouble, Update
from connector.engine import outcome
from connector.engine.context import Run
from connector.store.records import Finish
from connector.store.rows import RecordRow
from connector.store.runs import Intended

FRESH = timedelta(seconds=5)
ROW_ATTEMPTS = 4
ROW_RETRY_S = 10.0  # Salesforce waits about ten seconds for a lock: sooner is useless


@dataclass(frozen=True, slots=True)
class Decided:
    """A record with what shall be written to it."""

    row: RecordRow
    record: CrmRecord
    write: Write


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
            run.tried -= ids  # those that were not reached get their word when the books are closed
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
    """Read, decide and write, reading again whenever the read has grown old; gives the rows worth another try."""
    left: Sequence[RecordRow] = rows
    again: list[RecordRow] = []
    while left:
        read_at = run.now()
        decided = _decide(run, mapping, left)
        left = []
        for start in range(0, len(decided), size):
            if start and run.now() - read_at > FRESH:
                left = [one.row for one in decided[start:]]
                break
            again += _send(run, mapping, decided[start : start + size], last=last)
    return again


def _decide(run: Run, mapping: MappingFile, rows: Sequence[RecordRow]) -> list[Decided]:
    """What is to be sent; records with nothing to send are finished here."""
    parts = run.parts
    there = parts.crm.read(mapping.object, [row.crm_id for row in rows], sorted(mapping.read_fields()))
    words = parts.ledger.records.words_of(w.unlock_id for row in rows for w in row.wants if w.unlock_id)
    lengths = parts.crm.describe(mapping.object).lengths()
    rules = WriteRules(mapping, lengths, parts.ledger.seal.matches, run.now())
    decided: list[Decided] = []
    finishes: list[Finish] = []
    for row in rows:
        record = there.get(row.crm_id)
        if record is None or record.moved_to is not None:
            finishes.append(outcome.moved(run, row, record))
            continue
        if outcome.names_another(row, record, mapping):
            finishes.append(outcome.renamed(run, row))
            continue
        results = outcome.channel_results(run, row, record, words)
        write = rules.decide(record, results, row.resolved_id)
        if outcome.still_parked(run, row, record, mapping):
            finishes.append(outcome.parked_again(run, row))
        elif write.changes:
            decided.append(Decided(row, record, write))
        else:
            run.writes["unchanged"] += 1
            finishes.append(outcome.written(run, mapping, row, record, write))
    parts.ledger.records.finish(finishes, run.now())
    return decided


def _send(run: Run, mapping: MappingFile, decided: Sequence[Decided], *, last: bool) -> list[RecordRow]:
    """Commit the intent, write one collection, and settle each row by its own answer.

    Returns:
        Rows that failed for a passing reason; none when this is the `last` try, which settles them as refused.
    """
    ledger = run.parts.ledger
    ledger.runs.intend(run.id, mapping.object, [_intent(mapping, one) for one in decided], run.now())
    updates = [_to_update(one.row.crm_id, one.write.changes) for one in decided]
    try:
        answers = run.parts.crm.update(mapping.object, updates)
    except PassingError:
        if last:
            raise
        return [one.row for one in decided]  # it may have taken effect: every record is compared again first
    finishes: list[Finish] = []
    states: dict[int, str] = {}
    again: list[RecordRow] = []
    for one, answer in zip(decided, answers, strict=True):
        if answer is not None and answer.trouble is Trouble.RETRY and not last:
            states[one.row.id] = "rejected"
            again.append(one.row)
            continue
        if answer is None:
            landed = True
            finishes.append(outcome.written(run, mapping, one.row, one.record, one.write))
        else:
            landed = _write_rest(run, mapping, one, answer)
            finishes.append(outcome.rejected(run, mapping, one.row, one.record, one.write, answer, rest_landed=landed))
        states[one.row.id] = "written" if landed else "rejected"
        run.writes["written" if answer is None else "failed"] += 1
    ledger.runs.settle(run.id, states)
    ledger.records.finish(finishes, run.now())
    if run.writing_last:
        run.parts.progress.step(len(finishes))
    _stop_on_configuration(answers)
    return again


def _intent(mapping: MappingFile, one: Decided) -> Intended:
    """What can be undone of the write: everything but the flag, which asks and is no result."""
    undoable = [change for change in one.write.changes if change.field != mapping.select.flag_field]
    before = {change.field: change.before for change in undoable}
    after = {change.field: stored_form(change.after) for change in undoable}
    return Intended(one.row.id, one.row.crm_id, before, after)


def _to_update(crm_id: str, changes: Sequence[FieldChange]) -> Update:
    return Update(crm_id, {change.field: change.after for change in changes})


def _write_rest(run: Run, mapping: MappingFile, one: Decided, answer: Rejection) -> bool:
    """Once more without the fields that Salesforce blames, so that the status lands; whether it did."""
    rest = outcome.without_culprits(mapping, one.write.changes, answer)
    if not rest:
        return False
    try:
        return run.parts.crm.update(mapping.object, [_to_update(one.row.crm_id, rest)])[0] is None
    except PassingError:
        return False


def _stop_on_configuration(answers: Sequence[Rejection | None]) -> None:
    for answer in answers:
        if answer is not None and answer.trouble is Trouble.CONFIGURATION:
            fields = ", ".join(answer.fields) or "a mapped field"
            raise ConfigurationError(
                f"Salesforce refuses to write {fields} ({answer.code}); give the connector's user edit permission on "
                "it, then run again: nothing that was paid for is lost"
            )
