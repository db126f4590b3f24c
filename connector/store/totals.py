"""Running totals of the credit entries, kept by the transaction that appends them.

A purchase checks several caps. With the totals, the cost of a check does not depend on the number of entries. The
accounting at the end of a run compares them with the entries.

Each account has totals by mapping for these scopes:

- `held`: holds without their charges and releases;
- `day:2026-11-30`, `month:2026-11`, `run:ID`: holds without their releases.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from connector.core.spend import EntryKind
from connector.store import tables as t
from connector.store.database import Database
from connector.store.dialects import add_credits_to
from connector.store.meta import get_value, put_value
from connector.store.rows import AnyRow
from connector.store.tables.purchases import CHANGED_SINCE_CHECK

UNSEEN = "older copy"  # the mapping of charges unknown to a restored ledger; no real mapping name contains a space
HELD = "held"
_E, _T = t.entry.c, t.running_total.c
_ACCOUNT = (_T.provider == sa.bindparam("provider"), _T.account == sa.bindparam("account"))
_OPEN_TOTAL = sa.select(sa.func.coalesce(sa.func.sum(_T.credits), 0)).where(*_ACCOUNT, _T.scope == HELD)
# In the words of the index's own condition, or SQLite does not use it.
_IS_HELD: sa.ColumnElement[bool] = sa.literal_column(f"running_total.scope = '{HELD}'")
_HELD_TOTALS = sa.select(_T.provider, sa.func.sum(_T.credits)).where(_IS_HELD).group_by(_T.provider)
# A later day or month than the present one was written by a wrong clock, and counts too.
_OF_ACCOUNT = sa.select(_T.scope, _T.mapping, _T.credits).where(*_ACCOUNT)
# A union of searches by the key: one condition for all would read the totals of every run.
_OF_DAYS_OR_RUN = sa.union_all(
    _OF_ACCOUNT.where(_T.scope == HELD),
    _OF_ACCOUNT.where(_T.scope >= sa.bindparam("day"), _T.scope < "day;"),
    _OF_ACCOUNT.where(_T.scope >= sa.bindparam("month"), _T.scope < "month;"),
    _OF_ACCOUNT.where(_T.scope == sa.bindparam("run")),
)
_OF_RUNS = _OF_ACCOUNT.where(_T.scope.in_(sa.bindparam("runs", expanding=True)))
_IS_HOLD, _IS_RELEASE = _E.kind == EntryKind.HOLD.value, _E.kind == EntryKind.RELEASE.value
_USED = sa.case((_IS_HOLD, _E.credits), (_IS_RELEASE, -_E.credits), else_=0)
_STILL_OPEN = sa.case((_IS_HOLD, _E.credits), else_=-_E.credits)


@dataclass(frozen=True, slots=True)
class Amount:
    """Credits of one kind that an entry adds to the totals of its account, mapping, day and run."""

    provider: str
    account: str
    mapping: str
    budget_day: str
    run_id: str
    kind: EntryKind
    credits: int

    def deltas(self) -> Iterable[tuple[str, int]]:
        """The changed scopes, with the change of each."""
        held = self.credits if self.kind is EntryKind.HOLD else 0
        released = self.credits if self.kind is EntryKind.RELEASE else 0
        charged = self.credits if self.kind is EntryKind.CHARGE else 0
        yield HELD, held - released - charged
        for scope in (day_scope(self.budget_day), month_scope(self.budget_day), run_scope(self.run_id)):
            yield scope, held - released


def day_scope(budget_day: str) -> str:
    """The scope of a day, such as 2026-11-30."""
    return f"day:{budget_day}"


def month_scope(budget_day: str) -> str:
    """The scope of a day's month."""
    return f"month:{budget_day[:7]}"


def run_scope(run_id: str) -> str:
    """The scope of a run."""
    return f"run:{run_id}"


def add(connection: sa.Connection, amounts: Iterable[Amount]) -> None:
    """Add new entries to the totals, in the transaction that appends them."""
    changes: Counter[tuple[str, str, str, str]] = Counter()
    for one in amounts:
        for scope, credits_ in one.deltas():
            changes[one.provider, one.account, scope, one.mapping] += credits_
    rows = [
        {"provider": provider, "account": account, "scope": scope, "mapping": mapping, "credits": credits_}
        for (provider, account, scope, mapping), credits_ in sorted(changes.items())
        if credits_
    ]
    if rows:
        connection.execute(add_credits_to(t.running_total, connection.dialect.name), rows)


@dataclass(frozen=True, slots=True)
class Used:
    """Holds without releases: of the day, the month and the run, by mapping; and the holds that are open (`held`)."""

    by_scope: Mapping[tuple[str, str], int]

    def of(self, scope: str, mapping: str | None = None) -> int:
        """The credits of a scope (`day`, `month`, `run`); a mapping's share includes charges that no run explains."""
        return sum(
            credits_
            for (kind, name), credits_ in self.by_scope.items()
            if kind == scope
            and (mapping is None or name in {mapping, UNSEEN})
            and not (scope == "run" and name == UNSEEN)
        )


