"""Paid requests: lists the purchases that may be sent, and takes a batch with its hold after checking every cap."""

import functools
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.errors import AccountingError
from connector.core.model import Channel, Identifier
from connector.core.person import Source
from connector.core.spend import EntryKind, Hold
from connector.core.states import PurchaseState
from connector.store import tables as t
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
from connector.store.database import Database
from connector.store.mark import MarkedHold
from connector.store.payers import leave_to_others, mappings_of, may_be_paid, waiting_mappings
from connector.store.repeats import SUBMITTING, receipt_waits, receipts_at
from connector.store.rows import Batch, BudgetExhausted, PurchaseGroup, person_of
from connector.store.tables.purchases import IS_PLANNED

_A, _P = t.attempt.c, t.purchase.c
WINDOW = 5000  # planned purchases that are read to list groups


@dataclass(frozen=True, slots=True)
class EventPlan:
    """The current state of an event's purchase.

    Attributes:
        attempt_id: the request that was sent, if any.
    """

    purchase_id: int
    state: PurchaseState
    attempt_id: str | None


class Attempts:
    """Batches of purchases, each with its hold."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def groups(
        self,
        source: Source,
        run_id: str,
        now: datetime,
        capped: Collection[tuple[str, str]] = (),
        mappings: Collection[str] = (),
    ) -> list[PurchaseGroup]:
        """List planned purchases of this run that may be sent now, in groups: the largest first, then the oldest.

        At most `WINDOW` purchases are read, so a group may be larger than listed, and further ones may exist.

        Args:
            source: the provider.
            run_id: the run.
            now: the ledger's time.
            capped: pairs of channel and mapping whose caps allow nothing more.
            mappings: the mappings of the run. A channel that none of them may buy is left out without reading its
                purchases.
        """
        by_channel: dict[str, list[str]] = {}
        for channel, mapping in capped:
            by_channel.setdefault(channel, []).append(mapping)
        payable = [
            sa.or_(_P.channel != channel, may_be_paid(run_id, mappings)) for channel, mappings in by_channel.items()
        ]
        closed = {channel for channel, names in by_channel.items() if mappings and set(mappings) <= set(names)}
        if closed:
            payable.append(_P.channel.in_([channel.value for channel in Channel if channel.value not in closed]))
        query = _GROUPS.where(*payable) if payable else _GROUPS
        with self._db.read() as connection:
            values = _sendable_parameters(source, run_id, now) | {"window": WINDOW}
            rows = connection.execute(query, values).all()
        ids: dict[tuple[str, str | None], list[int]] = {}
        for row in rows:
            ids.setdefault((row.channel, row.grouping_key), []).append(row.id)
        if len(rows) == WINDOW and len(ids) > 1:
            del ids[rows[-1].channel, rows[-1].grouping_key]  # cut off: it is listed when the others are sent
        ordered = sorted(ids.items(), key=lambda group: (-len(group[1]), min(group[1])))
        return [PurchaseGroup(Channel(channel), event, len(found)) for (channel, event), found in ordered]

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

        If records of several mappings wait for a person, any of the mappings with enough budget pays.

        Args:
            source: the provider.
            group: the purchases, and the most that the request may carry.
            run_id: the run that planned them.
            owner: the process that will send them.
            rules: every cap that applies.
            now: the ledger's time.

        Returns:
            The batch; the binding caps by mapping, if they allow no purchase; None if nothing is planned any more.
        """
        price = source.prices.of(group.channel)
        of_group = {"of_channel": group.channel.value, "of_group": group.grouping_key}
        parameters = _sendable_parameters(source, run_id, now) | of_group
        query = _to_take(in_group=group.grouping_key is not None)
        with self._db.write() as connection:
            limits = remaining_budget(connection, source.name, source.account, run_id, rules, now)
            capped = [name for name in limits.by_mapping if not limits.allows(name, price)]
            if capped:
                query = query.where(may_be_paid(run_id, capped))
            rows = connection.execute(query, parameters | {"price": price, "size": group.size}).all()
            payers = mappings_of(connection, run_id, [row.id for row in rows])
            chosen = select_affordable(
                [(row.id, payers.get(row.id, (row.mapping,)), row.price_credits) for row in rows], limits
            )
            if not chosen:
                sendable = _sendable_in(in_group=group.grouping_key is not None)
                return _exhausted_budget(connection, run_id, limits, sendable, parameters)
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
                grouping_key=group.grouping_key,
                owner=owner,
                committed_at=now,
                purchases={person_of(row): row.id for row in rows if row.id in chosen},
                hold=MarkedHold(entry, attempt_id),
            )
            self._begin(connection, source, batch, run_id, now)
            for payer in holds:
                ids = [purchase_id for purchase_id, mapping in chosen.items() if mapping == payer]
                of_payer = {"ids": ids, "payer": payer, "of_attempt": attempt_id, "price": price, "now": now}
                connection.execute(_BEGIN, of_payer)
            return batch

    def _begin(
        self,
        connection: sa.Connection,
        source: Source,
        batch: Batch,
        run_id: str,
        now: datetime,
    ) -> None:
        row: dict[str, object] = {
            "id": batch.attempt_id,
            "provider": source.name,
            "account": source.account,
            "channel": batch.channel.value,
            "run_id": run_id,
            "owner": batch.owner,
            "state": SUBMITTING,
            "size": len(batch.purchases),
            "budget_day": budget_day(now),
            "created_at": now,
        }
        connection.execute(_ADD_ATTEMPT, row)

    def plan_event(self, source: Source, event: Identifier, run_id: str, mapping: str, now: datetime) -> EventPlan:
        """Find or plan the purchase of access to an event.

        Args:
            source: the provider, with the event's price.
            event: the vendor's event id, as the kind that the provider groups by.
            run_id: the run that buys it.
            mapping: the mapping name of its entries.
            now: the ledger's time.
        """
        channel, price = Channel.EVENT, source.prices.of(Channel.EVENT)
        mine = (
            _P.provider == source.name,
            _P.account == source.account,
            _P.channel == channel.value,
            _P.person == event.value,
        )
        query = sa.select(_P.id, _P.state, _P.generation, _P.attempt_id).where(*mine)
        with self._db.write() as connection:
            newest = connection.execute(query.order_by(_P.generation.desc()).limit(1)).one_or_none()
            if newest is not None and newest.state != PurchaseState.FINAL.value:
                if newest.state == PurchaseState.PLANNED.value:
                    connection.execute(
                        sa.update(t.purchase)
                        .where(_P.id == newest.id)
                        .values(run_id=run_id, price_credits=price, not_before=None, check_at=None)
                    )
                return EventPlan(newest.id, PurchaseState(newest.state), newest.attempt_id)
            inserted = connection.execute(
                sa.insert(t.purchase).values(
                    provider=source.name,
                    account=source.account,
                    channel=channel.value,
                    person_kind=event.kind,
                    person=event.value,
                    generation=1 if newest is None else newest.generation + 1,
                    state=PurchaseState.PLANNED.value,
                    mapping=mapping,
                    run_id=run_id,
                    price_credits=price,
                    state_at=now,
                )
            )
            key = inserted.inserted_primary_key
            if key is None:
                raise AccountingError("the ledger gave a new purchase no number")
            return EventPlan(int(key[0]), PurchaseState.PLANNED, None)

    def reprice(self, purchase_id: int, credits_: int, now: datetime) -> None:
        """Correct the hold of a purchase to the price that the vendor charged."""
        with self._db.write() as connection:
            row = connection.execute(
                sa.select(_P.attempt_id, _P.mapping, _P.price_credits, _P.hold).where(_P.id == purchase_id)
            ).one()
            if row.attempt_id is None or row.hold != Hold.OPEN.value or row.price_credits == credits_:
                return
            attempt = connection.execute(sa.select(t.attempt).where(t.attempt.c.id == row.attempt_id)).one()
            correction = NewEntry(row.attempt_id, row.mapping, EntryKind.HOLD, credits_ - row.price_credits)
            append(connection, Payer.of(attempt), [correction], now)
            connection.execute(sa.update(t.purchase).where(_P.id == purchase_id).values(price_credits=credits_))

    def may_send(self, batch: Batch) -> bool:
        """Whether this sender still owns the attempt; the last check before the request is sent.

        A repeat is not sent if the request that it repeats has an answer, or a callback receipt that is not confirmed.
        """
        values = {"attempt_id": batch.attempt_id, **receipts_at(batch.committed_at)}
        with self._db.read() as connection:
            row = connection.execute(_LAST_CHECK, values).one_or_none()
        return row is not None and (row.state, row.owner, bool(row.receipt_waits)) == (SUBMITTING, batch.owner, False)

    def knows(self, attempt_id: str) -> bool:
        """Whether this ledger has a paid request with this id."""
        with self._db.read() as connection:
            return connection.scalar(sa.select(t.attempt.c.id).where(t.attempt.c.id == attempt_id)) is not None

    def set_grouping_key(self, purchase_id: int, grouping_key: str | None, run_id: str) -> bool:
        """Change the group of a planned purchase, once a run; False if this run has changed it already."""
        first = sa.or_(_P.tried_in.is_(None), _P.tried_in != run_id)
        with self._db.write() as connection:
            changed = connection.execute(
                sa.update(t.purchase)
                .where(_P.id == purchase_id, _P.state == PurchaseState.PLANNED.value, first)
                .values(grouping_key=grouping_key, tried_in=run_id)
            )
        return changed.rowcount == 1


