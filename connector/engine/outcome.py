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

WHOLE_ROW = "|row"  # the suffix of the parked version of a record that could not be written at all
NEXT_RUN = "next run"  # a parked version that no record has, so that the next run tries again
NOT_REQUESTED = "its flag was cleared before anything was bought"
_ADVICE = {
    ErrorClass.LOCKED: "another process kept it locked; it is written by the next run",
    ErrorClass.MOVED: "it was deleted, merged or converted; the next run follows it",
    ErrorClass.MAPPING: "give the connector's user edit permission on the field (see: connector doctor)",
}
RIGHT_CORRECTION = "nothing, if the correction is right"
RETRIED = "it is tried again when the record, the mapping or the field changes, and once a day"
Shown = Mapping[int, tuple[Outcome, str]]


def org_stop(rejection: Rejection, crm: str) -> StopError:
    """The error for an org that accepts no writes at present: no row is at fault, and nothing is parked."""
    first = rejection.errors[0] if rejection.errors else RowError(f"{crm} accepts no writes")
    return StopError(f"{first.text or first.code}; run again later")


def advice_on(error_class: ErrorClass, errors: Sequence[RowError], *, is_retried: bool) -> str:
    """The admin's next step for a refused row.

    Args:
        error_class: the class of the refusal.
        errors: the errors of the row.
        is_retried: the write is tried again.
    """
    if error_class in _ADVICE:
        return _ADVICE[error_class]
    found = next((error.advice for error in errors if error.advice), "correct the record, the field or the rule")
    return f"{found}; {RETRIED}" if is_retried else found


def refusal(error: RowError, record: CrmRecord, crm: str) -> str:
    """The reason text of an error, with the record's own values masked.

    Args:
        error: an error of the row.
        record: the current record.
        crm: the CRM's label.
    """
    code = error.code or "no code given"
    text = mask_text(error.text, record.values.values()) if error.text else ""
    return f"{crm} refuses it ({code}): {text}" if text else f"{crm} refuses it ({code})"


def names_another(row: RecordRow, record: CrmRecord, mapping: MappingFile) -> bool:
    """Whether the record's identifiers now name another person than the purchases."""
    return not names_same(row.person, row.resolved, person_of(record, mapping.person))


def restarted(run: Run, row: RecordRow) -> Finish:
    """Close a record that names another person now; its flag stays, and the next run starts again."""
    reason = "the record names another person now; nothing is written, it starts again"
    call_attention(run, row.crm_id, reason, "", RIGHT_CORRECTION)
    channels = {
        record_channel.id: (Outcome.SKIPPED, reason)
        for record_channel in row.channels
        if record_channel.state != ChannelState.DONE
    }
    shown = {record_channel.id: (Outcome.DEFERRED, reason) for record_channel in row.channels}
    return Finish(
        row.id,
        Outcome.DEFERRED,
        reason,
        channels,
        closes=True,
        in_progress=row.in_progress,
        attention=RIGHT_CORRECTION,
        shown=shown,
    )


def channel_results(
    run: Run, row: RecordRow, record: CrmRecord, views: Mapping[int, PurchaseView]
) -> list[ChannelResult]:
    """Compute the result of each channel; a channel that is no longer requested and not bought yet is skipped."""
    results = [
        channel_result(run, row.mapping, record_channel, views.get(record_channel.purchase_id or 0))
        for record_channel in row.channels
    ]
    select = run.mappings[row.mapping].select
    if row.selected_by == run.id or record.values.get(select.flag_field) == select.asks:
        return results
    if row.chosen and row.plan_id in run.live_plans:
        return results  # it never had a flag, and its plan continues
    # If this ledger wrote the status "in progress", the status must change.
    dropped = {
        r.channel: ChannelResult(r.channel, Outcome.SKIPPED, NOT_REQUESTED, keep_status=not row.in_progress)
        for r in results
        if r.outcome is Outcome.DEFERRED
    }
    return [dropped.get(r.channel, r) for r in results]


def withhold(results: Sequence[ChannelResult], withheld: Mapping[Channel, str]) -> list[ChannelResult]:
    """The results without the values of some channels, which stay parked with the given reason."""
    return [
        ChannelResult(r.channel, Outcome.PARKED, withheld[r.channel], keep_status=True)
        if r.channel in withheld and r.value is not None
        else r
        for r in results
    ]


