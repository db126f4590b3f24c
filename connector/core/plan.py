"""Decides for each channel of a record: buy, attach to a pending purchase, reuse, resolve the identity, skip or defer.

`plan_channel` looks at the record and its field first; `next_source` walks the sources in the mapping's order and is
also used later, when a source has ended without a value. Neither has any effect: they return a decision with its
reason, and the same facts always give the same decision.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.core.durations import duration_in_words
from connector.core.mapping import ChannelMapping, MappingFile, WritePolicy
from connector.core.model import (
    Channel,
    CrmRecord,
    FieldValue,
    Lookup,
    Person,
    Result,
    Unlock,
    UnlockKey,
    UnlockState,
)
from connector.core.person import Identified, NeedsLookup, NobodyThere, Source, Unidentified, identify
from connector.core.values import stored_form

LEAST_MEMORY = timedelta(hours=1)  # what a vendor has just said is not asked again in the same breath


@dataclass(frozen=True, slots=True)
class FailedSource:
    """A source that ended without a value for this record's channel."""

    source: str
    result: Result
    reason: str


@dataclass(frozen=True, slots=True)
class Buy:
    """A new unlock; `generation` above 1 repeats one that is final and old enough."""

    key: UnlockKey
    generation: int
    event_id: str | None
    price_credits: int
    position: int
    tried: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class AttachToPending:
    """A purchase of this person is already planned or under way: use its result."""

    unlock: Unlock
    position: int
    tried: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Reuse:
    """This person's value was bought earlier: use it at no cost."""

    unlock: Unlock
    position: int
    tried: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolveIdentity:
    """The provider must resolve the LinkedIn name to its own identifier before a purchase is decided."""

    source: str
    linkedin: str
    position: int
    tried: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing is bought and nothing written for the channel.

    Attributes:
        reason: in plain words.
        keep_status: the status word stays as it is.
        already_filled: the field has a value already.
        systematic: the record has no usable identifier; when every record of a run ends so, the mapping or its data
            is wrong as a whole.
    """

    reason: str
    keep_status: bool = False
    tried: tuple[FailedSource, ...] = ()
    already_filled: bool = False
    systematic: bool = False


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now; the flag stays. `attention` says what a person should do, if anything."""

    reason: str
    attention: str | None = None
    tried: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class SourcesExhausted:
    """Every source has ended without a value."""

    result: Result
    reason: str
    tried: tuple[FailedSource, ...] = ()


Decision = Buy | AttachToPending | Reuse | ResolveIdentity | Skip | Defer | SourcesExhausted


@dataclass(frozen=True, slots=True)
class PlanningSnapshot:
    """The ledger's facts about a page of records, read before planning.

    Attributes:
        unlocks: the newest generation under each key.
        lookups: remembered answers by (provider, LinkedIn name).
        served: (record id, unlock id) of records that already had this unlock's value.
        in_progress: ids of records whose status word "in progress" this ledger wrote.
        baselines: by record id and channel, the keyed hash of the field when a purchase was first intended, while the
            record is open.
        unusable: by (record id, unlock id), why the CRM can never take that value for that record.
    """

    unlocks: Mapping[UnlockKey, Unlock] = field(default_factory=dict)
    lookups: Mapping[tuple[str, str], Lookup] = field(default_factory=dict)
    served: AbstractSet[tuple[str, int]] = frozenset()
    in_progress: AbstractSet[str] = frozenset()
    baselines: Mapping[tuple[str, Channel], str] = field(default_factory=dict)
    unusable: Mapping[tuple[str, int], str] = field(default_factory=dict)