def _hold(
    connection: sa.Connection, source: Source, attempt_id: str, run_id: str, holds: Mapping[str, int], now: datetime
) -> int:
    """Append the holds of a request, by mapping; returns the id of the newest entry."""
    entries = [NewEntry(attempt_id, mapping, EntryKind.HOLD, price) for mapping, price in holds.items()]
    number = append(connection, Payer(source.name, source.account, run_id, budget_day(now)), entries, now)
    return int(connection.scalar(_NEWEST_ENTRY, {"of_attempt": attempt_id}) or 0) if number is None else number


_NEWEST_ENTRY = sa.select(sa.func.max(t.entry.c.id)).where(t.entry.c.attempt_id == sa.bindparam("of_attempt"))
_PRESENT_PRICE = sa.bindparam("price", type_=_P.price_credits.type)
# The higher of the present price and the planned price; a repeat keeps the price of its lost request.
_PRICE = sa.case(
    (sa.and_(_P.prior_attempt_id.is_(None), _P.price_credits < _PRESENT_PRICE), _PRESENT_PRICE), else_=_P.price_credits
)
_SENDABLE = (
    _P.provider == sa.bindparam("of_provider"),
    _P.account == sa.bindparam("of_account"),
    _P.run_id == sa.bindparam("of_run"),
    IS_PLANNED,
    _P.check_at.is_(None),
    sa.or_(_P.not_before.is_(None), _P.not_before <= sa.bindparam("now")),
    sa.not_(receipt_waits()),
)
_GROUPS = (
    sa.select(_P.channel, _P.grouping_key, _P.id)
    .where(*_SENDABLE)
    .order_by(_P.channel, _P.grouping_key)
    .limit(sa.bindparam("window", type_=sa.Integer))
)
# These statements run for every request, so they are built once: building one costs more than executing it.
_ADD_ATTEMPT = sa.insert(t.attempt)
_BEGIN = (
    sa.update(t.purchase)
    .where(_P.id.in_(sa.bindparam("ids", expanding=True)), _P.state == PurchaseState.PLANNED.value)
    .values(
        state=PurchaseState.SUBMITTING.value,
        attempt_id=sa.bindparam("of_attempt"),
        mapping=sa.bindparam("payer"),
        hold=Hold.OPEN.value,
        price_credits=_PRICE,
        free=False,
        not_before=None,
        check_at=None,
        checks=0,
        reason="",
        state_at=sa.bindparam("now"),
    )
)
_BEING_SENT = (_P.attempt_id == sa.bindparam("attempt_id"), _P.state == PurchaseState.SUBMITTING.value)
_LAST_CHECK = sa.select(
    _A.state, _A.owner, sa.exists(sa.select(_P.id).where(*_BEING_SENT, receipt_waits())).label("receipt_waits")
).where(_A.id == sa.bindparam("attempt_id"))


