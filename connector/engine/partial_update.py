"""Rows that the CRM refused for a reason of their own: everything of them that it takes is written all the same.

Where it names fields, all of them are withheld at once, and so is each further field that the next answer names. Where
it names none, the values are offered one by one, to find those that it takes. Status, stamps and flag follow last, so
that their texts are true for the values that were written. Every try compares with the record again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from connector.core.errors import PassingError
from connector.core.mapping import MappingFile
from connector.core.model import Channel, CrmRecord
from connector.core.writeback import Write
from connector.crm.interface import ErrorClass, Rejection, RowError
from connector.engine import outcome, put
from connector.engine.context import Run
from connector.engine.outcome import Refused
from connector.engine.put import Decided
from connector.store.rows import RecordRow

ROUNDS = 12  # each names at least one further field; a mapping writes fewer


@dataclass
class _Row:
    """One refused row and the state of its partial update.

    Attributes:
        offered: the channels whose values were in the refused update.
        withheld: the channels whose value the CRM does not take, with its error.
        dropped: other fields that it does not take, in lower case.
        accepted: the channels whose value was written on its own.
        last: the newest decision, with the record that it was made on.
        unnamed: the last refusal named no further field of ours.
        complete: the rest was written, or needed no write.
    """

    row: RecordRow
    offered: tuple[Channel, ...]
    last: Decided
    error_class: ErrorClass
    errors: list[RowError]
    withheld: dict[Channel, RowError] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    accepted: set[Channel] = field(default_factory=set)
    unnamed: bool = False
    complete: bool = False
    stopped: bool = False

    @property
    def open_values(self) -> tuple[Channel, ...]:
        """Values that may still be to blame."""
        return tuple(c for c in self.offered if c not in self.withheld and c not in self.accepted)

    @property
    def is_done(self) -> bool:
        """Whether no further try helps."""
        return self.complete or self.stopped


def update_partly(run: Run, mapping: MappingFile, refused: Sequence[tuple[Decided, Rejection]]) -> dict[int, Refused]:
    """Write everything of refused rows that the CRM takes; what remains refused, by the ledger's id of the record."""
    rows = [_begin(mapping, one, answer) for one, answer in refused]
    able = [one for one in rows if one.error_class not in {ErrorClass.LOCKED, ErrorClass.MOVED, ErrorClass.MAPPING}]
    for _ in range(ROUNDS):
        named = [one for one in able if not one.is_done and not one.unnamed]
        if not named:
            break
        _send_rest(run, mapping, named)
    _isolate(run, mapping, [one for one in able if not one.is_done])
    for _ in range(ROUNDS):
        left = [one for one in able if not one.is_done]
        if not left:
            break
        _send_rest(run, mapping, left)
        for one in left:
            one.stopped = one.stopped or one.unnamed  # even without any value the row is refused
    return {one.row.id: _result(mapping, one) for one in rows}


def _begin(mapping: MappingFile, one: Decided, answer: Rejection) -> _Row:
    changed = {change.field.lower() for change in one.write.changes}
    offered = tuple(channel for channel, rules in mapping.channels.items() if rules.field.lower() in changed)
    made = _Row(one.row, offered, one, answer.error_class, list(answer.errors))
    _learn(mapping, made, one, answer)
    return made


def _learn(mapping: MappingFile, row: _Row, sent: Decided, answer: Rejection) -> None:
    """Note which of the fields that were sent the CRM names."""
    changed = {change.field.lower() for change in sent.write.changes}
    channels = {rules.field.lower(): channel for channel, rules in mapping.channels.items()}
    emails = [c for c, rules in mapping.channels.items() if rules.is_email and rules.field.lower() in changed]
    found = False
    for error in answer.errors:
        names = {name.lower() for name in error.fields} & changed
        if not names and error.unusable and len(emails) == 1:
            names = {name for name, channel in channels.items() if channel is emails[0]}
        for name in names:
            if name in channels:
                row.withheld[channels[name]] = error
            else:
                row.dropped.add(name)
            found = True
    row.unnamed = not found


