"""Credit entries, observed balances and the remaining budget."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from connector.core.errors import AccountingError
from connector.core.model import Result
from connector.core.person import Source
from connector.core.spend import Cap, EntryKind, Totals, tightest
from connector.core.states import PurchaseState
from connector.store import accounting, monitoring, monthly_spend, totals
from connector.store import tables as t
from connector.store.database import Database
from connector.store.totals import UNSEEN

BALANCE = "balance at the vendor"
_E, _O, _P = t.entry.c, t.observation.c, t.purchase.c
_NEWEST_ENTRY = sa.select(sa.func.coalesce(sa.func.max(_E.id), 0))
_LAST_SEEN = (
    sa.select(_O.balance, _O.last_entry)
    .where(_O.provider == sa.bindparam("provider"), _O.account == sa.bindparam("account"))
    .order_by(_O.id.desc())
    .limit(1)
)
_CHARGES = (
    _E.provider == sa.bindparam("provider"),
    _E.account == sa.bindparam("account"),
    _E.kind == EntryKind.CHARGE.value,
)
_CHARGED_SINCE = sa.select(sa.func.coalesce(sa.func.sum(_E.credits), 0)).where(
    _E.id > sa.bindparam("last_entry"), *_CHARGES
)
_SEEN = _LAST_SEEN.subquery("seen")
_BALANCE_NOW = sa.select(
    _SEEN.c.balance,
    sa.select(sa.func.coalesce(sa.func.sum(_E.credits), 0))
    .where(_E.id > _SEEN.c.last_entry, *_CHARGES)
    .correlate(_SEEN)
    .scalar_subquery()
    .label("charged"),
)
_ADD_ENTRY = sa.insert(t.entry)
_OF_PLAN = sa.select(t.run.c.id).where(t.run.c.plan_id == sa.bindparam("plan_id"))


@dataclass(frozen=True, slots=True)
class CapRules:
    """Every limit on purchases from one provider in one run, in credits; None or a missing key means no limit.

    Attributes:
        run: by mapping, for this run.
        mapping_day: by mapping, for the day.
        day: for the day, over all mappings and runs.
        month: for the month, over all mappings and runs.
        reserve: the part of the vendor's balance that is never spent.
        plan_id: the frozen plan that the run applies; all runs of a plan count as one run.
        ceiling: the most that the plan may hold or spend, over all mappings.
    """

    run: Mapping[str, int] = field(default_factory=dict)
    mapping_day: Mapping[str, int] = field(default_factory=dict)
    day: int | None = None
    month: int | None = None
    reserve: int = 0
    plan_id: str | None = None
    ceiling: int | None = None


@dataclass(frozen=True, slots=True)
class RemainingBudget:
    """The caps with their current use: those over all mappings, and those of each mapping."""

    shared: tuple[Cap, ...]
    by_mapping: Mapping[str, tuple[Cap, ...]]

    def tightest(self, mapping: str) -> Cap | None:
        """The cap that leaves this mapping the least; None if no cap applies."""
        return tightest([*self.shared, *self.by_mapping.get(mapping, ())])

    def allows(self, mapping: str, price: int) -> bool:
        """Whether every cap allows this mapping another purchase at this price."""
        cap = self.tightest(mapping)
        return cap is None or cap.left >= price


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to append."""

    attempt_id: str
    mapping: str
    kind: EntryKind
    credits: int


def budget_day(now: datetime) -> str:
    """The UTC day whose caps a hold counts against."""
    return now.strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Payer:
    """The budget of an attempt's entries: its account, its run, and the day of its hold."""

    provider: str
    account: str
    run_id: str
    budget_day: str

    @classmethod
    def of(cls, attempt: sa.Row[tuple[object, ...]]) -> "Payer":
        """Build it from a row of `attempt`."""
        return cls(attempt.provider, attempt.account, attempt.run_id, attempt.budget_day)


def append(connection: sa.Connection, payer: Payer, entries: Iterable[NewEntry], now: datetime) -> int | None:
    """Append entries and add them to the running totals; those of zero credits are left out.

    Returns:
        The number of the entry, if it is only one.
    """
    entries = [entry for entry in entries if entry.credits]
    rows = [
        {
            "at": now,
            "budget_day": payer.budget_day,
            "provider": payer.provider,
            "account": payer.account,
            "mapping": entry.mapping,
            "run_id": payer.run_id,
            "attempt_id": entry.attempt_id,
            "kind": entry.kind.value,
            "credits": entry.credits,
        }
        for entry in entries
    ]
    if not rows:
        return None
    inserted = connection.execute(_ADD_ENTRY, rows if len(rows) > 1 else rows[0])
    account = (payer.provider, payer.account)
    totals.add(
        connection,
        (totals.Amount(*account, e.mapping, payer.budget_day, payer.run_id, e.kind, e.credits) for e in entries),
    )
    amounts = ((entry.mapping, entry.kind, entry.credits) for entry in entries)
    monthly_spend.add(connection, payer.provider, payer.budget_day, amounts)
    reversed_ = -sum(min(0, one.credits) for one in entries if one.kind is EntryKind.CHARGE)
    if reversed_:
        monitoring.charge_reversed(connection, payer.provider, reversed_)
    key = inserted.inserted_primary_key if len(rows) == 1 else None
    return None if key is None else int(key[0])


