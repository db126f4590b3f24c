"""Due polls of open tasks, and due reads of people whose task or answer has no result."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
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
from connector.store.record_sql import unindexed
from connector.store.rows import CheckRow, TaskRow, person_of
from connector.store.task_end import TaskEnd, end_task

_K, _R, _P = t.task.c, t.run.c, t.purchase.c
AT_ONCE = 20  # due rows read at a time


# These statements run in every turn, so they are built once: building one costs more than executing it.
_AT_PROVIDER = (
    _K.provider == sa.bindparam("provider"),
    _K.account == sa.bindparam("account"),
    _K.state == TaskState.OPEN,
)
_UNPOLLED = sa.or_(_K.polled_by.is_(None), _K.polled_by != sa.bindparam("run_id"))
_OLDER_TASK = sa.select(_K.id).where(*_AT_PROVIDER, _K.submitted_at < sa.bindparam("since"), _UNPOLLED).limit(1)


@functools.cache
def _due_tasks(*, older: bool) -> sa.Select[Any]:
    since: sa.BindParameter[Any] = sa.bindparam("since")
    return (
        sa.select(t.task)
        .where(
            *_AT_PROVIDER,
            _K.next_poll_at <= sa.bindparam("now"),
            _K.submitted_at < since if older else _K.submitted_at >= since,
            # Later runs have polled no task of this run; a corrected clock can turn an older task into one of it.
            _UNPOLLED if older else _K.polled_by.is_(None),
        )
        .order_by(_K.next_poll_at, _K.id)
        .limit(sa.bindparam("at_once", type_=sa.Integer))
    )


_OF_TASK = _P.task_id == sa.bindparam("task_id")
_OWN_ATTEMPT = sa.select(_K.attempt_id).where(_K.id == sa.bindparam("task_id")).scalar_subquery()
_GIVEN_UP = sa.and_(
    _P.result != Result.DELIVERED.value,
    sa.or_(_P.final_at <= sa.bindparam("submitted_at"), _P.reason == GIVEN_UP),
)
_IS_FINAL = _P.state == PurchaseState.FINAL.value
_PEOPLE_OF = sa.select(_P.person_kind, _P.person, _P.id, _IS_FINAL.label("is_final")).where(
    _OF_TASK,
    sa.or_(sa.not_(_IS_FINAL), _GIVEN_UP, sa.and_(from_earlier(), _P.attempt_id == _OWN_ATTEMPT)),
)
_POLLED = (
    sa.update(t.task)
    .where(_K.id == sa.bindparam("task_id"), _K.state == TaskState.OPEN, _K.polls == sa.bindparam("polls_before"))
    .values(polls=_K.polls + 1, next_poll_at=sa.bindparam("next_at"))
)
_DUE_CHECKS = (
    sa.select(
        *(_P.id, _P.provider, _P.channel, _P.person_kind, _P.person, _P.state),
        *(_P.checks, _P.resubmitted, _P.reason, _P.check_at, _P.attempt_id),
    )
    .where(
        _P.provider == sa.bindparam("provider"),
        unindexed(_P.account) == sa.bindparam("account"),
        _P.check_at <= sa.bindparam("now"),
        _P.state != PurchaseState.FINAL.value,
        _P.channel != Channel.EVENT.value,  # its answer is read by repeating the request, which is free
    )
    .order_by(_P.check_at, _P.id)
    .limit(sa.bindparam("at_once", type_=sa.Integer))
)
_PROVIDERS: sa.BindParameter[Any] = sa.bindparam("providers", expanding=True)
# Few purchases are postponed or read: the indexes of those times are far narrower than that of the provider.
_OF_RUN = (unindexed(_P.run_id) == sa.bindparam("run_id"), unindexed(_P.provider).in_(_PROVIDERS))
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
        _P.not_before.is_not(None),
        _P.not_before > sa.bindparam("now"),
        *_OF_RUN,
    ),
)


@dataclass(frozen=True, slots=True)
class TaskPeople:
    """The people of a task, with their purchase ids.

    Attributes:
        waiting: those without a result.
        given_up: those whose purchase became final without the task's result: it was final before the late answer came,
            or an operator gave it up, or it got the value of an older request.
    """

    waiting: dict[Identifier, int]
    given_up: dict[Identifier, int]


class Polls:
    """Lists and schedules polls and reads of people."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # -- tasks -----------------------------------------------------------------------------------------------

    def due_tasks(
        self, source: Source, now: datetime, since: datetime, run_id: str = "", *, older: bool
    ) -> list[TaskRow]:
        """List the open tasks that are due, the longest due first.

        Args:
            source: the provider.
            now: the ledger's time.
            since: when the run began.
            run_id: the run; older tasks that it has polled are left out.
            older: list the tasks submitted before the run began, instead of those submitted since.
        """
        values = {"provider": source.name, "account": source.account, "now": now, "since": since, "at_once": AT_ONCE}
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
                for row in connection.execute(_due_tasks(older=older), {**values, "run_id": run_id})
            ]

    def poll_once(self, task: TaskRow, run_id: str) -> None:
        """Store that a run polls an older task."""
        with self._db.write() as connection:
            connection.execute(sa.update(t.task).where(_K.id == task.id).values(polled_by=run_id))

    def forget_polls(self) -> None:
        """Let every open task count as not polled by a later run, after times were corrected."""
        polled = (_K.state == TaskState.OPEN, _K.polled_by.is_not(None))
        with self._db.write() as connection:
            connection.execute(sa.update(t.task).where(*polled).values(polled_by=None))

    def has_older_tasks(self, source: Source, since: datetime, run_id: str) -> bool:
        """Whether any task is open that was submitted before a run began, and that the run has not polled."""
        values = {"provider": source.name, "account": source.account, "since": since, "run_id": run_id}
        with self._db.read() as connection:
            return connection.execute(_OLDER_TASK, values).first() is not None

    def people_in(self, task: TaskRow) -> TaskPeople:
        """The people of a task whose purchase has no result of it yet."""
        people = TaskPeople({}, {})
        with self._db.read() as connection:
            rows = connection.execute(_PEOPLE_OF, {"task_id": task.id, "submitted_at": task.submitted_at})
            for row in rows:
                (people.given_up if row.is_final else people.waiting)[person_of(row)] = row.id
        return people

    def next_due(
        self, run_id: str, since: datetime, providers: Sequence[str], now: datetime, until: datetime
    ) -> datetime | None:
        """The time of the next poll, read of a person or postponed purchase that a run waits for; None if none is due.

        Args:
            run_id: the run.
            since: when the run began; tasks that were submitted later, by no other current run, are its own.
            providers: the providers that are still in use.
            now: the ledger's time. Postponed purchases, and reads before them, that are due already do not count: a
                cap forbids them.
            until: later times do not count.
        """
        values = {"run_id": run_id, "since": since, "providers": list(providers), "now": now}
        with self._db.read() as connection:
            times = [connection.scalar(query, values) for query in _NEXT_DUE]
        return min((time for time in times if time is not None and time <= until), default=None)

    def claim_task(self, task: TaskRow, until: datetime) -> bool:
        """Claim a due task until a time, if several processes poll; False if another process has claimed it."""
        c = t.task.c
        with self._db.write(exclusive=False) as connection:
            taken = connection.execute(
                sa.update(t.task)
                .where(c.id == task.id, c.state == TaskState.OPEN, c.polls == task.polls, c.next_poll_at == task.due_at)
                .values(next_poll_at=until)
            )
        return taken.rowcount == 1

    def claim_check(self, check: CheckRow, until: datetime) -> bool:
        """Claim a due read of a person until a time; False if another process has claimed it."""
        with self._db.write(exclusive=False) as connection:
            taken = connection.execute(
                sa.update(t.purchase)
                .where(_P.id == check.id, _P.state == check.state.value, _P.check_at == check.due_at)
                .values(check_at=until)
            )
        return taken.rowcount == 1

    def polled(self, task: TaskRow, next_poll_at: datetime) -> None:
        """Set the next poll of a task that still runs."""
        values = {"task_id": task.id, "polls_before": task.polls, "next_at": next_poll_at}
        with self._db.write(exclusive=False) as connection:
            connection.execute(_POLLED, values)

    def task_ended(self, task: TaskRow, without_result: Sequence[int], check_at: datetime, reason: str) -> None:
        """Close a task; the people of purchases without a result are read at the vendor."""
        with self._db.write() as connection:
            end_task(connection, TaskEnd(task, without_result, check_at, reason))

    def read_people(self, purchase_ids: Sequence[int], check_at: datetime, reason: str) -> None:
        """Schedule reads of these people at the vendor, although their task still runs."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id.in_(purchase_ids), _P.state == PurchaseState.SUBMITTED.value, _P.check_at.is_(None))
                .values(check_at=check_at, checks=0, reason=reason)
            )

    def task_vanished(self, task: TaskRow, reason: str, now: datetime) -> None:
        """Close a task that the vendor has no longer; its purchases become unknown, because people cannot be read."""
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
        """Postpone a task whose poll failed, so that others come first."""
        c = t.task.c
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.task).where(c.id == task.id, c.state == TaskState.OPEN).values(next_poll_at=until)
            )

    def postpone_check(self, check: CheckRow, until: datetime) -> None:
        """Postpone a person whose read failed, so that others come first."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == check.id, _P.state == check.state.value, _P.check_at.is_not(None))
                .values(check_at=until)
            )

    # -- reads of people -------------------------------------------------------------------------------------

    def due_checks(self, source: Source, now: datetime) -> list[CheckRow]:
        """List the purchases whose person must be read now."""
        values = {"provider": source.name, "account": source.account, "now": now, "at_once": AT_ONCE}
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
        """Whether open records of other runs wait for a purchase, and no record of this run."""
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
        """Let this run send a planned purchase, whose read is done."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.purchase)
                .where(_P.id == check.id, _P.state == PurchaseState.PLANNED.value)
                .values(check_at=None, run_id=run_id)
            )

    def plan_again(self, check: CheckRow, run_id: str, now: datetime) -> None:
        """Plan a purchase again that counted as submitted, because the vendor's record shows that it was not bought.

        Args:
            check: the read.
            run_id: the run that may buy it; empty if no record of a run waits for it.
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
        """Set the next read of a person; if two processes made the same read, only one of them counts.

        Args:
            check: the read.
            check_at: the next read; None ends the reads, and a planned purchase may then be sent.
            running: the vendor's record shows a running task, so the purchase is submitted.
            now: the ledger's time.
            counts: whether the read counts towards a conclusion; a read without a clear answer does not.
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
