"""A plain model of a random history: it records edits and purchases, and checks the connector's actions against them.

It is independent of the connector's code. It reads the org's own history of updates and the vendors' own charge
ledger. From the connector's ledger it takes only results and the row ids of each record.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from harness import World
from random_moves import PAID, Variant

from connector.simulator.people import SimPerson
from connector.simulator.salesfinity_state import PENDING_SHARE
from connector.simulator.salesforce.org import Update
from connector.store import tables as t
from connector.store.ledger import Ledger

FLAG = "Enrichment_Requested__c"
ID, LINK = "Lensmor_Personnel_Id__c", "LinkedIn_URL__c"
ERROR = "Enrichment_Error__c"
FIELDS = {"Email": "work_email", "MobilePhone": "phone", "Personal_Email__c": "personal_email"}
OPT_OUTS = {"Email": "HasOptedOutOfEmail", "MobilePhone": "DoNotCall", "Personal_Email__c": "HasOptedOutOfEmail"}
STATUS = "_Unlock_Status__c"
STAMPS = frozenset({"Enriched_At__c", "Enrichment_Source__c", ERROR, ID})
KINDS = {
    ("lensmor", "email"): "Email",
    ("lensmor", "phone"): "MobilePhone",
    ("salesfinity", "work"): "Email",
    ("salesfinity", "personal"): "Personal_Email__c",
}
SOLD_AS = {
    ("lensmor", "work_email"): "email",
    ("lensmor", "phone"): "phone",
    ("salesfinity", "work_email"): "work",
    ("salesfinity", "personal_email"): "personal",
}
BY_DECISION = ("by an operator", "an operator has", "no longer has the person")  # reasons that excuse a lost value
Key = tuple[str, str, str]  # vendor, person, kind
State = Mapping[str, object]


@dataclass
class Purchase:
    """One order that a vendor accepted."""

    key: Key
    at: float
    credits: int


@dataclass
class Notes:
    """Observations of one run.

    Attributes:
        began: Unix seconds.
        bought: the orders that vendors had accepted before the run.
        is_undo: the run restores the values of an earlier run.
        unreliable_reads: the org's answer to a read may be lost, so the connector may plan on a later read.
        reads: for each record, the times and states of all reads by the connector.
    """

    began: float
    bought: frozenset[str]
    is_undo: bool = False
    unreliable_reads: bool = False
    reads: dict[str, list[tuple[float, State]]] = field(default_factory=dict)


class Model:
    """The oracle of one history."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.people: dict[str, SimPerson] = {}
        self.by_name: dict[str, SimPerson] = {}
        self.names: dict[str, str] = {}  # every spelling that was used -> LinkedIn name
        self.records: list[str] = []
        self.named: dict[str, set[str]] = {}  # every identifier that a record has ever had
        self.allowed: set[tuple[Key, int]] = set()  # repeats that an operator allowed, with the purchase id
        self.shortest_refresh_s = float("inf")
        self.day_caps: dict[tuple[str, str], int | None] = {}
        self.account_day: dict[str, int] = {}
        self.deaths = 0
        self.losses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._states: dict[str, dict[str, object]] = {}
        self._marks: dict[str, int] = {}
        self._flag_editors: dict[str, str] = {}  # record -> the last editor of its flag
        self._orders: dict[str, Purchase] = {}
        self._rows: dict[str, set[int]] = {}
        self._planned_on: dict[int, list[State]] = {}  # row of the ledger -> the states that it may be planned on
        self._written: list[tuple[str, str, str, object, object]] = []  # run, record, field, before, after
        self._notes: Notes | None = None
        world.org.after_read(self._note_read)

    # -- actions of people -----------------------------------------------------------------------------------

    def know(self, person: SimPerson) -> None:
        """Note a new person."""
        self.people[person.personnel_id] = person
        self.by_name[str(person.linkedin_name)] = person

    def add_record(self, record_id: str) -> None:
        """Note a new record and its identifiers."""
        self.records.append(record_id)
        self._states[record_id] = dict(self.world.get(record_id))
        self._marks[record_id] = 0
        self.named[record_id] = set(self._identifiers(self._states[record_id]))

    def forget(self, record_id: str) -> None:
        """Note that a record was erased from the ledger, which may reuse the ids of its rows."""
        for row_id in self._rows.pop(record_id, set()):
            self._planned_on.pop(row_id, None)

    def note_identity(self, record_id: str) -> None:
        """Note the current identifiers of an edited record."""
        self.named[record_id] |= set(self._identifiers(self.world.get(record_id)))

    def _identifiers(self, state: State) -> Iterator[str]:
        if state.get(ID):
            yield f"id {state[ID]}"
        name = self.names.get(str(state.get(LINK)))
        if name:
            yield f"name {name}"

    # -- actions of a run ------------------------------------------------------------------------------------

    def begin(self, *, is_undo: bool = False) -> None:
        """Start to observe a run."""
        self._fold()  # edits between the runs
        unreliable = any(f.site == "salesforce" for f in self.world.faults.armed())
        self._notes = Notes(self.world.clock.unix(), frozenset(self.purchases()), is_undo, unreliable)

    def _note_read(self, object_name: str, record_id: str) -> None:
        if self._notes is not None:
            now = self.world.clock.unix()
            self._notes.reads.setdefault(record_id, []).append((now, self.world.org.get(object_name, record_id)))

    def purchases(self) -> dict[str, Purchase]:
        """All orders of the connector that a vendor has charged or will charge."""
        for charge in self.world.charges.entries:
            if charge.vendor == "lensmor":
                key = (charge.vendor, charge.person, charge.kind)
                self._orders[f"{charge.request_id} {charge.person}"] = Purchase(key, charge.at, charge.credits)
        site = self.world.salesfinity
        for one in site._lookups.values():
            if one.status == "failed":  # it found a value, but the account had no credit left: not sold
                self._orders.pop(one.lookup_id, None)
            elif one.outcome == "completed" and one.lookup_id not in self._orders:
                at = one.started_at - PENDING_SHARE * site.lookup_seconds
                self._orders[one.lookup_id] = Purchase(("salesfinity", one.linkedin_name, one.kind), at, 1)
        return self._orders

    def end(self, ledger: Ledger, variant: Variant, run_id: str, undone: str = "") -> None:
        """Judge a run that finished, stopped or crashed.

        Args:
            ledger: the ledger after the run.
            variant: the mappings of the run.
            run_id: the run's id.
            undone: the id of the run that it undoes; empty for other runs.

        Raises:
            AssertionError: the run did something that is not allowed.
        """
        notes = self._notes
        assert notes is not None
        self._notes = None
        self.shortest_refresh_s = min(self.shortest_refresh_s, variant.refresh_s)
        newest = self._learn_rows(ledger, notes)
        for record_id, state, update in self._fold():
            if notes.is_undo:
                self._judge_undo(record_id, update, undone)
            else:
                self._judge_write(record_id, state, update, variant, self._planned_on.get(newest.get(record_id, 0), []))
            for name, (before, after) in update.changes.items():
                self._written.append((run_id, record_id, name, before, after))
        if not notes.is_undo:
            self._judge_caps(notes, variant)
            self._judge_requests(notes, variant)
        assert set(self.world.charges.doubles()) <= self.permitted_doubles()

    def _learn_rows(self, ledger: Ledger, notes: Notes) -> dict[str, int]:
        """Note the states that new rows were planned on; return the newest row id of each record."""
        rows = sa.select(t.record.c.id, t.record.c.crm_id).order_by(t.record.c.id)
        newest: dict[str, int] = {}
        with ledger.database.read() as connection:
            for row_id, record_id in connection.execute(rows):
                newest[record_id] = row_id
                self._rows.setdefault(record_id, set()).add(row_id)
                if row_id not in self._planned_on:
                    self._planned_on[row_id] = self._first_reads(notes, record_id)
        return newest

    def _first_reads(self, notes: Notes, record_id: str) -> list[State]:
        reads = notes.reads.get(record_id, [])
        if not notes.unreliable_reads:
            return [state for _, state in reads[:1]]
        return [state for at, state in reads if at <= reads[0][0] + 60]

    def _fold(self) -> Iterator[tuple[str, dict[str, object], Update]]:
        """Apply all updates since the last call; return those of the API, each with the record before it."""
        found: list[tuple[str, dict[str, object], Update]] = []
        for record_id in self.records:
            name = "Lead" if record_id.startswith("00Q") else "Contact"
            history = self.world.org.history(name, record_id)
            for update in history[self._marks[record_id] :]:
                if update.who == "api":
                    found.append((record_id, dict(self._states[record_id]), update))
                if FLAG in update.changes:
                    self._flag_editors[record_id] = update.who
                self._states[record_id].update({key: after for key, (_, after) in update.changes.items()})
            self._marks[record_id] = len(history)
        return iter(found)

    # -- checks ----------------------------------------------------------------------------------------------

    def _judge_write(
        self, record_id: str, state: State, update: Update, variant: Variant, planned_on: list[State]
    ) -> None:
        assert set(update.changes) - STAMPS, f"{record_id}: a write of nothing but stamps"
        for name in FIELDS:
            if name not in update.changes:
                continue
            before, after = update.changes[name]
            assert after in self.values_for(record_id, state, name), f"{record_id}: {name} got a stranger's {after}"
            assert not state.get(OPT_OUTS[name]), f"{record_id}: {name} was written against an opt-out"
            if before is None:
                continue
            unchanged = any(before == seen.get(name) for seen in planned_on)
            bounced = name == "Email" and bool(state.get("EmailBouncedDate"))
            assert variant.write == "overwrite" or bounced, f"{record_id}: {name} had {before}, which was overwritten"
            assert unchanged, f"{record_id}: the edit of {name} to {before} was overwritten"
        if update.changes.get(FLAG, (None, None))[1] is False:
            self._judge_closed({**state, **{key: after for key, (_, after) in update.changes.items()}}, record_id)

    def _judge_closed(self, state: State, record_id: str) -> None:
        """A record whose flag is cleared has a value in each field, or an error text with the reason."""
        error = str(state.get(ERROR) or "")
        for name, channel in _channels(record_id):
            explained = channel.replace("_", " ") in error or error.endswith("…")
            if any(one[1:3] == (record_id, name) for one in self._written):
                continue  # it was written, and a person or an undo has emptied it since
            # If another channel has its value, "not found" and an opt-out are no errors: only the report has them.
            delivered = any(state.get(other) for other, _ in _channels(record_id) if other != name)
            has_reason = state.get(name) or explained or delivered
            assert has_reason, f"{record_id}: closed without {name} and without a reason: {error!r}"

    def _originals(self, record_id: str, name: str, changes: list[tuple[object, object]]) -> list[object]:
        """Values that an undo may restore: the ones that its run replaced; for a status also all earlier ones."""
        originals = [old for old, _ in changes]
        for *where, old, new in reversed(self._written):
            if where[1:] == [record_id, name] and name.endswith(STATUS) and new in originals:
                originals.append(old)
        return originals

    def _judge_undo(self, record_id: str, update: Update, run_id: str) -> None:
        assert FLAG not in update.changes, f"{record_id}: an undo changed the flag"
        for name, (before, after) in update.changes.items():
            changes = [(old, new) for *where, old, new in self._written if where == [run_id, record_id, name]]
            fine = before in [new for _, new in changes] and after in self._originals(record_id, name, changes)
            assert fine, f"{record_id}: an undo set {name} from {before} to {after}, but its run wrote {changes}"

    def values_for(self, record_id: str, state: State, name: str) -> set[str]:
        """The values that the vendors sell for a field of the record's people.

        An identifier that is empty now stands for all its earlier values.
        """
        named = set(self._identifiers(state))
        for prefix, identifier in (("id ", ID), ("name ", LINK)):
            if not state.get(identifier):
                named |= {one for one in self.named[record_id] if one.startswith(prefix)}
        people = [self.people.get(one[3:]) if one.startswith("id ") else self.by_name.get(one[5:]) for one in named]
        found = {value for person in people if person is not None for value in sold(person, name)}
        return {value for value in found if value}

    def _judge_caps(self, notes: Notes, variant: Variant) -> None:
        orders = self.purchases()
        for vendor in PAID:
            mine = [one for one in orders.values() if one.key[0] == vendor]
            spent = sum(one.credits for name, one in orders.items() if one in mine and name not in notes.bought)
            cap = variant.cap(vendor, day=False)
            assert cap is None or spent <= cap, f"one run spent {spent} credits at {vendor}, its caps allow {cap}"
            for day in {_day(notes.began), _day(self.world.clock.unix())}:
                self._judge_day(vendor, day, sum(one.credits for one in mine if _day(one.at) == day), variant)

    def _judge_day(self, vendor: str, day: str, spent: int, variant: Variant) -> None:
        cap, before = variant.cap(vendor, day=True), self.day_caps.get((vendor, day), 0)
        most = self.day_caps[vendor, day] = None if cap is None or before is None else max(cap, before)
        assert most is None or spent <= most, f"{vendor} sold for {spent} on {day}, the mappings allow {most}"
        own = self.account_day.get(vendor)
        assert own is None or spent <= own, f"{vendor} sold for {spent} on {day}, the account allows {own}"

    def _judge_requests(self, notes: Notes, variant: Variant) -> None:
        """Each purchase was requested by a record that the run read."""
        states = [state for reads in notes.reads.values() for _, state in reads]
        for name, purchase in self.purchases().items():
            if name not in notes.bought:
                vendor, person, kind = purchase.key
                requested = any(self._requests(state, vendor, person, KINDS[vendor, kind], variant) for state in states)
                assert requested, f"{purchase.key} was bought without a request"

    def _requests(self, state: State, vendor: str, person: str, name: str, variant: Variant) -> bool:
        fillable = not state.get(name) or variant.write == "overwrite" or bool(state.get("EmailBouncedDate"))
        if not state.get(FLAG) or state.get(OPT_OUTS[name]) or not fillable:
            return False
        link = self.names.get(str(state.get(LINK)))
        if vendor == "salesfinity":
            return link == person
        return state.get(ID) == person or self._links_to(state, person)

    def _links_to(self, state: State, person: str) -> bool:
        link = self.names.get(str(state.get(LINK)))
        return link is not None and self.by_name[link].personnel_id == person

    def judge_end(self, ledger: Ledger, reasons: Counter[str]) -> None:
        """Judge the end of a history: every flag left has a good reason, and every paid value is in its field.

        Raises:
            AssertionError: a value is lost, or a record is stuck.
        """
        outcomes = self._last_outcomes(ledger)
        unknown = [one for one in ledger.operator.needs_a_look() if one.state.value == "unknown"]
        assert not any(one.parked for one in ledger.operator.needs_a_look()), "a value stays parked without a reason"
        for vendor, least in (("salesfinity", 1), ("lensmor", 2)):
            lost = sum(one.provider == vendor for one in unknown)
            assert lost * least <= self.losses[vendor], f"{lost} unknown at {vendor}, {self.losses} answers lost"
        self._judge_purchases(ledger, reasons)
        for record_id in self.records:
            state = self.world.get(record_id)
            if state[FLAG]:
                outcome, reason = outcomes[record_id]
                fine = outcome == "unknown" or (outcome in EXPLAINED and EXPLAINED[outcome] in reason)
                assert fine, f"{record_id} stays flagged: {outcome}, {reason}"
                reasons[f"flagged: {outcome}"] += 1
            elif record_id in outcomes:
                self._judge_values(record_id, state, outcomes[record_id], reasons)

    def _judge_purchases(self, ledger: Ledger, reasons: Counter[str]) -> None:
        """A purchase that a vendor delivered has no empty result, except after a manual decision.

        Values that an older purchase delivered before the newest was sent do not count for the newest.
        """
        c, a = t.purchase.c, t.attempt.c
        query = (
            sa.select(c.provider, c.channel, c.person, c.result, c.reason, c.final_at, a.created_at)
            .outerjoin(t.attempt, a.id == sa.func.coalesce(c.prior_attempt_id, c.attempt_id))
            .order_by(c.generation)
        )
        generations: dict[Key, list[Any]] = {}
        with ledger.database.read() as connection:
            for row in connection.execute(query):
                generations.setdefault((row.provider, row.person, SOLD_AS[row.provider, row.channel]), []).append(row)
        for key, (*older, newest) in generations.items():
            had = [one.final_at for one in older if one.result == "delivered" and _is_before(one, newest)]
            sold_since = max(had).timestamp() if had else 0.0
            orders = [one for one in self.purchases().values() if one.key == key and one.at > sold_since]
            if newest.result in {"failed", "not_found"} and orders and any(self._bought(key)):
                reasons[f"{key[0]} delivered it, but its result is {newest.result}: {newest.reason}"] += 1
                fine = any(text in newest.reason for text in BY_DECISION)
                assert fine, f"{key} was sold and lost: {newest.result}, {newest.reason}"

    def _last_outcomes(self, ledger: Ledger) -> dict[str, tuple[str, str]]:
        c = t.record.c
        with ledger.database.read() as connection:
            rows = connection.execute(sa.select(c.crm_id, c.outcome, c.reason).order_by(c.id)).all()
        return {row.crm_id: (str(row.outcome), row.reason) for row in rows}

    def _judge_values(self, record_id: str, state: State, end: tuple[str, str], reasons: Counter[str]) -> None:
        """The record's outcome explains each empty field whose value a vendor sold."""
        outcome, reason = end
        reason += str(state.get(ERROR) or "")  # a write whose answer was lost has told the reason too
        written = {one[1:3] for one in self._written}
        paid = {value for one in self.purchases().values() for value in self._bought(one.key) if value}
        for name, channel in _channels(record_id):
            if state.get(name) or state.get(OPT_OUTS[name]):
                continue
            if paid & self.values_for(record_id, state, name):
                explained = channel.replace("_", " ") in reason or (record_id, name) in written
                lost = not explained and self._flag_editors.get(record_id) == "api"
                assert not lost, f"{record_id}: {name} was sold and lost"
                reasons[f"{channel} empty though sold: {outcome}: {reason}"] += 1

    def _bought(self, key: Key) -> list[str | None]:
        vendor, person, kind = key
        if vendor == "salesfinity":
            return sold(self.by_name[person], KINDS[vendor, kind])[-1:]
        state, value = self.world.lensmor.shown_state("default", person, kind)
        return (
            [value.replace(" ", "") if kind == "phone" else value] if state in {"unlocked", "ready"} and value else []
        )

    def permitted_doubles(self) -> set[Key]:
        """Repeated purchases that were allowed: the refresh period had passed, or an operator had decided so."""
        charges: dict[Key, list[float]] = {}
        for charge in self.world.charges.entries:
            charges.setdefault((charge.vendor, charge.person, charge.kind), []).append(charge.at)
        decisions = Counter(key for key, _ in self.allowed)
        permitted: set[Key] = set()
        for key, times in charges.items():
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            if sum(gap < self.shortest_refresh_s for gap in gaps) <= decisions[key]:
                permitted.add(key)
        return permitted


# Outcomes that explain a flag at the end of a history, with a part of their reason. All others are faults.
EXPLAINED = {
    "waiting": "has not finished yet",  # the task never ends
    "deferred": "but this ledger did not write it",  # the record was forgotten, or an undo restored its status
}


def _channels(record_id: str) -> list[tuple[str, str]]:
    """The record's mapped fields with their channels."""
    return [item for item in FIELDS.items() if item[0] != "Personal_Email__c" or record_id.startswith("003")]


def sold(person: SimPerson, name: str) -> list[str | None]:
    """The vendors' values of a person for this field, as the connector writes them."""
    if name == "MobilePhone":
        return [None if person.phone is None else person.phone.replace(" ", "")]
    return [person.email, person.work_email] if name == "Email" else [person.personal_email]


def _day(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d")


def _is_before(older: Any, newest: Any) -> bool:  # noqa: ANN401 rows of a query
    """Whether an older purchase was final when the newest was sent."""
    return newest.created_at is None or older.final_at <= newest.created_at
