"""What each record has come to: from the ledger's words to the write stage, and from Salesforce's answers back."""

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from connector.core.mapping import MappingFile
from connector.core.model import Attention, Channel, CrmRecord, Outcome, Result, UnlockState
from connector.core.person import names_same, person_of
from connector.core.writeback import ChannelResult, Write
from connector.crm.interface import Rejection, Trouble
from connector.engine.context import Run
from connector.store.records import Finish, UnlockWord
from connector.store.rows import RecordRow, WantRow

NEXT_RUN = "next run"  # a parked version that no record ever has
NOT_ASKED = "its flag was taken back before anything was bought"
_SETTLED = frozenset({Outcome.DELIVERED, Outcome.NOT_FOUND, Outcome.FAILED, Outcome.SKIPPED})
_ADVICE = {
    Trouble.RETRY: "it stayed locked; it is tried again on the next run",
    Trouble.RECORD: "correct the record, the field or the validation rule; it is offered again on the next run",
    Trouble.MOVED: "it was deleted, merged or converted; it is looked for on the next run",
    Trouble.CONFIGURATION: "give the connector's user edit permission on the field (see: connector doctor)",
}


def names_another(row: RecordRow, record: CrmRecord, mapping: MappingFile) -> bool:
    """Whether somebody has corrected the record's identifiers since: what was bought is another person's."""
    return not names_same(row.person, row.resolved_id, person_of(record, mapping.person))


def renamed(run: Run, row: RecordRow) -> Finish:
    """The record leaves this run untouched; the next one finds it flagged, and begins anew."""
    reason = "the record names another person now; nothing is written, it begins anew"
    call_attention(run, row.crm_id, reason, "", "nothing, if the correction is right")
    wants = {want.id: (Outcome.SKIPPED, reason) for want in row.wants if want.state != "done"}
    return Finish(row.id, Outcome.DEFERRED, reason, wants, closes=True, in_progress=row.in_progress)


def channel_results(
    run: Run, row: RecordRow, record: CrmRecord, words: Mapping[int, UnlockWord]
) -> list[ChannelResult]:
    """What each want of a record has come to; what nobody asks for any more, and was not bought yet, is let go."""
    results = [channel_result(run, row.mapping, want, words.get(want.unlock_id or 0)) for want in row.wants]
    select = run.mappings[row.mapping].select
    if (row.mapping, row.crm_id) in run.asked or record.values.get(select.flag_field) == select.asks:
        return results
    # Where the status says "in progress" by our own word, that word must not stay.
    let_go = {
        r.channel: ChannelResult(r.channel, Outcome.SKIPPED, NOT_ASKED, keep_status=not row.in_progress)
        for r in results
        if r.outcome is Outcome.DEFERRED
    }
    return [let_go.get(r.channel, r) for r in results]


def withhold(results: Sequence[ChannelResult], withheld: Mapping[Channel, str]) -> list[ChannelResult]:
    """The same results without the values of some channels: these stay parked, for the reason given."""
    return [
        ChannelResult(r.channel, Outcome.PARKED, withheld[r.channel], keep_status=True)
        if r.channel in withheld and r.value is not None
        else r
        for r in results
    ]


def channel_result(run: Run, mapping: str, want: WantRow, word: UnlockWord | None) -> ChannelResult:
    """What one want has come to.

    Args:
        run: for the reasons why something was not bought.
        mapping: whose record it is.
        want: the want.
        word: what its unlock says, if it has one.
    """
    if want.outcome is not None:
        keep = want.keep_status or want.state == "done"
        return ChannelResult(want.channel, want.outcome, want.reason, keep_status=keep)
    if word is None:
        trouble = next(iter([*run.stopped.values(), *run.closed.values()]), "")
        reason = want.reason or trouble or "the person was not looked up yet"
        return ChannelResult(want.channel, Outcome.DEFERRED, reason, keep_status=True)
    if word.state is UnlockState.FINAL and word.result is Result.DELIVERED and word.value is not None:
        return ChannelResult(want.channel, Outcome.DELIVERED, "", word.value, word.provider, baseline=want.baseline)
    return _unfinished(run, mapping, want, word)


def _unfinished(run: Run, mapping: str, want: WantRow, word: UnlockWord) -> ChannelResult:
    if word.state is UnlockState.PLANNED:
        full = run.full.get((word.provider, want.channel.value, mapping))
        reason = run.why_closed(word.provider) or full or word.reason or f"not sent to {word.provider} yet"
        return ChannelResult(want.channel, Outcome.DEFERRED, reason, keep_status=True)
    if word.state is UnlockState.UNKNOWN:
        reason = word.reason or f"the answer of {word.provider} was lost"
        return ChannelResult(want.channel, Outcome.UNKNOWN, reason)
    return ChannelResult(want.channel, Outcome.WAITING, f"{word.provider} is still at work")


def digest(mapping: MappingFile, lengths: Mapping[str, int]) -> str:
    """Changes when the mapping's meaning does, or the length of a field that receives a value."""
    room = [lengths.get(rules.field) for _, rules in mapping.channels.items()]
    return hashlib.sha256(f"{mapping.digest()}{room}".encode()).hexdigest()[:16]


def park_version(run: Run, record: CrmRecord, mapping: MappingFile) -> str:
    """Changes when the record, its mapping or a field does, and every day: then a parked value is offered again.

    Every day, because nobody tells when a validation rule or a permission was corrected.
    """
    lengths = run.parts.crm.describe(mapping.object).lengths()
    return f"{record.version}|{digest(mapping, lengths)}|{run.now():%Y-%m-%d}"