def remaining_budget(
    connection: sa.Connection, provider: str, account: str, run_id: str, rules: CapRules, now: datetime
) -> RemainingBudget:
    """Compute what each cap still allows, inside the transaction that will take the hold."""
    today = budget_day(now)
    used = totals.used(connection, provider, account, _same_run(connection, run_id, rules.plan_id), today)
    shared: list[Cap] = []
    if rules.ceiling is not None:
        shared.append(Cap("ceiling of the plan", rules.ceiling, used.of("run")))
    if rules.day is not None:
        shared.append(Cap("daily cap over all runs", rules.day, used.of("day")))
    if rules.month is not None:
        shared.append(Cap("monthly cap over all runs", rules.month, used.of("month")))
    balance = _balance(connection, provider, account, rules.reserve, used.of("held"))
    if balance is not None:
        shared.append(balance)
    by_mapping: dict[str, tuple[Cap, ...]] = {}
    for mapping in {*rules.run, *rules.mapping_day}:
        caps: list[Cap] = []
        if mapping in rules.run:
            caps.append(Cap(f"cap of mapping {mapping} per run", rules.run[mapping], used.of("run", mapping)))
        if mapping in rules.mapping_day:
            caps.append(Cap(f"cap of mapping {mapping} per day", rules.mapping_day[mapping], used.of("day", mapping)))
        by_mapping[mapping] = tuple(caps)
    return RemainingBudget(tuple(shared), by_mapping)


def select_affordable(rows: Iterable[tuple[int, Collection[str], int]], limits: RemainingBudget) -> dict[int, str]:
    """Select the purchases that every cap allows, in order; returns the paying mapping by purchase id.

    Each row is (id, mappings, price). Of the mappings, the one with the most budget left pays.
    """
    shared = tightest(list(limits.shared))
    left_shared = None if shared is None else shared.left
    left: dict[str, float] = {}
    payers: dict[int, str] = {}
    for purchase_id, mappings, price in rows:
        for mapping in mappings:
            if mapping not in left:
                cap = tightest(list(limits.by_mapping.get(mapping, ())))
                left[mapping] = math.inf if cap is None else cap.left
        payer = max(sorted(mappings), key=left.__getitem__)
        if (left_shared is not None and price > left_shared) or price > left[payer]:
            continue
        left_shared = None if left_shared is None else left_shared - price
        left[payer] -= price
        payers[purchase_id] = payer
    return payers


def _same_run(connection: sa.Connection, run_id: str, plan_id: str | None) -> list[str]:
    """The runs that count as this one: all that apply the same plan."""
    if plan_id is None:
        return [run_id]
    return list(connection.scalars(_OF_PLAN, {"plan_id": plan_id}))


def _balance(connection: sa.Connection, provider: str, account: str, reserve: int, held: int) -> Cap | None:
    """The last observed balance as a cap: minus the reserve, the charges since then, and all open holds.

    Vendors do not document when they charge, so a hold counts against the balance even if the vendor has charged it
    already: the error is on the safe side and ends with the next observation.
    """
    seen = connection.execute(_BALANCE_NOW, {"provider": provider, "account": account}).one_or_none()
    return None if seen is None else Cap(BALANCE, seen.balance - reserve, int(seen.charged) + held)


