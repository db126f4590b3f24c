"""Computes each record's outcome: from its purchases before the write, and from the CRM's answers after it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector.core.errors import StopError
from connector.core.mapping import MappingFile
from connector.core.masking import mask_text
from connector.core.model import FINAL_OUTCOMES, Attention, Channel, CrmRecord, Outcome, Result
from connector.core.person import names_same, person_of
from connector.core.states import ChannelState, PurchaseState
from connector.core.writeback import ChannelResult, Write, reason_of
from connector.crm.interface import ErrorClass, Rejection, RowError
from connector.engine.context import Run
from connector.store.record_views import Finish, PurchaseView
from connector.store.rows import RecordChannelRow, RecordRow

WHOLE_ROW = "|row"  # ends a parked version of a record of which nothing could be written
NEXT_RUN = "next run"  # a parked version that no record ever has
NOT_ASKED = "its flag was taken back before anything was bought"
_ADVICE = {
    ErrorClass.LOCKED: "another process kept it locked; it is written by the next run",
    ErrorClass.MOVED: "it was deleted, merged or converted; the next run looks for it",
    ErrorClass.MAPPING: "give the connector's user edit permission on the field (see: connector doctor)",
}
RETRIED = "it is written when the record, the mapping or the field has changed, and tried once a day"
Shown = Mapping[int, tuple[Outcome, str]]


def org_stop(rejection: Rejection, crm: str) -> StopError:
    """The org takes no writes at the moment: nothing of a row is at fault, and nothing is parked."""
    first = rejection.errors[0] if rejection.errors else RowError(f"{crm} takes no writes")
    return StopError(f"{first.text or first.code}; run again later")


def advice_on(error_class: ErrorClass, errors: Sequence[RowError], *, is_retried: bool) -> str:
    """The next step for a person who looks at a refused row.

    Args:
        error_class: whose fault it is.
        errors: of the row.
        is_retried: something of it waits to be written.
    """
    if error_class in _ADVICE:
        return _ADVICE[error_class]
    found = next((error.advice for error in errors if error.advice), "correct the record, the field or the rule")
    return f"{found}; {RETRIED}" if is_retried else found


def refusal(error: RowError, record: CrmRecord, crm: str) -> str:
    """Why the CRM refused something, with the record's own values masked.

    Args:
        error: of the row.
        record: as it is now.
        crm: as people call it.
    """
    code = error.code or "no code given"
    text = mask_text(error.text, record.values.values()) if error.text else ""
    return f"{crm} refuses it ({code}): {text}" if text else f"{crm} refuses it ({code})"


def names_another(row: RecordRow, record: CrmRecord, mapping: MappingFile) -> bool:
    """Whether somebody has corrected the record's identifiers since: what was bought is another person's."""
    return not names_same(row.person, row.resolved, person_of(record, mapping.person))


def renamed(run: Run, row: RecordRow) -> Finish:
    """The record leaves this run untouched; the next one finds it flagged, and starts again."""
    reason = "the record names another person now; nothing is written, it starts again"
    call_attention(run, row.crm_id, reason, "", "nothing, if the correction is right")
    channels = {
        record_channel.id: (Outcome.SKIPPED, reason)
        for record_channel in row.channels
        if record_channel.state != ChannelState.DONE
    }
    shown = {record_channel.id: (Outcome.DEFERRED, reason) for record_channel in row.channels}
    return Finish(row.id, Outcome.DEFERRED, reason, channels, closes=True, in_progress=row.in_progress, shown=shown)


def channel_results(
    run: Run, row: RecordRow, record: CrmRecord, words: Mapping[int, PurchaseView]
) -> list[ChannelResult]:
    """The result of each channel of a record; a channel that is no longer requested and not bought yet is dropped."""
    results = [
        channel_result(run, row.mapping, record_channel, words.get(record_channel.purchase_id or 0))
        for record_channel in row.channels
    ]
    select = run.mappings[row.mapping].select
    if (row.mapping, row.crm_id) in run.asked or record.values.get(select.flag_field) == select.asks:
        return results
    if row.chosen and row.plan_id in run.live_plans:
        return results  # it never had a flag, and its plan goes on with it
    # Where this ledger wrote "in progress" to the status, that must not stay.
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


def channel_result(
    run: Run, mapping: str, record_channel: RecordChannelRow, word: PurchaseView | None
) -> ChannelResult:
    """What one channel has come to.

    Args:
        run: for the reasons why something was not bought.
        mapping: whose record it is.
        record_channel: the channel.
        word: what its purchase says, if it has one.
    """
    if record_channel.outcome is not None:
        keep = record_channel.keep_status or record_channel.state == ChannelState.DONE
        outcome = Outcome.ALREADY_FILLED if record_channel.already_filled else record_channel.outcome
        return ChannelResult(record_channel.channel, outcome, record_channel.reason, keep_status=keep)
    if word is None:
        trouble = next(iter([*run.stopped.values(), *run.closed.values()]), "")
        reason = record_channel.reason or trouble or "the person was not looked up yet"
        return ChannelResult(record_channel.channel, Outcome.DEFERRED, reason, keep_status=True)
    if word.state is PurchaseState.FINAL and word.result is Result.DELIVERED and word.value is not None:
        return ChannelResult(
            record_channel.channel, Outcome.DELIVERED, "", word.value, word.provider, baseline=record_channel.baseline
        )
    return _unfinished(run, mapping, record_channel, word)


def _unfinished(run: Run, mapping: str, record_channel: RecordChannelRow, word: PurchaseView) -> ChannelResult:
    if word.state is PurchaseState.PLANNED:
        full = run.full.get((word.provider, record_channel.channel.value, mapping))
        reason = run.why_closed(word.provider) or full or word.reason or f"not sent to {word.provider} yet"
        return ChannelResult(record_channel.channel, Outcome.DEFERRED, reason, keep_status=True)
    if word.state is PurchaseState.UNKNOWN:
        reason = word.reason or f"the answer of {word.provider} was lost"
        return ChannelResult(record_channel.channel, Outcome.UNKNOWN, reason)
    return ChannelResult(record_channel.channel, Outcome.WAITING, f"{word.provider} is still at work")


def digest(mapping: MappingFile, lengths: Mapping[str, int]) -> str:
    """Changes when the mapping's meaning does, or the length of a field that receives a value."""
    longest = [lengths.get(rules.field) for _, rules in mapping.channels.items()]
    return hashlib.sha256(f"{mapping.digest()}{longest}".encode()).hexdigest()[:16]