def channel_result(
    run: Run, mapping: str, record_channel: RecordChannelRow, view: PurchaseView | None
) -> ChannelResult:
    """Compute the result of one channel.

    Args:
        run: the run, for the reasons why something was not bought.
        mapping: the mapping of the record.
        record_channel: the channel.
        view: its purchase, if it has one.
    """
    if record_channel.outcome is not None:
        keep = record_channel.keep_status or record_channel.state == ChannelState.DONE
        outcome = Outcome.ALREADY_FILLED if record_channel.already_filled else record_channel.outcome
        return ChannelResult(record_channel.channel, outcome, record_channel.reason, keep_status=keep)
    if view is None:
        stop_reason = next(iter([*run.stopped.values(), *run.closed.values()]), "")
        reason = record_channel.reason or stop_reason or "the person was not looked up yet"
        return ChannelResult(record_channel.channel, Outcome.DEFERRED, reason, keep_status=True)
    if view.state is PurchaseState.FINAL and view.result is Result.DELIVERED and view.value is not None:
        return ChannelResult(
            record_channel.channel, Outcome.DELIVERED, "", view.value, view.provider, baseline=record_channel.baseline
        )
    return _unfinished(run, mapping, record_channel, view)


def _unfinished(run: Run, mapping: str, record_channel: RecordChannelRow, view: PurchaseView) -> ChannelResult:
    if view.state is PurchaseState.PLANNED:
        cap_reason = run.capped.get((view.provider, record_channel.channel.value, mapping))
        reason = run.why_closed(view.provider) or cap_reason or view.reason or f"not sent to {view.provider} yet"
        return ChannelResult(record_channel.channel, Outcome.DEFERRED, reason, keep_status=True)
    if view.state is PurchaseState.UNKNOWN:
        reason = view.reason or f"the answer of {view.provider} was lost"
        return ChannelResult(record_channel.channel, Outcome.UNKNOWN, reason)
    return ChannelResult(record_channel.channel, Outcome.WAITING, f"{view.provider} has not finished yet")


def digest(mapping: MappingFile, lengths: Mapping[str, int]) -> str:
    """Hash the mapping and the lengths of its value fields: the hash changes when the mapping or a length does."""
    longest = [lengths.get(rules.field) for _, rules in mapping.channels.items()]
    return hashlib.sha256(f"{mapping.digest()}{longest}".encode()).hexdigest()[:16]


def park_version(run: Run, record: CrmRecord, mapping: MappingFile) -> str:
    """Compute the version of a parked record; when it changes, the write is tried again.

    It changes with the record, its mapping or a field, and every day, because corrections of a validation rule or a
    permission cannot be detected.
    """
    lengths = run.services.crm.describe(mapping.object).lengths()
    return f"{record.version}|{digest(mapping, lengths)}|{run.now():%Y-%m-%d}"


def still_parked(run: Run, row: RecordRow, record: CrmRecord, mapping: MappingFile) -> dict[Channel, str]:
    """The channels with a parked value and their reasons; empty if the parked version has changed."""
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
    """Whether the CRM refused every update of the record, and the parked version has not changed."""
    return row.parked_version is not None and row.parked_version == park_version(run, record, mapping) + WHOLE_ROW


def parked_again(run: Run, row: RecordRow, record: CrmRecord) -> Finish:
    """Keep a record parked, and report it again."""
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
    """Finish a record whose update succeeded, or that needed none."""
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
        _final_channels(row, write),
        closes=write.closes,
        in_progress=_in_progress(row, write),
        parked_version=version,
        attention=attention,
        parked=parked,
        shown=shown_by(row, write),
    )


def shown_by(row: RecordRow, write: Write) -> Shown:
    """The outcome and reason of every channel of the record in this run."""
    return {record_channel.id: write.outcomes[record_channel.channel] for record_channel in row.channels}


def _final_channels(row: RecordRow, write: Write) -> dict[int, tuple[Outcome, str]]:
    final = {c.id: write.outcomes[c.channel] for c in row.channels if write.outcomes[c.channel][0] in FINAL_OUTCOMES}
    return {key: (_stored(outcome), reason) for key, (outcome, reason) in final.items()}


def _stored(outcome: Outcome) -> Outcome:
    return Outcome.SKIPPED if outcome is Outcome.ALREADY_FILLED else outcome


def _parked_channels(row: RecordRow, write: Write) -> dict[int, str]:
    """The channels of a record with a parked value, and their reasons."""
    parked = {channel: reason for channel, (outcome, reason) in write.outcomes.items() if outcome is Outcome.PARKED}
    return {c.id: parked[c.channel] for c in row.channels if c.channel in parked and c.purchase_id is not None}


