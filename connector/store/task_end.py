"""The end of a vendor's task: the people of purchases that it left without a result are read at the vendor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.states import PurchaseState, TaskState
from connector.store import tables as t
from connector.store.rows import TaskRow, chunks

_K, _P = t.task.c, t.purchase.c
_CLOSE = (
    sa.update(t.task)
    .where(_K.id == sa.bindparam("task_id"))
    .values(state=TaskState.ENDED, polls=_K.polls + 1, next_poll_at=None)
)
_READ_PEOPLE = (
    sa.update(t.purchase)
    .where(_P.id.in_(sa.bindparam("ids", expanding=True)), _P.state == PurchaseState.SUBMITTED.value)
    .values(check_at=sa.bindparam("read_at"), checks=0, reason=sa.bindparam("why"))
)


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """A task that has ended.

    Attributes:
        purchase_ids: its purchases that had no result before.
        check_at: when the people without a result are read.
        reason: why they are read, as text for people.
    """

    task: TaskRow
    purchase_ids: Sequence[int]
    check_at: datetime
    reason: str


def end_task(connection: sa.Connection, end: TaskEnd, finalized: Sequence[int] = ()) -> None:
    """Close a task; the people of purchases that are not among the finalized ones are read at the vendor."""
    connection.execute(_CLOSE, {"task_id": end.task.id})
    done = set(finalized)
    for part in chunks([one for one in end.purchase_ids if one not in done]):
        connection.execute(_READ_PEOPLE, {"ids": list(part), "read_at": end.check_at, "why": end.reason})