class Credits:
    """Observed balances and totals, for reports and commands."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def newest_entry(self) -> int:
        """The id of the newest entry; read it before a balance is requested."""
        with self._db.read() as connection:
            return int(connection.scalar(_NEWEST_ENTRY) or 0)

    def observe(
        self, provider: str, account: str, run_id: str, balance: int, began_at: datetime, last_entry: int
    ) -> int:
        """Store a balance from the vendor; returns the observation's id."""
        with self._db.write() as connection:
            seen = monitoring.Balance(balance, began_at)
            monitoring.balance_seen(self._db, connection, provider, account, seen)
            inserted = connection.execute(
                sa.insert(t.observation).values(
                    provider=provider,
                    account=account,
                    run_id=run_id,
                    began_at=began_at,
                    last_entry=last_entry,
                    balance=balance,
                )
            )
            key = inserted.inserted_primary_key
            if key is None:
                raise AccountingError("the ledger gave a new observation no number")
            return int(key[0])

    def unseen_charges(self, provider: str, account: str, balance: int, run_id: str) -> int:
        """Credits by which the balance fell without an entry, since the last observation of earlier runs."""
        o = t.observation.c
        mine = (o.provider == provider, o.account == account)
        with self._db.read() as connection:
            seen = connection.execute(
                sa.select(o.balance, o.last_entry).where(*mine, o.run_id != run_id).order_by(o.id.desc()).limit(1)
            ).one_or_none()
            if seen is None:
                return 0
            account_of = {"provider": provider, "account": account, "last_entry": seen.last_entry}
            charged = connection.scalar(_CHARGED_SINCE, account_of)
        return max(0, int(seen.balance) - int(charged or 0) - balance)

    def remaining_budget(
        self, provider: str, account: str, run_id: str, rules: CapRules, now: datetime
    ) -> RemainingBudget:
        """Forecast what the caps allow; only `Attempts.take` checks and holds in one transaction."""
        with self._db.read() as connection:
            return remaining_budget(connection, provider, account, run_id, rules, now)

    def used_on(self, source: Source, now: datetime) -> int:
        """The credits of a day at one account: holds without their releases."""
        with self._db.read() as connection:
            return totals.used(connection, source.name, source.account, (), budget_day(now)).of("day")

    def totals(self, run_id: str | None = None) -> dict[str, Totals]:
        """Sums by provider, for one run or for all."""
        if run_id is None:
            with self._db.read() as connection:
                return monthly_spend.by_provider(connection)
        e = t.entry.c
        query = sa.select(e.provider, e.kind, sa.func.sum(e.credits)).where(e.run_id == run_id)
        query = query.group_by(e.provider, e.kind)
        with self._db.read() as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        return {provider: _totals([row for row in rows if row[0] == provider]) for provider in {r[0] for r in rows}}

    def held(self) -> dict[str, int]:
        """Credits by provider that are held and neither charged nor released."""
        with self._db.read() as connection:
            return totals.open_by_provider(connection)

    def imbalance(self) -> str:
        """Describe contradictions between the entries, the purchases and the totals of the whole ledger.

        Returns:
            An empty text if the accounting closes.
        """
        with self._db.read() as connection:
            return imbalance(connection)

    def check(self, since_entry: int) -> str:
        """Describe contradictions of the requests with later entries, and of the totals since their last check.

        The cost depends on these entries only, not on the size of the ledger. Totals without a difference count as
        checked. Returns an empty text if the accounting closes.
        """
        with self._db.read() as connection:
            wrong = accounting.contradictions(connection, since_entry)
        with self._db.write() as connection:
            return accounting.summary([*wrong, *totals.check(self._db, connection)])

    def open_imbalance(self) -> str:
        """Describe contradictions between the sums and the open purchases; empty if there is none.

        Unlike `imbalance`, this reads no entry, so its cost does not grow with the ledger.
        """
        with self._db.read() as connection:
            held = {provider: found.open for provider, found in monthly_spend.by_provider(connection).items()}
            by_totals = totals.open_by_provider(connection)
            return accounting.summary(accounting.open_contradictions(connection, held, by_totals))

    def by_month(self) -> list[tuple[str, str, str, Totals]]:
        """(month, provider, mapping, totals), newest month first."""
        with self._db.read() as connection:
            found = monthly_spend.by_month(connection)
        return [(*key, found[key]) for key in sorted(found, reverse=True)]

    def cost_of_values(self) -> list[tuple[str, str, int, int]]:
        """(provider, channel, delivered, credits) of all charged purchases, over the whole history."""
        u = t.purchase.c
        delivered = sa.func.sum(sa.case((u.result == Result.DELIVERED.value, 1), else_=0))
        query = (
            sa.select(u.provider, u.channel, delivered, sa.func.sum(u.charged_credits))
            .where(u.state == PurchaseState.FINAL.value, u.charged_credits > 0)
            .group_by(u.provider, u.channel)
            .order_by(u.provider, u.channel)
        )
        with self._db.read() as connection:
            return [(p, c, int(n), int(credits_)) for p, c, n, credits_ in connection.execute(query)]

    def charged_since(self, since_entry: int, mappings: Collection[str] | None = None) -> dict[str, int]:
        """Credits by provider that were charged during a run, including those of older attempts.

        Args:
            since_entry: the newest entry when the run began.
            mappings: only charges of these mappings, if other runs are possible at the same time.
        """
        e = t.entry.c
        mine = [] if mappings is None else [e.mapping.in_(mappings)]
        name = sa.func.coalesce(e.provider, sa.literal_column("''"))  # SQLite would read every entry for its index
        query = (
            sa.select(name, sa.func.sum(e.credits))
            .where(e.id > since_entry, e.kind == EntryKind.CHARGE.value, e.mapping != UNSEEN, *mine)
            .group_by(name)
        )
        with self._db.read() as connection:
            return {provider: int(charged) for provider, charged in connection.execute(query)}


def imbalance(connection: sa.Connection) -> str:
    """Describe contradictions in the whole ledger within a transaction; see `Credits.imbalance`."""
    return accounting.summary(
        [
            *accounting.contradictions(connection, 0),
            *totals.differences(connection),
            *monthly_spend.differences(connection),
        ]
    )


def _totals(rows: list[tuple[object, ...]]) -> Totals:
    sums = {str(row[-2]): int(str(row[-1])) for row in rows}
    return Totals(sums.get("hold", 0), sums.get("charge", 0), sums.get("release", 0))