def _in_progress(row: RecordRow, write: Write) -> bool:
    """Whether the record now has the status "in progress", written by this ledger."""
    waits = any(outcome is Outcome.WAITING for outcome, _ in write.outcomes.values())
    return waits or (row.in_progress and not write.closes)


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused row after its partial update.

    Attributes:
        row: the record in the ledger.
        record: the record when the last update was decided.
        error_class: the class of the refusal.
        errors: every error of all tries.
        write: the last decision.
        parked: the reason of each value that could not be written, by channel.
        unusable: the reason of each value that the CRM can never accept, by channel.
        complete: the rest was written, or needed no write.
        accepted: the channels whose value was written on its own.
        dropped: the CRM does not accept a status, a stamp or the flag.
        flag_kept: the CRM does not accept that the flag is cleared.
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
        """Whether everything was written in the end."""
        return self.complete and not (self.parked or self.unusable or self.dropped)


def rejected(run: Run, mapping: MappingFile, refused: Refused) -> Finish:
    """Finish a record whose update was refused: unwritten values are parked, and the rest is tried again with them."""
    row, record = refused.row, refused.record
    stamps_due = (row.stamps_due or row.id in run.stamps_due) and not refused.complete
    if refused.unusable and not refused.parked:
        reason = "; ".join(refused.unusable.values())
        in_progress = _in_progress(row, refused.write)
        return Finish(row.id, Outcome.WAITING, reason, {}, closes=False, in_progress=in_progress, again=True)
    first = refused.errors[0] if refused.errors else RowError("")
    reason = refusal(first, record, run.services.crm.label)
    outcomes = _outcomes_of(mapping, refused, reason)
    parked_any = any(outcome is Outcome.PARKED for outcome, _ in outcomes.values())
    stays = parked_any or refused.flag_kept or stamps_due
    advice = "" if refused.is_whole else advice_on(refused.error_class, refused.errors, is_retried=stays)
    if advice:
        fields = dict.fromkeys(name for error in refused.errors for name in error.fields)
        text = mask_text(first.text, record.values.values()) if first.text else ""
        summary = ": ".join(filter(None, [first.code or "refused", text]))
        call_attention(run, row.crm_id, summary, ", ".join(fields), advice)
    write = replace(refused.write, outcomes=outcomes, closes=refused.complete and refused.write.closes and not stays)
    parked_reason = reason_of({c: found for c, found in outcomes.items() if found[0] is Outcome.PARKED})
    return Finish(
        row.id,
        Outcome.PARKED if stays else write.outcome,
        write.reason if refused.is_whole else parked_reason or reason,
        _final_channels(row, write) if refused.complete else {},
        closes=write.closes,
        in_progress=_in_progress(row, write) if refused.complete else row.in_progress,
        parked_version=_parked_until(run, mapping, refused) if stays else None,
        attention=advice,
        parked=_parked_channels(row, write),
        shown=shown_by(row, write),
        stamps_due=stamps_due,
        refused=not refused.is_whole,
    )


def _outcomes_of(mapping: MappingFile, refused: Refused, reason: str) -> dict[Channel, tuple[Outcome, str]]:
    """Compute the outcome of each channel.

    If the rest was refused too, no status could be written, and all channels are parked except those with their value.
    """
    outcomes = dict(refused.write.outcomes) | {c: (Outcome.PARKED, why) for c, why in refused.parked.items()}
    if refused.complete:
        return outcomes
    changed = {change.field.lower() for change in refused.write.changes}
    present = refused.accepted | {
        channel
        for channel, rules in mapping.channels.items()
        if outcomes.get(channel, (None, ""))[0] is Outcome.DELIVERED and rules.field.lower() not in changed
    }
    return {
        channel: (Outcome.PARKED, reason) if found[0] in FINAL_OUTCOMES and channel not in present else found
        for channel, found in outcomes.items()
    }


def _parked_until(run: Run, mapping: MappingFile, refused: Refused) -> str:
    """The parked version; a lock, a move or a permission cannot be detected, so the next run tries again."""
    if refused.error_class in {ErrorClass.LOCKED, ErrorClass.MOVED, ErrorClass.MAPPING}:
        return NEXT_RUN
    return park_version(run, refused.record, mapping) + ("" if refused.complete else WHOLE_ROW)


def call_attention(run: Run, crm_id: str, reason: str, name: str, what_next: str) -> None:
    """Add an attention entry about a record."""
    run.call_attention(Attention(reason, what_next, crm_id, name))
