"""Decides the field changes for a record from its results and its current values.

A person's edit always wins: `if_empty` fills only a field that is empty at this moment, `overwrite` replaces only a
value that is unchanged since the purchase was first intended. A value is never replaced by an empty one. Only
differences are sent, and stamps alone are no reason to write.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from connector.core.mapping import MappingFile
from connector.core.mapping_channels import ChannelMapping, WritePolicy
from connector.core.model import (
    OPEN_OUTCOMES,
    Channel,
    CrmRecord,
    FieldChange,
    FieldValue,
    Outcome,
    outcome_of_record,
)
from connector.core.plan import counts_as_empty, still_ours_to_write
from connector.core.values import outgoing, same


@dataclass(frozen=True, slots=True)
class ChannelResult:
    """The result of one channel of a record.

    Attributes:
        outcome: delivered means that there is a value.
        reason: the reason if it is not delivered, for people.
        value: the vendor's value; only if delivered.
        source: the provider that delivered.
        keep_status: whether the status field stays unchanged.
        baseline: keyed hash of the field when the purchase was first intended; only needed for overwrite.
    """

    channel: Channel
    outcome: Outcome
    reason: str = ""
    value: str | None = None
    source: str = ""
    keep_status: bool = False
    baseline: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """The changes to send for a record, and its outcome.

    Attributes:
        changes: the fields to send; empty if nothing differs.
        outcomes: each channel's outcome and reason after the comparison.
        outcome: the record's outcome.
        reason: the record's combined reason.
        culprits: value fields that cannot be written, by channel.
        unusable: channels whose value the CRM can never accept, with the reason.
        closes: whether the record is finished and its flag is cleared.
    """

    changes: tuple[FieldChange, ...]
    outcomes: Mapping[Channel, tuple[Outcome, str]]
    outcome: Outcome
    reason: str
    culprits: Mapping[Channel, str]
    closes: bool
    unusable: Mapping[Channel, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteRules:
    """Decides the writes of one mapping; its attributes are the facts that all its records share.

    Attributes:
        lengths: the CRM's maximum length of each text field.
        fixed: the text fields whose length no admin can change.
        unchanged: whether a field's present value, in its stored form, matches a baseline hash.
        written_now: the current time in the CRM's format.
        run_id: the run that writes.
    """

    mapping: MappingFile
    lengths: Mapping[str, int]
    unchanged: Callable[[str, FieldValue], bool]
    written_now: FieldValue
    fixed: frozenset[str] = frozenset()
    run_id: str = ""

    def decide(
        self,
        record: CrmRecord,
        results: list[ChannelResult],
        resolved: Mapping[str, str] = MappingProxyType({}),
        *,
        value_written: bool = False,
    ) -> Write:
        """Compare results with the current record.

        Args:
            record: the current record.
            results: one for each channel.
            resolved: identifiers that a provider found, by kind, to be stamped.
            value_written: whether this run has just written a value of the record, whose stamps are still due.
        """
        draft = _Draft(record, value_written)
        outcomes: dict[Channel, tuple[Outcome, str]] = {}
        culprits: dict[Channel, str] = {}
        unusable: dict[Channel, str] = {}
        for result in results:
            rules = self.mapping.channels.get(result.channel)
            if rules is None:
                outcomes[result.channel] = (Outcome.SKIPPED, f"{result.channel} is no longer mapped")
                continue
            outcome, reason = self._value(draft, rules, result)
            outcomes[result.channel] = (outcome, reason)
            if outcome is Outcome.PARKED and result.value is not None:  # the value is too long
                found = unusable if rules.field in self.fixed else culprits
                found[result.channel] = reason if rules.field in self.fixed else rules.field
            if rules.status and not result.keep_status:
                self._status(draft, rules.status, outcome)
        closes = all(o not in OPEN_OUTCOMES for o, _ in outcomes.values())
        if closes:
            self._clear_flag(draft)
        outcome = outcome_of_record([o for o, _ in outcomes.values()])
        stamps = self._stamps(draft, results, outcomes, resolved, closes=closes, value_written=value_written)
        changes = tuple(draft.changes) + (tuple(stamps) if draft.changes or value_written else ())
        if outcome is Outcome.DEFERRED and not draft.wrote_value and not _is_bought(outcomes):
            changes = ()  # nothing is written for a deferred record
        return Write(changes, outcomes, outcome, reason_of(outcomes), culprits, closes, unusable)

    def _value(self, draft: "_Draft", rules: ChannelMapping, result: ChannelResult) -> tuple[Outcome, str]:
        target = outgoing(result.value or "", rules)
        if result.value is None or not target:
            empty = (Outcome.NOT_FOUND, "the vendor's value is empty")  # a value is never replaced by an empty one
            return (result.outcome, result.reason) if result.value is None else empty
        record = draft.record
        if record.truthy(rules.opt_out):
            return Outcome.SKIPPED, f"opted out ({rules.opt_out}) after the purchase; the value is not written"
        current = record.values.get(rules.field)
        if same(current, target, is_email=rules.is_email):
            return Outcome.DELIVERED, ""
        if not self._ours_to_write(record, rules, result):
            return Outcome.SKIPPED, f"{rules.field} was changed by somebody meanwhile; that value stays"
        length = self.lengths.get(rules.field)
        if length is not None and len(target) > length:
            return Outcome.PARKED, f"the value is longer than {rules.field} allows ({length} characters)"
        draft.set(rules.field, target)
        draft.wrote_value = True
        return Outcome.DELIVERED, ""

    def _ours_to_write(self, record: CrmRecord, rules: ChannelMapping, result: ChannelResult) -> bool:
        if not record.text(rules.field):
            return True
        replaceable = rules.write is WritePolicy.OVERWRITE or counts_as_empty(record, rules)
        if not replaceable or result.baseline is None:
            return False
        return still_ours_to_write(record, rules, result.baseline, self.unchanged)

    def _status(self, draft: "_Draft", name: str, outcome: Outcome) -> None:
        words = self.mapping.statuses
        word = {
            Outcome.DELIVERED: words.unlocked,
            Outcome.NOT_FOUND: words.not_found,
            Outcome.FAILED: words.failed,
            Outcome.SKIPPED: words.skipped,
            Outcome.ALREADY_FILLED: words.skipped,
            Outcome.WAITING: words.in_progress,
            Outcome.UNKNOWN: words.unknown,
        }.get(outcome)
        if word is not None:
            draft.set(name, self._cut(name, word))

    def _clear_flag(self, draft: "_Draft") -> None:
        select = self.mapping.select
        if draft.record.values.get(select.flag_field) == select.asks:
            draft.set(select.flag_field, select.done)

    def _stamps(
        self,
        draft: "_Draft",
        results: list[ChannelResult],
        outcomes: Mapping[Channel, tuple[Outcome, str]],
        resolved: Mapping[str, str],
        *,
        closes: bool,
        value_written: bool,
    ) -> list[FieldChange]:
        stamp, record = self.mapping.stamp, draft.record
        wanted: dict[str, FieldValue] = {}
        if stamp.enriched_at and draft.wrote_value:
            wanted[stamp.enriched_at] = self.written_now
        delivered = [r.source for r in results if outcomes[r.channel][0] is Outcome.DELIVERED and r.source]
        if stamp.source and draft.wrote_value:
            wanted[stamp.source] = self._cut(stamp.source, ", ".join(dict.fromkeys(delivered)))
        error = error_text(outcomes)
        if stamp.error and (error or closes):
            wanted[stamp.error] = self._cut(stamp.error, error) or None
        for kind, name in stamp.identifiers:
            if kind in resolved and not record.text(name):
                wanted[name] = resolved[kind]
        changed = {change.field for change in draft.changes}
        for result in results:
            rules = self.mapping.channels.get(result.channel)
            if rules is None or result.value is None or outcomes[result.channel][0] is not Outcome.DELIVERED:
                continue
            if rules.field in changed or value_written:
                wanted |= self._origin(rules, result.source)
        return [
            FieldChange(name, record.values.get(name), value)
            for name, value in wanted.items()
            if not same(record.values.get(name), value)
        ]

    def _origin(self, rules: ChannelMapping, source: str) -> dict[str, FieldValue]:
        """The stamps of one channel's value."""
        found: dict[str, FieldValue] = {"source": source, "at": self.written_now, "run": self.run_id}
        return {
            name: self._cut(name, str(found[stamp])) if stamp != "at" else found[stamp]
            for stamp, name in rules.stamps()
        }

    def _cut(self, name: str, text: str) -> str:
        length = self.lengths.get(name)
        return text if length is None or len(text) <= length else text[: max(0, length - 1)] + "…"


