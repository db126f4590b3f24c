"""Paid requests: what may be bought now, and taking a batch with its hold in the transaction that checks every cap."""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.errors import BooksError
from connector.core.model import Channel, UnlockState
from connector.core.person import Source
from connector.core.spend import EntryKind, Hold
from connector.store import tables as t
from connector.store.answers import Answers
from connector.store.credits import (
    CapRules,
    NewEntry,
    Payer,
    RemainingBudget,
    append,
    budget_day,
    remaining_budget,
    select_affordable,
)
from connector.store.mark import MarkedHold
from connector.store.payers import leave_to_others, mappings_of, may_be_paid, waiting_mappings
from connector.store.repeats import SUBMITTING, receipt_waits, receipts_at
from connector.store.rows import Batch, BudgetExhausted, PurchaseGroup

_A, _U = t.attempt.c, t.unlock.c


@dataclass(frozen=True, slots=True)
class EventPlan:
    """The purchase of an event as it stands.

    Attributes:
        attempt_id: the request that was sent for it, if any.
    """

    unlock_id: int
    state: UnlockState
    attempt_id: str | None


class Attempts(Answers):
    """The ledger's side of buying: batches with their hold, and all that can become of them."""

    def groups(
        self, source: Source, run_id: str, now: datetime, full: Collection[tuple[str, str]] = ()
    ) -> list[PurchaseGroup]:
        """What this run has planned and may submit now, the largest group first.

        Args:
            source: whose.
            run_id: what this run has planned.
            now: the ledger's time.
            full: pairs of channel and mapping whose caps allow nothing more.
        """
        by_channel: dict[str, list[str]] = {}
        for channel, mapping in full:
            by_channel.setdefault(channel, []).append(mapping)
        payable = [
            sa.or_(_U.channel != channel, may_be_paid(run_id, mappings)) for channel, mappings in by_channel.items()
        ]
        query = _GROUPS.where(*payable) if payable else _GROUPS
        with self._db.read() as connection:
            rows = connection.execute(query, _goes(source, run_id, now))
            return [PurchaseGroup(Channel(channel), event, size) for channel, event, size in rows]

    def take(
        self,
        source: Source,
        group: PurchaseGroup,
        run_id: str,
        owner: str,
        rules: CapRules,
        now: datetime,
    ) -> Batch | BudgetExhausted | None:
        """Move planned purchases to `submitting` and hold their price, as many as every cap allows.

        A person whom records of several mappings wait for is paid by any of these mappings that has budget left.

        Args:
            source: the provider.
            group: which purchases, and at most how many.
            run_id: the run that has planned them.
            owner: the process that will send them.
            rules: every cap that applies.
            now: the ledger's time.

        Returns:
            The batch; the caps that allow not one, by mapping; or None when nothing is planned any more.
        """
        mine = (*_MAY_GO, _U.channel == group.channel.value, _same_event(group.event_id))
        goes = _goes(source, run_id, now)
        price = source.prices.of(group.channel)
        with self._db.write() as connection:
            limits = remaining_budget(connection, source.name, source.account, run_id, rules, now)
            full = [name for name in limits.by_mapping if not limits.allows(name, price)]
            rows = connection.execute(
                sa.select(_U.id, _U.person, _U.mapping, _price(price).label("price_credits"))
                .where(*mine, *([may_be_paid(run_id, full)] if full else []))
                .order_by(_U.place, _U.id)
                .limit(group.size)
                .with_for_update(skip_locked=True),
                goes,
            ).all()
            payers = mappings_of(connection, run_id, [row.id for row in rows])
            chosen = select_affordable(
                [(row.id, payers.get(row.id, (row.mapping,)), row.price_credits) for row in rows], limits
            )
            if not chosen:
                return _why_full(connection, run_id, limits, mine, goes)
            attempt_id = uuid.uuid4().hex
            holds: Counter[str] = Counter()
            for row in rows:
                if row.id in chosen:
                    holds[chosen[row.id]] += row.price_credits
            entry = _hold(connection, source, attempt_id, run_id, holds, now)
            batch = Batch(
                attempt_id=attempt_id,
                provider=source.name,
                channel=group.channel,
                event_id=group.event_id,
                owner=owner,
                committed_at=now,
                unlocks={row.person: row.id for row in rows if row.id in chosen},
                hold=MarkedHold(entry, attempt_id),
            )
            self._begin(connection, source, batch, run_id, now)
            for payer in holds:
                ids = [unlock_id for unlock_id, mapping in chosen.items() if mapping == payer]
                connection.execute(sa.update(t.unlock).where(_U.id.in_(ids)).values(mapping=payer))
            return batch

    def _begin(
        self,
        connection: sa.Connection,
        source: Source,
        batch: Batch,
        run_id: str,
        now: datetime,
    ) -> None:
        connection.execute(
            sa.insert(t.attempt).values(
                id=batch.attempt_id,
                provider=source.name,
                account=source.account,
                channel=batch.channel.value,
                run_id=run_id,
                owner=batch.owner,
                state=SUBMITTING,
                size=len(batch.unlocks),
                budget_day=budget_day(now),
                created_at=now,
            )
        )
        connection.execute(
            sa.update(t.unlock)
            .where(_U.id.in_(batch.unlocks.values()), _U.state == UnlockState.PLANNED.value)
            .values(
                state=UnlockState.SUBMITTING.value,
                attempt_id=batch.attempt_id,
                hold=Hold.OPEN.value,
                price_credits=_price(source.prices.of(batch.channel)),
                free=False,
                not_before=None,
                check_at=None,
                checks=0,
                reason="",
                state_at=now,
            )
        )

    def plan_event(self, source: Source, event_id: str, run_id: str, mapping: str, now: datetime) -> EventPlan:
        """Find or plan the purchase of access to an event.

        Args:
            source: the provider, with the event's price.
            event_id: the vendor's own id.
            run_id: the run that buys it.
            mapping: under which name its entries stand.
            now: the ledger's time.
        """
        channel, price = Channel.EVENT, source.prices.of(Channel.EVENT)
        mine = (
            _U.provider == source.name,
            _U.account == source.account,
            _U.channel == channel.value,
            _U.person == event_id,
        )
        query = sa.select(_U.id, _U.state, _U.generation, _U.attempt_id).where(*mine)
        with self._db.write() as connection:
            newest = connection.execute(query.order_by(_U.generation.desc()).limit(1)).one_or_none()
            if newest is not None and newest.state != UnlockState.FINAL.value:
                if newest.state == UnlockState.PLANNED.value:
                    connection.execute(
                        sa.update(t.unlock)
                        .where(_U.id == newest.id)
                        .values(run_id=run_id, price_credits=price, not_before=None, check_at=None)
                    )
                return EventPlan(newest.id, UnlockState(newest.state), newest.attempt_id)
            inserted = connection.execute(
                sa.insert(t.unlock).values(
                    provider=source.name,
                    account=source.account,
                    channel=channel.value,
                    person=event_id,
                    generation=1 if newest is None else newest.generation + 1,
                    state=UnlockState.PLANNED.value,
                    mapping=mapping,
                    run_id=run_id,
                    price_credits=price,
                    state_at=now,
                )
            )
            key = inserted.inserted_primary_key
            if key is None:
                raise BooksError("the ledger gave a new purchase no number")
            return EventPlan(int(key[0]), UnlockState.PLANNED, None)

    def reprice(self, unlock_id: int, credits_: int, now: datetime) -> None:
        """Hold what the vendor has charged for a purchase, where that is another price than expected."""
        with self._db.write() as connection:
            row = connection.execute(
                sa.select(_U.attempt_id, _U.mapping, _U.price_credits, _U.hold).where(_U.id == unlock_id)
            ).one()
            if row.attempt_id is None or row.hold != Hold.OPEN.value or row.price_credits == credits_:
                return
            attempt = connection.execute(sa.select(t.attempt).where(t.attempt.c.id == row.attempt_id)).one()
            more = NewEntry(row.attempt_id, row.mapping, EntryKind.HOLD, credits_ - row.price_credits)
            append(connection, Payer.of(attempt), [more], now)
            connection.execute(sa.update(t.unlock).where(_U.id == unlock_id).values(price_credits=credits_))

    def may_send(self, batch: Batch) -> bool:
        """Whether the attempt is still this sender's own: the last look before the bytes leave.

        A repeat does not leave once the request that it repeats has an answer, or a callback receipt of that request
        waits to be confirmed.
        """
        values = {"attempt_id": batch.attempt_id, **receipts_at(batch.committed_at)}
        with self._db.read() as connection:
            row = connection.execute(_LAST_LOOK, values).one_or_none()
        return row is not None and (row.state, row.owner, bool(row.receipt_waits)) == (SUBMITTING, batch.owner, False)

    def knows(self, attempt_id: str) -> bool:
        """Whether this ledger has a paid request of this id."""
        with self._db.read() as connection:
            return connection.scalar(sa.select(t.attempt.c.id).where(t.attempt.c.id == attempt_id)) is not None

    def set_event(self, unlock_id: int, event_id: str | None) -> None:
        """Name another event for a planned unlock."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == unlock_id, _U.state == UnlockState.PLANNED.value)
                .values(event_id=event_id)
            )


def _hold(
    connection: sa.Connection, source: Source, attempt_id: str, run_id: str, holds: Mapping[str, int], now: datetime
) -> int:
    """Hold the price of a request, by mapping; the number of the newest entry."""
    entries = [NewEntry(attempt_id, mapping, EntryKind.HOLD, price) for mapping, price in holds.items()]
    append(connection, Payer(source.name, source.account, run_id, budget_day(now)), entries, now)
    return int(connection.scalar(sa.select(sa.func.max(t.entry.c.id)).where(t.entry.c.attempt_id == attempt_id)) or 0)


def _price(present: int) -> sa.ColumnElement[int]:
    """The dearer of the present price and the planned one; a repeat keeps that of its lost request."""
    rose = sa.and_(_U.prior_attempt_id.is_(None), _U.price_credits < present)
    return sa.case((rose, present), else_=_U.price_credits)


_MAY_GO = (
    _U.provider == sa.bindparam("of_provider"),
    _U.account == sa.bindparam("of_account"),
    _U.run_id == sa.bindparam("of_run"),
    _U.state == UnlockState.PLANNED.value,
    _U.check_at.is_(None),
    sa.or_(_U.not_before.is_(None), _U.not_before <= sa.bindparam("now")),
    sa.not_(receipt_waits()),
)
_GROUPS = (
    sa.select(_U.channel, _U.event_id, sa.func.count())
    .where(*_MAY_GO)
    .group_by(_U.channel, _U.event_id)
    .order_by(sa.func.count().desc(), sa.func.min(_U.id))
)
_BEING_SENT = (_U.attempt_id == sa.bindparam("attempt_id"), _U.state == UnlockState.SUBMITTING.value)
_LAST_LOOK = sa.select(
    _A.state, _A.owner, sa.exists(sa.select(_U.id).where(*_BEING_SENT, receipt_waits())).label("receipt_waits")
).where(_A.id == sa.bindparam("attempt_id"))


def _goes(source: Source, run_id: str, now: datetime) -> dict[str, object]:
    """The parameters of `_MAY_GO`."""
    return {"of_provider": source.name, "of_account": source.account, "of_run": run_id, "now": now, **receipts_at(now)}


def _why_full(
    connection: sa.Connection,
    run_id: str,
    limits: RemainingBudget,
    mine: Sequence[sa.ColumnElement[bool]],
    goes: Mapping[str, object],
) -> BudgetExhausted | None:
    """The caps that keep each mapping from paying for what is planned; None when nothing is planned any more.

    What another run at this moment waits for too is left to that run: its mappings may have budget.
    """
    names = waiting_mappings(connection, run_id, mine, goes)
    if not names:
        return None
    leave_to_others(connection, run_id, mine, goes)
    caps = {name: limits.tightest(name) for name in names}
    return BudgetExhausted({name: cap for name, cap in caps.items() if cap is not None})


def _same_event(event_id: str | None) -> sa.ColumnElement[bool]:
    return _U.event_id.is_(None) if event_id is None else _U.event_id == event_id
