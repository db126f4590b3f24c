"""Entries, balances observed, and what the caps still allow; all sums are derived, none is stored."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.errors import AccountingError
from connector.core.model import Result
from connector.core.spend import Cap, EntryKind, Hold, Totals, tightest
from connector.core.states import PurchaseState
from connector.store import tables as t
from connector.store.database import Database

BALANCE = "balance at the vendor"
UNSEEN = "older copy"  # the mapping of charges that a restored ledger does not know; no mapping has a space in its name
MOST_TOLD = 5  # of the requests whose entries do not add up
_E, _O, _P = t.entry.c, t.observation.c, t.purchase.c
_NEWEST_ENTRY = sa.select(sa.func.coalesce(sa.func.max(_E.id), 0))
_LAST_SEEN = (
    sa.select(_O.balance, _O.last_entry)
    .where(_O.provider == sa.bindparam("provider"), _O.account == sa.bindparam("account"))
    .order_by(_O.id.desc())
    .limit(1)
)
_CHARGED_SINCE = sa.select(sa.func.coalesce(sa.func.sum(_E.credits), 0)).where(
    _E.id > sa.bindparam("last_entry"),
    _E.provider == sa.bindparam("provider"),
    _E.account == sa.bindparam("account"),
    _E.kind == EntryKind.CHARGE.value,
)
_HELD = sa.select(sa.func.coalesce(sa.func.sum(_P.price_credits), 0)).where(
    _P.hold == Hold.OPEN.value, _P.provider == sa.bindparam("provider"), _P.account == sa.bindparam("account")
)
# Few rows, by an index of their own; comparing the rest in Python keeps the database from choosing a wider index.
_RESUBMITTED = sa.select(_P.provider, _P.account, _P.price_credits, _P.prior_hold).where(
    _P.prior_attempt_id.is_not(None)
)
_SIGNED = sa.func.sum(sa.case((_E.kind == EntryKind.HOLD.value, _E.credits), else_=-_E.credits))
_OPEN_BY_ENTRIES = sa.select(_E.attempt_id, _SIGNED).group_by(_E.attempt_id).having(_SIGNED != 0)
_OPEN_BY_PURCHASES = (
    sa.select(_P.attempt_id, sa.func.sum(_P.price_credits)).where(_P.hold == Hold.OPEN.value).group_by(_P.attempt_id)
)
_OPEN_BY_REPEATS = (
    sa.select(_P.prior_attempt_id, sa.func.sum(_P.price_credits))
    .where(_P.prior_attempt_id.is_not(None), _P.prior_hold == Hold.OPEN.value)
    .group_by(_P.prior_attempt_id)
)
_HELD_FOR_NOTHING = sa.select(sa.func.count()).where(
    _P.hold == Hold.OPEN.value,
    _P.state.in_((PurchaseState.PLANNED.value, PurchaseState.FINAL.value)),
)


@dataclass(frozen=True, slots=True)
class CapRules:
    """Every limit that applies to one provider in one run, in credits; None and missing mean no limit.

    Attributes:
        run: per mapping, for this run.
        mapping_day: per mapping, for the day.
        day: over everything.
        month: over everything.
        reserve: of the vendor's balance, never touched.
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
    """The caps as they stand: those over all mappings, and those of each mapping."""

    shared: tuple[Cap, ...]
    by_mapping: Mapping[str, tuple[Cap, ...]]

    def tightest(self, mapping: str) -> Cap | None:
        """The cap that leaves this mapping the least; None when none applies."""
        return tightest([*self.shared, *self.by_mapping.get(mapping, ())])

    def allows(self, mapping: str, price: int) -> bool:
        """Whether this mapping may still buy one purchase of this price."""
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
    """The UTC day that pays for a hold."""
    return now.strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose budget an attempt's entries belong to: its account, its run, and the day of its hold."""

    provider: str
    account: str
    run_id: str
    budget_day: str

    @classmethod
    def of(cls, attempt: sa.Row[tuple[object, ...]]) -> "Payer":
        """From a row of `attempt`."""
        return cls(attempt.provider, attempt.account, attempt.run_id, attempt.budget_day)


def append(connection: sa.Connection, payer: Payer, entries: Iterable[NewEntry], now: datetime) -> None:
    """Add entries of one attempt."""
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
        if entry.credits
    ]
    if rows:
        connection.execute(sa.insert(t.entry), rows)


