"""Rows that the CRM refused for a reason of their own: what can still be written of them.

Where it blames fields, everything else is written without them. Where it blames none (a validation rule over the whole
row), the values are offered one by one, to find those that it takes. Every try compares with the record anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector.core.errors import PassingError
from connector.core.mapping import MappingFile
from connector.core.model import Channel
from connector.core.writeback import Write
from connector.crm.interface import Rejection, Trouble
from connector.engine import outcome, put
from connector.engine.context import Run
from connector.engine.put import Decided
from connector.store.rows import RecordRow

REFUSED = "Salesforce refuses it"


@dataclass
class Trial:
    """One refused row.

    Attributes:
        offered: the channels whose values were in the refused update.
        withheld: those among them that the CRM does not take.
        blamed: the fields that it names, in lower case.
        landed: what the record has come to, when the rest was written or needed no write; None when nothing was.
    """

    row: RecordRow
    offered: tuple[Channel, ...]
    withheld: set[Channel]
    blamed: frozenset[str]
    landed: Write | None = None

    @property
    def lost(self) -> set[Channel]:
        """The channels whose values did not land."""
        return self.withheld if self.landed is not None else set(self.offered)

    @property
    def hunts(self) -> bool:
        """Nobody is blamed, and there is more than one to suspect."""
        return not self.blamed and len(self.offered) > 1


def try_again(run: Run, mapping: MappingFile, refused: Sequence[tuple[Decided, Rejection]]) -> dict[int, Trial]:
    """Write what can be written of refused rows; their trials by the ledger's id of the record."""
    trials = [_trial(mapping, one, answer) for one, answer in refused]
    able = [t for t, (_, answer) in zip(trials, refused, strict=True) if answer.trouble is Trouble.RECORD]
    for turn in range(max((len(t.offered) for t in able if t.hunts), default=0)):
        alone = {t.row.id: t.offered[turn] for t in able if t.hunts and turn < len(t.offered)}
        hunted = [t for t in able if t.row.id in alone]
        others = {t.row.id: set(t.offered) - {alone[t.row.id]} for t in hunted}
        landed = _write_without(run, mapping, hunted, others)
        for trial in hunted:
            if trial.row.id not in landed:
                trial.withheld.add(alone[trial.row.id])
    last = [t for t in able if t.blamed or (t.hunts and t.withheld != set(t.offered))]
    for row_id, write in _write_without(run, mapping, last, {t.row.id: t.withheld for t in last}).items():
        next(t for t in last if t.row.id == row_id).landed = write
    return {t.row.id: t for t in trials}


def _trial(mapping: MappingFile, one: Decided, answer: Rejection) -> Trial:
    changed = {change.field.lower() for change in one.write.changes}
    fields = {rules.field.lower(): channel for channel, rules in mapping.channels.items()}
    offered = tuple(channel for name, channel in fields.items() if name in changed)
    blamed = frozenset(name.lower() for name in answer.fields)
    return Trial(one.row, offered, {fields[name] for name in blamed & fields.keys() & changed}, blamed)


def _write_without(
    run: Run, mapping: MappingFile, trials: Sequence[Trial], withheld: Mapping[int, set[Channel]]
) -> dict[int, Write]:
    """Read, decide without some channels, and write; those that landed, or needed no write."""
    if not trials:
        return {}
    reading = put.read(run, mapping, [trial.row for trial in trials])
    landed: dict[int, Write] = {}
    decided: list[Decided] = []
    for trial in trials:
        record = reading.there.get(trial.row.crm_id)
        if record is None or record.moved_to is not None or outcome.names_another(trial.row, record, mapping):
            continue
        parked = outcome.still_parked(run, trial.row, record, mapping)
        write = reading.decide(trial.row, record, parked | dict.fromkeys(withheld[trial.row.id], REFUSED))
        rest = tuple(change for change in write.changes if change.field.lower() not in trial.blamed)
        if rest:
            decided.append(Decided(trial.row, record, replace(write, changes=rest)))
        else:
            landed[trial.row.id] = write
    if not decided:
        return landed
    try:
        answers = reading.put(decided)
    except PassingError:
        return landed  # the next run compares again, and finds what did land
    states = {
        one.row.id: "rejected" if answer is not None else "written"
        for one, answer in zip(decided, answers, strict=True)
    }
    run.parts.ledger.runs.settle(run.id, states)
    return landed | {one.row.id: one.write for one in decided if states[one.row.id] == "written"}
