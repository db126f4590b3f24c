"""Put back what a run wrote, only where the field still holds what the run wrote; the flag is never touched.

An undo is a run of its own, with its own before-images: it could be undone in turn. What somebody changed since stays,
and is reported. A second undo of the same run finds nothing left to do.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from connector.core.model import Attention, CrmRecord, FieldValue, Outcome
from connector.core.report import CrmFigures, Report
from connector.core.values import stored_form
from connector.crm.interface import Update
from connector.engine.context import Parts
from connector.store.runs import ChangeRow, Intended

CHANGED_SINCE = "somebody changed it since; that value stays"


@dataclass(frozen=True, slots=True)
class _Restore:
    """One record's fields to put back, and those that are no longer the run's."""

    change: ChangeRow
    now: dict[str, FieldValue]
    back: dict[str, FieldValue]
    kept: tuple[str, ...]


def undo(parts: Parts, run_id: str) -> Report:
    """Undo one run.

    Args:
        parts: logged in, and the driver of the ledger.
        run_id: the whole id of the run.
    """
    started_at = parts.clock.now()
    ledger = parts.ledger
    own_id = ledger.runs.start("undo", [], started_at)
    outcomes: Counter[Outcome] = Counter()
    attention: list[Attention] = []
    changes = ledger.runs.undoable(run_id)
    parts.progress.stage("Putting back", len(changes))
    for object_name, group in groupby(changes, lambda change: change.object):
        rows = list(group)
        for start in range(0, len(rows), parts.crm.write_size):
            part = rows[start : start + parts.crm.write_size]
            _undo_part(parts, own_id, object_name, part, outcomes, attention)
            parts.progress.step(len(part))
    usage = parts.crm.usage()
    report = Report(
        run_id=own_id,
        command="undo",
        mappings=(),
        state="finished",
        selected=len(changes),
        outcomes=outcomes,
        channels={},
        credits={},
        crm=CrmFigures(
            usage.read_calls,
            usage.write_calls,
            usage.other_calls,
            outcomes[Outcome.DELIVERED],
            outcomes[Outcome.SKIPPED],
        ),
        started_at=started_at,
        finished_at=parts.clock.now(),
        attention=tuple(attention),
    )
    ledger.runs.finish(own_id, "finished", report.to_json(), parts.clock.now())
    return report


def _undo_part(
    parts: Parts,
    own_id: str,
    object_name: str,
    changes: Sequence[ChangeRow],
    outcomes: Counter[Outcome],
    attention: list[Attention],
) -> None:
    """Read, compare and write back at most one collection; the read is as fresh as a write's must be."""
    ledger, crm = parts.ledger, parts.crm
    fields = sorted({name for change in changes for name in change.hashes})
    there = crm.read(object_name, list(dict.fromkeys(change.crm_id for change in changes)), fields)
    planned = [_compare(parts, change, there.get(change.crm_id)) for change in changes]
    restores = [one for one in planned if one.back]
    intents = [
        Intended(one.change.record_id, one.change.crm_id, {name: one.now[name] for name in one.back}, one.back)
        for one in restores
    ]
    ledger.runs.intend(own_id, object_name, intents, parts.clock.now())
    updates = [Update(one.change.crm_id, one.back) for one in restores]
    answers = crm.update(object_name, updates) if updates else []
    states = {
        one.change.record_id: "written" if a is None else "rejected" for one, a in zip(restores, answers, strict=True)
    }
    ledger.runs.settle(own_id, states)
    refused = {one.change.id: a.code for one, a in zip(restores, answers, strict=True) if a is not None}
    for one in planned:
        _tell(one, refused.get(one.change.id), outcomes, attention)
    ledger.runs.undone([one.change.id for one in planned if one.change.id not in refused])


def _compare(parts: Parts, change: ChangeRow, record: CrmRecord | None) -> _Restore:
    if record is None or record.moved_to is not None:
        return _Restore(change, {}, {}, tuple(change.hashes))
    now = {name: stored_form(record.values.get(name)) for name in change.hashes}
    ours = {name for name, hashed in change.hashes.items() if parts.ledger.seal.matches(hashed, now[name])}
    back = {name: change.before.get(name) for name in change.hashes if name in ours}
    kept = tuple(
        name for name in change.hashes if name not in ours and now[name] != stored_form(change.before.get(name))
    )
    return _Restore(change, now, back, kept)


def _tell(one: _Restore, refused: str | None, outcomes: Counter[Outcome], attention: list[Attention]) -> None:
    record_id = one.change.crm_id
    if refused is not None:
        outcomes[Outcome.FAILED] += 1
        attention.append(Attention(f"Salesforce refuses to put it back ({refused})", "run undo again", record_id))
        return
    outcomes[Outcome.DELIVERED if one.back else Outcome.SKIPPED] += 1
    if one.kept:
        attention.append(
            Attention(CHANGED_SINCE, "nothing, unless you want it back by hand", record_id, ", ".join(one.kept))
        )