def park_version(run: Run, record: CrmRecord, mapping: MappingFile) -> str:
    """Changes when the record, its mapping or a field does, and every day: then a parked value is offered again.

    Every day, because nobody tells when a validation rule or a permission was corrected.
    """
    lengths = run.services.crm.describe(mapping.object).lengths()
    return f"{record.version}|{digest(mapping, lengths)}|{run.now():%Y-%m-%d}"


def still_parked(run: Run, row: RecordRow, record: CrmRecord, mapping: MappingFile) -> dict[Channel, str]:
    """The channels whose values could not be written, and why, while nothing has changed since."""
    if row.parked_version is None:
        return {}
    version = park_version(run, record, mapping)
    if row.parked_version not in {version, version + WHOLE_ROW}:
        return {}
    return {
        record_channel.channel: record_channel.reason or row.reason
        for record_channel in row.channels
        if record_channel.parked
    }


def waits_for_a_change(run: Run, row: RecordRow, record: CrmRecord, mapping: MappingFile) -> bool:
    """Whether the CRM refused every update of the record, and nothing has changed since."""
    return row.parked_version is not None and row.parked_version == park_version(run, record, mapping) + WHOLE_ROW


def parked_again(run: Run, row: RecordRow, record: CrmRecord) -> Finish:
    """The record stays parked; the report shows it once more."""
    call_attention(run, row.crm_id, row.reason, "", row.attention or RETRIED)
    results = channel_results(run, row, record, {})
    shown = {
        record_channel.id: (Outcome.PARKED, record_channel.reason if record_channel.parked else row.reason)
        if record_channel.parked or result.outcome in FINAL_OUTCOMES
        else (result.outcome, result.reason)
        for record_channel, result in zip(row.channels, results, strict=True)
    }
    return Finish(
        row.id,
        Outcome.PARKED,
        row.reason,
        {},
        closes=False,
        in_progress=row.in_progress,
        parked_version=row.parked_version,
        attention=row.attention,
        shown=shown,
    )


def written(run: Run, mapping: MappingFile, row: RecordRow, record: CrmRecord, write: Write) -> Finish:
    """The record after its write went through, or where nothing differed."""
    attention = row.attention if write.outcome in {Outcome.DEFERRED, Outcome.PARKED} else ""
    for channel, name in write.culprits.items():
        attention = "make the field longer, or map another one"
        call_attention(run, row.crm_id, write.outcomes[channel][1], name, attention)
    parked = _parked_channels(row, write)
    if parked and not write.culprits:
        call_attention(run, row.crm_id, write.reason, "", attention or RETRIED)
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
        shown=shown_by(row, write),
    )


def shown_by(row: RecordRow, write: Write) -> Shown:
    """Outcome and reason of every channel of the record in this run."""
    return {record_channel.id: write.outcomes[record_channel.channel] for record_channel in row.channels}


def _settled(row: RecordRow, write: Write) -> dict[int, tuple[Outcome, str]]:
    settled = {w.id: write.outcomes[w.channel] for w in row.channels if write.outcomes[w.channel][0] in FINAL_OUTCOMES}
    return {key: (_stored(outcome), reason) for key, (outcome, reason) in settled.items()}


def _stored(outcome: Outcome) -> Outcome:
    return Outcome.SKIPPED if outcome is Outcome.ALREADY_FILLED else outcome


