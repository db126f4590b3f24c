"""What a purchase has brought: results made final, charged or released, improved, repeated, and read once more."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Channel, Result, UnlockState
from connector.core.person import Source
from connector.core.spend import EntryKind, Hold, ending
from connector.core.task import sources_of
from connector.store import tables as t
from connector.store.credits import NewEntry, Payer, append
from connector.store.database import Database
from connector.store.polls import AT_ONCE, Polls
from connector.store.record_sql import UNUSABLE
from connector.store.repeats import NO_PRIOR, never_sent, recall_newer, uncharge
from connector.store.rows import CheckRow, RereadRow, Settlement, chunks
from connector.store.seal import Seal

_U = t.unlock.c
_BEFORE_FINAL = frozenset(state.value for state in sources_of(UnlockState.FINAL))

Sums = Counter[tuple[str, str, EntryKind]]  # credits by attempt, mapping and kind
_AT_STAKE = frozenset({Hold.OPEN, Hold.PRESUMED})
_MONEY = (
    *(_U.id, _U.attempt_id, _U.mapping, _U.price_credits, _U.hold, _U.free),
    *(_U.prior_attempt_id, _U.prior_mapping, _U.prior_hold, _U.charged_credits),
)


def _end(sums: Sums, attempt_id: str | None, mapping: str, hold: Hold, kind: EntryKind, price: int) -> None:
    """Note the entries that end a share of a hold."""
    for what, sign in ending(hold, kind):
        sums[str(attempt_id), mapping, what] += sign * price


def _charge(sums: Sums) -> int:
    """The credits that these entries charge."""
    return sum(credits_ for (_, _, kind), credits_ in sums.items() if kind is EntryKind.CHARGE)


class Results(Polls):
    """The ledger's side of collecting."""

    def __init__(self, database: Database, seal: Seal) -> None:
        super().__init__(database)
        self._seal = seal

    def settle(self, settlements: Iterable[Settlement], now: datetime, only: UnlockState | None = None) -> list[int]:
        """Make results final, seal their values, and end their holds as charge or release.

        Args:
            settlements: the results.
            now: the ledger's time.
            only: purchases in any other state stay as they are.

        Returns:
            The unlocks that this call made final; others already were.
        """
        wanted = {s.unlock_id: s for s in settlements}
        states = _BEFORE_FINAL if only is None else {only.value}
        with self._db.write() as connection:
            rows = [
                row
                for part in chunks(list(wanted))
                for row in connection.execute(
                    sa.select(*_MONEY).where(_U.id.in_(part), _U.state.in_(states)).with_for_update()
                )
            ]
            if not rows:
                return []
            updates: list[dict[str, object]] = []
            sums: Sums = Counter()
            for row in rows:
                settlement = wanted[row.id]
                kind = EntryKind.CHARGE if settlement.charged and not row.free else EntryKind.RELEASE
                _end(sums, row.attempt_id, row.mapping, Hold(row.hold), kind, row.price_credits)
                cost = row.charged_credits
                cost += row.price_credits if kind is EntryKind.CHARGE and Hold(row.hold) in _AT_STAKE else 0
                if row.prior_attempt_id is not None:
                    # Of two attempts one was charged: the first, when the second answer says "not again" or when
                    # the second was refused.
                    was_first = settlement.charged and (row.free or Hold(row.hold) not in _AT_STAKE)
                    first = EntryKind.CHARGE if was_first else EntryKind.RELEASE
                    prior = (row.prior_attempt_id, row.prior_mapping, Hold(row.prior_hold))
                    _end(sums, *prior, first, row.price_credits)
                    cost += row.price_credits if was_first and Hold(row.prior_hold) in _AT_STAKE else 0
                updates.append(self._final_row(settlement, Hold(row.hold), kind, now) | {"new_cost": cost})
            self._write_final(connection, updates)
            self._append(connection, sums, now)
        return [row.id for row in rows]

    def _final_row(self, settlement: Settlement, hold: Hold, kind: EntryKind, now: datetime) -> dict[str, object]:
        ended = {EntryKind.CHARGE: Hold.CHARGED, EntryKind.RELEASE: Hold.RELEASED}[kind]
        value = settlement.value
        return {
            "key": settlement.unlock_id,
            "new_result": settlement.result.value,
            "new_reason": settlement.reason,
            "new_hold": (ended if hold in _AT_STAKE else hold).value,
            "new_value": None if value is None else self._seal.seal({"value": value}),
            "new_hash": None if value is None else self._seal.hash(value),
            "now": now,
        }

    def _write_final(self, connection: sa.Connection, updates: list[dict[str, object]]) -> None:
        connection.execute(
            sa.update(t.unlock)
            .where(_U.id == sa.bindparam("key"))
            .values(
                state=UnlockState.FINAL.value,
                result=sa.bindparam("new_result"),
                reason=sa.bindparam("new_reason"),
                hold=sa.bindparam("new_hold"),
                charged_credits=sa.bindparam("new_cost"),
                value=sa.bindparam("new_value"),
                value_hash=sa.bindparam("new_hash"),
                check_at=None,
                **NO_PRIOR,
                state_at=sa.bindparam("now"),
                final_at=sa.bindparam("now"),
            ),
            updates,
        )

    def _append(self, connection: sa.Connection, sums: Sums, now: datetime) -> None:
        by_attempt: dict[str, list[NewEntry]] = {}
        for (attempt_id, mapping, kind), price in sums.items():
            by_attempt.setdefault(attempt_id, []).append(NewEntry(attempt_id, mapping, kind, price))
        for attempt_id, entries in by_attempt.items():
            attempt = connection.execute(sa.select(t.attempt).where(t.attempt.c.id == attempt_id)).one()
            append(connection, Payer.of(attempt), entries, now)

    def improve(self, unlock_id: int, value: str, now: datetime, *, charged: bool = False) -> bool:
        """Evidence that costs nothing turns not found or failed into delivered; whether it did.

        `charged` when it was this unlock's own request that brought it: a share that was given back is taken after all.
        """
        with self._db.write() as connection:
            row = connection.execute(
                sa.select(*_MONEY)
                .where(_U.id == unlock_id, _U.result.in_((Result.NOT_FOUND.value, Result.FAILED.value)))
                .with_for_update()
            ).one_or_none()
            if row is None:
                return False
            again = charged and row.hold == Hold.RELEASED.value and not row.free
            sums: Sums = Counter()
            if again:
                sums[row.attempt_id, row.mapping, EntryKind.RELEASE] -= row.price_credits
                sums[row.attempt_id, row.mapping, EntryKind.CHARGE] += row.price_credits
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == unlock_id)
                .values(
                    result=Result.DELIVERED.value,
                    reason="",
                    hold=Hold.CHARGED.value if again else _U.hold,
                    charged_credits=_U.charged_credits + (row.price_credits if again else 0),
                    value=self._seal.seal({"value": value}),
                    value_hash=self._seal.hash(value),
                    final_at=now,
                    state_at=now if again else _U.state_at,
                )
            )
            self._spare_newer(connection, unlock_id, value, now)
            recall_newer(connection, unlock_id)
            self._append(connection, sums, now)
        return True

    def end_late(self, settlement: Settlement, now: datetime) -> None:
        """The late answer to a request that was given up brings no value: it ends what was only presumed.

        So do its charge, where the answer cost nothing, and the operator's permission to repeat it.
        """
        mine = (_U.id == settlement.unlock_id, _U.result.in_((Result.NOT_FOUND.value, Result.FAILED.value)))
        with self._db.write() as connection:
            row = connection.execute(sa.select(*_MONEY).where(*mine).with_for_update()).one_or_none()
            if row is None:
                return
            if (not settlement.charged or row.free) and row.attempt_id is not None:
                uncharge(connection, [row.id], row.attempt_id, now)
            connection.execute(
                sa.update(t.unlock)
                .where(*mine)
                .values(result=settlement.result.value, reason=settlement.reason, repeat_allowed=False)
            )

    def _spare_newer(self, connection: sa.Connection, unlock_id: int, value: str, now: datetime) -> None:
        """A newer purchase of the same, planned and not sent yet, has its value for nothing."""
        old = t.unlock.alias()
        same = sa.select(old.c.id).where(
            old.c.id == unlock_id,
            *(old.c[name] == _U[name] for name in ("provider", "account", "channel", "person")),
            old.c.generation < _U.generation,
        )
        connection.execute(
            sa.update(t.unlock)
            .where(
                *never_sent(),
                sa.exists(same.correlate(t.unlock)),
            )
            .values(
                state=UnlockState.FINAL.value,
                result=Result.DELIVERED.value,
                reason="",
                value=self._seal.seal({"value": value}),
                value_hash=self._seal.hash(value),
                check_at=None,
                state_at=now,
                final_at=now,
            )
        )

    def allow_repeat(self, check: CheckRow, reason: str, now: datetime, run_id: str | None = None) -> None:
        """The vendor shows that a lost request was not taken: one counted resubmission, the first hold stays.

        `run_id` names the run that may send it; an empty one none: it waits until its records are selected again.

        Where an answer was lost twice already, nobody will tell whether the older request was charged: it is presumed.
        """
        mine = (
            _U.id == check.id,
            _U.state == UnlockState.UNKNOWN.value,
            _U.resubmitted == check.resubmitted,
        )
        with self._db.write() as connection:
            row = connection.execute(sa.select(*_MONEY).where(*mine)).one_or_none()
            if row is None:
                return
            sums: Sums = Counter()
            if row.prior_attempt_id is not None:
                prior = (row.prior_attempt_id, row.prior_mapping, Hold(row.prior_hold))
                _end(sums, *prior, EntryKind.CHARGE, row.price_credits)
            self._append(connection, sums, now)
            connection.execute(
                sa.update(t.unlock)
                .where(*mine)
                .values(
                    state=UnlockState.PLANNED.value,
                    prior_attempt_id=_U.attempt_id,
                    prior_hold=_U.hold,
                    prior_mapping=_U.mapping,
                    attempt_id=None,
                    hold=Hold.NONE.value,
                    resubmitted=_U.resubmitted + 1,
                    charged_credits=_U.charged_credits + _charge(sums),
                    run_id=_U.run_id if run_id is None else run_id,
                    check_at=None,
                    checks=0,
                    reason=reason,
                    state_at=now,
                )
            )

    def due_rereads(self, source: Source, run_id: str) -> list[RereadRow]:
        """Delivered unlocks without a value that records of this run hang on."""
        query = (
            sa.select(_U.id, _U.provider, _U.channel, _U.person, t.task.c.vendor_id)
            .distinct()
            .select_from(
                t.unlock.join(t.want, t.want.c.unlock_id == _U.id)
                .join(t.record, t.record.c.id == t.want.c.record_id)
                .outerjoin(t.task, t.task.c.id == _U.task_id)
                .outerjoin(t.unusable_value, UNUSABLE)
            )
            .where(
                _U.provider == source.name,
                _U.account == source.account,
                _U.state == UnlockState.FINAL.value,
                _U.result == Result.DELIVERED.value,
                _U.value.is_(None),
                t.want.c.state == "open",
                t.record.c.run_id == run_id,
                t.record.c.state == "open",
                t.unusable_value.c.reason.is_(None),
            )
            .limit(AT_ONCE)
        )
        with self._db.read() as connection:
            return [
                RereadRow(row.id, row.provider, Channel(row.channel), row.person, row.vendor_id)
                for row in connection.execute(query)
            ]

    def reseal(self, unlock_id: int, value: str) -> None:
        """Keep a value that was read once more until the records that want it are written."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == unlock_id, _U.result == Result.DELIVERED.value)
                .values(value=self._seal.seal({"value": value}), value_hash=self._seal.hash(value))
            )
