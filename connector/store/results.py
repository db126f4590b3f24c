"""The results of purchases: finalized, charged or released, improved, repeated, and read again."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import Channel, Result
from connector.core.person import Source
from connector.core.spend import EntryKind, Hold
from connector.core.states import PURCHASE, ChannelState, PurchaseState, RecordState, before
from connector.store import tables as t
from connector.store.batches import execute_many
from connector.store.credits import Payer
from connector.store.database import Database
from connector.store.older_values import from_earlier, leave_own_task, take_late_value, take_older_values
from connector.store.record_sql import UNUSABLE, unindexed
from connector.store.repeats import recall_newer, uncharge
from connector.store.rows import AnyRow, CheckRow, FinalResult, RereadRow, chunks, person_of
from connector.store.seal import Seal
from connector.store.shares import MONEY, NO_PRIOR, Ended, Sums, append_sums, end_share, end_shares
from connector.store.task_end import TaskEnd, end_task

_A, _P = t.attempt.c, t.purchase.c
REREADS_AT_ONCE = 200
_BEFORE_FINAL = frozenset(state.value for state in before(PURCHASE, PurchaseState.FINAL))
_MONEY_OF = (
    sa.select(*MONEY, _A.provider, _A.account, _A.run_id, _A.budget_day)
    .outerjoin(t.attempt, _A.id == _P.attempt_id)
    .where(
        _P.id.in_(sa.bindparam("ids", expanding=True)),
        _P.state.in_(sa.bindparam("states", expanding=True)),
    )
    .with_for_update(of=t.purchase)
)
_WRITE_FINAL = (
    sa.update(t.purchase)
    .where(_P.id == sa.bindparam("key"))
    .values(
        state=PurchaseState.FINAL.value,
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
    )
)
_DUE_REREADS = (
    sa.select(_P.id, _P.provider, _P.channel, _P.person_kind, _P.person, t.task.c.provider_task_id)
    .distinct()
    .select_from(
        t.purchase.join(t.record_channel, t.record_channel.c.purchase_id == _P.id)
        .join(t.record, t.record.c.id == t.record_channel.c.record_id)
        .outerjoin(t.task, t.task.c.id == _P.task_id)
        .outerjoin(t.unusable_value, UNUSABLE)
    )
    .where(
        unindexed(_P.provider) == sa.bindparam("provider"),
        unindexed(_P.account) == sa.bindparam("account"),
        _P.state == PurchaseState.FINAL.value,
        _P.result == Result.DELIVERED.value,
        _P.value.is_(None),
        t.record_channel.c.state == ChannelState.OPEN,
        t.record.c.run_id == sa.bindparam("run_id"),
        t.record.c.state == RecordState.OPEN,
        t.unusable_value.c.reason.is_(None),
        sa.or_(_P.tried_in.is_(None), _P.tried_in != sa.bindparam("run_id")),
    )
    .limit(REREADS_AT_ONCE)
)


class Results:
    """Stores results and values."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._db = database
        self._seal = seal

    def finalize(
        self,
        results: Iterable[FinalResult],
        now: datetime,
        only: PurchaseState | None = None,
        end: TaskEnd | None = None,
    ) -> list[int]:
        """Make purchases final, seal their values, and end their holds as charge or release.

        A purchase without a value gets the value of an older generation, if one has arrived meanwhile.

        Args:
            results: the results.
            now: the ledger's time.
            only: change only purchases in this state.
            end: the end of their task, stored in the same transaction.

        Returns:
            The purchases that this call made final; the others were final already.
        """
        by_id = {one.purchase_id: one for one in results}
        if not by_id and end is None:
            return []
        states = _BEFORE_FINAL if only is None else {only.value}
        with self._db.write() as connection:
            rows: list[AnyRow] = [
                row
                for part in chunks(list(by_id))
                for row in connection.execute(_MONEY_OF, {"ids": list(part), "states": list(states)}).all()
            ]
            if end is not None:
                end_task(connection, end, [row.id for row in rows])
            if not rows:
                return []
            updates: list[dict[str, object]] = []
            sums: Sums = Sums()
            for row in rows:
                result = by_id[row.id]
                updates.append(self._final_row(result, end_shares(sums, row, charged=result.charged), now))
            execute_many(connection, _WRITE_FINAL, updates)
            payers = {row.attempt_id: Payer.of(row) for row in rows if row.provider is not None}
            append_sums(connection, sums, now, payers)
            ended = [row for row in rows if by_id[row.id].result is not Result.DELIVERED and row.generation > 1]
            take_older_values(connection, [row.id for row in ended], now)
        return [row.id for row in rows]

    def _final_row(self, result: FinalResult, ended: Ended, now: datetime) -> dict[str, object]:
        value = result.value
        return {
            "key": result.purchase_id,
            "new_result": result.result.value,
            "new_reason": result.reason,
            "new_hold": ended.hold.value,
            "new_cost": ended.cost_credits,
            "new_value": None if value is None else self._seal.seal({"value": value}),
            "new_hash": None if value is None else self._seal.hash(value),
            "now": now,
        }

    def improve(self, purchase_id: int, value: str, now: datetime, *, charged: bool = False) -> bool:
        """Turn `not_found` or `failed` into `delivered`, also for newer generations; False if there is nothing to turn.

        Args:
            purchase_id: the purchase.
            value: the value that the vendor shows.
            now: the ledger's time.
            charged: the purchase's own request delivered the value, so a released share is charged after all.
        """
        with self._db.write() as connection:
            row = connection.execute(
                sa.select(*MONEY)
                .where(_P.id == purchase_id, _P.result.in_((Result.NOT_FOUND.value, Result.FAILED.value)))
                .with_for_update()
            ).one_or_none()
            if row is None:
                return False
            again = charged and row.hold == Hold.RELEASED.value and not row.free
            sums: Sums = Sums()
            if again:
                sums[row.attempt_id, row.mapping, EntryKind.RELEASE] -= row.price_credits
                sums[row.attempt_id, row.mapping, EntryKind.CHARGE] += row.price_credits
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == purchase_id)
                .values(
                    result=Result.DELIVERED.value,
                    reason="",
                    hold=Hold.CHARGED.value if again else _P.hold,
                    charged_credits=_P.charged_credits + (row.price_credits if again else 0),
                    value=self._seal.seal({"value": value}),
                    value_hash=self._seal.hash(value),
                    final_at=now,
                    state_at=now if again else _P.state_at,
                )
            )
            take_late_value(connection, purchase_id, now)
            recall_newer(connection, purchase_id)
            append_sums(connection, sums, now)
        return True

    def end_late(self, result: FinalResult, now: datetime) -> None:
        """Store a late result without a value for a purchase that was given up.

        The charge is reversed if the answer cost nothing, and the operator's permission to repeat ends. A purchase
        with the value of an older generation keeps that value.
        """
        without_value = _P.result.in_((Result.NOT_FOUND.value, Result.FAILED.value))
        this = (_P.id == result.purchase_id, sa.or_(without_value, from_earlier()))
        with self._db.write() as connection:
            row = connection.execute(sa.select(*MONEY).where(*this).with_for_update()).one_or_none()
            if row is None:
                return
            if (not result.charged or row.free) and row.attempt_id is not None:
                uncharge(connection, [row.id], row.attempt_id, now)
            leave_own_task(connection, _P.id == row.id)
            connection.execute(
                sa.update(t.purchase)
                .where(*this, without_value)
                .values(result=result.result.value, reason=result.reason, repeat_allowed=False)
            )

    def allow_repeat(self, check: CheckRow, reason: str, now: datetime, run_id: str | None = None) -> None:
        """Plan the one resubmission of a lost request that the vendor did not accept; the first hold stays.

        If two answers were lost, the older request is presumed charged, because its charge stays unknown.

        Args:
            check: the read that shows that the vendor did not accept the request.
            reason: the reason, as text for people.
            now: the ledger's time.
            run_id: the run that may send it; None keeps the present one. If it is empty, the resubmission waits until
                its records are selected again.
        """
        mine = (
            _P.id == check.id,
            _P.state == PurchaseState.UNKNOWN.value,
            _P.resubmitted == check.resubmitted,
        )
        with self._db.write() as connection:
            row = connection.execute(sa.select(*MONEY).where(*mine)).one_or_none()
            if row is None:
                return
            sums: Sums = Sums()
            if row.prior_attempt_id is not None:
                prior = (row.prior_attempt_id, row.prior_mapping, Hold(row.prior_hold))
                end_share(sums, *prior, EntryKind.CHARGE, row.price_credits)
            append_sums(connection, sums, now)
            connection.execute(
                sa.update(t.purchase)
                .where(*mine)
                .values(
                    state=PurchaseState.PLANNED.value,
                    prior_attempt_id=_P.attempt_id,
                    prior_hold=_P.hold,
                    prior_mapping=_P.mapping,
                    attempt_id=None,
                    hold=Hold.NONE.value,
                    resubmitted=_P.resubmitted + 1,
                    charged_credits=_P.charged_credits + sum(sums.values()),
                    run_id=_P.run_id if run_id is None else run_id,
                    check_at=None,
                    checks=0,
                    reason=reason,
                    state_at=now,
                )
            )

    def due_rereads(self, source: Source, run_id: str) -> list[RereadRow]:
        """List delivered purchases whose value was erased and that records of this run wait for.

        Those that this run has read again are left out: the vendor may show the value in a later run.
        """
        values = {"provider": source.name, "account": source.account, "run_id": run_id}
        with self._db.read() as connection:
            return [
                RereadRow(row.id, row.provider, Channel(row.channel), person_of(row), row.provider_task_id)
                for row in connection.execute(_DUE_REREADS, values)
            ]

    def read_once(self, purchase_id: int, run_id: str) -> None:
        """Store that a run reads a value again."""
        with self._db.write() as connection:
            connection.execute(sa.update(t.purchase).where(_P.id == purchase_id).values(tried_in=run_id))

    def reseal(self, purchase_id: int, value: str) -> None:
        """Store a value that was read again, until the records that need it are written."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == purchase_id, _P.result == Result.DELIVERED.value)
                .values(value=self._seal.seal({"value": value}), value_hash=self._seal.hash(value))
            )
