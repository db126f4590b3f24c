"""An operator's decisions: on purchases that only a person can resolve, and on records to be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Channel, Outcome, Result, UnlockState
from connector.core.spend import EntryKind, Hold
from connector.store import tables as t
from connector.store.answers import LONGEST_ANSWER
from connector.store.credits import NewEntry, Payer, append
from connector.store.database import Database
from connector.store.forgetting import Spellings, forget
from connector.store.overdue import AT_VENDOR
from connector.store.restored import keep_last_write

_U, _R, _W = t.unlock.c, t.record.c, t.want.c


@dataclass(frozen=True, slots=True)
class OpenUnlock:
    """An unlock that needs a look, for listings.

    Attributes:
        check_at: when the vendor's record is read next; None where nothing can be read, or nothing more helps.
        parked: its value is at hand, and the CRM did not take it.
        unsent: its lost request may be repeated, and no record wants that at the moment.
        event_id: the event that was requested; empty for people.
    """

    id: int
    provider: str
    channel: Channel
    state: UnlockState
    reason: str
    since: datetime
    check_at: datetime | None
    parked: bool
    unsent: bool = False
    event_id: str = ""


class Operator:
    """The ledger's side of `status`, `resolve` and `forget`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def needs_a_look(self, limit: int = 200, sent_before: datetime | None = None) -> list[OpenUnlock]:
        """Unknown unlocks and parked values, oldest first; and what the vendor has not finished since a time."""
        parked = (
            sa.select(_W.unlock_id)
            .join(t.record, _R.id == _W.record_id)
            .where(_R.state == "open", _R.parked_version.is_not(None), _W.parked)
        )
        unsent = sa.and_(_U.state == UnlockState.PLANNED.value, _U.prior_hold == Hold.OPEN.value)
        query = (
            sa.select(t.unlock, _U.id.in_(parked).label("is_parked"))
            .where(sa.or_(_U.state == UnlockState.UNKNOWN.value, _U.id.in_(parked), unsent, _sent(sent_before)))
            .order_by(_U.state_at, _U.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [
                OpenUnlock(
                    row.id,
                    row.provider,
                    Channel(row.channel),
                    UnlockState(row.state),
                    row.reason,
                    row.state_at,
                    row.check_at,
                    bool(row.is_parked),
                    row.state == UnlockState.PLANNED.value,
                    row.person if row.channel == Channel.EVENT.value else "",
                )
                for row in connection.execute(query)
            ]

    def presume_charged(self, before: datetime, now: datetime) -> int:
        """Unknowns that have stayed open too long count as charged, until evidence says otherwise; how many."""
        with self._db.write() as connection:
            lost = connection.execute(
                sa.select(_U.id, _U.attempt_id, _U.mapping, _U.price_credits)
                .where(_U.state == UnlockState.UNKNOWN.value, _U.hold == Hold.OPEN.value, _U.state_at < before)
                .with_for_update()
            ).all()
            # Of a repeat that nobody wants any more, or that was lost too, the first request will not be told of.
            unsent = connection.execute(
                sa.select(_U.id, _U.prior_attempt_id, _U.prior_mapping, _U.price_credits)
                .where(
                    _U.state.in_((UnlockState.PLANNED.value, UnlockState.UNKNOWN.value)),
                    _U.prior_hold == Hold.OPEN.value,
                    _U.state_at < before,
                )
                .with_for_update()
            ).all()
            for column, rows in ((_U.hold, lost), (_U.prior_hold, unsent)):
                for unlock_id, attempt_id, mapping, price in rows:
                    attempt = connection.execute(sa.select(t.attempt).where(t.attempt.c.id == attempt_id)).one()
                    append(connection, Payer.of(attempt), [NewEntry(attempt_id, mapping, EntryKind.CHARGE, price)], now)
                    connection.execute(
                        sa.update(t.unlock).where(_U.id == unlock_id).values({column: Hold.PRESUMED.value})
                    )
        return len(lost) + len(unsent)

    def delivered_by_hand(self, unlock_id: int, now: datetime) -> None:
        """Somebody has seen the result at the vendor and put it where it belongs: its records may close."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.want)
                .where(_W.unlock_id == unlock_id, _W.state.in_(("open", "ready")))
                .values(state="ready", outcome=Outcome.DELIVERED.value, reason="delivered by hand", keep_status=False)
            )
            connection.execute(
                sa.update(t.record)
                .where(_R.id.in_(self._records_of(unlock_id)), _R.state == "open")
                .values(parked_version=None)
            )
            connection.execute(sa.update(t.unlock).where(_U.id == unlock_id).values(value=None, state_at=now))

    def allow_repeat(self, unlock_id: int) -> bool:
        """A failed unlock may be bought again; its records are planned again by the next run that selects them.

        Returns:
            False where it is not failed any more.
        """
        failed = (_U.id == unlock_id, _U.result == Result.FAILED.value)
        with self._db.write() as connection:
            allowed = connection.execute(sa.update(t.unlock).where(*failed).values(repeat_allowed=True))
            if allowed.rowcount != 1:
                return False
            connection.execute(
                sa.update(t.want)
                .where(_W.unlock_id == unlock_id, _W.state != "done")
                .values(
                    state="held",
                    unlock_id=None,
                    outcome=Outcome.DEFERRED.value,
                    reason="an operator has allowed a repeat",
                    keep_status=True,
                )
            )
        return True

    def retry_write(self, unlock_id: int) -> int:
        """Offer a parked value again on the next run, whatever has or has not changed; how many records."""
        with self._db.write() as connection:
            moved = connection.execute(
                sa.update(t.record)
                .where(_R.id.in_(self._records_of(unlock_id)), _R.parked_version.is_not(None))
                .values(parked_version=None)
            )
        return moved.rowcount

    def give_up_write(self, unlock_id: int, reason: str) -> int:
        """A parked value counts as no value for its records, and the next source is due; how many records."""
        with self._db.write() as connection:
            rows = connection.execute(
                sa.select(_W.id, _R.id.label("record_id"), _R.mapping, _R.crm_id)
                .join(t.record, _R.id == _W.record_id)
                .where(_W.unlock_id == unlock_id, _W.parked, _R.state == "open")
            ).all()
            if not rows:
                return 0
            values = [
                {"mapping": r.mapping, "crm_id": r.crm_id, "unlock_id": unlock_id, "reason": reason} for r in rows
            ]
            connection.execute(self._db.insert(t.unusable_value).on_conflict_do_nothing(), values)
            connection.execute(
                sa.update(t.want)
                .where(_W.id.in_([r.id for r in rows]))
                .values(state="open", outcome=None, reason="", parked=False)
            )
            connection.execute(
                sa.update(t.record).where(_R.id.in_([r.record_id for r in rows])).values(parked_version=None)
            )
        return len(rows)

    def is_at_vendor(self, unlock_id: int, now: datetime) -> bool:
        """Whether the vendor works on it, or its request left so long ago that no answer can come."""
        submitted = _U.state == UnlockState.SUBMITTED.value
        query = sa.select(_U.id).where(_U.id == unlock_id, sa.or_(submitted, _sent(now - LONGEST_ANSWER)))
        with self._db.read() as connection:
            return connection.scalar(query) is not None

    def find(self, unlock_id: int) -> tuple[UnlockState, Result | None] | None:
        """An unlock's state and result."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(_U.state, _U.result).where(_U.id == unlock_id)).one_or_none()
        return None if row is None else (UnlockState(row.state), Result(row.result) if row.result else None)

    def _records_of(self, unlock_id: int) -> sa.Select[tuple[int]]:
        return sa.select(_W.record_id).where(_W.unlock_id == unlock_id)

    def forget(self, crm_ids: Sequence[str], spellings: Spellings = lambda one: (one,)) -> int:
        """Erase what is stored about records; money entries, and the unlocks they belong to, stay.

        Args:
            crm_ids: any ids of the records.
            spellings: every way in which the CRM writes an id.

        Returns:
            How many rows were erased or changed.
        """
        with self._db.write() as connection:
            keep_last_write(self._db, connection)
            return forget(connection, crm_ids, spellings)


def _sent(before: datetime | None) -> sa.ColumnElement[bool]:
    """Sent before a time, and without a result; nothing where no time is given."""
    if before is None:
        return sa.false()
    old = sa.select(t.attempt.c.id).where(t.attempt.c.created_at < before)
    return sa.and_(_U.state.in_(AT_VENDOR), _U.attempt_id.in_(old))
