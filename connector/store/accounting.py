"""Compares entries with purchases: for each request, both must hold the same credits."""

from collections import Counter
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from connector.core.spend import EntryKind, Hold
from connector.store import tables as t
from connector.store.tables.purchases import HELD_FOR_NOTHING, IS_SENT

MOST_SHOWN = 5  # contradictions in a message
_E, _P = t.entry.c, t.purchase.c
_TOUCHED = sa.select(_E.attempt_id).where(_E.id > sa.bindparam("since_entry")).distinct().cte("touched")
_SIGNED = sa.case((_E.kind == EntryKind.HOLD.value, _E.credits), else_=-_E.credits)
_SHARES = sa.union_all(
    sa.select(_E.attempt_id, _SIGNED.label("by_entries"), sa.literal(0).label("by_purchases")).join(
        _TOUCHED, _TOUCHED.c.attempt_id == _E.attempt_id
    ),
    sa.select(_P.attempt_id, sa.literal(0), _P.price_credits)
    .join(_TOUCHED, _TOUCHED.c.attempt_id == _P.attempt_id)
    .where(_P.hold == Hold.OPEN.value),
    sa.select(_P.prior_attempt_id, sa.literal(0), _P.price_credits)
    .join(_TOUCHED, _TOUCHED.c.attempt_id == _P.prior_attempt_id)
    .where(_P.prior_attempt_id.is_not(None), _P.prior_hold == Hold.OPEN.value),
).subquery("shares")
_BY_ENTRIES, _BY_PURCHASES = sa.func.sum(_SHARES.c.by_entries), sa.func.sum(_SHARES.c.by_purchases)
_DIFFERING = (
    sa.select(_SHARES.c.attempt_id, _BY_ENTRIES.label("by_entries"), _BY_PURCHASES.label("by_purchases"))
    .group_by(_SHARES.c.attempt_id)
    .having(_BY_ENTRIES != _BY_PURCHASES)
    .order_by(_SHARES.c.attempt_id)
    .limit(MOST_SHOWN + 1)
)
_WITHOUT_ENTRIES = (
    sa.select(_P.attempt_id, sa.func.sum(_P.price_credits).label("by_purchases"))
    .where(_P.hold == Hold.OPEN.value, _P.attempt_id.is_not(None))
    .where(~sa.exists(sa.select(_E.id).where(_E.attempt_id == _P.attempt_id)))
    .group_by(_P.attempt_id)
    .limit(MOST_SHOWN + 1)
)
_OPEN_AT_PROVIDERS = tuple(
    # Grouped without an index: in the order of an index, all purchases would be read.
    sa.select(_P.provider, sa.func.sum(_P.price_credits))
    .where(*conditions)
    .group_by(_P.provider.concat(""), _P.provider)
    for conditions in (
        (IS_SENT, _P.hold == Hold.OPEN.value),
        (_P.prior_attempt_id.is_not(None), _P.prior_hold == Hold.OPEN.value),
    )
)
_HELD_FOR_NOTHING = sa.select(sa.func.count()).select_from(t.purchase).where(HELD_FOR_NOTHING)


def contradictions(connection: sa.Connection, since_entry: int) -> list[str]:
    """Describe requests whose entries and purchases hold different credits, and purchases that hold them for nothing.

    Only a purchase that was sent and has no result may hold credits.

    Args:
        connection: in a transaction.
        since_entry: only requests with a later entry; 0 compares all, also those without any entry.
    """
    wrong = [
        f"request {row.attempt_id}: entries hold {row.by_entries} credits, purchases {row.by_purchases}"
        for row in connection.execute(_DIFFERING, {"since_entry": since_entry})
    ]
    if not since_entry:
        wrong += [
            f"request {row.attempt_id}: entries hold 0 credits, purchases {row.by_purchases}"
            for row in connection.execute(_WITHOUT_ENTRIES)
            if row.by_purchases
        ]
    return [*wrong, *_held_for_nothing(connection)]


def open_contradictions(connection: sa.Connection, held: Mapping[str, int], by_totals: Mapping[str, int]) -> list[str]:
    """Describe the providers whose sums differ from the holds of their open purchases; reads no entry.

    Args:
        connection: in a transaction.
        held: the open credits by provider, as the monthly sums have them.
        by_totals: the same, as the running totals have them.
    """
    by_purchases = Counter[str]()
    for query in _OPEN_AT_PROVIDERS:
        for provider, credits_ in connection.execute(query):
            by_purchases[provider] += int(credits_)
    return [
        f"{name}: entries hold {held.get(name, 0)} credits, totals {by_totals.get(name, 0)}, "
        f"purchases {by_purchases[name]}"
        for name in sorted({*held, *by_totals, *by_purchases})
        if not held.get(name, 0) == by_totals.get(name, 0) == by_purchases[name]
    ] + _held_for_nothing(connection)


def _held_for_nothing(connection: sa.Connection) -> list[str]:
    orphaned = int(connection.scalar(_HELD_FOR_NOTHING) or 0)
    return [f"{orphaned} purchase(s) hold credits without a request in flight"] if orphaned else []


def summary(wrong: Sequence[str]) -> str:
    """Join the first contradictions; empty if there are none."""
    more = ["and more"] if len(wrong) > MOST_SHOWN else []
    return "; ".join([*wrong[:MOST_SHOWN], *more])
