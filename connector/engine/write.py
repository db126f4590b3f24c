"""Stage 5: compare with the record as it is now, and send only what differs and is ours to write.

A decision is made on a read at most five seconds old; when writing a large read takes longer, the rest is read again.
What will be written is committed before it leaves, with its before-image, so that it can be undone.
"""

from collections.abc import Sequence

from connector.core.errors import ConfigurationError, ConnectorError, PassingError
from connector.core.mapping import MappingFile
from connector.crm.interface import Rejection, Trouble
from connector.engine import outcome, put
from connector.engine.context import Run
from connector.engine.put import Decided, Reading
from connector.engine.second_try import Trial, try_again
from connector.store.records import Finish
from connector.store.rows import RecordRow

ROW_ATTEMPTS = 4
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
        reading = put.read(run, mapping, left)
        decided = _decide(reading, left)
        left = []
        for start in range(0, len(decided), size):
            if start and not reading.is_fresh():
                left = [one.row for one in decided[start:]]
                break
            again += _send(reading, decided[start : start + size], last=last)
    return again


def _decide(reading: Reading, rows: Sequence[RecordRow]) -> list[Decided]:
    """What is to be sent; records with nothing to send are finished here."""
    run, mapping = reading.run, reading.mapping
    decided: list[Decided] = []
    finishes: list[Finish] = []
    for row in rows:
        record = reading.there.get(row.crm_id)
        if record is None or record.moved_to is not None:
            finishes.append(outcome.moved(run, row, record))
            continue
        if outcome.names_another(row, record, mapping):
            finishes.append(outcome.renamed(run, row))
            continue
        parked = outcome.still_parked(run, row, record, mapping)
        write = reading.decide(row, record, parked)
        if write.changes:
            decided.append(Decided(row, record, write))
        elif parked:
            finishes.append(outcome.parked_again(run, row))
        else:
            run.writes["unchanged"] += 1
            finishes.append(outcome.written(run, mapping, row, record, write))
    run.parts.ledger.records.finish(finishes, run.now())
    return decided


def _send(reading: Reading, decided: Sequence[Decided], *, last: bool) -> list[RecordRow]:
    """Write one collection, and settle each row by its own answer.

    Returns:
        Rows that failed for a passing reason; none when this is the `last` try, which settles them as refused.
    """
    run, mapping, ledger = reading.run, reading.mapping, reading.run.parts.ledger
    try:
        answers = reading.put(decided)
    except PassingError:
        if last:
            raise
        return [one.row for one in decided]  # it may have taken effect: every record is compared again first
    pairs = list(zip(decided, answers, strict=True))
    again = [one.row for one, answer in pairs if answer is not None and answer.trouble is Trouble.RETRY and not last]
    retried = {row.id for row in again}
    ledger.runs.settle(run.id, {one.row.id: "written" if answer is None else "rejected" for one, answer in pairs})
    refused = [(one, answer) for one, answer in pairs if answer is not None and one.row.id not in retried]
    trials = try_again(run, mapping, refused)
    finishes = [
        outcome.written(run, mapping, one.row, one.record, one.write) for one, answer in pairs if answer is None
    ]
    finishes += [_rejected(run, mapping, one, answer, trials[one.row.id]) for one, answer in refused]
    run.writes["written"] += len(pairs) - len(refused) - len(again)
    run.writes["failed"] += len(refused)
    ledger.records.finish(finishes, run.now())
    if run.writing_last:
        run.parts.progress.step(len(finishes))
    _stop_on_configuration(answers)
    return again


def _rejected(run: Run, mapping: MappingFile, one: Decided, answer: Rejection, trial: Trial) -> Finish:
    landed = trial.landed is not None
    return outcome.rejected(
        run, mapping, one.row, one.record, trial.landed or one.write, answer, landed=landed, lost=trial.lost
    )


def _stop_on_configuration(answers: Sequence[Rejection | None]) -> None:
    for answer in answers:
        if answer is not None and answer.trouble is Trouble.CONFIGURATION:
            fields = ", ".join(answer.fields) or "a mapped field"
            raise ConfigurationError(
                f"Salesforce refuses to write {fields} ({answer.code}); give the connector's user edit permission on "
                "it, then run again: nothing that was paid for is lost"
            )