@functools.cache
def _sendable_in(*, in_group: bool) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions of the planned purchases of a channel and group; without a group, of those that have none."""
    of_group = _P.grouping_key == sa.bindparam("of_group") if in_group else _P.grouping_key.is_(None)
    return (*_SENDABLE, _P.channel == sa.bindparam("of_channel"), of_group)


@functools.cache
def _to_take(*, in_group: bool) -> sa.Select[Any]:
    """The purchases of a channel and group that the next request carries, with the price of each."""
    return (
        sa.select(_P.id, _P.person_kind, _P.person, _P.mapping, _PRICE.label("price_credits"))
        .where(*_sendable_in(in_group=in_group))
        .order_by(_P.place, _P.id)
        .limit(sa.bindparam("size", type_=sa.Integer))
        .with_for_update(skip_locked=True)
    )


def _sendable_parameters(source: Source, run_id: str, now: datetime) -> dict[str, object]:
    """The parameters of `_SENDABLE`."""
    return {"of_provider": source.name, "of_account": source.account, "of_run": run_id, "now": now, **receipts_at(now)}


def _exhausted_budget(
    connection: sa.Connection,
    run_id: str,
    limits: RemainingBudget,
    sendable: Sequence[sa.ColumnElement[bool]],
    parameters: Mapping[str, object],
) -> BudgetExhausted | None:
    """The binding cap of each mapping that could pay for the planned purchases; None if nothing is planned any more.

    Purchases that another current run also waits for are left to that run, whose mappings may have budget.
    """
    names = waiting_mappings(connection, run_id, sendable, parameters)
    if not names:
        return None
    leave_to_others(connection, run_id, sendable, parameters)
    caps = {name: limits.tightest(name) for name in names}
    return BudgetExhausted({name: cap for name, cap in caps.items() if cap is not None})