def used(connection: sa.Connection, provider: str, account: str, run_ids: Sequence[str], today: str) -> Used:
    """Read what counts against the caps of a run: all these runs count as one."""
    keys: dict[str, object] = {"provider": provider, "account": account}
    scopes = {"day": day_scope(today), "month": month_scope(today), "run": run_scope(next(iter(run_ids), ""))}
    rows = list(connection.execute(_OF_DAYS_OR_RUN, keys | scopes))
    if len(run_ids) > 1:
        rows += connection.execute(_OF_RUNS, keys | {"runs": [run_scope(run_id) for run_id in run_ids[1:]]})
    found: Counter[tuple[str, str]] = Counter()
    for scope, mapping, credits_ in rows:
        found[scope.partition(":")[0], mapping] += credits_
    return Used(found)


def open_credits(connection: sa.Connection, provider: str, account: str) -> int:
    """Credits that are held and neither charged nor released."""
    return int(connection.scalar(_OPEN_TOTAL, {"provider": provider, "account": account}) or 0)


def open_by_provider(connection: sa.Connection) -> dict[str, int]:
    """Credits by provider, over all its accounts, that are held and neither charged nor released."""
    return {provider: int(credits_) for provider, credits_ in connection.execute(_HELD_TOTALS)}


def rebuild(database: Database, connection: sa.Connection) -> None:
    """Compute all totals from the entries again, after entries were moved to another day."""
    connection.execute(sa.delete(t.running_total))
    for scope, credits_ in _SCOPES:
        of_entries = _of_entries(scope, credits_)
        columns = ["provider", "account", "scope", "mapping", "credits"]
        connection.execute(sa.insert(t.running_total).from_select(columns, of_entries))
    _mark_checked(database, connection, int(connection.scalar(_NEWEST) or 0))


def differences(connection: sa.Connection) -> list[str]:
    """Describe the totals that differ from all entries."""
    stored = {_key_of(row): row.credits for row in connection.execute(sa.select(t.running_total))}
    return _differing(stored, _sums(connection, 0))


def check(database: Database, connection: sa.Connection) -> list[str]:
    """Compare the changes of the totals with the entries since the last check; without a difference, count as checked.

    Only the totals that have changed, and the new entries, are read.
    """
    last, newest = int(get_value(connection, _CHECKED) or 0), int(connection.scalar(_NEWEST) or 0)
    changed = connection.execute(sa.select(t.running_total).where(CHANGED_SINCE_CHECK))
    wrong = _differing({_key_of(row): row.credits - row.checked for row in changed}, _sums(connection, last))
    if not wrong and newest > last:
        _mark_checked(database, connection, newest)
    return wrong


def _mark_checked(database: Database, connection: sa.Connection, newest: int) -> None:
    connection.execute(sa.update(t.running_total).where(CHANGED_SINCE_CHECK).values(checked=_T.credits))
    put_value(database, connection, _CHECKED, str(newest))


_CHECKED = "totals_checked"  # the key in table `meta`: the newest entry of the last check
_NEWEST = sa.select(sa.func.max(_E.id))
_Key = tuple[str, str, str, str]


def _key_of(row: AnyRow) -> _Key:
    return row.provider, row.account, row.scope, row.mapping


def _sums(connection: sa.Connection, since_entry: int) -> dict[_Key, int]:
    """What the entries after `since_entry` add to the totals."""
    return {
        _key_of(row): int(row.credits)
        for scope, credits_ in _SCOPES
        for row in connection.execute(_of_entries(scope, credits_).where(_E.id > since_entry))
    }


def _differing(stored: Mapping[_Key, int], expected: Mapping[_Key, int]) -> list[str]:
    return [
        f"total {' '.join(key)}: {stored.get(key, 0)} credits, the entries have {expected.get(key, 0)}"
        for key in sorted(stored.keys() | expected.keys())
        if stored.get(key, 0) != expected.get(key, 0)
    ]


_SCOPES: tuple[tuple[sa.ColumnElement[str], sa.ColumnElement[int]], ...] = (
    (sa.literal(HELD), _STILL_OPEN),
    (sa.literal("day:").concat(_E.budget_day), _USED),
    (sa.literal("month:").concat(sa.func.substr(_E.budget_day, 1, 7)), _USED),
    (sa.literal("run:").concat(_E.run_id), _USED),
)


def _of_entries(scope: sa.ColumnElement[str], credits_: sa.ColumnElement[int]) -> sa.Select[tuple[object, ...]]:
    total = sa.func.sum(credits_)
    named = scope.label("scope")
    return (
        sa.select(_E.provider, _E.account, named, _E.mapping, total.label("credits"))
        .group_by(_E.provider, _E.account, named, _E.mapping)
        .having(total != 0)
    )
