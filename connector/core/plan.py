"""Decides for each channel of a record: buy, attach to a pending purchase, reuse, resolve the identity, skip or defer.

`plan_channel` first checks the record and its field. `next_source` goes through the sources in the mapping's order; it
is also called later, when a source has ended without a value. Neither has any effect: they return a decision with its
reason, and the same facts always give the same decision.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.core.durations import duration_in_words
from connector.core.mapping import MappingFile
from connector.core.mapping_channels import ChannelMapping, WritePolicy
from connector.core.model import (
    Channel,
    CrmRecord,
    FieldValue,
    Identifier,
    IdentityMatch,
    Person,
    Purchase,
    PurchaseKey,
    Result,
)
from connector.core.person import Identified, MatchOf, NobodyThere, Source, Unidentified, Unresolved, identify
from connector.core.states import PurchaseState
from connector.core.values import stored_form

LEAST_MEMORY = timedelta(hours=1)  # a fresh answer of a vendor is not requested again


@dataclass(frozen=True, slots=True)
class FailedSource:
    """A source that ended without a value for this record's channel."""

    source: str
    result: Result
    reason: str


@dataclass(frozen=True, slots=True)
class Buy:
    """Make a new purchase; a `generation` above 1 repeats a final one that is old enough."""

    key: PurchaseKey
    generation: int
    grouping_key: str | None
    price_credits: int
    position: int
    failed_sources: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class AttachToPending:
    """Use the result of a purchase of this person that is already planned or in progress."""

    purchase: Purchase
    position: int
    failed_sources: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Reuse:
    """Use this person's value from an earlier purchase, at no cost."""

    purchase: Purchase
    position: int
    failed_sources: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolveIdentity:
    """Let the provider find its own identifier of the person before a purchase is decided."""

    source: str
    identifier: Identifier
    position: int
    failed_sources: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """Buy and write nothing for the channel.

    Attributes:
        reason: the reason, for people.
        keep_status: whether the status field stays unchanged.
        already_filled: whether the field already has a value.
        systematic: whether the record has no usable identifier; if that holds for all records of a run, the mapping or
            its data is wrong as a whole.
    """

    reason: str
    keep_status: bool = False
    failed_sources: tuple[FailedSource, ...] = ()
    already_filled: bool = False
    systematic: bool = False