def remaining_budget(
    connection: sa.Connection, provider: str, account: str, run_id: str, rules: CapRules, now: datetime
) -> RemainingBudget:
    """What each cap still allows, read inside the transaction that will take the hold."""
    today = budget_day(now)
    sums = _sums(connection, provider, account, _same_run(run_id, rules.plan_id), today)
    shared: list[Cap] = []
    if rules.ceiling is not None:
        shared.append(Cap("ceiling of the plan", rules.ceiling, sums.used(run=True)))
    if rules.day is not None:
        shared.append(Cap("daily cap over all runs", rules.day, sums.used(day=True)))
    if rules.month is not None:
        shared.append(Cap("monthly cap over all runs", rules.month, sums.used(month=True)))
    balance = _balance(connection, provider, account, rules.reserve)
    if balance is not None:
        shared.append(balance)
    by_mapping: dict[str, tuple[Cap, ...]] = {}
    for mapping in {*rules.run, *rules.mapping_day}:
        caps: list[Cap] = []
        if mapping in rules.run:
            caps.append(Cap(f"cap of mapping {mapping} per run", rules.run[mapping], sums.used(mapping, run=True)))
        if mapping in rules.mapping_day:
            used = sums.used(mapping, day=True)
            caps.append(Cap(f"cap of mapping {mapping} per day", rules.mapping_day[mapping], used))
        by_mapping[mapping] = tuple(caps)
    return RemainingBudget(tuple(shared), by_mapping)


