"""Paid requests: taking a batch with its hold, and what its answer changes.

Every method is one transaction and a compare-and-set: whoever finds the state moved on does nothing.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from connector.core.errors import BooksError
from connector.core.model import Channel, Result, UnlockState
from connector.core.person import Source
from connector.core.spend import Cap, EntryKind, tightest
from connector.store import tables as t
from connector.store.credits import CapRules, NewEntry, Room, append, budget_day, room
from connector.store.database import Database
from connector.store.rows import Batch, chunks

_U = t.unlock.c
_WAITING_FOR_ANSWER = (UnlockState.SUBMITTING.value, UnlockState.UNKNOWN.value)


class Attempts:
    """The ledger's side of buying."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def groups(self, provider: str, run_id: str, now: datetime) -> list[tuple[Channel, str | None, int]]:
        """(channel, event, size) of what this run has planned and may submit now, largest first."""
        query = (
            sa.select(_U.channel, _U.event_id, sa.func.count())
            .where(*_may_go(provider, run_id, now))
            .group_by(_U.channel, _U.event_id)
            .order_by(sa.func.count().desc(), sa.func.min(_U.id))
        )
        with self._db.read() as connection:
            return [(Channel(channel), event, size) for channel, event, size in connection.execute(query)]

    def take(
        self,
        source: Source,
        channel: Channel,
        event_id: str | None,
        size: int,
        run_id: str,
        owner: str,
        rules: CapRules,
        now: datetime,
    ) -> Batch | Cap | None:
        """Move planned unlocks to `submitting` and hold their price, as many as every cap allows.

        Returns:
            The batch; the cap that allows not one; or None when nothing is planned any more.
        """
        with self._db.write() as connection:
            rows = connection.execute(
                sa.select(_U.id, _U.person, _U.mapping, _U.price_credits)
                .where(*_may_go(source.name, run_id, now), _U.channel == channel.value, _same_event(event_id))
                .order_by(_U.id)
                .limit(size)
                .with_for_update(skip_locked=True)
            ).all()
            if not rows:
                return None
            limits = room(connection, source.name, source.account, run_id, rules, now)
            chosen = _fit([(row.id, row.mapping, row.price_credits) for row in rows], limits)
            if not chosen:
                return _refusing(rows[0].mapping, limits)
            batch = Batch(
                attempt_id=uuid.uuid4().hex,
                provider=source.name,
                channel=channel,
                event_id=event_id,
                owner=owner,
                committed_at=now,
                unlocks={row.person: row.id for row in rows if row.id in chosen},
            )
            self._begin(connection, source, batch, run_id, now)
            return batch

    def _begin(self, connection: sa.Connection, source: Source, batch: Batch, run_id: str, now: datetime) -> None:
        connection.execute(
            sa.insert(t.attempt).values(
                id=batch.attempt_id,
                provider=source.name,
                account=source.account,
                channel=batch.channel.value,
                run_id=run_id,
                owner=batch.owner,
                state="submitting",
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
                hold="open",
                free=False,
                not_before=None,
                check_at=None,
                checks=0,
                reason="",
                state_at=now,
            )
        )
        self._append_holds(connection, batch.attempt_id, EntryKind.HOLD, list(batch.unlocks.values()), now)

    def may_send(self, batch: Batch) -> bool:
        """Whether the attempt is still this sender's own: the last look before the bytes leave."""
        query = sa.select(t.attempt.c.state, t.attempt.c.owner).where(t.attempt.c.id == batch.attempt_id)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return row is not None and row.state == "submitting" and row.owner == batch.owner

    def accept(
        self,
        attempt_id: str,
        vendor_task_id: str | None,
        next_poll_at: datetime,
        check: Mapping[int, bool],
        gone: Mapping[int, str],
        back: Sequence[int],
        now: datetime,
    ) -> None:
        """Adopt the answer to a paid request, whether its unlocks say `submitting` or `unknown` by now.

        Args:
            attempt_id: whose answer it is.
            vendor_task_id: the task that was started, if any.
            next_poll_at: when to read the task first.
            check: unlocks outside the task whose person is to be read, and whether they are certainly free.
            gone: unlocks that the vendor will never deliver, with the reason.
            back: unlocks that were left out for naming the wrong event; they are planned again.
            now: the ledger's time.
        """
        with self._db.write() as connection:
            attempt = self._answered(connection, attempt_id, "submitted", now)
            if attempt is None:
                return
            mine = (_U.attempt_id == attempt_id, _U.state.in_(_WAITING_FOR_ANSWER))
            for unlock_ids, free in ((_keys(check, True), True), (_keys(check, False), False)):
                for part in chunks(unlock_ids):
                    connection.execute(
                        sa.update(t.unlock)
                        .where(_U.id.in_(part), *mine)
                        .values(state=UnlockState.SUBMITTED.value, free=free, check_at=now, checks=0, state_at=now)
                    )
            self._finish_gone(connection, attempt, gone, now)
            self._return(connection, attempt_id, back, "", None, None, now)
            if vendor_task_id is None:
                return
            task_id = self._new_task(connection, attempt, vendor_task_id, next_poll_at, now)
            # What the answer named has left these states by now: the rest of the attempt is in the task.
            connection.execute(
                sa.update(t.unlock)
                .where(*mine)
                .values(state=UnlockState.SUBMITTED.value, task_id=task_id, check_at=None, checks=0, state_at=now)
            )

    def _new_task(
        self,
        connection: sa.Connection,
        attempt: sa.Row[tuple[object, ...]],
        vendor_task_id: str,
        next_poll_at: datetime,
        now: datetime,
    ) -> int:
        inserted = connection.execute(
            sa.insert(t.task).values(
                provider=attempt.provider,
                account=attempt.account,
                channel=attempt.channel,
                vendor_id=vendor_task_id,
                attempt_id=attempt.id,
                run_id=attempt.run_id,
                state="open",
                submitted_at=now,
                next_poll_at=next_poll_at,
            )
        )
        key = inserted.inserted_primary_key
        if key is None:
            raise BooksError("the ledger gave a new task no number")
        return int(key[0])

    def _finish_gone(
        self, connection: sa.Connection, attempt: sa.Row[tuple[object, ...]], gone: Mapping[int, str], now: datetime
    ) -> None:
        if not gone:
            return
        self._append_holds(connection, attempt.id, EntryKind.RELEASE, list(gone), now)
        for unlock_id, reason in gone.items():
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == unlock_id, _U.attempt_id == attempt.id, _U.state.in_(_WAITING_FOR_ANSWER))
                .values(
                    state=UnlockState.FINAL.value,
                    result=Result.FAILED.value,
                    reason=reason,
                    hold="released",
                    state_at=now,
                    final_at=now,
                )
            )

    def give_back(
        self,
        attempt_id: str,
        unlock_ids: Sequence[int],
        reason: str,
        not_before: datetime | None,
        now: datetime,
        *,
        whole: bool = False,
        check_at: datetime | None = None,
    ) -> None:
        """Return unlocks to `planned` after a definite refusal, and release their hold.

        Args:
            attempt_id: the request that was refused.
            unlock_ids: which of its unlocks.
            reason: why, in plain words.
            not_before: no new submission of these people before this time.
            now: the ledger's time.
            whole: the whole request was refused, not only a part of it.
            check_at: read the vendor's record of these people at this time, before anything is sent again.
        """
        with self._db.write() as connection:
            attempt = (
                self._answered(connection, attempt_id, "refused", now)
                if whole
                else connection.execute(sa.select(t.attempt).where(t.attempt.c.id == attempt_id)).one_or_none()
            )
            if attempt is None:
                return
            self._return(connection, attempt_id, unlock_ids, reason, not_before, check_at, now)

    def _return(
        self,
        connection: sa.Connection,
        attempt_id: str,
        unlock_ids: Sequence[int],
        reason: str,
        not_before: datetime | None,
        check_at: datetime | None,
        now: datetime,
    ) -> None:
        mine = (_U.attempt_id == attempt_id, _U.state.in_(_WAITING_FOR_ANSWER))
        still = [
            unlock_id
            for part in chunks(unlock_ids)
            for unlock_id in connection.scalars(sa.select(_U.id).where(_U.id.in_(part), *mine))
        ]
        self._append_holds(connection, attempt_id, EntryKind.RELEASE, still, now)
        for part in chunks(still):
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id.in_(part))
                .values(
                    state=UnlockState.PLANNED.value,
                    attempt_id=None,
                    hold="released",
                    reason=reason,
                    not_before=not_before,
                    check_at=check_at,
                    checks=0,
                    state_at=now,
                )
            )

    def set_event(self, unlock_id: int, event_id: str | None) -> None:
        """Name another event for a planned unlock."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == unlock_id, _U.state == UnlockState.PLANNED.value)
                .values(event_id=event_id)
            )

    def lost(self, attempt_id: str, check_at: datetime | None, now: datetime) -> None:
        """The answer did not arrive, or its owner is dead: its unlocks are `unknown` until the vendor tells."""
        with self._db.write() as connection:
            self._lose(connection, [attempt_id], check_at, now)

    def orphaned(self, check_at: Mapping[str, datetime | None], now: datetime) -> int:
        """Every request still `submitting` when a new driver starts has lost its owner; how many there were.

        Args:
            check_at: by provider, when to read the people at the vendor; None where nothing can be read.
            now: the ledger's time.
        """
        a = t.attempt.c
        with self._db.write() as connection:
            rows = connection.execute(sa.select(a.id, a.provider).where(a.state == "submitting")).all()
            for row in rows:
                self._lose(connection, [row.id], check_at.get(row.provider), now)
        return len(rows)

    def _lose(
        self, connection: sa.Connection, attempt_ids: list[str], check_at: datetime | None, now: datetime
    ) -> None:
        a = t.attempt.c
        connection.execute(
            sa.update(t.attempt).where(a.id.in_(attempt_ids), a.state == "submitting").values(state="lost")
        )
        connection.execute(
            sa.update(t.unlock)
            .where(_U.attempt_id.in_(attempt_ids), _U.state == UnlockState.SUBMITTING.value)
            .values(
                state=UnlockState.UNKNOWN.value,
                reason="the answer to the paid request was lost",
                check_at=check_at,
                checks=0,
                state_at=now,
            )
        )

    def _answered(
        self, connection: sa.Connection, attempt_id: str, state: str, now: datetime
    ) -> sa.Row[tuple[object, ...]] | None:
        """Note the answer to an attempt; None when it already has one."""
        a = t.attempt.c
        moved = connection.execute(
            sa.update(t.attempt)
            .where(a.id == attempt_id, a.state.in_(("submitting", "lost")))
            .values(state=state, answered_at=now)
        )
        if moved.rowcount != 1:
            return None
        return connection.execute(sa.select(t.attempt).where(a.id == attempt_id)).one()

    def _append_holds(
        self, connection: sa.Connection, attempt_id: str, kind: EntryKind, unlock_ids: list[int], now: datetime
    ) -> None:
        if not unlock_ids:
            return
        sums: Counter[str] = Counter()
        for part in chunks(unlock_ids):
            rows = connection.execute(
                sa.select(_U.mapping, sa.func.sum(_U.price_credits)).where(_U.id.in_(part)).group_by(_U.mapping)
            )
            sums.update({mapping: int(price) for mapping, price in rows})
        attempt = connection.execute(sa.select(t.attempt).where(t.attempt.c.id == attempt_id)).one()
        entries = [NewEntry(attempt_id, mapping, kind, price) for mapping, price in sums.items()]
        append(connection, attempt, entries, now)


def _may_go(provider: str, run_id: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _U.provider == provider,
        _U.run_id == run_id,
        _U.state == UnlockState.PLANNED.value,
        _U.check_at.is_(None),
        sa.or_(_U.not_before.is_(None), _U.not_before <= now),
    )


def _same_event(event_id: str | None) -> sa.ColumnElement[bool]:
    return _U.event_id.is_(None) if event_id is None else _U.event_id == event_id


def _fit(rows: Iterable[tuple[int, str, int]], limits: Room) -> set[int]:
    """As many of the unlocks as fit under every cap, in their order."""
    shared = tightest(list(limits.shared))
    left_shared = None if shared is None else shared.left
    left: dict[str, int | None] = {}
    chosen: set[int] = set()
    for unlock_id, mapping, price in rows:
        if mapping not in left:
            cap = tightest(list(limits.by_mapping.get(mapping, ())))
            left[mapping] = None if cap is None else cap.left
        own = left[mapping]
        if (left_shared is not None and price > left_shared) or (own is not None and price > own):
            continue
        left_shared = None if left_shared is None else left_shared - price
        left[mapping] = None if own is None else own - price
        chosen.add(unlock_id)
    return chosen


def _refusing(mapping: str, limits: Room) -> Cap:
    caps = [*limits.shared, *limits.by_mapping.get(mapping, ())]
    cap = tightest(caps)
    if cap is None:
        raise BooksError("a purchase was refused although no cap applies")
    return cap


def _keys(check: Mapping[int, bool], free: bool) -> list[int]:
    return [unlock_id for unlock_id, is_free in check.items() if is_free is free]
