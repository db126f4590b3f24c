"""Partial updates of rows that the CRM refused for their own reason: everything that it accepts is written.

If the CRM names fields, all of them are withheld at once, and so are the fields that later answers name. If it names
none, the values are sent one by one, to find those that it accepts. Status, stamps and flag are sent last, so that they
match the written values. Every try reads and compares the record again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from connector.core.errors import PassingError
from connector.core.mapping import MappingFile
from connector.core.model import Channel, CrmRecord
from connector.core.states import ChangeState
from connector.core.writeback import Write
from connector.crm.interface import ErrorClass, Rejection, RowError
from connector.engine import crowding, outcome, send
from connector.engine.context import Run
from connector.engine.outcome import Refused
from connector.engine.send import Decided
from connector.store.rows import RecordRow

ROUNDS = 12  # each round finds at least one further field, and a mapping writes fewer than this


@dataclass
class _Row:
    """One refused row and the state of its partial update.

    Attributes:
        offered: the channels whose values were in the refused update.
        withheld: the channels whose value the CRM does not accept, with its error.
        dropped: other fields that the CRM does not accept, in lower case.
        accepted: the channels whose value was written on its own.
        last: the newest decision, with its record.
        unnamed: the last refusal named no further field that was sent.
        unexplained: the last refusal had an error that names none of the sent fields, and nothing was written since.
        complete: the rest was written, or needed no write.
        stopped: further tries in this run are useless.
        passing: the record was locked, or an answer was lost, so that a later try may succeed.
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
    unexplained: bool = False
    complete: bool = False
    stopped: bool = False
    passing: bool = False

    @property
    def open_values(self) -> tuple[Channel, ...]:
        """The channels whose values may still be the cause of the refusal."""
        return tuple(c for c in self.offered if c not in self.withheld and c not in self.accepted)

    @property
    def is_done(self) -> bool:
        """Whether no further try is needed or useful now."""
        return self.complete or self.stopped or self.passing


@dataclass(frozen=True, slots=True)
class Partial:
    """The result of partial updates, and the rows to try again later."""

    results: tuple[Refused, ...]
    later: list[RecordRow]


def update_partly(
    run: Run, mapping: MappingFile, refused: Sequence[tuple[Decided, Rejection]], *, last: bool
) -> Partial:
    """Write everything of refused rows that the CRM accepts.

    Args:
        run: the run.
        mapping: the mapping of all rows.
        refused: the rows, each with its answer.
        last: rows that are locked, or whose answer was lost, are not tried again later.

    Raises:
        StopError: the org accepts no writes at present.
    """
    rows = [_begin(mapping, one, answer) for one, answer in refused]
    able = [one for one in rows if one.error_class not in {ErrorClass.LOCKED, ErrorClass.MOVED, ErrorClass.MAPPING}]
    for _ in range(ROUNDS):
        named = [one for one in able if not one.is_done and not one.unnamed]
        if not named:
            break
        _send_rest(run, mapping, named)
    _isolate(run, mapping, [one for one in able if not one.is_done])
    for _ in range(ROUNDS):
        rest = [one for one in able if not one.is_done]
        if not rest:
            break
        _send_rest(run, mapping, rest)
        for one in rest:
            one.stopped = one.stopped or one.unnamed  # the row is refused even without any value
    later = [] if last else [one.row for one in rows if one.passing]
    return Partial(tuple(_result(run, one) for one in rows if last or not one.passing), later)


def _begin(mapping: MappingFile, one: Decided, answer: Rejection) -> _Row:
    changed = {change.field.lower() for change in one.write.changes}
    offered = tuple(channel for channel, rules in mapping.channels.items() if rules.field.lower() in changed)
    made = _Row(one.row, offered, one, answer.error_class, list(answer.errors))
    _learn(mapping, made, one, answer)
    return made


