"""Queries of the operations pages: each reads at most a page of rows."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.states import RequestItemState, RunState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.rows import chunks
from connector.store.runs import RunRow, run_of

_A, _R, _RC, _N = t.request_item.c, t.request.c, t.record_channel.c, t.run.c


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request with its records by outcome; `open` ones have no final outcome yet."""

    request_id: str
    mapping: str
    accepted_at: datetime
    records: int
    open: int
    outcomes: Mapping[str, int]


class OverviewQueries:
    """Reads what the operations pages show."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def requests(self, most: int) -> list[RequestRow]:
        """The newest requests, newest first."""
        newest = sa.select(_R.id, _R.accepted_at).order_by(_R.accepted_at.desc(), _R.id).limit(most)
        counts = sa.select(_A.request_id, _A.mapping, _A.state, _A.outcome, sa.func.count())
        found: dict[str, _Counts] = {}
        with self._db.read() as connection:
            accepted = {row[0]: row[1] for row in connection.execute(newest)}
            for part in chunks(list(accepted)):
                grouped = counts.where(_A.request_id.in_(part)).group_by(*counts.selected_columns[:4])
                for request_id, mapping, state, outcome, count in connection.execute(grouped):
                    found.setdefault(request_id, _Counts(mapping)).add(state, outcome, count)
        return [
            RequestRow(one, counted.mapping, at, counted.records, counted.open, counted.outcomes)
            for one, at in accepted.items()
            if (counted := found.get(one)) is not None
        ]

    def records_of(self, purchases: Collection[int], most: int) -> dict[int, list[str]]:
        """The CRM ids of the records that wait for purchases, at most `most` of each."""
        query = sa.select(_RC.purchase_id, t.record.c.crm_id).join(t.record, t.record.c.id == _RC.record_id)
        found: dict[int, list[str]] = {}
        with self._db.read() as connection:
            for part in chunks(sorted(purchases)):
                rows = query.where(_RC.purchase_id.in_(part)).order_by(_RC.purchase_id, t.record.c.id)
                for purchase_id, crm_id in connection.execute(rows.limit(most * len(part))):
                    records = found.setdefault(purchase_id, [])
                    if len(records) < most:
                        records.append(crm_id)
        return found

    def runs_before(self, run_id: str, most: int) -> list[RunRow]:
        """Runs, newest first: the newest of all, or those before a run."""
        query = sa.select(t.run).order_by(_N.started_at.desc(), _N.id.desc()).limit(most)
        if run_id:
            at = sa.select(_N.started_at).where(_N.id == run_id).scalar_subquery()
            query = query.where(sa.or_(_N.started_at < at, sa.and_(_N.started_at == at, _N.id < run_id)))
        with self._db.read() as connection:
            return [run_of(row) for row in connection.execute(query)]

    def newest_finished(self, most: int) -> list[RunRow]:
        """The newest runs that ended with a report, newest first."""
        ended = (_N.report.is_not(None), _N.state != RunState.RUNNING)
        query = sa.select(t.run).where(*ended).order_by(_N.started_at.desc(), _N.id.desc()).limit(most)
        with self._db.read() as connection:
            return [run_of(row) for row in connection.execute(query)]


class _Counts:
    def __init__(self, mapping: str) -> None:
        self.mapping = mapping
        self.records = self.open = 0
        self.outcomes: Counter[str] = Counter()

    def add(self, state: str, outcome: str, count: int) -> None:
        self.records += count
        self.open += count if state != RequestItemState.DONE else 0
        if outcome:
            self.outcomes[outcome] += count