def _parked_channels(row: RecordRow, write: Write) -> dict[int, str]:
    """Which channels of a record have a value that is parked, and why."""
    parked = {channel: reason for channel, (outcome, reason) in write.outcomes.items() if outcome is Outcome.PARKED}
    return {w.id: parked[w.channel] for w in row.channels if w.channel in parked and w.purchase_id is not None}


def _in_progress(row: RecordRow, write: Write) -> bool:
    """Whether the record's status now says "in progress", written by this ledger."""
    waits = any(outcome is Outcome.WAITING for outcome, _ in write.outcomes.values())
    return waits or (row.in_progress and not write.closes)


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused row after everything that the CRM takes of it was written.

    Attributes:
        row: the record in the ledger.
        record: as it was when the last update was decided.
        error_class: whose fault the refusal is.
        errors: every error that the CRM gave, of all tries.
        write: the last decision.
        parked: why each withheld value could not be written, by channel.
        unusable: why the CRM can never take a value, by channel.
        complete: the rest was written, or needed no write.
        accepted: channels whose value was written on its own.
        dropped: the CRM does not take a status, a stamp or the flag.
        flag_kept: the CRM does not let the flag be cleared.
    """

    row: RecordRow
    record: CrmRecord
    error_class: ErrorClass
    errors: tuple[RowError, ...]
    write: Write
    parked: Mapping[Channel, str]
    unusable: Mapping[Channel, str]
    complete: bool
    accepted: frozenset[Channel] = frozenset()
    dropped: bool = False
    flag_kept: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether everything was written after all."""
        return self.complete and not (self.parked or self.unusable or self.dropped)


def rejected(run: Run, mapping: MappingFile, refused: Refused) -> Finish:
    """A record whose update was refused: paid values that could not be written are parked, and so is the rest."""
    row, record = refused.row, refused.record
    stamps_due = (row.stamps_due or row.id in run.stamps_due) and not refused.complete
    if refused.unusable and not refused.parked:
        reason = "; ".join(refused.unusable.values())
        return Finish(row.id, Outcome.WAITING, reason, {}, closes=False, in_progress=_in_progress(row, refused.write))
    first = refused.errors[0] if refused.errors else RowError("")
    reason = refusal(first, record, run.services.crm.label)
    outcomes = _outcomes_of(mapping, refused, reason)
    parked_any = any(outcome is Outcome.PARKED for outcome, _ in outcomes.values())
    stays = parked_any or refused.flag_kept or stamps_due
    advice = "" if refused.is_whole else advice_on(refused.error_class, refused.errors, is_retried=stays)
    if advice:
        fields = dict.fromkeys(name for error in refused.errors for name in error.fields)
        text = mask_text(first.text, record.values.values()) if first.text else ""
        told = ": ".join(filter(None, [first.code or "refused", text]))
        call_attention(run, row.crm_id, told, ", ".join(fields), advice)
    write = replace(refused.write, outcomes=outcomes, closes=refused.complete and refused.write.closes and not stays)
    parked_reason = reason_of({c: found for c, found in outcomes.items() if found[0] is Outcome.PARKED})
    return Finish(
        row.id,
        Outcome.PARKED if stays else write.outcome,
        write.reason if refused.is_whole else parked_reason or reason,
        _settled(row, write) if refused.complete else {},
        closes=write.closes,
        in_progress=_in_progress(row, write) if refused.complete else row.in_progress,
        parked_version=_parked_until(run, mapping, refused) if stays else None,
        attention=advice,
        parked=_parked_channels(row, write),
        shown=shown_by(row, write),
        stamps_due=stamps_due,
    )


def _outcomes_of(mapping: MappingFile, refused: Refused, reason: str) -> dict[Channel, tuple[Outcome, str]]:
    """What each channel has come to.

    Where the rest was refused too, not even a status could be written: all but the values that are there waits.
    """
    outcomes = dict(refused.write.outcomes) | {c: (Outcome.PARKED, why) for c, why in refused.parked.items()}
    if refused.complete:
        return outcomes
    changed = {change.field.lower() for change in refused.write.changes}
    there = refused.accepted | {
        channel
        for channel, rules in mapping.channels.items()
        if outcomes.get(channel, (None, ""))[0] is Outcome.DELIVERED and rules.field.lower() not in changed
    }
    return {
        channel: (Outcome.PARKED, reason) if found[0] in FINAL_OUTCOMES and channel not in there else found
        for channel, found in outcomes.items()
    }


def _parked_until(run: Run, mapping: MappingFile, refused: Refused) -> str:
    """What must change before the next try; a lock, a move or a permission shows in nothing that could be compared."""
    if refused.error_class in {ErrorClass.LOCKED, ErrorClass.MOVED, ErrorClass.MAPPING}:
        return NEXT_RUN
    return park_version(run, refused.record, mapping) + ("" if refused.complete else WHOLE_ROW)


def call_attention(run: Run, crm_id: str, reason: str, name: str, what_next: str) -> None:
    """Ask a person to look at a record."""
    run.attention.append(Attention(reason, what_next, crm_id, name))
