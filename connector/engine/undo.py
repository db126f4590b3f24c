"""Restores the values that a run replaced, only if the field still holds the run's value; the flag is never changed.

An undo is a run of its own, with its own before-images, so it can be undone too. Values that a person has changed since
stay and are reported. A second undo of the same run changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from connector.core.errors import ConnectorError, PassingError, StopError
from connector.core.model import Attention, CrmRecord, FieldValue, Outcome
from connector.core.report import CrmFigures, Report
from connector.core.restore import PutBack as Restore
from connector.core.restore import Step, put_back
from connector.core.states import ChangeState, RunState
from connector.core.values import stored_form
from connector.crm.interface import ErrorClass, Rejection, Update, Usage
from connector.engine import bulk, crowding
from connector.engine.context import ATTENTION_SHOWN, Services
from connector.engine.observing import RunObserver, observe_run, stage
from connector.engine.send import fresh_since
from connector.engine.watching import watch_run
from connector.store.runs import ChangeRow, Intended

CHANGED_SINCE = "it was changed since; that value stays"
GONE = "it was deleted, merged or converted since; nothing is restored"
TRIES = 3
RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class _Written:
    """All changes of a run to one record."""

    object: str
    crm_id: str
    changes: tuple[ChangeRow, ...]

    def steps(self) -> dict[str, list[Step]]:
        """The run's changes by field, oldest first."""
        return _steps(self.changes)

    def earlier(self, statuses: Mapping[int, Sequence[ChangeRow]]) -> dict[str, list[Step]]:
        """The changes of other runs to the status fields, for the same enrichments, before this run's first change."""
        first = min(change.id for change in self.changes)
        records = dict.fromkeys(change.record_id for change in self.changes)
        return _steps([row for record in records for row in statuses.get(record, ()) if row.id < first])


