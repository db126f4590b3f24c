"""When to look next: at tasks that run, and at people whose task or answer cannot tell."""

import functools
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.model import Channel, Identifier, Result
from connector.core.person import Source
from connector.core.recover import GIVEN_UP
from connector.core.states import ChannelState, PurchaseState, RecordState, RunState, TaskState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.older_values import from_earlier, leave_own_task, take_older_values
from connector.store.rows import CheckRow, TaskRow, chunks, person_of

_K, _R, _P = t.task.c, t.run.c, t.purchase.c
AT_ONCE = 20  # due rows read at a time


# Statements that every turn of a run executes are built once: building one costs more than running it.
_AT_PROVIDER = (
    _K.provider == sa.bindparam("provider"),
    _K.account == sa.bindparam("account"),
    _K.state == TaskState.OPEN,
)
_OLDER_TASK = sa.select(_K.id).where(*_AT_PROVIDER, _K.submitted_at < sa.bindparam("since")).limit(1)


@functools.cache
def _due_tasks(*, older: bool) -> sa.Select[Any]:
    since: sa.BindParameter[Any] = sa.bindparam("since")
    return (
        sa.select(t.task)
        .where(
            *_AT_PROVIDER,
            _K.next_poll_at <= sa.bindparam("now"),
            _K.submitted_at < since if older else _K.submitted_at >= since,
            _K.id.not_in(sa.bindparam("looked", expanding=True)),
        )
        .order_by(_K.next_poll_at, _K.id)
        .limit(AT_ONCE)
    )


_OF_TASK = _P.task_id == sa.bindparam("task_id")
_PEOPLE_WAITING = sa.select(_P.person_kind, _P.person, _P.id).where(_OF_TASK, _P.state != PurchaseState.FINAL.value)
_OWN_ATTEMPT = sa.select(_K.attempt_id).where(_K.id == sa.bindparam("task_id")).scalar_subquery()
_GIVEN_UP = sa.and_(
    _P.result != Result.DELIVERED.value,
    sa.or_(_P.final_at <= sa.bindparam("submitted_at"), _P.reason == GIVEN_UP),
)
_GIVEN_UP_IN = sa.select(_P.person_kind, _P.person, _P.id).where(
    _OF_TASK,
    _P.state == PurchaseState.FINAL.value,
    sa.or_(_GIVEN_UP, sa.and_(from_earlier(), _P.attempt_id == _OWN_ATTEMPT)),
)
_DUE_CHECKS = (
    sa.select(
        *(_P.id, _P.provider, _P.channel, _P.person_kind, _P.person, _P.state),
        *(_P.checks, _P.resubmitted, _P.reason, _P.check_at, _P.attempt_id),
    )
    .where(
        _P.provider == sa.bindparam("provider"),
        _P.account == sa.bindparam("account"),
        _P.check_at <= sa.bindparam("now"),
        _P.state != PurchaseState.FINAL.value,
        _P.channel != Channel.EVENT.value,  # its answer is read by repeating the request, which is free
    )
    .order_by(_P.check_at, _P.id)
    .limit(AT_ONCE)
)
_PROVIDERS: sa.BindParameter[Any] = sa.bindparam("providers", expanding=True)
_OF_RUN = (_P.run_id == sa.bindparam("run_id"), _P.provider.in_(_PROVIDERS))
_RUNS_BESIDE = sa.select(_R.id).where(_R.state == RunState.RUNNING, _R.id != sa.bindparam("run_id"))
_NEXT_DUE = (
    sa.select(sa.func.min(_K.next_poll_at)).where(
        _K.state == TaskState.OPEN,
        _K.provider.in_(_PROVIDERS),
        _K.submitted_at >= sa.bindparam("since"),
        _K.run_id.not_in(_RUNS_BESIDE),
    ),
    sa.select(sa.func.min(_P.check_at)).where(
        _P.check_at.is_not(None),
        sa.or_(_P.state != PurchaseState.PLANNED.value, _P.check_at > sa.bindparam("now")),
        *_OF_RUN,
    ),
    sa.select(sa.func.min(_P.not_before)).where(
        _P.state == PurchaseState.PLANNED.value,
        _P.check_at.is_(None),
        _P.not_before > sa.bindparam("now"),
        *_OF_RUN,
    ),
)


