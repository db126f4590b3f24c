"""Applies the answer to a paid request to the ledger, or the loss of the answer.

Every method is one compare-and-set transaction: rows whose state has already changed stay as they are.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.errors import AccountingError
from connector.core.model import Result
from connector.core.spend import EntryKind, Hold, ending
from connector.core.states import UNANSWERED, AttemptState, PurchaseState, TaskState
from connector.store import tables as t
from connector.store.credits import NewEntry, Payer, append
from connector.store.database import Database
from connector.store.older_values import from_earlier, take_older_values
from connector.store.repeats import (
    LateAnswer,
    after_return,
    follow_first,
    resume_unsent,
    take_over,
    uncharge,
)
from connector.store.rows import RequestAnswer, RequestRefusal, chunks
from connector.store.shares import NO_PRIOR

_P = t.purchase.c
LONGEST_ANSWER = timedelta(minutes=5)  # no request waits longer; a later answer is still adopted
_WAITING_FOR_ANSWER = (PurchaseState.SUBMITTING.value, PurchaseState.UNKNOWN.value)

# These statements run for every request, so they are built once: building one costs more than executing it.
_ANSWER = (
    sa.update(t.attempt)
    .where(t.attempt.c.id == sa.bindparam("of_attempt"), t.attempt.c.state.in_((*UNANSWERED, AttemptState.LOST)))
    .values(state=sa.bindparam("new_state"), answered_at=sa.bindparam("now"))
    .returning(t.attempt)
)
_ADD_TASK = sa.insert(t.task)
_INTO_TASK = (
    sa.update(t.purchase)
    .where(_P.attempt_id == sa.bindparam("of_attempt"), _P.state.in_(_WAITING_FOR_ANSWER))
    .values(
        state=PurchaseState.SUBMITTED.value,
        task_id=sa.bindparam("new_task"),
        check_at=None,
        checks=0,
        state_at=sa.bindparam("now"),
    )
)
_OF_ATTEMPT = _P.attempt_id == sa.bindparam("of_attempt")
_WAITS_ALONE = sa.and_(_P.state.in_(_WAITING_FOR_ANSWER), _P.generation == 1, _P.prior_attempt_id.is_(None))
# As two searches, because one with OR would use no index.
_REPEATED = sa.union_all(
    sa.select(_P.id).where(_OF_ATTEMPT, sa.not_(_WAITS_ALONE)),
    sa.select(_P.id).where(_P.prior_attempt_id == sa.bindparam("of_attempt")),
)


class Answers:
    """Adopts answers and refusals, and marks requests whose answer was lost."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def accept(self, answer: RequestAnswer, next_poll_at: datetime, now: datetime) -> None:
        """Adopt the answer to a paid request whose purchases are `submitting` or `unknown`.

        Args:
            answer: the provider's answer.
            next_poll_at: the time of the task's first poll.
            now: the ledger's time.
        """
        attempt_id, check, gone, back = answer.attempt_id, answer.check, answer.gone, answer.back
        with self._db.write() as connection:
            attempt = self._answered(connection, attempt_id, AttemptState.SUBMITTED, now)
            if attempt is None:
                return
            task_id = answer.provider_task_id
            if task_id is not None and not (check or gone or back) and self._is_plain(connection, attempt_id):
                self._into_task(
                    connection, attempt_id, self._new_task(connection, attempt, task_id, next_poll_at, now), now
                )
                return
            resume_unsent(connection, attempt_id, now)
            mine = (_P.attempt_id == attempt_id, _P.state.in_(_WAITING_FOR_ANSWER))
            for purchase_ids, free in ((_keys(check, True), True), (_keys(check, False), False)):
                for part in chunks(purchase_ids):
                    connection.execute(
                        sa.update(t.purchase)
                        .where(_P.id.in_(part), *mine)
                        .values(state=PurchaseState.SUBMITTED.value, free=free, check_at=now, checks=0, state_at=now)
                    )
            self._finish_gone(connection, attempt, gone, now)
            self._return(connection, RequestRefusal(attempt_id, back, ""), now)
            new_task = None
            if task_id is not None:
                new_task = self._new_task(connection, attempt, task_id, next_poll_at, now)
            take_over(connection, attempt_id, LateAnswer(new_task, check, gone, back), now)
            lost_repeats = sa.select(_P.id).where(
                _P.prior_attempt_id == attempt_id, _P.state == PurchaseState.UNKNOWN.value
            )
            repeats = list(connection.scalars(lost_repeats))
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id.in_([one for one in repeats if one in check]))
                .values(check_at=now, checks=0)
            )
            if new_task is not None:
                # The purchases named in the answer have another state now: the rest of the attempt is in the task.
                self._into_task(connection, attempt_id, new_task, now)
                # If the repeat was lost too, the first request's task is read.
                follow_first(connection, [one for one in repeats if one not in {*check, *gone, *back}], now)
                # A purchase that was given up before the answer came may still be delivered by this task.
                connection.execute(
                    sa.update(t.purchase)
                    .where(
                        _P.attempt_id == attempt_id,
                        _P.state == PurchaseState.FINAL.value,
                        sa.or_(
                            sa.and_(_P.result != Result.DELIVERED.value, _P.id.not_in(gone)),
                            sa.and_(from_earlier(), _P.id.not_in({*check, *gone, *back})),
                        ),
                    )
                    .values(task_id=new_task)
                )
            take_older_values(connection, self._purchases_of(connection, [attempt_id]), now)
            after_return(connection, back, attempt.created_at, now)

    def _is_plain(self, connection: sa.Connection, attempt_id: str) -> bool:
        """Whether no purchase of an attempt was given up, repeated, or is a repeat itself."""
        return connection.execute(_REPEATED, {"of_attempt": attempt_id}).first() is None

    def _purchases_of(self, connection: sa.Connection, attempt_ids: Sequence[str]) -> list[int]:
        return list(connection.scalars(sa.select(_P.id).where(_P.attempt_id.in_(attempt_ids))))

    def _into_task(self, connection: sa.Connection, attempt_id: str, task_id: int, now: datetime) -> None:
        connection.execute(_INTO_TASK, {"of_attempt": attempt_id, "new_task": task_id, "now": now})

    def _new_task(
        self,
        connection: sa.Connection,
        attempt: sa.Row[tuple[object, ...]],
        provider_task_id: str,
        next_poll_at: datetime,
        now: datetime,
    ) -> int:
        row: dict[str, object] = {
            "provider": attempt.provider,
            "account": attempt.account,
            "channel": attempt.channel,
            "provider_task_id": provider_task_id,
            "attempt_id": attempt.id,
            "run_id": attempt.run_id,
            "state": TaskState.OPEN,
            "submitted_at": now,
            "next_poll_at": next_poll_at,
        }
        inserted = connection.execute(_ADD_TASK, row)
        key = inserted.inserted_primary_key
        if key is None:
            raise AccountingError("the ledger gave a new task no number")
        return int(key[0])

    def _finish_gone(
        self, connection: sa.Connection, attempt: sa.Row[tuple[object, ...]], gone: Mapping[int, str], now: datetime
    ) -> None:
        waiting = self._still_waiting(connection, attempt.id, list(gone))
        self._release(connection, attempt.id, [row.id for row in waiting], now)
        for row in waiting:
            if row.prior_attempt_id is not None:  # so the lost request did not buy this person either
                self._release_prior(connection, row.prior_attempt_id, [row.id], now)
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == row.id)
                .values(
                    state=PurchaseState.FINAL.value,
                    result=Result.FAILED.value,
                    reason=gone[row.id],
                    hold=Hold.RELEASED.value,
                    check_at=None,
                    state_at=now,
                    final_at=now,
                )
            )

    def _still_waiting(
        self, connection: sa.Connection, attempt_id: str, purchase_ids: Sequence[int]
    ) -> list[sa.Row[int, str | None]]:
        """The purchases of an attempt that still wait for its answer."""
        query = sa.select(_P.id, _P.prior_attempt_id).where(
            _P.attempt_id == attempt_id, _P.state.in_(_WAITING_FOR_ANSWER)
        )
        return [row for part in chunks(purchase_ids) for row in connection.execute(query.where(_P.id.in_(part)))]

    def give_back(self, refusal: RequestRefusal, now: datetime) -> None:
        """Return purchases to `planned` after a definite refusal, and release their hold."""
        attempt_id, purchase_ids = refusal.attempt_id, refusal.purchase_ids
        with self._db.write() as connection:
            attempt = (
                self._answered(connection, attempt_id, AttemptState.REFUSED, now)
                if refusal.whole
                else connection.execute(sa.select(t.attempt).where(t.attempt.c.id == attempt_id)).one_or_none()
            )
            if attempt is None:
                return
            self._return(connection, refusal, now)
            uncharge(connection, purchase_ids, attempt_id, now)  # those that were given up meanwhile
            after_return(connection, purchase_ids, attempt.created_at, now)

    def _return(self, connection: sa.Connection, refusal: RequestRefusal, now: datetime) -> None:
        attempt_id, purchase_ids = refusal.attempt_id, refusal.purchase_ids
        self._release_prior(connection, attempt_id, purchase_ids, now)
        waiting = [row.id for row in self._still_waiting(connection, attempt_id, purchase_ids)]
        self._release(connection, attempt_id, waiting, now)
        for part in chunks(waiting):
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id.in_(part))
                .values(
                    state=PurchaseState.PLANNED.value,
                    attempt_id=None,
                    hold=Hold.RELEASED.value,
                    reason=refusal.reason,
                    not_before=refusal.not_before,
                    check_at=refusal.check_at,
                    checks=0,
                    state_at=now,
                )
            )

    def lost(self, attempt_id: str, check_at: datetime | None, now: datetime) -> None:
        """Mark a request as lost: the answer did not arrive, or the sender is dead. Its purchases become `unknown`."""
        with self._db.write() as connection:
            self._lose(connection, [attempt_id], check_at, now)

    def orphaned(
        self,
        check_at: Mapping[tuple[str, str], datetime | None],
        now: datetime,
        is_alive: Callable[[str], bool] = lambda _owner: False,
    ) -> int:
        """Mark requests as lost that are still `submitting`, if the owner is dead or the wait is longer than allowed.

        Args:
            check_at: by provider and account, when to read the people; None if they cannot be read. Requests to other
                accounts are left to a run that uses the account.
            now: the ledger's time.
            is_alive: whether an owner may still get its answer.

        Returns:
            The number of lost requests.
        """
        a = t.attempt.c
        query = sa.select(a.id, a.provider, a.account, a.owner, a.created_at).where(a.state.in_(UNANSWERED))
        with self._db.read() as connection:
            open_ones = [row for row in connection.execute(query) if (row.provider, row.account) in check_at]
        alive = {owner: is_alive(owner) for owner in {row.owner for row in open_ones}}
        lost = [row for row in open_ones if not alive[row.owner] or now - row.created_at > LONGEST_ANSWER]
        with self._db.write() as connection:
            for row in lost:
                self._lose(connection, [row.id], check_at[row.provider, row.account], now)
        return len(lost)

    def _lose(
        self, connection: sa.Connection, attempt_ids: list[str], check_at: datetime | None, now: datetime
    ) -> None:
        a = t.attempt.c
        connection.execute(
            sa.update(t.attempt).where(a.id.in_(attempt_ids), a.state.in_(UNANSWERED)).values(state=AttemptState.LOST)
        )
        connection.execute(
            sa.update(t.purchase)
            .where(_P.attempt_id.in_(attempt_ids), _P.state == PurchaseState.SUBMITTING.value)
            .values(
                state=PurchaseState.UNKNOWN.value,
                reason="the answer to the paid request was lost",
                check_at=check_at,
                checks=0,
                state_at=now,
            )
        )
        purchases = self._purchases_of(connection, attempt_ids)
        follow_first(connection, purchases, now)
        take_older_values(connection, purchases, now)

    def _answered(
        self, connection: sa.Connection, attempt_id: str, state: AttemptState, now: datetime
    ) -> sa.Row[tuple[object, ...]] | None:
        """Mark an attempt as answered and read its row; None if it already has an answer."""
        values = {"of_attempt": attempt_id, "new_state": state, "now": now}
        return connection.execute(_ANSWER, values).one_or_none()

    def _release(self, connection: sa.Connection, attempt_id: str, purchase_ids: Sequence[int], now: datetime) -> None:
        """Release these purchases' shares of an attempt's hold; a presumed charge is reversed first."""
        query = sa.select(_P.mapping, _P.price_credits, _P.hold).where(_P.attempt_id == attempt_id)
        rows = [row for part in chunks(purchase_ids) for row in connection.execute(query.where(_P.id.in_(part)))]
        self._append_releases(connection, attempt_id, [(r.mapping, Hold(r.hold), r.price_credits) for r in rows], now)

    def _release_prior(
        self, connection: sa.Connection, attempt_id: str, purchase_ids: Sequence[int], now: datetime
    ) -> None:
        """Release the shares of a lost request that bought nothing; its repeat is planned or in flight."""
        prior = _P.prior_attempt_id == attempt_id
        query = sa.select(_P.prior_mapping, _P.price_credits, _P.prior_hold).where(prior)
        rows = [row for part in chunks(purchase_ids) for row in connection.execute(query.where(_P.id.in_(part)))]
        shares = [(r.prior_mapping, Hold(r.prior_hold), r.price_credits) for r in rows]
        self._append_releases(connection, attempt_id, shares, now)
        for part in chunks(purchase_ids if rows else ()):
            connection.execute(sa.update(t.purchase).where(prior, _P.id.in_(part)).values(**NO_PRIOR))

    def _append_releases(
        self, connection: sa.Connection, attempt_id: str, shares: Sequence[tuple[str, Hold, int]], now: datetime
    ) -> None:
        sums: Counter[tuple[str, EntryKind]] = Counter()
        for mapping, hold, price in shares:
            for kind, sign in ending(hold, EntryKind.RELEASE):
                sums[mapping, kind] += sign * price
        if sums:
            attempt = connection.execute(sa.select(t.attempt).where(t.attempt.c.id == attempt_id)).one()
            entries = [NewEntry(attempt_id, mapping, kind, price) for (mapping, kind), price in sums.items()]
            append(connection, Payer.of(attempt), entries, now)


def _keys(check: Mapping[int, bool], free: bool) -> list[int]:
    return [purchase_id for purchase_id, is_free in check.items() if is_free is free]
