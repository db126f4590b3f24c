"""A ledger for tests, in memory or in a file, and the steps that many tests share."""

import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from persons import person_with, pid
from state_moves import guard_moves

from connector.core.identifiers import LINKEDIN
from connector.core.model import Channel, Identifier, Outcome, Person, Prices, Purchase, PurchaseKey, Result
from connector.core.person import Source
from connector.core.plan import Buy, Decision
from connector.core.states import PurchaseState
from connector.providers.lensmor.identifiers import EVENT_ID, PERSONNEL_ID
from connector.store import tables as t
from connector.store.credits import CapRules
from connector.store.database import Database
from connector.store.ledger import Ledger
from connector.store.planned import PlannedChannel, PlannedRecord, PlanScope
from connector.store.record_views import EndedChannel, Finish
from connector.store.rows import (
    Batch,
    BudgetExhausted,
    CheckRow,
    FinalResult,
    PurchaseGroup,
    RequestAnswer,
    RequestRefusal,
    RereadRow,
    TaskRow,
)
from connector.store.seal import Seal

KEY = "C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0="
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
EMAIL, PHONE = Channel.WORK_EMAIL, Channel.PHONE
PRICE = 15
LENSMOR = Source("lensmor", "default", Prices({EMAIL: PRICE, PHONE: 150}), (PERSONNEL_ID,), (LINKEDIN,), EVENT_ID)
NO_CAPS = CapRules()
RUN = "run-1"
OPEN_STATES = ("submitting", "submitted", "unknown")


@functools.cache
def _migrated() -> bytes:
    """A migrated ledger's bytes: copying them is faster than migrating for each test."""
    database = Database("sqlite://")
    database.migrate()
    guard_moves(database)
    with database.read() as connection:
        return bytes(_driver(connection).serialize())


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found


def open_ledger_at(path: Path | None, keys: Sequence[str] = (KEY,)) -> Ledger:
    """A migrated ledger; None keeps it in memory."""
    database = Database("sqlite://" if path is None else f"sqlite:///{path}")
    if path is None:
        with database.engine.connect() as connection:
            _driver(connection).deserialize(_migrated())
    else:
        database.migrate()
        guard_moves(database)
    return Ledger(database, Seal(list(keys)), path)


def buying(person: str, channel: Channel = EMAIL, generation: int = 1, event: str | None = None) -> Buy:
    """The decision to buy from Lensmor."""
    return Buy(
        PurchaseKey("lensmor", "default", channel, pid(person)), generation, event, LENSMOR.prices.of(channel), 0
    )


def planned(
    crm_id: str,
    *decisions: Decision,
    baseline: str | None = None,
    person: Person | None = None,
    resolved: str | None = None,
) -> PlannedRecord:
    """A record with one decision per channel, beginning with the work email."""
    channels = [PlannedChannel(channel, d, baseline) for channel, d in zip((EMAIL, PHONE), decisions, strict=False)]
    return PlannedRecord(
        crm_id, person or person_with(), tuple(channels), {} if resolved is None else {PERSONNEL_ID.name: resolved}
    )