@dataclass(frozen=True, slots=True)
class Defer:
    """Decide later; the flag stays. `attention` is the next step for a person, if there is one."""

    reason: str
    attention: str | None = None
    failed_sources: tuple[FailedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class SourcesExhausted:
    """All sources have ended without a value."""

    result: Result
    reason: str
    failed_sources: tuple[FailedSource, ...] = ()


Decision = Buy | AttachToPending | Reuse | ResolveIdentity | Skip | Defer | SourcesExhausted


@dataclass(frozen=True, slots=True)
class PlanningSnapshot:
    """The ledger's facts about a page of records, read before planning.

    Attributes:
        purchases: the newest generation under each key.
        matches: stored answers by (provider, identifier).
        served: (record id, purchase id) of records that have received this purchase's value.
        in_progress: the ids of records whose status "in progress" this ledger wrote.
        baselines: the keyed hash of the field when a purchase was first intended, by record id and channel, while the
            record is open.
        unusable: the reason why the CRM can never accept a value for a record, by (record id, purchase id).
    """

    purchases: Mapping[PurchaseKey, Purchase] = field(default_factory=dict)
    matches: Mapping[tuple[str, Identifier], IdentityMatch] = field(default_factory=dict)
    served: AbstractSet[tuple[str, int]] = frozenset()
    in_progress: AbstractSet[str] = frozenset()
    baselines: Mapping[tuple[str, Channel], str] = field(default_factory=dict)
    unusable: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """One channel of a record's person, with the ledger's facts about both.

    Attributes:
        rules: the channel's mapping.
        record_id: the record's id; empty if no value was ever refused for it.
    """

    person: Person
    channel: Channel
    rules: ChannelMapping
    snapshot: PlanningSnapshot
    record_id: str = ""


def _never(_hash: str, _value: FieldValue) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Planner:
    """Decides for the records of one mapping; its attributes are the facts that all of them share.

    Attributes:
        unchanged: whether a field's present value, in its stored form, matches a baseline hash.
        is_older_copy: whether the ledger was restored; then it may itself have written a status "in progress" that it
            does not know. People are read at the vendor before they are bought.
    """

    mapping: MappingFile
    sources: Mapping[str, Source]
    now: datetime
    unchanged: Callable[[str, FieldValue], bool] = _never
    is_older_copy: bool = False

    def plan_channel(
        self, record: CrmRecord, person: Person, channel: Channel, rules: ChannelMapping, snapshot: PlanningSnapshot
    ) -> Decision:
        """Decide for one channel of a record."""
        if record.truthy(rules.opt_out):
            return Skip(f"opted out ({rules.opt_out})")
        if not counts_as_empty(record, rules):
            if self._served_recently(record, person, channel, rules, snapshot):
                period = duration_in_words(self.mapping.limits.refresh_after)
                return Skip(f"{channel.replace('_', ' ')} was enriched less than {period} ago", keep_status=True)
            if rules.write is WritePolicy.IF_EMPTY:
                return Skip(f"{rules.field} is already filled", already_filled=True)
        decision = self.next_source(ChannelRequest(person, channel, rules, snapshot, record.id))
        if isinstance(decision, Reuse) and self._holds(record, rules, decision.purchase):
            return Skip(f"{rules.field} holds what was bought for it already", keep_status=True)
        return (self._objection(record, channel, rules, snapshot) if may_cost(decision) else None) or decision

    def _holds(self, record: CrmRecord, rules: ChannelMapping, purchase: Purchase) -> bool:
        """Whether the field counts as empty, but has exactly the value that would be written."""
        value = stored_form(record.values.get(rules.field), is_email=rules.is_email)
        return purchase.value_hash is not None and value is not None and self.unchanged(purchase.value_hash, value)

    def _objection(
        self, record: CrmRecord, channel: Channel, rules: ChannelMapping, snapshot: PlanningSnapshot
    ) -> Skip | Defer | None:
        """The reason why nothing may be bought although a source could deliver; None if there is none."""
        if self._another_ledger_owns(record, rules, snapshot):
            return Defer(
                f"{rules.status} says {self.mapping.statuses.in_progress}, but this ledger did not write it",
                attention="another connector ledger may be enriching it; if not, clear the status field",
            )
        baseline = snapshot.baselines.get((record.id, channel))
        if baseline is not None and not still_ours_to_write(record, rules, baseline, self.unchanged):
            return Skip(f"{rules.field} was changed by somebody since it was asked for; that value stays")
        return None

    def next_source(self, request: ChannelRequest, failed_sources: tuple[FailedSource, ...] = ()) -> Decision:
        """Decide for the first untried source that can still deliver a value that the CRM accepts for this record."""
        unidentified: list[str] = []
        asked = {t.source for t in failed_sources}
        for position, name in enumerate(request.rules.sources):
            if name in asked:
                continue
            source = self.sources[name]
            identity = identify(request.person, source, self._match_of(request.snapshot))
            if isinstance(identity, Unidentified):
                unidentified.append(identity.reason)
            elif isinstance(identity, NobodyThere):
                failed_sources = (
                    *failed_sources,
                    FailedSource(name, Result.NOT_FOUND, f"{name} has no person with this {identity.words}"),
                )
            elif isinstance(identity, Unresolved):
                return ResolveIdentity(name, identity.identifier, position, failed_sources)
            else:
                found = self._at_source(request, source, identity, position, failed_sources)
                if isinstance(found, Buy):
                    return self._for_nothing(request, found) or found
                if not isinstance(found, FailedSource):
                    return found
                failed_sources = (*failed_sources, found)
        return _end_of_line(failed_sources, unidentified)

    def _for_nothing(self, request: ChannelRequest, instead_of: Buy) -> Reuse | None:
        """A fresh value that was bought at a later source, to use instead of paying; None if there is none."""
        later = instead_of.position + 1
        for position, name in enumerate(request.rules.sources[later:], later):
            source = self.sources[name]
            identity = identify(request.person, source, self._match_of(request.snapshot))
            if isinstance(identity, Identified):
                found = self._at_source(request, source, identity, position, instead_of.failed_sources)
                if isinstance(found, Reuse):
                    return found
        return None

    def _at_source(
        self,
        request: ChannelRequest,
        source: Source,
        identity: Identified,
        position: int,
        failed_sources: tuple[FailedSource, ...],
    ) -> Decision | FailedSource:
        key, purchase = _bought(source, request.channel, identity, request.snapshot)
        price = source.prices.of(request.channel)
        if purchase is None:
            return Buy(key, 1, identity.grouping_key, price, position, failed_sources)
        if purchase.state is not PurchaseState.FINAL:
            return AttachToPending(purchase, position, failed_sources)
        if purchase.result is Result.DELIVERED:
            if self._fresh(purchase):
                why_not = request.snapshot.unusable.get((request.record_id, purchase.id))
                taken = Reuse(purchase, position, failed_sources)
                return taken if why_not is None else FailedSource(source.name, Result.NOT_FOUND, why_not)
        elif purchase.result is Result.FAILED and not purchase.repeat_allowed:
            return FailedSource(source.name, Result.FAILED, purchase.reason or f"{source.name} failed")
        elif purchase.result is Result.NOT_FOUND and self._too_soon(purchase):
            return FailedSource(
                source.name, Result.NOT_FOUND, f"{source.name} did not find it on {purchase.final_at:%Y-%m-%d}"
            )
        return Buy(key, purchase.generation + 1, identity.grouping_key, price, position, failed_sources)

    def _match_of(self, snapshot: PlanningSnapshot) -> MatchOf:
        """The stored answers; "no such person" expires after `retry_not_found_after`."""

        def match_of(source: str, identifier: Identifier) -> IdentityMatch | None:
            found = snapshot.matches.get((source, identifier))
            if found is None or found.identifier is not None or found.at is None:
                return found
            kept = max(self.mapping.limits.retry_not_found_after, LEAST_MEMORY)
            return found if self.now < found.at + kept else None

        return match_of

    def _fresh(self, purchase: Purchase) -> bool:
        return purchase.final_at is not None and self.now < purchase.final_at + self.mapping.limits.refresh_after

    def _too_soon(self, purchase: Purchase) -> bool:
        return (
            purchase.final_at is not None and self.now < purchase.final_at + self.mapping.limits.retry_not_found_after
        )

    def _served_recently(
        self, record: CrmRecord, person: Person, channel: Channel, rules: ChannelMapping, snapshot: PlanningSnapshot
    ) -> bool:
        for name in rules.sources:
            source = self.sources[name]
            identity = identify(person, source, self._match_of(snapshot))
            if not isinstance(identity, Identified):
                continue
            _, purchase = _bought(source, channel, identity, snapshot)
            if purchase and purchase.result is Result.DELIVERED and self._fresh(purchase):
                return (record.id, purchase.id) in snapshot.served
        return False

    def _another_ledger_owns(self, record: CrmRecord, rules: ChannelMapping, snapshot: PlanningSnapshot) -> bool:
        word = self.mapping.statuses.in_progress
        unknown = record.text(rules.status) == word and record.id not in snapshot.in_progress
        return unknown and not self.is_older_copy


def _bought(
    source: Source, channel: Channel, identity: Identified, snapshot: PlanningSnapshot
) -> tuple[PurchaseKey, Purchase | None]:
    """The person's purchase under any identifier; else the key under which the person would be bought."""
    keys = [PurchaseKey(source.name, source.account, channel, one) for one in (identity.person, *identity.others)]
    found = next((key for key in keys if key in snapshot.purchases), keys[0])
    return found, snapshot.purchases.get(found)


def counts_as_empty(record: CrmRecord, rules: ChannelMapping) -> bool:
    """Whether the field has no value, or one that does not count according to `empty_when`."""
    return not record.text(rules.field) or record.truthy(rules.empty_when)


def may_cost(decision: Decision) -> bool:
    """Whether a decision may cost credits; so may attaching to a planned purchase, because that is then bought."""
    if isinstance(decision, AttachToPending):
        return decision.purchase.state is PurchaseState.PLANNED
    return isinstance(decision, Buy | ResolveIdentity)


def still_ours_to_write(
    record: CrmRecord, rules: ChannelMapping, baseline: str, unchanged: Callable[[str, FieldValue], bool]
) -> bool:
    """Whether the field is empty, or unchanged since its purchase was first intended."""
    value = stored_form(record.values.get(rules.field), is_email=rules.is_email)
    return not record.text(rules.field) or unchanged(baseline, value)


def _end_of_line(failed_sources: tuple[FailedSource, ...], unidentified: list[str]) -> Decision:
    if not failed_sources:
        return Skip(
            unidentified[0], failed_sources=failed_sources, systematic=True
        )  # the first source needs the most common identifier
    reason = "; ".join(dict.fromkeys(t.reason for t in failed_sources))
    if all(t.result is Result.NOT_FOUND for t in failed_sources):
        return SourcesExhausted(Result.NOT_FOUND, reason, failed_sources)
    return SourcesExhausted(Result.FAILED, reason, failed_sources)
