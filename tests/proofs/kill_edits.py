"""Edits of people during the runs, and the check that the connector respects them."""

import itertools
import random
from dataclasses import dataclass

from kill_population import Entry, Population
from kill_sites import Sites

from connector.simulator.server import Simulator

EMAIL_FIELDS = ("Email", "Personal_Email__c")


@dataclass(frozen=True)
class Edit:
    """A person's edit of one record.

    Attributes:
        at: Simulated time at which the edit was certainly done.
        guards: Value fields that the connector must not change from then on.
        value: The entered value; None for an opt-out, after which the fields stay unchanged.
    """

    entry: Entry
    at: float
    guards: tuple[str, ...]
    value: str | None


@dataclass(frozen=True)
class Trespass:
    """A change of a guarded field by the connector.

    Attributes:
        warned: Whether the connector had read the record after the edit, so that the change is a fault. Otherwise the
            edit
            was in the seconds between compare and write, which the README describes.
    """

    edit: Edit
    field: str
    warned: bool


class People:
    """The people of the org; they edit each record at most once."""

    def __init__(self, simulator: Simulator, population: Population, sites: Sites, chance: random.Random) -> None:
        self.edits: list[Edit] = []
        self._clock, self._org = simulator.clock, simulator.salesforce.org
        self._population, self._sites, self._chance = population, sites, chance
        self._touched: set[str] = set()

    def edit_one(self) -> None:
        """Enter a value in a record, or opt the record out."""
        free = [e for e in self._population.entries if e.habit == "plain" and e.record_id not in self._touched]
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
        """The connector's later changes of guarded fields, from the org's own history."""
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
        """(record id, field) -> the edit that guards it."""
        return {(edit.entry.record_id, field): edit for edit in self.edits for field in edit.guards}