def _never(_hash: str, _value: FieldValue) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Planner:
    """The facts that are the same for all records of a mapping.

    Attributes:
        unchanged: whether a field's present value, in its stored form, is the one behind a baseline hash.
        is_older_copy: the ledger was restored: a record in progress that it does not know may be its own. People are
            read at the vendor before they are bought.
    """

    mapping: MappingFile
    sources: Mapping[str, Source]
    now: datetime
    unchanged: Callable[[str, FieldValue], bool] = _never
    is_older_copy: bool = False

    def plan_channel(
        self, record: CrmRecord, person: Person, channel: Channel, rules: ChannelMapping, snapshot: PlanningSnapshot
    ) -> Decision:
        """Decide one channel of one record."""
        if record.truthy(rules.opt_out):
            return Skip(f"opted out ({rules.opt_out})")
        if not counts_as_empty(record, rules):
            if self._served_recently(record, person, channel, rules, snapshot):
                period = duration_in_words(self.mapping.limits.refresh_after)
                return Skip(f"{channel.replace('_', ' ')} was enriched less than {period} ago", keep_status=True)
            if rules.write is WritePolicy.IF_EMPTY:
                return Skip(f"{rules.field} is already filled", already_filled=True)
        decision = self.next_source(person, channel, rules, snapshot, record_id=record.id)
        if isinstance(decision, Reuse) and self._holds(record, rules, decision.unlock):
            return Skip(f"{rules.field} holds what was bought for it already", keep_status=True)
        return (self._objection(record, channel, rules, snapshot) if may_cost(decision) else None) or decision

    def _holds(self, record: CrmRecord, rules: ChannelMapping, unlock: Unlock) -> bool:
        """Whether the field, though it counts as empty, has the very value that would be taken."""
        value = stored_form(record.values.get(rules.field), is_email=rules.is_email)
        return unlock.value_hash is not None and value is not None and self.unchanged(unlock.value_hash, value)

    def _objection(
        self, record: CrmRecord, channel: Channel, rules: ChannelMapping, snapshot: PlanningSnapshot
    ) -> Skip | Defer | None:
        """Why nothing may be bought, though a source could bring the value."""
        if self._another_ledger_owns(record, rules, snapshot):
            return Defer(
                f"{rules.status} says {self.mapping.statuses.in_progress}, but this ledger did not write it",
                attention="another connector ledger may be enriching it; if not, clear the status field",
            )
        baseline = snapshot.baselines.get((record.id, channel))
        if baseline is not None and not still_ours_to_write(record, rules, baseline, self.unchanged):
            return Skip(f"{rules.field} was changed by somebody since it was asked for; that value stays")
        return None

    def next_source(
        self,
        person: Person,
        channel: Channel,
        rules: ChannelMapping,
        snapshot: PlanningSnapshot,
        tried: tuple[FailedSource, ...] = (),
        record_id: str = "",
    ) -> Decision:
        """The first source that was not tried and can still bring a value that this record's CRM can take."""
        unidentified: list[str] = []
        asked = {t.source for t in tried}
        for position, name in enumerate(rules.sources):
            if name in asked:
                continue
            source = self.sources[name]
            identity = identify(person, source, self._lookup(snapshot, name, person))
            if isinstance(identity, Unidentified):
                unidentified.append(identity.reason)
            elif isinstance(identity, NobodyThere):
                tried = (
                    *tried,
                    FailedSource(name, Result.NOT_FOUND, f"{name} knows nobody with this LinkedIn address"),
                )
            elif isinstance(identity, NeedsLookup):
                return ResolveIdentity(name, identity.linkedin, position, tried)
            else:
                found = self._at_source(source, identity, channel, position, snapshot, tried, record_id)
                if isinstance(found, Buy):
                    return self._for_nothing(person, channel, rules, snapshot, found, record_id) or found
                if not isinstance(found, FailedSource):
                    return found
                tried = (*tried, found)
        return _end_of_line(tried, unidentified)

    def _for_nothing(
        self,
        person: Person,
        channel: Channel,
        rules: ChannelMapping,
        snapshot: PlanningSnapshot,
        instead_of: Buy,
        record_id: str,
    ) -> Reuse | None:
        """A fresh value of a later source, bought already: nothing is paid while there is one."""
        for position, name in enumerate(rules.sources[instead_of.position + 1 :], instead_of.position + 1):
            source = self.sources[name]
            identity = identify(person, source, self._lookup(snapshot, name, person))
            if isinstance(identity, Identified):
                found = self._at_source(source, identity, channel, position, snapshot, instead_of.tried, record_id)
                if isinstance(found, Reuse):
                    return found
        return None

    def _at_source(
        self,
        source: Source,
        identity: Identified,
        channel: Channel,
        position: int,
        snapshot: PlanningSnapshot,
        tried: tuple[FailedSource, ...],
        record_id: str,
    ) -> Decision | FailedSource:
        key = UnlockKey(source.name, source.account, channel, identity.key)
        unlock = snapshot.unlocks.get(key)
        price = source.prices.of(channel)
        if unlock is None:
            return Buy(key, 1, identity.event_id, price, position, tried)
        if unlock.state is not UnlockState.FINAL:
            return AttachToPending(unlock, position, tried)
        if unlock.result is Result.DELIVERED:
            if self._fresh(unlock):
                why_not = snapshot.unusable.get((record_id, unlock.id))
                taken = Reuse(unlock, position, tried)
                return taken if why_not is None else FailedSource(source.name, Result.NOT_FOUND, why_not)
        elif unlock.result is Result.FAILED and not unlock.repeat_allowed:
            return FailedSource(source.name, Result.FAILED, unlock.reason or f"{source.name} failed")
        elif unlock.result is Result.NOT_FOUND and self._too_soon(unlock):
            return FailedSource(
                source.name, Result.NOT_FOUND, f"{source.name} did not find it on {unlock.final_at:%Y-%m-%d}"
            )
        return Buy(key, unlock.generation + 1, identity.event_id, price, position, tried)

    def _lookup(self, snapshot: PlanningSnapshot, source: str, person: Person) -> Lookup | None:
        """The remembered answer; "nobody" is forgotten as soon as a person not found may be asked for again."""
        found = snapshot.lookups.get((source, person.linkedin or ""))
        if found is None or found.personnel_id is not None or found.at is None:
            return found
        return found if self.now < found.at + max(self.mapping.limits.retry_not_found_after, LEAST_MEMORY) else None

    def _fresh(self, unlock: Unlock) -> bool:
        return unlock.final_at is not None and self.now < unlock.final_at + self.mapping.limits.refresh_after

    def _too_soon(self, unlock: Unlock) -> bool:
        return unlock.final_at is not None and self.now < unlock.final_at + self.mapping.limits.retry_not_found_after

    def _served_recently(
        self, record: CrmRecord, person: Person, channel: Channel, rules: ChannelMapping, snapshot: PlanningSnapshot
    ) -> bool:
        for name in rules.sources:
            source = self.sources[name]
            identity = identify(person, source, self._lookup(snapshot, name, person))
            if not isinstance(identity, Identified):
                continue
            unlock = snapshot.unlocks.get(UnlockKey(name, source.account, channel, identity.key))
            if unlock and unlock.result is Result.DELIVERED and self._fresh(unlock):
                return (record.id, unlock.id) in snapshot.served
        return False

    def _another_ledger_owns(self, record: CrmRecord, rules: ChannelMapping, snapshot: PlanningSnapshot) -> bool:
        word = self.mapping.statuses.in_progress
        unknown = record.text(rules.status) == word and record.id not in snapshot.in_progress
        return unknown and not self.is_older_copy