def still_parked(run: Run, row: RecordRow, record: CrmRecord, mapping: MappingFile) -> dict[Channel, str]:
    """The channels whose values could not be written, and why, while nothing has changed since."""
    if row.parked_version is None or row.parked_version != park_version(run, record, mapping):
        return {}
    return {want.channel: want.reason or row.reason for want in row.wants if want.parked}


def parked_again(run: Run, row: RecordRow) -> Finish:
    """The record stays parked; a person is told once more."""
    call_attention(run, row.crm_id, row.reason, "", row.attention or _ADVICE[Trouble.RECORD])
    return Finish(
        row.id,
        Outcome.PARKED,
        row.reason,
        {},
        closes=False,
        in_progress=row.in_progress,
        parked_version=row.parked_version,
        attention=row.attention,
    )


def written(run: Run, mapping: MappingFile, row: RecordRow, record: CrmRecord, write: Write) -> Finish:
    """The record after its write went through, or where nothing differed."""
    attention = row.attention if write.outcome in {Outcome.DEFERRED, Outcome.PARKED} else ""
    for channel, name in write.culprits.items():
        attention = "make the field longer, or map another one"
        call_attention(run, row.crm_id, write.outcomes[channel][1], name, attention)
    parked = _parked_wants(row, write)
    if parked and not write.culprits:
        call_attention(run, row.crm_id, write.reason, "", attention or _ADVICE[Trouble.RECORD])
    version = park_version(run, record, mapping) if write.culprits else row.parked_version if parked else None
    return Finish(
        row.id,
        write.outcome,
        write.reason,
        _settled(row, write),
        closes=write.closes,
        in_progress=_in_progress(row, write),
        parked_version=version,
        attention=attention,
        parked=parked,
    )


def _settled(row: RecordRow, write: Write) -> dict[int, tuple[Outcome, str]]:
    return {w.id: write.outcomes[w.channel] for w in row.wants if write.outcomes[w.channel][0] in _SETTLED}


def _parked_wants(row: RecordRow, write: Write) -> dict[int, str]:
    """Which wants of a record are parked, and why."""
    outcomes = write.outcomes
    return {w.id: outcomes[w.channel][1] for w in row.wants if outcomes[w.channel][0] is Outcome.PARKED}


def _in_progress(row: RecordRow, write: Write) -> bool:
    """Whether the record now shows our word for work in progress."""
    waits = any(outcome is Outcome.WAITING for outcome, _ in write.outcomes.values())
    return waits or (row.in_progress and not write.closes)


def rejected(
    run: Run,
    mapping: MappingFile,
    row: RecordRow,
    record: CrmRecord,
    write: Write,
    answer: Rejection,
    *,
    landed: bool,
    lost: AbstractSet[Channel],
) -> Finish:
    """A record whose update was refused: paid values that did not land are parked.

    Args:
        run: the run.
        mapping: whose record it is.
        row: the record in the ledger.
        record: as it was when the refused update was decided.
        write: the second try where it landed, else the refused update.
        answer: the refusal.
        landed: whether the rest was written, or needed no write.
        lost: the channels whose values did not land.
    """
    advice = _ADVICE[answer.trouble]
    call_attention(run, row.crm_id, answer.code or "refused", ", ".join(answer.fields), advice)
    reason = f"Salesforce refuses the update ({answer.code or 'no code given'})"
    outcomes = {c: (Outcome.PARKED, reason) if c in lost else word for c, word in write.outcomes.items()}
    write = replace(write, outcomes=outcomes, closes=write.closes and not lost)
    parked = _parked_wants(row, write)
    return Finish(
        row.id,
        Outcome.PARKED if lost else write.outcome if landed else Outcome.DEFERRED,
        reason,
        _settled(row, write) if landed else {},
        closes=landed and write.closes,
        in_progress=_in_progress(row, write) if landed else row.in_progress,
        parked_version=_parked_until(run, record, mapping, answer) if parked else None,
        attention=advice,
        parked=parked,
    )


def _parked_until(run: Run, record: CrmRecord, mapping: MappingFile, answer: Rejection) -> str:
    """What must change before the next try; a lock, a move or a permission shows in nothing that could be compared."""
    return park_version(run, record, mapping) if answer.trouble is Trouble.RECORD else NEXT_RUN


def moved(run: Run, row: RecordRow, record: CrmRecord | None) -> Finish:
    """A record that is no longer where it was: followed where a mapping covers its new place, else told."""
    target = record.moved_to if record is not None else None
    mapping: MappingFile | None = None
    if target is not None:
        mapping = next((m for m in run.mappings.values() if m.object == target[0]), None)
        if mapping is not None and run.parts.ledger.records.move(row.id, mapping.name, *target):
            run.tried.discard(row.id)
            return Finish(row.id, Outcome.WAITING, f"moved to {target[0]} {target[1]}", {}, closes=False)
    paid = any(want.unlock_id is not None and want.outcome is None for want in row.wants)
    reason = "the record was deleted"
    if target is not None:
        why = "which no mapping of this run covers" if mapping is None else "which is being enriched itself"
        reason = f"the record is now {target[0]} {target[1]}, {why}"
    if paid:
        call_attention(
            run, row.crm_id, reason, "", "what was bought stays known: any other record of the person gets it"
        )
    wants = {want.id: (Outcome.SKIPPED, reason) for want in row.wants if want.state != "done"}
    return Finish(row.id, Outcome.SKIPPED, reason, wants, closes=True)


def call_attention(run: Run, crm_id: str, reason: str, name: str, what_next: str) -> None:
    """Ask a person to look at a record."""
    run.attention.append(Attention(reason, what_next, crm_id, name))
