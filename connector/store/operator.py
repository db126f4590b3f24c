"""An operator's decisions: on purchases that need a manual decision, and on records to be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Channel, Outcome, Result
from connector.core.spend import EntryKind, Hold
from connector.core.states import AT_PROVIDER, ChannelState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.answers import LONGEST_ANSWER
from connector.store.credits import NewEntry, Payer, append
from connector.store.database import Database
from connector.store.forgetting import Spellings, forget
from connector.store.restored import keep_last_write
from connector.store.tables.purchases import IS_SENT

_P, _R, _RC = t.purchase.c, t.record.c, t.record_channel.c


@dataclass(frozen=True, slots=True)
class OpenPurchase:
    """An open purchase that an operator may have to resolve.

    Attributes:
        check_at: when the vendor's record is read next; None if it cannot be read, or further reads are useless.
        parked: its value is stored, and the CRM did not accept it.
        unsent: its lost request may be repeated, and no record requests that at present.
        event_id: the id of the event; empty for people.
    """

    id: int
    provider: str
    channel: Channel
    state: PurchaseState
    reason: str
    since: datetime
    check_at: datetime | None
    parked: bool
    unsent: bool = False
    event_id: str = ""


class Operator:
    """The queries and changes of the commands `status`, `resolve` and `forget`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def needs_a_look(self, limit: int = 200, sent_before: datetime | None = None) -> list[OpenPurchase]:
        """List unknown purchases, unsent repeats and parked values, oldest first.

        Args:
            limit: the most purchases.
            sent_before: also list purchases that were sent before this time and have no result.
        """
        parked = (
            sa.select(_RC.purchase_id)
            .join(t.record, _R.id == _RC.record_id)
            .where(_R.state == RecordState.OPEN, _R.parked_version.is_not(None), _RC.parked)
        )
        sent = sa.select(_P.id).where(IS_SENT)
        unsent = (_P.state == PurchaseState.PLANNED.value, _P.prior_attempt_id.is_not(None))
        every = sa.union(  # of searches by an index: one condition for all would read every purchase
            parked,
            sent.where(_P.state == PurchaseState.UNKNOWN.value),
            sa.select(_P.id).where(*unsent, _P.prior_hold == Hold.OPEN.value),
            sent.where(_sent(sent_before)),
        )
        query = (
            sa.select(t.purchase, _P.id.in_(parked).label("is_parked"))
            .where(_P.id.in_(sa.select(every.subquery().c[0])))
            .order_by(_P.state_at, _P.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [
                OpenPurchase(
                    row.id,
                    row.provider,
                    Channel(row.channel),
                    PurchaseState(row.state),
                    row.reason,
                    row.state_at,
                    row.check_at,
                    bool(row.is_parked),
                    row.state == PurchaseState.PLANNED.value,
                    row.person if row.channel == Channel.EVENT.value else "",
                )
                for row in connection.execute(query)
            ]

    def presume_charged(self, before: datetime, now: datetime) -> int:
        """Presume unknown purchases charged if they were open before a time; returns their number.

        Later evidence corrects the charge.
        """
        with self._db.write() as connection:
            lost = connection.execute(
                sa.select(_P.id, _P.attempt_id, _P.mapping, _P.price_credits)
                .where(IS_SENT, _P.state == PurchaseState.UNKNOWN.value)
                .where(_P.hold == Hold.OPEN.value, _P.state_at < before)
                .with_for_update()
            ).all()
            # If no record requests the repeat any more, or its answer was lost too, the first request stays unknown.
            unsent = connection.execute(
                sa.select(_P.id, _P.prior_attempt_id, _P.prior_mapping, _P.price_credits)
                .where(
                    _P.prior_attempt_id.is_not(None),
                    _P.state.in_((PurchaseState.PLANNED.value, PurchaseState.UNKNOWN.value)),
                    _P.prior_attempt_id.is_not(None),
                    _P.prior_hold == Hold.OPEN.value,
                    _P.state_at < before,
                )
                .with_for_update()
            ).all()
            for column, rows in ((_P.hold, lost), (_P.prior_hold, unsent)):
                for purchase_id, attempt_id, mapping, price in rows:
                    attempt = connection.execute(sa.select(t.attempt).where(t.attempt.c.id == attempt_id)).one()
                    append(connection, Payer.of(attempt), [NewEntry(attempt_id, mapping, EntryKind.CHARGE, price)], now)
                    connection.execute(
                        sa.update(t.purchase).where(_P.id == purchase_id).values({column: Hold.PRESUMED.value})
                    )
        return len(lost) + len(unsent)

    def delivered_by_hand(self, purchase_id: int, now: datetime) -> None:
        """Mark a purchase as delivered by hand, so that its records can close."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.record_channel)
                .where(_RC.purchase_id == purchase_id, _RC.state.in_((ChannelState.OPEN, ChannelState.READY)))
                .values(
                    state=ChannelState.READY,
                    outcome=Outcome.DELIVERED.value,
                    reason="delivered by hand",
                    keep_status=False,
                )
            )
            connection.execute(
                sa.update(t.record)
                .where(_R.id.in_(self._records_of(purchase_id)), _R.state == RecordState.OPEN)
                .values(parked_version=None)
            )
            connection.execute(sa.update(t.purchase).where(_P.id == purchase_id).values(value=None, state_at=now))

    def allow_repeat(self, purchase_id: int) -> bool:
        """Allow a failed purchase to be bought again, by the next run that selects its records.

        Returns:
            False if the purchase is not failed any more.
        """
        failed = (_P.id == purchase_id, _P.result == Result.FAILED.value)
        with self._db.write() as connection:
            allowed = connection.execute(sa.update(t.purchase).where(*failed).values(repeat_allowed=True))
            if allowed.rowcount != 1:
                return False
            connection.execute(
                sa.update(t.record_channel)
                .where(_RC.purchase_id == purchase_id, _RC.state != ChannelState.DONE)
                .values(
                    state=ChannelState.DEFERRED,
                    purchase_id=None,
                    outcome=Outcome.DEFERRED.value,
                    reason="an operator has allowed a repeat",
                    keep_status=True,
                )
            )
        return True

    def retry_write(self, purchase_id: int) -> int:
        """Let the next run write a parked value again, even if nothing has changed; returns the number of records."""
        with self._db.write() as connection:
            moved = connection.execute(
                sa.update(t.record)
                .where(_R.id.in_(self._records_of(purchase_id)), _R.parked_version.is_not(None))
                .values(parked_version=None)
            )
        return moved.rowcount

    def give_up_write(self, purchase_id: int, reason: str) -> int:
        """Give up a parked value for its records, which go on to the next source; returns the number of records."""
        with self._db.write() as connection:
            rows = connection.execute(
                sa.select(_RC.id, _R.id.label("record_id"), _R.mapping, _R.crm_id)
                .join(t.record, _R.id == _RC.record_id)
                .where(_RC.purchase_id == purchase_id, _RC.parked, _R.state == RecordState.OPEN)
            ).all()
            if not rows:
                return 0
            values = [
                {"mapping": r.mapping, "crm_id": r.crm_id, "purchase_id": purchase_id, "reason": reason} for r in rows
            ]
            connection.execute(self._db.insert(t.unusable_value).on_conflict_do_nothing(), values)
            connection.execute(
                sa.update(t.record_channel)
                .where(_RC.id.in_([r.id for r in rows]))
                .values(state=ChannelState.OPEN, outcome=None, reason="", parked=False)
            )
            connection.execute(
                sa.update(t.record).where(_R.id.in_([r.record_id for r in rows])).values(parked_version=None)
            )
        return len(rows)

    def is_at_vendor(self, purchase_id: int, now: datetime) -> bool:
        """Whether a purchase is `submitted`, or its request was sent so long ago that no answer can arrive."""
        submitted = _P.state == PurchaseState.SUBMITTED.value
        query = sa.select(_P.id).where(_P.id == purchase_id, sa.or_(submitted, _sent(now - LONGEST_ANSWER)))
        with self._db.read() as connection:
            return connection.scalar(query) is not None

    def find(self, purchase_id: int) -> tuple[PurchaseState, Result | None] | None:
        """Read a purchase's state and result; None if there is no such purchase."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(_P.state, _P.result).where(_P.id == purchase_id)).one_or_none()
        return None if row is None else (PurchaseState(row.state), Result(row.result) if row.result else None)

    def _records_of(self, purchase_id: int) -> sa.Select[tuple[int]]:
        return sa.select(_RC.record_id).where(_RC.purchase_id == purchase_id)

    def forget(self, crm_ids: Sequence[str], spellings: Spellings = lambda one: (one,)) -> int:
        """Erase the data about records; credit entries and their purchases stay.

        Args:
            crm_ids: any ids of the records.
            spellings: returns every form in which the CRM writes an id.

        Returns:
            The number of rows erased or changed.
        """
        with self._db.write() as connection:
            keep_last_write(self._db, connection)
            return forget(connection, crm_ids, spellings)


def _sent(before: datetime | None) -> sa.ColumnElement[bool]:
    """The condition that a purchase was sent before a time and has no result; always false without a time."""
    if before is None:
        return sa.false()
    old = sa.select(t.attempt.c.id).where(t.attempt.c.id == _P.attempt_id, t.attempt.c.created_at < before)
    return sa.and_(_P.state.in_(AT_PROVIDER), sa.exists(old.correlate(t.purchase)))