def select_affordable(rows: Iterable[tuple[int, Collection[str], int]], limits: RemainingBudget) -> dict[int, str]:
    """As many of the purchases, as (id, mappings, price), as fit under every cap, in their order: who pays, by id.

    Any of a purchase's mappings may pay for it: the one with the most budget left, so that none is used up for another.
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


@dataclass(frozen=True, slots=True)
class _Sums:
    """Holds less releases, by (mapping, is this month, is today, is this run)."""

    rows: Mapping[tuple[str, bool, bool, bool], int]

    def used(self, mapping: str | None = None, *, month: bool = False, day: bool = False, run: bool = False) -> int:
        return sum(
            used
            for (name, this_month, today, this_run), used in self.rows.items()
            if (mapping is None or name in {mapping, UNSEEN})
            and not (run and name == UNSEEN)
            and (this_month or not month)
            and (today or not day)
            and (this_run or not run)
        )


def _same_run(run_id: str, plan_id: str | None) -> sa.ColumnElement[bool]:
    """Entries of this run, or of any run that applies the same plan."""
    if plan_id is None:
        return t.entry.c.run_id == run_id
    return t.entry.c.run_id.in_(sa.select(t.run.c.id).where(t.run.c.plan_id == plan_id))


def _sums(
    connection: sa.Connection, provider: str, account: str, same_run: sa.ColumnElement[bool], today: str
) -> _Sums:
    e = t.entry.c
    first_of_month = today[:7] + "-01"
    is_month = sa.case((e.budget_day >= first_of_month, 1), else_=0).label("is_month")
    # A later day was written by a clock that was wrong.
    is_today = sa.case((e.budget_day >= today, 1), else_=0).label("is_today")
    is_run = sa.case((same_run, 1), else_=0).label("is_run")
    signed = sa.case(
        (e.kind == EntryKind.HOLD.value, e.credits), (e.kind == EntryKind.RELEASE.value, -e.credits), else_=0
    )
    in_scope = sa.or_(e.budget_day >= first_of_month, same_run)
    rows = connection.execute(
        sa.select(e.mapping, is_month, is_today, is_run, sa.func.sum(signed))
        .where(e.provider == provider, e.account == account, in_scope)
        .group_by(e.mapping, is_month, is_today, is_run)
    )
    return _Sums({(name, bool(month), bool(day), bool(run)): int(used) for name, month, day, run, used in rows})


def _balance(connection: sa.Connection, provider: str, account: str, reserve: int) -> Cap | None:
    """The last observed balance as a cap: less the reserve, what was charged since, and everything still held.

    When a vendor charges is not documented, so a hold counts against the balance whether or not the vendor has taken
    it already: the error is on the safe side and ends with the next observation.
    """
    mine = {"provider": provider, "account": account}
    seen = connection.execute(_LAST_SEEN, mine).one_or_none()
    if seen is None:
        return None
    charged = connection.scalar(_CHARGED_SINCE, {**mine, "last_entry": seen.last_entry})
    held = connection.scalar(_HELD, mine)
    kept = sum(
        row.price_credits
        for row in connection.execute(_RESUBMITTED)
        if (row.provider, row.account, row.prior_hold) == (provider, account, Hold.OPEN.value)
    )
    return Cap(BALANCE, seen.balance - reserve, int(charged or 0) + int(held or 0) + kept)


class Credits:
    """Observed balances and totals, for reports and commands."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def newest_entry(self) -> int:
        """The id of the newest entry; noted before a balance is asked for."""
        with self._db.read() as connection:
            return int(connection.scalar(_NEWEST_ENTRY) or 0)

    def observe(
        self, provider: str, account: str, run_id: str, balance: int, began_at: datetime, last_entry: int
    ) -> int:
        """Keep what the vendor said its balance is; the observation's id."""
        with self._db.write() as connection:
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
        """Credits that a balance is lower than earlier runs' last observation and the entries since explain."""
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
        """What the caps allow at this moment; a forecast, for only `take` checks and holds at once."""
        with self._db.read() as connection:
            return remaining_budget(connection, provider, account, run_id, rules, now)

    def totals(self, run_id: str | None = None) -> dict[str, Totals]:
        """Sums by provider, of one run or of everything."""
        e = t.entry.c
        query = sa.select(e.provider, e.kind, sa.func.sum(e.credits)).group_by(e.provider, e.kind)
        if run_id is not None:
            query = query.where(e.run_id == run_id)
        with self._db.read() as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        return {provider: _totals([row for row in rows if row[0] == provider]) for provider in {r[0] for r in rows}}

    def imbalance(self) -> str:
        """What does not add up between entries and purchases; empty when the accounting closes.

        For every single request, what its entries leave open (holds less charges less releases) must be what its
        purchases hold open; and no purchase holds credits but one that is sent and has no last word.
        """
        open_by_entries, open_by_purchases = Counter[str](), Counter[str]()
        with self._db.read() as connection:
            for attempt_id, credits_ in connection.execute(_OPEN_BY_ENTRIES):
                open_by_entries[attempt_id] = int(credits_)
            for query in (_OPEN_BY_PURCHASES, _OPEN_BY_REPEATS):
                for attempt_id, credits_ in connection.execute(query):
                    open_by_purchases[str(attempt_id)] += int(credits_)
            orphaned = int(connection.scalar(_HELD_FOR_NOTHING) or 0)
        wrong = [
            f"request {key}: entries hold {open_by_entries[key]} credits, purchases {open_by_purchases[key]}"
            for key in sorted({*open_by_entries, *open_by_purchases})
            if open_by_entries[key] != open_by_purchases[key]
        ]
        wrong += [f"{orphaned} purchase(s) hold credits for nothing that is under way"] if orphaned else []
        more = [f"and {len(wrong) - MOST_TOLD} more"] if len(wrong) > MOST_TOLD else []
        return "; ".join([*wrong[:MOST_TOLD], *more])

    def by_month(self) -> list[tuple[str, str, str, Totals]]:
        """(month, provider, mapping, totals), newest month first."""
        e = t.entry.c
        month = sa.func.substr(e.budget_day, 1, 7).label("month")
        keys = (month, e.provider, e.mapping)
        query = sa.select(*keys, e.kind, sa.func.sum(e.credits)).group_by(*keys, e.kind)
        with self._db.read() as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        found: dict[tuple[str, str, str], list[tuple[Any, ...]]] = {}
        for row in rows:
            found.setdefault((row[0], row[1], row[2]), []).append(row[2:])
        return [(m, p, name, _totals(found[m, p, name])) for m, p, name in sorted(found, reverse=True)]

    def cost_of_values(self) -> list[tuple[str, str, int, int]]:
        """(provider, channel, delivered, credits) of every purchase that cost something, over the whole history."""
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
        """Credits by provider that became charged while a run was at work, older attempts included.

        Args:
            since_entry: the newest entry when it began.
            mappings: only what counts against these, where other runs were at work beside it.
        """
        e = t.entry.c
        mine = [] if mappings is None else [e.mapping.in_(mappings)]
        query = (
            sa.select(e.provider, sa.func.sum(e.credits))
            .where(e.id > since_entry, e.kind == EntryKind.CHARGE.value, e.mapping != UNSEEN, *mine)
            .group_by(e.provider)
        )
        with self._db.read() as connection:
            return {provider: int(charged) for provider, charged in connection.execute(query)}


def _totals(rows: list[tuple[object, ...]]) -> Totals:
    sums = {str(row[-2]): int(str(row[-1])) for row in rows}
    return Totals(sums.get("hold", 0), sums.get("charge", 0), sums.get("release", 0))
