"""The verdict after the last kill: by the vendors' own books, the org's own records, the connector's own ledger."""

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kill_edits import Edit, People
from kill_population import VALUE_FIELDS, Entry, Population

from connector.simulator.server import Simulator

CHANNELS = {"Email": "work_email", "MobilePhone": "phone", "Personal_Email__c": "personal_email"}
SOURCES = {"Email": ("lensmor", "salesfinity"), "MobilePhone": ("lensmor",), "Personal_Email__c": ("salesfinity",)}
STATUS_FIELDS = ("Email_Unlock_Status__c", "Phone_Unlock_Status__c")
KINDS = {"work_email": "email", "phone": "phone"}


@dataclass(frozen=True)
class Books:
    """The connector's ledger as another program reads it.

    Attributes:
        unknown: (vendor, channel, person) that nobody can tell the fate of.
        stray_holds: holds that are open although nothing is.
        dormant_holds: holds of lost requests that may be repeated, and that nobody wants repeated any more; after a day
            the ledger presumes them charged.
        used: credits that it counts as spent or may be, by vendor.
        lost_answers: paid requests whose answer never arrived.
        requests: all paid requests.
    """

    unknown: frozenset[tuple[str, str, str]]
    stray_holds: int
    dormant_holds: int
    used: Counter[str]
    lost_answers: int
    requests: int

    @classmethod
    def read(cls, path: Path) -> "Books":
        """Read with nothing but SQLite."""
        connection = sqlite3.connect(path)
        try:
            unknown = connection.execute("select provider, channel, person from purchase where state = 'unknown'")
            told = connection.execute(
                "select state = 'planned' and hold != 'open' and not exists (select 1 from record_channel "
                "where record_channel.purchase_id = purchase.id and record_channel.state != 'done') from purchase "
                "where (hold = 'open' or prior_hold = 'open') and state != 'unknown'"
            )
            dormant = Counter(bool(row[0]) for row in told)
            spent = connection.execute(
                "select provider, sum(case kind when 'hold' then credits when 'release' then -credits else 0 end) "
                "from entry group by provider"
            )
            states = Counter(row[0] for row in connection.execute("select state from attempt"))
            return cls(
                frozenset(tuple(row) for row in unknown),
                dormant[False],
                dormant[True],
                Counter(dict(spent.fetchall())),
                states["lost"],
                states.total(),
            )
        finally:
            connection.close()


@dataclass(frozen=True)
class Verdict:
    """What is wrong; empty lists are the only good ones.

    Attributes:
        doubles: what a vendor has charged twice.
        lost_values: fields in which a vendor's value is missing, without excuse.
        unlawful: fields with something that must not be there.
        lost_edits: people's edits that are gone although the connector had seen them.
        blind_edits: how many fell into the seconds between compare and write.
        stale_words: records whose status says that work is in progress when none is.
        untold: credits that a vendor took and the ledger does not know of, by vendor.
        excused: fields that wait for an unknown answer.
    """

    doubles: list[tuple[str, str, str]]
    lost_values: list[str]
    unlawful: list[str]
    lost_edits: list[str]
    blind_edits: int
    stale_words: list[str]
    untold: dict[str, int]
    excused: int


class Judge:
    """Looks at everything once.

    Args:
        simulator: the world, with the vendors' own books.
        town: who should have what.
        people: who has changed what.
        books: the connector's.
    """

    def __init__(self, simulator: Simulator, population: Population, people: People, books: Books) -> None:
        self._simulator, self._town, self._people, self._books = simulator, population, people, books
        self._lost_values: list[str] = []
        self._unlawful: list[str] = []
        self._lost_edits: list[str] = []
        self._stale_words: list[str] = []
        self._excused = 0

    def verdict(self) -> Verdict:
        """The whole judgement."""
        trespasses = self._people.trespasses()
        blind = {(t.edit.entry.record_id, t.field) for t in trespasses if not t.warned}
        self._lost_edits += [f"{t.field} of {t.edit.entry} after {t.edit}" for t in trespasses if t.warned]
        guarded = self._people.guarded()
        for entry in self._town.entries:
            now = self._simulator.salesforce.org.get(entry.object_name, entry.record_id)
            self._stale_words += [f"{name} of {entry}" for name in STATUS_FIELDS if now[name] == "In progress"]
            for field in VALUE_FIELDS:
                key = (entry.record_id, field)
                if key in guarded:
                    self._look_at_edit(guarded[key], field, now[field], is_blind=key in blind)
                else:
                    self._look_at_value(entry, field, now[field])
        charges = self._simulator.charges
        used = self._books.used
        untold = {name: charges.total(name) - used[name] for name in ("lensmor", "salesfinity")}
        return Verdict(
            charges.doubles(),
            self._lost_values,
            self._unlawful,
            self._lost_edits,
            len(blind),
            self._stale_words,
            {name: missing for name, missing in untold.items() if missing > 0},
            self._excused,
        )

    def _look_at_edit(self, edit: Edit, field: str, now: object, *, is_blind: bool) -> None:
        if edit.value is not None and now != edit.value and not is_blind:
            self._lost_edits.append(f"{field} of {edit.entry}: {edit.value} became {now}")

    def _look_at_value(self, entry: Entry, field: str, now: object) -> None:
        due = self._town.due(entry, field)
        if now == due:
            return
        if now == entry.first[field] and self._is_unknown(entry, field):
            self._excused += 1
        elif now in {None, entry.first[field]}:
            self._lost_values.append(f"{field} of {entry}: {due} is missing")
        else:
            self._unlawful.append(f"{field} of {entry}: {now} stands there, not {due}")

    def _is_unknown(self, entry: Entry, field: str) -> bool:
        """Whether an answer is lost on which the field depends, and was not found out by the vendor's own books."""
        channel = CHANNELS[field]
        for vendor in SOURCES[field]:
            person = entry.person.personnel_id if vendor == "lensmor" else entry.person.linkedin_name or ""
            if (vendor, channel, person) in self._books.unknown:
                paid = vendor == "lensmor" and self._simulator.charges.count(vendor, person, KINDS[channel]) > 0
                return not paid  # this vendor shows what was bought: the connector should have found it
        return False
