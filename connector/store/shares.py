"""A purchase's shares of the holds of its requests, and the entries that end them as charge or release."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.spend import EntryKind, Hold, ending
from connector.store import tables as t
from connector.store.credits import NewEntry, Payer, append
from connector.store.rows import AnyRow

_P = t.purchase.c
_ATTEMPT = sa.select(t.attempt).where(t.attempt.c.id == sa.bindparam("id"))
NO_PAYERS: Mapping[str, Payer] = {}
Sums = Counter[tuple[str, str, EntryKind]]  # credits by attempt, mapping and kind
AT_STAKE = frozenset({Hold.OPEN, Hold.PRESUMED})
MONEY = (
    *(_P.id, _P.attempt_id, _P.mapping, _P.price_credits, _P.hold, _P.free),
    *(_P.prior_attempt_id, _P.prior_mapping, _P.prior_hold, _P.charged_credits, _P.generation),
)
NO_PRIOR: Mapping[str, str | None] = {"prior_attempt_id": None, "prior_hold": Hold.NONE.value, "prior_mapping": None}
_ENDED = {EntryKind.CHARGE: Hold.CHARGED, EntryKind.RELEASE: Hold.RELEASED}


@dataclass(frozen=True, slots=True)
class Ended:
    """The shares of a purchase after its result.

    Attributes:
        hold: of its newest request.
        cost_credits: of all its requests so far.
    """

    hold: Hold
    cost_credits: int


def end_share(
    sums: Sums, attempt_id: str | None, mapping: str, hold: Hold, kind: EntryKind, price_credits: int
) -> None:
    """Add to `sums` the entries that end a share of a hold."""
    for entry_kind, sign in ending(hold, kind):
        sums[str(attempt_id), mapping, entry_kind] += sign * price_credits


def end_shares(sums: Sums, row: AnyRow, *, charged: bool) -> Ended:
    """Add to `sums` the entries that end both shares of a purchase.

    Of two attempts, one was charged: the first, if the second was free or refused; otherwise the second.

    Args:
        sums: receives the entries.
        row: the purchase, with the columns of `MONEY`.
        charged: the vendor took, or must be presumed to have taken, the price.
    """
    hold, price = Hold(row.hold), row.price_credits
    kind = EntryKind.CHARGE if charged and not row.free else EntryKind.RELEASE
    end_share(sums, row.attempt_id, row.mapping, hold, kind, price)
    cost = row.charged_credits + (price if kind is EntryKind.CHARGE and hold in AT_STAKE else 0)
    if row.prior_attempt_id is not None:
        was_first = charged and (row.free or hold not in AT_STAKE)
        first, prior_hold = EntryKind.CHARGE if was_first else EntryKind.RELEASE, Hold(row.prior_hold)
        end_share(sums, row.prior_attempt_id, row.prior_mapping, prior_hold, first, price)
        cost += price if was_first and prior_hold in AT_STAKE else 0
    return Ended(_ENDED[kind] if hold in AT_STAKE else hold, cost)


def append_sums(connection: sa.Connection, sums: Sums, now: datetime, payers: Mapping[str, Payer] = NO_PAYERS) -> None:
    """Append the entries of `sums`, each to its attempt; attempts whose payer is not given are read."""
    by_attempt: dict[str, list[NewEntry]] = {}
    for (attempt_id, mapping, kind), price in sums.items():
        by_attempt.setdefault(attempt_id, []).append(NewEntry(attempt_id, mapping, kind, price))
    for attempt_id, entries in by_attempt.items():
        payer = payers.get(attempt_id) or Payer.of(connection.execute(_ATTEMPT, {"id": attempt_id}).one())
        append(connection, payer, entries, now)
