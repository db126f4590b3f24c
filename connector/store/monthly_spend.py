"""Sums of the credit entries by month, provider, mapping and kind, kept by the transaction that appends them.

The months and totals that commands show are read from here, so that their cost does not grow with the entries. The
month is that of the entry's budget day. The accounting at the end of a run compares the sums with the entries.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from connector.core.spend import EntryKind, Totals
from connector.store import tables as t
from connector.store.dialects import add_credits_to

_E, _M = t.entry.c, t.monthly_spend.c
_MONTH = sa.func.substr(_E.budget_day, 1, 7).label("month")
_OF_ENTRIES = (
    sa.select(
        _MONTH,
        _E.provider,
        _E.mapping,
        _E.kind,
        sa.func.sum(_E.credits).label("credits"),
    )
    .group_by(_MONTH, _E.provider, _E.mapping, _E.kind)
    .having(sa.func.sum(_E.credits) != 0)
)


def add(
    connection: sa.Connection, provider: str, budget_day: str, amounts: Iterable[tuple[str, EntryKind, int]]
) -> None:
    """Add new entries, each as (mapping, kind, credits), in the transaction that appends them."""
    sums: Counter[tuple[str, str]] = Counter()
    for mapping, kind, credits_ in amounts:
        sums[mapping, kind.value] += credits_
    rows = [
        {"month": budget_day[:7], "provider": provider, "mapping": mapping, "kind": kind, "credits": credits_}
        for (mapping, kind), credits_ in sorted(sums.items())
        if credits_
    ]
    if rows:
        connection.execute(add_credits_to(t.monthly_spend, connection.dialect.name), rows)


def by_month(connection: sa.Connection) -> dict[tuple[str, str, str], Totals]:
    """Read the totals of each month, provider and mapping."""
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    for row in connection.execute(sa.select(t.monthly_spend)):
        found.setdefault((row.month, row.provider, row.mapping), {})[row.kind] = row.credits
    return {key: _totals(sums) for key, sums in found.items()}


def by_provider(connection: sa.Connection) -> dict[str, Totals]:
    """Read the totals of each provider, over all months and mappings."""
    found: dict[str, dict[str, int]] = {}
    query = sa.select(_M.provider, _M.kind, sa.func.sum(_M.credits)).group_by(_M.provider, _M.kind)
    for provider, kind, credits_ in connection.execute(query):
        found.setdefault(provider, {})[kind] = int(credits_)
    return {provider: _totals(sums) for provider, sums in found.items()}


def rebuild(connection: sa.Connection) -> None:
    """Compute all sums from the entries again, after entries were moved to another day."""
    connection.execute(sa.delete(t.monthly_spend))
    connection.execute(sa.insert(t.monthly_spend).from_select([*t.monthly_spend.c.keys()], _OF_ENTRIES))


def differences(connection: sa.Connection) -> list[str]:
    """Describe the sums that differ from the entries."""
    expected = {tuple(row[:4]): int(row[4]) for row in connection.execute(_OF_ENTRIES)}
    stored = {tuple(row[:4]): row[4] for row in connection.execute(sa.select(t.monthly_spend)) if row[4]}
    return [
        f"month {' '.join(key)}: {stored.get(key, 0)} credits, the entries have {expected.get(key, 0)}"
        for key in sorted(stored.keys() | expected.keys())
        if stored.get(key, 0) != expected.get(key, 0)
    ]


def _totals(sums: Mapping[str, int]) -> Totals:
    return Totals(
        sums.get(EntryKind.HOLD.value, 0), sums.get(EntryKind.CHARGE.value, 0), sums.get(EntryKind.RELEASE.value, 0)
    )