class Polls:
    """The ledger's side of polling."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # -- tasks -----------------------------------------------------------------------------------------------

    def due_tasks(
        self, source: Source, now: datetime, since: datetime, looked: Collection[int] = (), *, older: bool
    ) -> list[TaskRow]:
        """Open tasks to be read now, the longest due first.

        Args:
            source: whose.
            now: the ledger's time.
            since: when the run began.
            looked: tasks that had their one look.
            older: those submitted before the run began, or those submitted since.
        """
        values = {"provider": source.name, "account": source.account, "now": now, "since": since}
        with self._db.read() as connection:
            return [
                TaskRow(
                    row.id,
                    row.provider,
                    Channel(row.channel),
                    row.provider_task_id,
                    row.polls,
                    row.submitted_at,
                    row.next_poll_at,
                )
                for row in connection.execute(_due_tasks(older=older), {**values, "looked": list(looked)})
            ]

    def has_older_tasks(self, source: Source, since: datetime) -> bool:
        """Whether anything is open that was submitted before a run began."""
        values = {"provider": source.name, "account": source.account, "since": since}
        with self._db.read() as connection:
            return connection.execute(_OLDER_TASK, values).first() is not None

    def people_of(self, task: TaskRow) -> dict[Identifier, int]:
        """The persons still waiting in a task, with their purchase ids."""
        with self._db.read() as connection:
            return {person_of(row): row.id for row in connection.execute(_PEOPLE_WAITING, {"task_id": task.id})}

    def given_up_in(self, task: TaskRow) -> dict[Identifier, int]:
        """Persons of a task that were made final without the vendor's result, with their purchase ids.

        Before its late answer came, because an operator gave them up while it ran, or by the value of an older request.
        """
        values = {"task_id": task.id, "submitted_at": task.submitted_at}
        with self._db.read() as connection:
            return {person_of(row): row.id for row in connection.execute(_GIVEN_UP_IN, values)}

    def next_due(
        self, run_id: str, since: datetime, providers: Sequence[str], now: datetime, until: datetime
    ) -> datetime | None:
        """When the next thing that a run waits for is due: its tasks, its reads of people, its postponed purchases.

        Args:
            run_id: whose tasks and purchases count.
            since: when the run began; tasks are its own when they were submitted later, by no run beside it.
            providers: those that are still asked.
            now: a postponed purchase, or a read before one, whose time has come does not count: a cap forbids it, or
                it would be under way.
            until: nothing later than this counts.
        """
        values = {"run_id": run_id, "since": since, "providers": list(providers), "now": now}
        with self._db.read() as connection:
            times = [connection.scalar(query, values) for query in _NEXT_DUE]
        return min((time for time in times if time is not None and time <= until), default=None)

    def claim_task(self, task: TaskRow, until: datetime) -> bool:
        """Take a due task, where several processes look; nobody else looks at it until then."""
        c = t.task.c
        with self._db.write(alone=False) as connection:
            taken = connection.execute(
                sa.update(t.task)
                .where(c.id == task.id, c.state == TaskState.OPEN, c.polls == task.polls, c.next_poll_at == task.due_at)
                .values(next_poll_at=until)
            )
        return taken.rowcount == 1

    def claim_check(self, check: CheckRow, until: datetime) -> bool:
        """Take a person that is due to be read, where several processes look."""
        with self._db.write(alone=False) as connection:
            taken = connection.execute(
                sa.update(t.purchase)
                .where(_P.id == check.id, _P.state == check.state.value, _P.check_at == check.due_at)
                .values(check_at=until)
            )
        return taken.rowcount == 1

    def polled(self, task: TaskRow, next_poll_at: datetime) -> None:
        """Set the next time to read a task that still runs."""
        c = t.task.c
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.task)
                .where(c.id == task.id, c.state == TaskState.OPEN, c.polls == task.polls)
                .values(polls=task.polls + 1, next_poll_at=next_poll_at)
            )

    def task_ended(self, task: TaskRow, unsettled: Sequence[int], check_at: datetime, reason: str) -> None:
        """Close a task; people without a result in it are read at the vendor, where that is possible."""
        c = t.task.c
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.task)
                .where(c.id == task.id)
                .values(state=TaskState.ENDED, polls=c.polls + 1, next_poll_at=None)
            )
            for part in chunks(unsettled):
                connection.execute(
                    sa.update(t.purchase)
                    .where(_P.id.in_(part), _P.state == PurchaseState.SUBMITTED.value)
                    .values(check_at=check_at, checks=0, reason=reason)
                )

    def read_people(self, purchase_ids: Sequence[int], check_at: datetime, reason: str) -> None:
        """Read these people at the vendor, though their task still runs."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id.in_(purchase_ids), _P.state == PurchaseState.SUBMITTED.value, _P.check_at.is_(None))
                .values(check_at=check_at, checks=0, reason=reason)
            )

    def task_vanished(self, task: TaskRow, reason: str, now: datetime) -> None:
        """The vendor no longer knows the task, and keeps no record of people: its purchases are unknown."""
        c = t.task.c
        mine = sa.select(_P.id).where(_P.task_id == task.id)
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.task).where(c.id == task.id).values(state=TaskState.ENDED, next_poll_at=None)
            )
            connection.execute(
                sa.update(t.purchase)
                .where(_P.task_id == task.id, _P.state == PurchaseState.SUBMITTED.value)
                .values(state=PurchaseState.UNKNOWN.value, reason=reason, check_at=None, state_at=now)
            )
            take_older_values(connection, list(connection.scalars(mine)), now)
            leave_own_task(connection, _P.task_id == task.id)

    def postpone(self, task: TaskRow, until: datetime) -> None:
        """A read of this task failed: others come first."""
        c = t.task.c
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.task).where(c.id == task.id, c.state == TaskState.OPEN).values(next_poll_at=until)
            )

    def postpone_check(self, check: CheckRow, until: datetime) -> None:
        """A read of this person failed: others come first."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == check.id, _P.state == check.state.value, _P.check_at.is_not(None))
                .values(check_at=until)
            )

    # -- reads of people -------------------------------------------------------------------------------------

    def due_checks(self, source: Source, now: datetime) -> list[CheckRow]:
        """Unlocks whose person is to be read now."""
        values = {"provider": source.name, "account": source.account, "now": now}
        with self._db.read() as connection:
            return [
                CheckRow(
                    row.id,
                    row.provider,
                    Channel(row.channel),
                    person_of(row),
                    PurchaseState(row.state),
                    row.checks,
                    row.resubmitted,
                    row.reason,
                    row.check_at,
                    row.attempt_id is not None,
                )
                for row in connection.execute(_DUE_CHECKS, values)
            ]

    def is_for_another_run(self, check: CheckRow, run_id: str) -> bool:
        """Whether open records of other runs wait for a purchase, and none of this run."""
        r, w = t.record.c, t.record_channel.c
        query = (
            sa.select(r.run_id)
            .join(t.record_channel, w.record_id == r.id)
            .where(w.purchase_id == check.id, w.state == ChannelState.OPEN, r.state == RecordState.OPEN)
            .distinct()
        )
        with self._db.read() as connection:
            runs = set(connection.scalars(query))
        return bool(runs) and run_id not in runs

    def free(self, check: CheckRow, run_id: str) -> None:
        """A planned purchase may be sent by this run."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == check.id, _P.state == PurchaseState.PLANNED.value)
                .values(check_at=None, run_id=run_id)
            )

    def plan_again(self, check: CheckRow, run_id: str, now: datetime) -> None:
        """Nothing was bought for a person whose record seemed to show work: the purchase is planned again.

        Args:
            check: the read that was made.
            run_id: the run that may buy it; empty where no record of a run waits for it.
            now: the ledger's time.
        """
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(
                    _P.id == check.id,
                    _P.state == check.state.value,
                    _P.checks == check.checks,
                    _P.attempt_id.is_(None),
                )
                .values(
                    state=PurchaseState.PLANNED.value, check_at=None, checks=_P.checks + 1, run_id=run_id, state_at=now
                )
            )

    def check_again(
        self, check: CheckRow, check_at: datetime | None, *, running: bool, now: datetime, counts: bool = True
    ) -> None:
        """Set the next read; None ends the reads and, for a planned purchase, frees it for submission.

        Of two that have read the same, because the first was slow, one counts.

        Args:
            check: the read that was made.
            check_at: the next one.
            running: the vendor shows that work is under way, so whatever the purchase was, it is submitted now.
            now: the ledger's time.
            counts: the read showed nothing; else it could not be read, and is no step towards a conclusion.
        """
        checks = 0 if running else _P.checks + int(counts)
        values: dict[str, object] = {"check_at": check_at, "checks": checks}
        if running and check.state is not PurchaseState.SUBMITTED:
            values |= {"state": PurchaseState.SUBMITTED.value, "state_at": now}
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == check.id, _P.state == check.state.value, _P.checks == check.checks)
                .values(**values)
            )