def _steps(changes: Sequence[ChangeRow]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for change in changes:
        for name, hashed in change.hashes.items():
            found.setdefault(name, []).append(Step(hashed, stored_form(change.before.get(name))))
    return found


@dataclass
class _Undo:
    """One undo and its results so far."""

    services: Services
    run_id: str
    undone: str  # the id of the run that is undone
    started_at: datetime
    restored: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    attention: list[Attention] = field(default_factory=list)
    attention_total: int = 0

    def call_attention(self, entry: Attention) -> None:
        """Count an entry; only the first are kept."""
        self.attention_total += 1
        if len(self.attention) < ATTENTION_SHOWN:
            self.attention.append(entry)


def undo(services: Services, run_id: str) -> Report:
    """Undo one run; if the undo ends early, the next undo continues.

    Args:
        services: the services, logged in to the CRM, with the run lock of the ledger.
        run_id: the full id of the run.
    """
    ledger, started_at = services.ledger, services.clock.now()
    _settle_jobs(services, run_id)
    ledger.runs.mark_crashed(started_at)
    work = _Undo(services, ledger.runs.start("undo", [], started_at), run_id, started_at)
    watch_run(services, work.run_id, ())
    selected = ledger.runs.count_undoable_records(run_id)
    services.progress.stage("Restoring values", selected)
    with observe_run(work.run_id, "undo", (), services.clock.monotonic) as seen:
        return _restore_all(work, selected, seen)


def _restore_all(work: _Undo, selected: int, seen: RunObserver) -> Report:
    """Restore the values of all records, page by page."""
    services, stopped = work.services, ""
    try:
        with stage("restore", services.clock.monotonic):
            for page in services.ledger.runs.undoable(work.undone):
                written = _by_record(page)
                for start in range(0, len(written), services.crm.write_size):
                    _undo_part(work, written[start : start + services.crm.write_size])
    except StopError as error:
        stopped = str(error)
    except ConnectorError as error:
        seen.report = _close(work, selected, RunState.FAILED, str(error))
        raise
    seen.report = _close(work, selected, RunState.STOPPED if stopped else RunState.FINISHED, stopped)
    return seen.report


def _settle_jobs(services: Services, run_id: str) -> None:
    """Store the answers of the run's jobs: a job that still runs could write a value after it was undone.

    Raises:
        StopError: a job still runs.
    """
    for row in services.ledger.bulk_jobs.open_of(run_id):
        if not bulk.settle(services, row):
            raise StopError(f"{services.crm.label} still processes a job of this run; run the undo again later")


def _by_record(changes: Sequence[ChangeRow]) -> list[_Written]:
    """Group the changes, which are ordered by object and CRM id, by record."""
    groups = groupby(changes, lambda change: (change.object, change.crm_id))
    return [_Written(object_name, crm_id, tuple(rows)) for (object_name, crm_id), rows in groups]


def _close(work: _Undo, selected: int, state: str, stopped: str) -> Report:
    rest = selected - sum(work.outcomes.values())
    if rest:
        work.outcomes[Outcome.DEFERRED] += rest
    usage, now = work.services.crm.usage(), work.services.clock.now()
    report = Report(
        run_id=work.run_id,
        command="undo",
        mappings=(),
        state=state,
        selected=selected,
        outcomes=work.outcomes,
        channels={},
        credits={},
        crm={work.services.crm.name: _figures(usage, work.outcomes)},
        started_at=work.started_at,
        finished_at=now,
        attention=tuple(work.attention),
        attention_total=work.attention_total,
        stopped=(stopped,) if stopped else (),
        undoes=work.undone,
        restored=dict(sorted(work.restored.items())),
    )
    if work.outcomes[Outcome.DELIVERED]:
        work.services.ledger.runs.mark_run_undone(work.undone, work.run_id)
    work.services.ledger.runs.finish(work.run_id, state, report.to_json(), now)
    return report


def _undo_part(work: _Undo, written: Sequence[_Written]) -> None:
    """Restore at most one collection of records of each object."""
    for _, group in groupby(written, lambda one: one.object):
        rows = list(group)
        _restore(work, rows, len(rows))
        work.services.progress.step(len(rows))


def _restore(work: _Undo, rows: Sequence[_Written], size: int) -> None:
    """Restore records, `size` at a time, or fewer if the org's automation cannot handle that many."""
    for start in range(0, len(rows), size):
        part, fewer = rows[start : start + size], list[_Written]()
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                again = _compare_and_send(work, part, last=last)
            except PassingError:
                if last:
                    raise
                again = _Again(locked=list(part))
            fewer += again.fewer
            part = again.locked
            if not part:
                break
            work.services.clock.sleep(RETRY_S)
        if fewer:
            _restore(work, fewer, max(1, size // 2))


@dataclass(frozen=True, slots=True)
class _Again:
    """Records to send again: later, or fewer at a time."""

    locked: list[_Written] = field(default_factory=list)
    fewer: list[_Written] = field(default_factory=list)


def _compare_and_send(work: _Undo, written: Sequence[_Written], *, last: bool) -> _Again:
    services, ledger, object_name = work.services, work.services.ledger, written[0].object
    fields = sorted({name for one in written for change in one.changes for name in change.hashes})
    read_s = services.clock.monotonic()
    records = services.crm.read(object_name, [one.crm_id for one in written], fields)
    record_ids = sorted({change.record_id for one in written for change in one.changes})
    statuses = ledger.runs.earlier_statuses(work.undone, record_ids)
    decided = [(one, _decide(services, one, records.get(one.crm_id), statuses)) for one in written]
    restores = [(one, found) for one, found in decided if found is not None and found.back]
    intents = [
        Intended(one.changes[0].record_id, one.crm_id, _present(records[one.crm_id], found.back), found.back)
        for one, found in restores
    ]
    ledger.runs.intend(work.run_id, object_name, intents, services.clock.now())
    updates = [Update(one.crm_id, found.back) for one, found in restores]
    # Before the update: a value that is still in the CRM counts as delivered in any case.
    ledger.records.reopen_delivered(object_name, [one.crm_id for one, _ in restores])
    answers = services.crm.update(object_name, updates, fresh_since(services, read_s)) if updates else []
    refused = {one.crm_id: a for (one, _), a in zip(restores, answers, strict=True) if a is not None}
    states = {
        one.changes[0].record_id: ChangeState.REJECTED if one.crm_id in refused else ChangeState.WRITTEN
        for one, _ in restores
    }
    ledger.runs.record_answers(work.run_id, states)
    again = _sort_refused(restores, refused, last=last)
    waiting = {one.crm_id for one in (*again.locked, *again.fewer)}
    for one, found in decided:
        if one.crm_id not in waiting:
            _report_record(work, one, found, refused.get(one.crm_id))
    ended = [(one, found) for one, found in decided if one.crm_id not in refused]
    ledger.runs.mark_changes_undone(
        [change.id for one, found in ended if not (found and found.kept) for change in one.changes],
        [change.id for one, found in ended if found and found.kept for change in one.changes],
    )
    org = next((answer for answer in refused.values() if answer.error_class is ErrorClass.ORG), None)
    if org is not None:
        raise StopError(f"{org.errors[0].text or org.code}; run the undo again later")
    return again


def _sort_refused(
    restores: Sequence[tuple[_Written, Restore]], refused: Mapping[str, Rejection], *, last: bool
) -> _Again:
    again = _Again()
    for one, _ in restores:
        answer = refused.get(one.crm_id)
        if answer is None:
            continue
        if answer.error_class in crowding.SHARED and len(restores) > 1:
            again.fewer.append(one)
        elif answer.error_class is ErrorClass.ORG or (answer.error_class is ErrorClass.LOCKED and not last):
            again.locked.append(one)
    return again


def _decide(
    services: Services, one: _Written, record: CrmRecord | None, statuses: Mapping[int, Sequence[ChangeRow]]
) -> Restore | None:
    """Decide on the values to restore; None for a deleted or moved record."""
    if record is None or record.moved_to is not None:
        return None
    steps = one.steps()
    return put_back(steps, _present(record, steps), services.ledger.seal.matches, one.earlier(statuses))


def _present(record: CrmRecord | None, names: Iterable[str]) -> dict[str, FieldValue]:
    """The present values of a record's fields, in the stored form."""
    return {} if record is None else {name: stored_form(record.values.get(name)) for name in names}


def _report_record(work: _Undo, one: _Written, found: Restore | None, refused: Rejection | None) -> None:
    crm_id = one.crm_id
    if refused is not None:
        work.outcomes[Outcome.FAILED] += 1
        why = f"{work.services.crm.label} refuses to restore it ({refused.code or 'no code given'})"
        next_step = next((error.advice for error in refused.errors if error.advice), "correct the record")
        work.call_attention(
            Attention(why, f"{next_step}, then: connector undo {work.undone}", crm_id, ", ".join(refused.fields))
        )
        return
    restored = found is not None and bool(found.back)
    work.outcomes[Outcome.DELIVERED if restored else Outcome.SKIPPED] += 1
    if found is None:
        work.call_attention(Attention(GONE, "nothing, unless you want to restore it by hand", crm_id))
        return
    work.restored.update(f"{one.object}.{name}" for name in found.back)
    if found.kept:
        work.call_attention(
            Attention(CHANGED_SINCE, "nothing, unless you want to restore it by hand", crm_id, ", ".join(found.kept))
        )


def _figures(usage: Usage, outcomes: Mapping[Outcome, int]) -> CrmFigures:
    restored, skipped = outcomes.get(Outcome.DELIVERED, 0), outcomes.get(Outcome.SKIPPED, 0)
    return CrmFigures(usage.read_calls, usage.write_calls, usage.other_calls, restored, skipped)
