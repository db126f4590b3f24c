"""Queries for the page of one run: its timeline, its slowest tasks, and the fields that it wrote.

Each is a sum or a bounded list; the fields are counted page by page, because they are stored by record.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.states import MAY_STAND, ChangeState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.runs import RunRow, run_of

PAGE = 2000
RUNS_AT_ONCE = 100
_A, _C, _P, _R, _T = t.attempt.c, t.change.c, t.purchase.c, t.run.c, t.task.c


@dataclass(frozen=True, slots=True)
class Task:
    """A vendor's task with its people, and the time from its submission to its last result."""

    provider: str
    channel: str
    people: int
    seconds: float


@dataclass(frozen=True, slots=True)
class WrittenField:
    """How many records a run wrote a field of, and how many of these can still be restored."""

    object: str
    field: str
    written: int
    restorable: int


class RunPages:
    """Figures of single runs, for pages."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def moments(self, run_id: str, started_at: datetime, part_s: float) -> dict[int, tuple[int, int, int]]:
        """Requests, answers and writes by part of the run's time.

        Args:
            run_id: the run.
            started_at: its start.
            part_s: the length of a part in seconds; parts are numbered from 0.
        """
        found: dict[int, list[int]] = {}
        times = (
            (_A.created_at, _A.run_id == run_id),
            (_A.answered_at, sa.and_(_A.run_id == run_id, _A.answered_at.is_not(None))),
            (_C.at, sa.and_(_C.run_id == run_id, _C.state.in_([ChangeState.WRITTEN, ChangeState.UNDONE]))),
        )
        start, length = round(started_at.timestamp() * 1_000_000), max(1, round(part_s * 1_000_000))
        with self._db.read() as connection:
            for place, (column, condition) in enumerate(times):
                part = ((sa.type_coerce(column, sa.BigInteger) - start) // length).label("part")
                query = sa.select(part, sa.func.count()).where(condition).group_by("part")
                for number, count in connection.execute(query):
                    found.setdefault(max(0, int(number)), [0, 0, 0])[place] += count
        return {number: (counts[0], counts[1], counts[2]) for number, counts in found.items()}

    def slowest(self, run_id: str, most: int) -> list[Task]:
        """The tasks of a run's requests that took longest, of those with a result."""
        last = sa.func.max(sa.type_coerce(_P.final_at, sa.BigInteger))
        took = (last - sa.type_coerce(_T.submitted_at, sa.BigInteger)).label("took")
        query = (
            sa.select(_T.provider, _T.channel, sa.func.count().label("people"), took)
            .join(t.attempt, _A.id == _T.attempt_id)
            .join(t.purchase, _P.task_id == _T.id)
            .where(_A.run_id == run_id, _P.final_at.is_not(None))
            .group_by(_T.id, _T.provider, _T.channel, _T.submitted_at)
            .order_by(sa.desc("took"), _T.id)
            .limit(most)
        )
        with self._db.read() as connection:
            return [
                Task(provider, channel, people, max(0, took) / 1_000_000)
                for provider, channel, people, took in connection.execute(query)
            ]

    def fields(self, run_id: str) -> list[WrittenField]:
        """The fields that a run wrote, the most frequent first."""
        written: Counter[tuple[str, str]] = Counter()
        restorable: Counter[tuple[str, str]] = Counter()
        for object_name, names, can_be_undone in self._changes(run_id):
            for name in names:
                written[object_name, name] += 1
                restorable[object_name, name] += can_be_undone
        return [
            WrittenField(object_name, name, count, restorable[object_name, name])
            for (object_name, name), count in sorted(written.items(), key=lambda one: (-one[1], one[0]))
        ]

    def _changes(self, run_id: str) -> Iterator[tuple[str, list[str], bool]]:
        after = 0
        stands = _C.state.in_([ChangeState.WRITTEN, ChangeState.UNDONE])
        query = sa.select(_C.id, _C.object, _C.fields, _C.before.is_not(None), _C.state)
        query = query.where(_C.run_id == run_id, stands, _C.id > sa.bindparam("after")).order_by(_C.id)
        query = query.limit(sa.bindparam("page", type_=sa.Integer))
        while True:
            with self._db.read() as connection:
                rows = connection.execute(query, {"after": after, "page": PAGE}).all()
            for _, object_name, fields, has_before, state in rows:
                yield object_name, list(fields), bool(has_before) and state in MAY_STAND
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    def runs_between(self, since: datetime, until: datetime) -> Iterator[RunRow]:
        """The runs that started in a period, oldest first, a page at a time."""
        last = (since, "")
        while True:
            at, run_id = last
            later = sa.or_(_R.started_at > at, sa.and_(_R.started_at == at, _R.id > run_id))
            query = sa.select(t.run).where(later, _R.started_at >= since, _R.started_at < until)
            query = query.order_by(_R.started_at, _R.id).limit(RUNS_AT_ONCE)
            with self._db.read() as connection:
                rows = [run_of(row) for row in connection.execute(query)]
            yield from rows
            if len(rows) < RUNS_AT_ONCE:
                return
            last = (rows[-1].started_at, rows[-1].id)
