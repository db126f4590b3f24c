"""What people do to their records meanwhile, and whether the connector has respected it."""

import itertools
import random
from dataclasses import dataclass

from kill_population import Entry, Population
from kill_sites import Sites

from connector.simulator.server import Simulator

EMAIL_FIELDS = ("Email", "Personal_Email__c")


@dataclass(frozen=True)
class Edit:
    """One person's change of one record.

    Attributes:
        at: simulated time at which it was certainly done.
        guards: value fields that the connector must leave alone from now on.
        value: what the person put into them; None for an opt-out, after which they stay as they are.
    """

    entry: Entry
    at: float
    guards: tuple[str, ...]
    value: str | None


@dataclass(frozen=True)
class Trespass:
    """A change of a guarded field by the connector.

    Attributes:
        warned: the connector had read the record after the edit: it must not happen. Otherwise the edit fell into the
            seconds between compare and write, which the README names.
    """

    edit: Edit
    field: str
    warned: bool


class People:
    """The org's people at work; each record is touched once at most."""

    def __init__(self, simulator: Simulator, population: Population, sites: Sites, chance: random.Random) -> None:
        self.edits: list[Edit] = []
        self._clock, self._org = simulator.clock, simulator.salesforce.org
        self._town, self._sites, self._chance = population, sites, chance
        self._touched: set[str] = set()

    def edit_one(self) -> None:
        """Somebody fills in a value by hand, or forbids to be written to."""
        free = [e for e in self._town.entries if e.habit == "plain" and e.record_id not in self._touched]
        if not free:
            return
        entry = self._chance.choice(free)
        self._touched.add(entry.record_id)
        act = self._chance.choice(["email", "email", "phone", "phone", "personal", "opt out", "do not call"])
        guards, values = self._change(act, entry)
        self._org.edit(entry.object_name, entry.record_id, values)
        value = next((text for text in values.values() if isinstance(text, str)), None)
        self.edits.append(Edit(entry, self._clock.now(), guards, value))

    def _change(self, act: str, entry: Entry) -> tuple[tuple[str, ...], dict[str, object]]:
        number = len(self.edits)
        if act == "phone":
            return ("MobilePhone",), {"MobilePhone": f"+1 310 555 {number:04d}"}
        if act == "personal" and entry.object_name == "Contact":
            return ("Personal_Email__c",), {"Personal_Email__c": f"by.hand.{number}@example.com"}
        if act == "opt out":
            return EMAIL_FIELDS, {"HasOptedOutOfEmail": True}
        if act == "do not call":
            return ("MobilePhone",), {"DoNotCall": True}
        return ("Email",), {"Email": f"by.hand.{number}@example.com"}

    def trespasses(self) -> list[Trespass]:
        """Every change of a guarded field that the connector made after its edit, by the org's own history."""
        found: list[Trespass] = []
        for edit in self.edits:
            entry = edit.entry
            history = self._org.history(entry.object_name, entry.record_id)
            after = itertools.dropwhile(lambda update: update.who != "person", history)
            for update in after:
                changed = [field for field in edit.guards if field in update.changes]
                if update.who == "api" and changed:
                    reads = [at for at in self._sites.reads[entry.record_id] if at < update.at]
                    found.append(Trespass(edit, changed[0], warned=bool(reads) and reads[-1] > edit.at))
        return found

    def guarded(self) -> dict[tuple[str, str], Edit]:
        """By record id and field, who looks after it."""
        return {(edit.entry.record_id, field): edit for edit in self.edits for field in edit.guards}