def _learn(mapping: MappingFile, row: _Row, sent: Decided, answer: Rejection) -> None:
    """Withhold or drop the sent fields that the CRM names in its errors."""
    changed = {change.field.lower() for change in sent.write.changes}
    channels = {rules.field.lower(): channel for channel, rules in mapping.channels.items()}
    emails = [rules.field.lower() for _, rules in mapping.channels.items() if rules.is_email]
    found, row.unexplained = False, False
    for error in answer.errors:
        names = {name.lower() for name in error.fields} & changed
        if error.unusable and not error.fields:
            names = changed.intersection(emails) if len(changed.intersection(emails)) == 1 else set()
        row.unexplained = row.unexplained or not names
        for name in names:
            if name in channels:
                row.withheld[channels[name]] = error
            else:
                row.dropped.add(name)
            found = True
    row.unnamed = not found


def _isolate(run: Run, mapping: MappingFile, rows: Sequence[_Row]) -> None:
    """Send the values one by one; a single value is withheld instead, and the rest is tried without it."""
    for row in rows:
        if len(row.open_values) == 1:
            row.withheld[row.open_values[0]] = _against(mapping, row.open_values[0], row.errors)
    for channel in dict.fromkeys(c for row in rows for c in row.open_values):
        mine = [row for row in rows if channel in row.open_values and not row.is_done]
        rules = mapping.channels.get(channel)
        if rules is None:
            continue
        answers = _send(run, mapping, mine, _only(rules.field))
        for row in mine:
            answer = answers.get(row.row.id)
            if not isinstance(answer, Rejection):
                if answer is not None:
                    row.accepted.add(channel)
                    run.stamps_due.add(row.row.id)
            elif answer.error_class is ErrorClass.MOVED:
                row.error_class, row.stopped = answer.error_class, True
            elif not row.passing:
                row.withheld[channel] = _against(mapping, channel, answer.errors)


def _against(mapping: MappingFile, channel: Channel, errors: Sequence[RowError]) -> RowError:
    """The error that counts against one channel's value; an error of another field does not make it unusable."""
    rules = mapping.channels.get(channel)
    name, is_email = (rules.field.lower(), rules.is_email) if rules is not None else ("", False)
    of_field = (e for e in errors if name in map(str.lower, e.fields) or (is_email and e.unusable and not e.fields))
    return next(of_field, None) or replace(errors[-1] if errors else RowError(""), unusable=False)


def _only(field_name: str) -> Callable[[_Row, str], bool]:
    return lambda _row, name: name == field_name


def _send_rest(run: Run, mapping: MappingFile, rows: Sequence[_Row]) -> None:
    """Send everything that is not withheld, including statuses and stamps."""
    answers = _send(run, mapping, rows, lambda row, name: name.lower() not in row.dropped)
    for row in rows:
        answer = answers.get(row.row.id)
        if isinstance(answer, Rejection):
            row.errors += answer.errors
            row.error_class = answer.error_class
            _learn(mapping, row, row.last, answer)
            row.stopped = answer.error_class is ErrorClass.MOVED
        elif answer is not None:
            row.complete = True
            run.stamps_due.discard(row.row.id)


def _send(
    run: Run, mapping: MappingFile, rows: Sequence[_Row], takes: Callable[[_Row, str], bool]
) -> dict[int, Rejection | Write | None]:
    """Read, decide without the withheld values, and send the fields that `takes` selects.

    Rows that the org's automation has refused are sent in separate calls, because they may fail a whole call.

    Returns:
        By the ledger's id of the record: the refusal, or the decision if it was written or needed no write. A record
        that could not be sent is absent, and is `stopped` or `passing`.

    Raises:
        StopError: the org accepts no writes at present.
    """
    answers: dict[int, Rejection | Write | None] = {}
    crowded = [row for row in rows if row.error_class in crowding.SHARED]
    for group in (crowded, [row for row in rows if row.error_class not in crowding.SHARED]):
        size = run.collection_size(mapping.object)
        for start in range(0, len(group), size):
            answers |= _send_part(run, mapping, group[start : start + size], takes, is_search=group is crowded)
    return answers