def counts_as_empty(record: CrmRecord, rules: ChannelMapping) -> bool:
    """Whether the field has no value, or one that the mapping says not to count."""
    return not record.text(rules.field) or record.truthy(rules.empty_when)


def may_cost(decision: Decision) -> bool:
    """Whether credits may be spent because of a decision; attaching to a planned purchase has it bought."""
    if isinstance(decision, AttachToPending):
        return decision.unlock.state is UnlockState.PLANNED
    return isinstance(decision, Buy | ResolveIdentity)


def still_ours_to_write(
    record: CrmRecord, rules: ChannelMapping, baseline: str, unchanged: Callable[[str, FieldValue], bool]
) -> bool:
    """Whether the field is empty, or still as it was when its purchase was first intended."""
    value = stored_form(record.values.get(rules.field), is_email=rules.is_email)
    return not record.text(rules.field) or unchanged(baseline, value)


def _end_of_line(tried: tuple[FailedSource, ...], unidentified: list[str]) -> Decision:
    if not tried:
        return Skip(unidentified[0], tried=tried, systematic=True)  # the first source wants the most usual identifier
    reason = "; ".join(dict.fromkeys(t.reason for t in tried))
    if all(t.result is Result.NOT_FOUND for t in tried):
        return SourcesExhausted(Result.NOT_FOUND, reason, tried)
    return SourcesExhausted(Result.FAILED, reason, tried)
