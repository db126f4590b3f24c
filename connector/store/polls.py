"""When to look next: at tasks that run, and at people whose task or answer cannot tell."""

import functools
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.model import Channel, Result, UnlockState
from connector.core.person import Source
from connector.core.recover import GIVEN_UP
from connector.store import tables as t
from connector.store.database import Database
from connector.store.older_values import from_earlier, leave_own_task, take_older_values
from connector.store.rows import CheckRow, TaskRow, chunks

_K, _R, _U = t.task.c, t.run.c, t.unlock.c
AT_ONCE = 20  # due rows read at a time


# Statements that every turn of a run executes are built once: building one costs more than running it.
_AT_PROVIDER = (_K.provider == sa.bindparam("provider"), _K.account == sa.bindparam("account"), _K.state == "open")
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


_OF_TASK = _U.task_id == sa.bindparam("task_id")
_PEOPLE_WAITING = sa.select(_U.person, _U.id).where(_OF_TASK, _U.state != UnlockState.FINAL.value)
_OWN_ATTEMPT = sa.select(_K.attempt_id).where(_K.id == sa.bindparam("task_id")).scalar_subquery()
_GIVEN_UP = sa.and_(
    _U.result != Result.DELIVERED.value,
    sa.or_(_U.final_at <= sa.bindparam("submitted_at"), _U.reason == GIVEN_UP),
)
_GIVEN_UP_IN = sa.select(_U.person, _U.id).where(
    _OF_TASK,
    _U.state == UnlockState.FINAL.value,
    sa.or_(_GIVEN_UP, sa.and_(from_earlier(), _U.attempt_id == _OWN_ATTEMPT)),
)
_DUE_CHECKS = (
    sa.select(
        *(_U.id, _U.provider, _U.channel, _U.person, _U.state),
        *(_U.checks, _U.resubmitted, _U.reason, _U.check_at, _U.attempt_id),
    )
    .where(
        _U.provider == sa.bindparam("provider"),
        _U.account == sa.bindparam("account"),
        _U.check_at <= sa.bindparam("now"),
        _U.state != UnlockState.FINAL.value,
        _U.channel != Channel.EVENT.value,  # its answer is read by repeating the request, which is free
    )
    .order_by(_U.check_at, _U.id)
    .limit(AT_ONCE)
)
_PROVIDERS: sa.BindParameter[Any] = sa.bindparam("providers", expanding=True)
_OF_RUN = (_U.run_id == sa.bindparam("run_id"), _U.provider.in_(_PROVIDERS))
_RUNS_BESIDE = sa.select(_R.id).where(_R.state == "running", _R.id != sa.bindparam("run_id"))
_NEXT_DUE = (
    sa.select(sa.func.min(_K.next_poll_at)).where(
        _K.state == "open",
        _K.provider.in_(_PROVIDERS),
        _K.submitted_at >= sa.bindparam("since"),
        _K.run_id.not_in(_RUNS_BESIDE),
    ),
    sa.select(sa.func.min(_U.check_at)).where(
        _U.check_at.is_not(None),
        sa.or_(_U.state != UnlockState.PLANNED.value, _U.check_at > sa.bindparam("now")),
        *_OF_RUN,
    ),
    sa.select(sa.func.min(_U.not_before)).where(
        _U.state == UnlockState.PLANNED.value,
        _U.check_at.is_(None),
        _U.not_before > sa.bindparam("now"),
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
                    row.vendor_id,
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

    def people_of(self, task: TaskRow) -> dict[str, int]:
        """The persons still waiting in a task, with their unlock ids."""
        with self._db.read() as connection:
            return {row.person: row.id for row in connection.execute(_PEOPLE_WAITING, {"task_id": task.id})}

    def given_up_in(self, task: TaskRow) -> dict[str, int]:
        """Persons of a task that were made final without the vendor's result, with their purchase ids.

        Before its late answer came, because an operator gave them up while it ran, or by the value of an older request.
        """
        values = {"task_id": task.id, "submitted_at": task.submitted_at}
        with self._db.read() as connection:
            return {row.person: row.id for row in connection.execute(_GIVEN_UP_IN, values)}

    def next_due(
        self, run_id: str, since: datetime, providers: Sequence[str], now: datetime, until: datetime
    ) -> datetime | None:
        """When the next thing that a run waits for is due: its tasks, its reads of people, its postponed purchases.

        Args:
            run_id: whose tasks and unlocks count.
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
                .where(c.id == task.id, c.state == "open", c.polls == task.polls, c.next_poll_at == task.due_at)
                .values(next_poll_at=until)
            )
        return taken.rowcount == 1

    def claim_check(self, check: CheckRow, until: datetime) -> bool:
        """Take a person that is due to be read, where several processes look."""
        with self._db.write(alone=False) as connection:
            taken = connection.execute(
                sa.update(t.unlock)
                .where(_U.id == check.id, _U.state == check.state.value, _U.check_at == check.due_at)
                .values(check_at=until)
            )
        return taken.rowcount == 1

    def polled(self, task: TaskRow, next_poll_at: datetime) -> None:
        """Set the next time to read a task that still runs."""
        c = t.task.c
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.task)
                .where(c.id == task.id, c.state == "open", c.polls == task.polls)
                .values(polls=task.polls + 1, next_poll_at=next_poll_at)
            )

    def task_ended(self, task: TaskRow, unsettled: Sequence[int], check_at: datetime, reason: str) -> None:
        """Close a task; people without a result in it are read at the vendor, where that is possible."""
        c = t.task.c
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.task).where(c.id == task.id).values(state="ended", polls=c.polls + 1, next_poll_at=None)
            )
            for part in chunks(unsettled):
                connection.execute(
                    sa.update(t.unlock)
                    .where(_U.id.in_(part), _U.state == UnlockState.SUBMITTED.value)
                    .values(check_at=check_at, checks=0, reason=reason)
                )

    def read_people(self, unlock_ids: Sequence[int], check_at: datetime, reason: str) -> None:
        """Read these people at the vendor, though their task still runs."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id.in_(unlock_ids), _U.state == UnlockState.SUBMITTED.value, _U.check_at.is_(None))
                .values(check_at=check_at, checks=0, reason=reason)
            )

    def task_vanished(self, task: TaskRow, reason: str, now: datetime) -> None:
        """The vendor no longer knows the task, and keeps no record of people: its unlocks are unknown."""
        c = t.task.c
        mine = sa.select(_U.id).where(_U.task_id == task.id)
        with self._db.write() as connection:
            connection.execute(sa.update(t.task).where(c.id == task.id).values(state="ended", next_poll_at=None))
            connection.execute(
                sa.update(t.unlock)
                .where(_U.task_id == task.id, _U.state == UnlockState.SUBMITTED.value)
                .values(state=UnlockState.UNKNOWN.value, reason=reason, check_at=None, state_at=now)
            )
            take_older_values(connection, list(connection.scalars(mine)), now)
            leave_own_task(connection, _U.task_id == task.id)

    def postpone(self, task: TaskRow, until: datetime) -> None:
        """A read of this task failed: others come first."""
        c = t.task.c
        with self._db.write() as connection:
            connection.execute(sa.update(t.task).where(c.id == task.id, c.state == "open").values(next_poll_at=until))

    def postpone_check(self, check: CheckRow, until: datetime) -> None:
        """A read of this person failed: others come first."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == check.id, _U.state == check.state.value, _U.check_at.is_not(None))
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
                    row.person,
                    UnlockState(row.state),
                    row.checks,
                    row.resubmitted,
                    row.reason,
                    row.check_at,
                    row.attempt_id is not None,
                )
                for row in connection.execute(_DUE_CHECKS, values)
            ]

    def is_for_another_run(self, check: CheckRow, run_id: str) -> bool:
        """Whether open records of other runs wait for an unlock, and none of this run."""
        r, w = t.record.c, t.want.c
        query = (
            sa.select(r.run_id)
            .join(t.want, w.record_id == r.id)
            .where(w.unlock_id == check.id, w.state == "open", r.state == "open")
            .distinct()
        )
        with self._db.read() as connection:
            runs = set(connection.scalars(query))
        return bool(runs) and run_id not in runs

    def free(self, check: CheckRow, run_id: str) -> None:
        """A planned unlock may be sent by this run."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == check.id, _U.state == UnlockState.PLANNED.value)
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
                sa.update(t.unlock)
                .where(
                    _U.id == check.id,
                    _U.state == check.state.value,
                    _U.checks == check.checks,
                    _U.attempt_id.is_(None),
                )
                .values(
                    state=UnlockState.PLANNED.value, check_at=None, checks=_U.checks + 1, run_id=run_id, state_at=now
                )
            )

    def check_again(
        self, check: CheckRow, check_at: datetime | None, *, running: bool, now: datetime, counts: bool = True
    ) -> None:
        """Set the next read; None ends the reads and, for a planned unlock, frees it for submission.

        Of two that have read the same, because the first was slow, one counts.

        Args:
            check: the read that was made.
            check_at: the next one.
            running: the vendor shows that work is under way, so whatever the unlock was, it is submitted now.
            now: the ledger's time.
            counts: the read showed nothing; else it could not be read, and is no step towards a conclusion.
        """
        checks = 0 if running else _U.checks + int(counts)
        values: dict[str, object] = {"check_at": check_at, "checks": checks}
        if running and check.state is not UnlockState.SUBMITTED:
            values |= {"state": UnlockState.SUBMITTED.value, "state_at": now}
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.unlock)
                .where(_U.id == check.id, _U.state == check.state.value, _U.checks == check.checks)
                .values(**values)
            )