class _Draft:
    """Collects the changes of one record; a value equal to the present one is no change."""

    def __init__(self, record: CrmRecord, wrote_value: bool) -> None:
        self.record = record
        self.changes: list[FieldChange] = []
        self.wrote_value = wrote_value

    def set(self, name: str, value: FieldValue) -> None:
        before = self.record.values.get(name)
        if not same(before, value):
            self.changes.append(FieldChange(name, before, value))


def _is_bought(outcomes: Mapping[Channel, tuple[Outcome, str]]) -> bool:
    """Whether a purchase for the record is still without a result."""
    return any(outcome in {Outcome.WAITING, Outcome.UNKNOWN, Outcome.PARKED} for outcome, _ in outcomes.values())


_GOES_WRONG = frozenset({Outcome.FAILED, Outcome.UNKNOWN, Outcome.PARKED})


def error_text(outcomes: Mapping[Channel, tuple[Outcome, str]]) -> str:
    """The text of the error field.

    If no channel was delivered, it has the reason of each final channel, for the person who set the flag. Otherwise it
    has only channels that failed, are unknown or are parked. Deferred and waiting channels are not errors.
    """
    delivered = any(outcome is Outcome.DELIVERED for outcome, _ in outcomes.values())
    put_off = any(outcome in {Outcome.DEFERRED, Outcome.WAITING} for outcome, _ in outcomes.values())
    if delivered or put_off:
        return reason_of({c: found for c, found in outcomes.items() if found[0] in _GOES_WRONG})
    return reason_of(outcomes)


def reason_of(outcomes: Mapping[Channel, tuple[Outcome, str]]) -> str:
    """The combined reason of a record: that of each channel without a value, equal ones only once."""
    by_text: dict[str, list[str]] = {}
    for channel, (_, text) in outcomes.items():
        if text:
            by_text.setdefault(text, []).append(channel.replace("_", " "))
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in by_text.items())