def _isolate(run: Run, mapping: MappingFile, rows: Sequence[_Row]) -> None:
    """Offer the values one by one, each on its own; where there is only one, the rest is tried without it."""
    for row in rows:
        if len(row.open_values) == 1:
            row.withheld[row.open_values[0]] = row.errors[-1]
    for channel in dict.fromkeys(c for row in rows for c in row.open_values):
        mine = [row for row in rows if channel in row.open_values]
        rules = mapping.channels.get(channel)
        if rules is None:
            continue
        answers = _send(run, mapping, mine, _only(rules.field))
        for row in mine:
            answer = answers.get(row.row.id)
            if isinstance(answer, Rejection):
                row.withheld[channel] = answer.errors[0] if answer.errors else RowError("")
            elif answer is not None:
                row.accepted.add(channel)


def _only(field_name: str) -> Callable[[_Row, str], bool]:
    return lambda _row, name: name == field_name


def _send_rest(run: Run, mapping: MappingFile, rows: Sequence[_Row]) -> None:
    """Send everything that is not withheld, statuses and stamps too."""
    answers = _send(run, mapping, rows, lambda row, name: name.lower() not in row.dropped)
    for row in rows:
        answer = answers.get(row.row.id)
        if isinstance(answer, Rejection):
            row.errors += answer.errors
            row.error_class = answer.error_class
            _learn(mapping, row, row.last, answer)
            row.stopped = answer.error_class not in {ErrorClass.ROW, ErrorClass.MAPPING}
        elif answer is None:
            row.stopped = True  # it was moved, or the answer was lost: the next run compares again
        else:
            row.complete = True


def _send(
    run: Run, mapping: MappingFile, rows: Sequence[_Row], takes: Callable[[_Row, str], bool]
) -> dict[int, Rejection | Write | None]:
    """Read, decide without the withheld values, and send the fields that `takes` lets through.

    Returns:
        By the ledger's id of the record: the decision where it was written or needed no write, or the refusal. A record
        that could not be sent is absent.
    """
    if not rows:
        return {}
    answers: dict[int, Rejection | Write | None] = {}
    for start in range(0, len(rows), run.collection_size(mapping.object)):
        part = rows[start : start + run.collection_size(mapping.object)]
        reading = put.read(run, mapping, [row.row for row in part])
        decided: list[Decided] = []
        for row in part:
            record = reading.there.get(row.row.crm_id)
            if record is None or record.moved_to is not None or outcome.names_another(row.row, record, mapping):
                continue
            write = _decide(reading, mapping, row, record)
            row.last = Decided(row.row, record, write)
            changes = tuple(change for change in write.changes if takes(row, change.field))
            if changes:
                decided.append(Decided(row.row, record, replace(write, changes=changes)))
            else:
                answers[row.row.id] = write
        answers |= _answers(reading, decided)
    return answers


def _decide(reading: put.Reading, mapping: MappingFile, row: _Row, record: CrmRecord) -> Write:
    parked = outcome.still_parked(reading.run, row.row, record, mapping)
    withheld = parked | {c: outcome.refusal(error, record) for c, error in row.withheld.items()}
    return reading.decide(row.row, record, withheld, value_written=bool(row.accepted))


def _answers(reading: put.Reading, decided: Sequence[Decided]) -> dict[int, Rejection | Write | None]:
    if not decided:
        return {}
    try:
        answers = reading.put(decided)
    except PassingError:
        return {}
    pairs = list(zip(decided, answers, strict=True))
    states = {one.row.id: "rejected" if answer is not None else "written" for one, answer in pairs}
    reading.run.parts.ledger.runs.settle(reading.run.id, states)
    return {one.row.id: one.write if answer is None else answer for one, answer in pairs}


def _result(mapping: MappingFile, row: _Row) -> Refused:
    record = row.last.record
    parked = {c: outcome.refusal(error, record) for c, error in row.withheld.items() if not error.unusable}
    if not row.complete:
        first = row.errors[0] if row.errors else RowError("")
        parked |= {c: outcome.refusal(first, record) for c in row.open_values}
    return Refused(
        row=row.row,
        record=record,
        error_class=row.error_class,
        errors=tuple(dict.fromkeys(row.errors)),
        write=row.last.write,
        parked=parked,
        unusable={c: outcome.refusal(error, record) for c, error in row.withheld.items() if error.unusable},
        complete=row.complete,
        flag_kept=mapping.select.flag_field.lower() in row.dropped,
    )
