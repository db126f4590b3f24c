"""The verdict after the last kill, from the vendors' ledgers, the org's records and the connector's ledger."""

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
class LedgerFigures:
    """Figures of the connector's ledger, read without the connector.

    Attributes:
        unknown: (vendor, channel, person) of the unknown purchases.
        stray_holds: Open holds without an open purchase.
        dormant_holds: Holds of lost requests that may be repeated but that no record needs; presumed charged after a
            day.
        used: Credits spent or held, by vendor.
        lost_answers: Paid requests whose answer never arrived.
        requests: All paid requests.
    """

    unknown: frozenset[tuple[str, str, str]]
    stray_holds: int
    dormant_holds: int
    used: Counter[str]
    lost_answers: int
    requests: int

    @classmethod
    def read(cls, path: Path) -> "LedgerFigures":
        """Read a ledger with SQLite alone."""
        connection = sqlite3.connect(path)
        try:
            unknown = connection.execute("select provider, channel, person from purchase where state = 'unknown'")
            holds = connection.execute(
                "select state = 'planned' and hold != 'open' and not exists (select 1 from record_channel "
                "where record_channel.purchase_id = purchase.id and record_channel.state != 'done') from purchase "
                "where (hold = 'open' or prior_hold = 'open') and state != 'unknown'"
            )
            dormant = Counter(bool(row[0]) for row in holds)
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
    """The faults that were found; every list must be empty.

    Attributes:
        doubles: Double charges of a vendor.
        lost_values: Fields that lack a vendor's value without a reason.
        unlawful: Fields with a value that must not be there.
        lost_edits: Edits that the connector had read and overwrote.
        blind_edits: Number of edits in the seconds between compare and write.
        stale_statuses: Records whose status says "In progress" although no work is open.
        unrecorded: Credits that a vendor charged and the ledger does not have, by vendor.
        excused: Number of fields that wait for an unknown answer.
    """

    doubles: list[tuple[str, str, str]]
    lost_values: list[str]
    unlawful: list[str]
    lost_edits: list[str]
    blind_edits: int
    stale_statuses: list[str]
    unrecorded: dict[str, int]
    excused: int


class Judge:
    """Judges the whole world once.

    Args:
        simulator: The world, with the vendors' own ledgers.
        population: The people, their records and the expected values.
        people: The edits.
        figures: The figures of the connector's ledger.
    """

    def __init__(self, simulator: Simulator, population: Population, people: People, figures: LedgerFigures) -> None:
        self._simulator, self._population, self._people, self._figures = simulator, population, people, figures
        self._lost_values: list[str] = []
        self._unlawful: list[str] = []
        self._lost_edits: list[str] = []
        self._stale_statuses: list[str] = []
        self._excused = 0

    def verdict(self) -> Verdict:
        """Check every record, edit and charge."""
        trespasses = self._people.trespasses()
        blind = {(t.edit.entry.record_id, t.field) for t in trespasses if not t.warned}
        self._lost_edits += [f"{t.field} of {t.edit.entry} after {t.edit}" for t in trespasses if t.warned]
        guarded = self._people.guarded()
        for entry in self._population.entries:
            now = self._simulator.salesforce.org.get(entry.object_name, entry.record_id)
            self._stale_statuses += [f"{name} of {entry}" for name in STATUS_FIELDS if now[name] == "In progress"]
            for field in VALUE_FIELDS:
                key = (entry.record_id, field)
                if key in guarded:
                    self._judge_edit(guarded[key], field, now[field], is_blind=key in blind)
                else:
                    self._judge_value(entry, field, now[field])
        charges = self._simulator.charges
        used = self._figures.used
        unrecorded = {name: charges.total(name) - used[name] for name in ("lensmor", "salesfinity")}
        return Verdict(
            charges.doubles(),
            self._lost_values,
            self._unlawful,
            self._lost_edits,
            len(blind),
            self._stale_statuses,
            {name: missing for name, missing in unrecorded.items() if missing > 0},
            self._excused,
        )

    def _judge_edit(self, edit: Edit, field: str, now: object, *, is_blind: bool) -> None:
        if edit.value is not None and now != edit.value and not is_blind:
            self._lost_edits.append(f"{field} of {edit.entry}: {edit.value} became {now}")

    def _judge_value(self, entry: Entry, field: str, now: object) -> None:
        due = self._population.due(entry, field)
        if now == due:
            return
        if now == entry.first[field] and self._is_unknown(entry, field):
            self._excused += 1
        elif now in {None, entry.first[field]}:
            self._lost_values.append(f"{field} of {entry}: {due} is missing")
        else:
            self._unlawful.append(f"{field} of {entry}: {now} stands there, not {due}")

    def _is_unknown(self, entry: Entry, field: str) -> bool:
        """Whether the field depends on a lost answer that the vendor's own record does not show either."""
        channel = CHANNELS[field]
        for vendor in SOURCES[field]:
            person = entry.person.personnel_id if vendor == "lensmor" else entry.person.linkedin_name or ""
            if (vendor, channel, person) in self._figures.unknown:
                paid = vendor == "lensmor" and self._simulator.charges.count(vendor, person, KINDS[channel]) > 0
                return not paid  # this vendor shows purchases, so the connector should have found it
        return False