@dataclass
class LedgerHarness:
    """A ledger with a clock that moves only on request."""

    ledger: Ledger = field(default_factory=lambda: open_ledger_at(None))
    now: datetime = START

    def pass_time(self, seconds: float = 1.0) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    # -- actions -----------------------------------------------------------------------------------------------

    def save(self, *records: PlannedRecord, run: str = RUN, mapping: str = "lead") -> None:
        self.ledger.planning.save(PlanScope(run, mapping, "Lead", "salesforce"), records, self.now)

    def plan(self, *people: str, run: str = RUN, mapping: str = "lead", event: str | None = None) -> list[int]:
        """Plan a work email for one record of each person; returns the purchase ids."""
        self.save(*(planned(f"{mapping}-{p}", buying(p, event=event)) for p in people), run=run, mapping=mapping)
        return [self.id_of(person) for person in people]

    def take(
        self, rules: CapRules = NO_CAPS, size: int = 100, run: str = RUN, event: str | None = None
    ) -> Batch | BudgetExhausted | None:
        return self.ledger.attempts.take(LENSMOR, PurchaseGroup(EMAIL, event, size), run, "me", rules, self.now)

    def batch(self, rules: CapRules = NO_CAPS, size: int = 100, run: str = RUN) -> Batch:
        """Take a batch; fails if there is none."""
        taken = self.take(rules, size, run)
        assert isinstance(taken, Batch), taken
        return taken

    def accept(
        self,
        batch: Batch,
        task: str | None = "task-1",
        check: dict[int, bool] | None = None,
        gone: dict[int, str] | None = None,
        back: Sequence[int] = (),
    ) -> None:
        answer = RequestAnswer(batch.attempt_id, task, check or {}, gone or {}, back)
        self.ledger.answers.accept(answer, self.now, self.now)

    def refuse(self, batch: Batch, *purchase_ids: int, whole: bool = True) -> None:
        ids = purchase_ids or tuple(batch.purchases.values())
        self.ledger.answers.give_back(RequestRefusal(batch.attempt_id, ids, "refused", whole=whole), self.now)

    def lose(self, batch: Batch) -> None:
        self.ledger.answers.lost(batch.attempt_id, self.now, self.now)

    def finalize(
        self, *purchase_ids: int, result: Result = Result.DELIVERED, charged: bool = True, value: str | None = None
    ) -> list[int]:
        if value is None and result is Result.DELIVERED:
            value = "ada@example.com"
        results = [FinalResult(each, result, "", value, charged=charged) for each in purchase_ids]
        return self.ledger.results.finalize(results, self.now)

    def allow_repeat(self, purchase_id: int) -> None:
        self.ledger.results.allow_repeat(self.check_row(purchase_id), "no trace", self.now)

    def finish(self, record_id: int, *record_channel_ids: int, closes: bool = True) -> None:
        channels = dict.fromkeys(record_channel_ids, (Outcome.DELIVERED, ""))
        finish = Finish(record_id, Outcome.DELIVERED, "", channels, closes=closes)
        self.ledger.records.finish(RUN, [finish], self.now)

    def ended(self, run: str = RUN, mapping: str = "lead") -> list[EndedChannel]:
        """All channels of a run whose purchase is final."""
        return [one for page in self.ledger.ended.all(run, mapping) for one in page]

    def mark_ready(self, run: str = RUN) -> None:
        """Mark the channels of a run as ready whose value is stored."""
        self.ledger.ended.mark_ready([one for one in self.ended(run) if one.has_value])

    # -- due work ----------------------------------------------------------------------------------------------

    def due_tasks(self, at: datetime | None = None, *, older: bool = False) -> list[TaskRow]:
        """The due tasks for a run that began at `START`."""
        return self.ledger.polls.due_tasks(LENSMOR, at or self.now, START, older=older)

    def due_checks(self, at: datetime | None = None) -> list[CheckRow]:
        return self.ledger.polls.due_checks(LENSMOR, at or self.now)

    def due_rereads(self, run: str) -> list[RereadRow]:
        return self.ledger.results.due_rereads(LENSMOR, run)

    def groups(self) -> list[PurchaseGroup]:
        return self.ledger.attempts.groups(LENSMOR, RUN, self.now)

    # -- queries -----------------------------------------------------------------------------------------------

    def rows(self, query: sa.Executable) -> list[dict[str, object]]:
        with self.ledger.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def all(self, table: sa.Table) -> list[dict[str, object]]:
        return self.rows(sa.select(table).order_by(*table.primary_key))

    def id_of(self, person: str, channel: Channel = EMAIL) -> int:
        """The id of a person's newest purchase."""
        p = t.purchase.c
        query = sa.select(p.id).where(p.person == person, p.channel == channel.value).order_by(p.generation.desc())
        with self.ledger.database.read() as connection:
            return int(connection.execute(query.limit(1)).scalar_one())

    def purchase(self, purchase_id: int) -> dict[str, object]:
        (row,) = self.rows(sa.select(t.purchase).where(t.purchase.c.id == purchase_id))
        return row

    def known_purchase(self, person: str, channel: Channel = EMAIL) -> Purchase:
        """A person's newest purchase in the planning snapshot."""
        return self.ledger.snapshots.purchases_of(LENSMOR, [pid(person)])[
            PurchaseKey("lensmor", "default", channel, pid(person))
        ]

    def states(self, *purchase_ids: int) -> list[object]:
        return [self.purchase(each)["state"] for each in purchase_ids]

    def entries(self) -> list[tuple[object, object]]:
        """(kind, credits) of every entry, in order."""
        return [(row["kind"], row["credits"]) for row in self.all(t.entry)]

    def used(self) -> int:
        """Credits that count against caps: holds minus releases."""
        return sum(totals.used for totals in self.ledger.credits.totals().values())

    def check_row(self, purchase_id: int) -> CheckRow:
        row = self.purchase(purchase_id)
        return CheckRow(
            purchase_id,
            "lensmor",
            EMAIL,
            Identifier(str(row["person_kind"]), str(row["person"])),
            PurchaseState(str(row["state"])),
            int(str(row["checks"])),
            int(str(row["resubmitted"])),
            str(row["reason"]),
        )

    def channels(self, crm_id: str) -> list[dict[str, object]]:
        """The channels of a CRM record, in the order in which they were saved."""
        join = t.record_channel.join(t.record, t.record.c.id == t.record_channel.c.record_id)
        return self.rows(
            sa.select(t.record_channel)
            .select_from(join)
            .where(t.record.c.crm_id == crm_id)
            .order_by(t.record_channel.c.id)
        )

    def record_id(self, crm_id: str) -> int:
        (row,) = self.rows(sa.select(t.record.c.id).where(t.record.c.crm_id == crm_id, t.record.c.state == "open"))
        return int(str(row["id"]))

    def assert_accounting_closes(self) -> None:
        assert self.ledger.credits.imbalance() == ""