def _send_part(
    run: Run, mapping: MappingFile, part: Sequence[_Row], takes: Callable[[_Row, str], bool], *, is_search: bool
) -> dict[int, Rejection | Write | None]:
    """Send one collection, and then halves of it if rows may have been refused because of others."""
    answers = _send_once(run, mapping, part, takes, is_search=is_search)
    fewer = [row for row in part if _may_be_anothers(run, mapping, answers.get(row.row.id), len(part))]
    half = max(1, len(part) // 2)
    for start in range(0, len(fewer), half):
        answers |= _send_part(run, mapping, fewer[start : start + half], takes, is_search=True)
    return answers


def _may_be_anothers(run: Run, mapping: MappingFile, answer: Rejection | Write | None, sent: int) -> bool:
    return isinstance(answer, Rejection) and crowding.may_be_anothers(run, mapping.object, answer, sent)


def _send_once(
    run: Run, mapping: MappingFile, part: Sequence[_Row], takes: Callable[[_Row, str], bool], *, is_search: bool
) -> dict[int, Rejection | Write | None]:
    reading = send.read(run, mapping, [row.row for row in part])
    answers: dict[int, Rejection | Write | None] = {}
    sent: list[tuple[_Row, Decided]] = []
    for row in part:
        record = reading.records.get(row.row.crm_id)
        if record is None or record.moved_to is not None or outcome.names_another(row.row, record, mapping):
            row.error_class, row.stopped = ErrorClass.MOVED, True
            continue
        write = _decide(reading, mapping, row, record)
        row.last = Decided(row.row, record, write)
        changes = tuple(change for change in write.changes if takes(row, change.field))
        if changes:
            sent.append((row, Decided(row.row, record, replace(write, changes=changes))))
        else:
            answers[row.row.id] = write
    return answers | _answers(reading, sent, is_search=is_search)


def _decide(reading: send.Reading, mapping: MappingFile, row: _Row, record: CrmRecord) -> Write:
    parked = outcome.still_parked(reading.run, row.row, record, mapping)
    crm = reading.run.services.crm.label
    withheld = parked | {c: outcome.refusal(error, record, crm) for c, error in row.withheld.items()}
    return reading.decide(row.row, record, withheld)


def _answers(
    reading: send.Reading, sent: Sequence[tuple[_Row, Decided]], *, is_search: bool
) -> dict[int, Rejection | Write | None]:
    run, name = reading.run, reading.mapping.object
    if not sent:
        return {}
    try:
        answers = reading.send([decided for _, decided in sent])
    except PassingError:
        for row, _ in sent:
            row.error_class, row.passing = ErrorClass.LOCKED, True  # a later try compares every record again
        return {}
    crowding.learn(run, name, answers, is_search=is_search)
    pairs = list(zip(sent, answers, strict=True))
    run.services.ledger.runs.record_answers(
        run.id,
        {row.row.id: ChangeState.REJECTED if answer is not None else ChangeState.WRITTEN for (row, _), answer in pairs},
    )
    org = next((answer for answer in answers if answer is not None and answer.error_class is ErrorClass.ORG), None)
    if org is not None:
        raise outcome.org_stop(org, run.services.crm.label)
    for (row, _), answer in pairs:
        if answer is None:
            row.unexplained = False
        elif answer.error_class is ErrorClass.LOCKED:
            row.error_class, row.passing = ErrorClass.LOCKED, True
    return {row.row.id: decided.write if answer is None else answer for (row, decided), answer in pairs}


def _result(run: Run, row: _Row) -> Refused:
    """The result of a row; a value counts as unusable only if nothing else of the row is refused."""
    record = row.last.record
    crm = run.services.crm.label
    is_sure = row.complete and not row.unexplained
    unusable = {c: error for c, error in row.withheld.items() if error.unusable and is_sure}
    parked = {c: outcome.refusal(error, record, crm) for c, error in row.withheld.items() if c not in unusable}
    if not row.complete:
        first = row.errors[0] if row.errors else RowError("")
        parked |= {c: outcome.refusal(first, record, crm) for c in row.open_values}
    return Refused(
        row=row.row,
        record=record,
        error_class=row.error_class,
        errors=tuple(dict.fromkeys(row.errors)),
        write=row.last.write,
        parked=parked,
        unusable={c: outcome.refusal(error, record, crm) for c, error in unusable.items()},
        complete=row.complete,
        accepted=frozenset(row.accepted),
        dropped=bool(row.dropped),
        flag_kept=run.mappings[row.row.mapping].select.flag_field.lower() in row.dropped,
    )
