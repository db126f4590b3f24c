"""Jobs of updates that a CRM processes later: which records each carries, and the answers.

The changes of a job are stored as intended, together with the job and before it exists in the CRM. Its id in the CRM is
stored before its rows are sent. While a job is open, no run writes its records. When it has ended, they are due again:
the next write reads and compares them once more, and sends only what is still missing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.errors import AccountingError
from connector.core.states import BulkJobState, ChangeState, RecordState
from connector.store import tables as t
from connector.store.batches import execute_many
from connector.store.database import Database
from connector.store.rows import AnyRow, chunks
from connector.store.runs import ADD_CHANGE, Intended, change_rows
from connector.store.seal import Seal

_B, _C, _R = t.bulk_job.c, t.change.c, t.record.c


@dataclass(frozen=True, slots=True)
class BulkJobRow:
    """An open job.

    Attributes:
        id: the ledger's id.
        run_id: the run that made it, which has its changes.
        crm_job_id: the id in the CRM; None if the process ended before it was stored.
    """

    id: int
    run_id: str
    mapping: str
    object: str
    crm_job_id: str | None
    size: int
    at: datetime


class BulkJobs:
    """Stores jobs of updates."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._db = database
        self._seal = seal

    def plan(
        self, run_id: str, mapping: str, object_name: str, changes: Sequence[Intended], now: datetime
    ) -> BulkJobRow:
        """Store a job with its intended changes, before it exists in the CRM."""
        values = {"run_id": run_id, "mapping": mapping, "object": object_name, "size": len(changes), "at": now}
        with self._db.write() as connection:
            made = connection.execute(sa.insert(t.bulk_job).values(state=BulkJobState.PLANNED, **values))
            key = made.inserted_primary_key
            if key is None:
                raise AccountingError("the ledger gave a new job no number")
            for part in chunks(changes):
                execute_many(connection, ADD_CHANGE, change_rows(self._seal, run_id, object_name, part, now))
                records = [change.record_id for change in part]
                connection.execute(
                    sa.update(t.record).where(_R.id.in_(records)).values(bulk_job_id=int(key[0]), due=False)
                )
        return BulkJobRow(int(key[0]), run_id, mapping, object_name, None, len(changes), now)

    def created(self, job_id: int, crm_job_id: str) -> None:
        """Store the id of the job in the CRM, before its rows are sent."""
        planned = (_B.id == job_id, _B.state == BulkJobState.PLANNED)
        with self._db.write() as connection:
            values = {"state": BulkJobState.CREATED, "crm_job_id": crm_job_id}
            connection.execute(sa.update(t.bulk_job).where(*planned).values(**values))

    def open(self, mappings: Collection[str]) -> list[BulkJobRow]:
        """List the jobs of these mappings that have not ended, oldest first."""
        query = sa.select(t.bulk_job).where(_B.state != BulkJobState.ENDED, _B.mapping.in_(mappings)).order_by(_B.id)
        with self._db.read() as connection:
            return [_row_of(row) for row in connection.execute(query)]

    def open_of(self, run_id: str) -> list[BulkJobRow]:
        """List the jobs of a run that have not ended."""
        query = sa.select(t.bulk_job).where(_B.state != BulkJobState.ENDED, _B.run_id == run_id).order_by(_B.id)
        with self._db.read() as connection:
            return [_row_of(row) for row in connection.execute(query)]

    def answer(self, job: BulkJobRow, answers: Iterable[tuple[str, bool]]) -> None:
        """Store for records of a job, by CRM id, whether the CRM accepted the change."""
        found: dict[ChangeState, list[str]] = {ChangeState.WRITTEN: [], ChangeState.REJECTED: []}
        for crm_id, accepted in answers:
            found[ChangeState.WRITTEN if accepted else ChangeState.REJECTED].append(crm_id)
        with self._db.write() as connection:
            for state, crm_ids in found.items():
                for part in chunks(crm_ids):
                    connection.execute(
                        sa.update(t.change).where(*_of_job(job), _C.crm_id.in_(part)).values(state=state)
                    )

    def all_accepted(self, job: BulkJobRow) -> None:
        """Store that the CRM accepted every change of a job."""
        records = sa.select(_R.id).where(_R.bulk_job_id == job.id)
        with self._db.write() as connection:
            mine = (*_of_job(job), _C.record_id.in_(records))
            connection.execute(sa.update(t.change).where(*mine).values(state=ChangeState.WRITTEN))

    def end(self, job_id: int) -> None:
        """Store that a job has ended: its open records are due, to be compared once more."""
        with self._db.write() as connection:
            mine = (_R.bulk_job_id == job_id, _R.state == RecordState.OPEN)
            connection.execute(sa.update(t.record).where(*mine).values(due=True))
            connection.execute(sa.update(t.bulk_job).where(_B.id == job_id).values(state=BulkJobState.ENDED))


def _of_job(job: BulkJobRow) -> tuple[sa.ColumnElement[bool], ...]:
    return _C.run_id == job.run_id, _C.object == job.object, _C.state == ChangeState.INTENDED


def _row_of(row: AnyRow) -> BulkJobRow:
    return BulkJobRow(row.id, row.run_id, row.mapping, row.object, row.crm_job_id, row.size, row.at)
