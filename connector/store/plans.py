"""The records of frozen plans: which of them are open, and which have their final outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.model import FINAL_OUTCOMES
from connector.core.states import RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.planning import ANOTHER_PERSON
from connector.store.record_sql import begun, unindexed, with_purchase
from connector.store.rows import RecordRow, chunks, records_with_channels

_R = t.record.c


@dataclass(frozen=True, slots=True)
class FinishedBy:
    """The run that gave a record its final outcome, and whether that run applied the plan in question."""

    run_id: str
    by_plan: bool


class Plans:
    """Queries and changes of the records of frozen plans."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def adopt(self, run_id: str, plan_id: str, mapping: str) -> bool:
        """Assign to this run the plan's open records of one mapping; returns whether any has a purchase."""
        with self._db.write() as connection:
            mine = (_R.mapping == mapping, _R.plan_id == plan_id)
            connection.execute(sa.update(t.record).where(*mine, begun()).values(run_id=run_id))
            open_one = sa.select(_R.id).where(*mine, _R.state == RecordState.OPEN, with_purchase()).limit(1)
            found = connection.execute(open_one).first()
        return found is not None

    def begun(self, plan_id: str, mapping: str, crm_ids: Sequence[str]) -> dict[str, RecordRow]:
        """Those of these records that are open and have a purchase of the plan, by CRM id."""
        found: dict[str, RecordRow] = {}
        with self._db.read() as connection:
            for part in chunks(crm_ids):
                query = sa.select(_R.id).where(
                    _R.mapping == mapping,
                    _R.crm_id.in_(part),
                    _R.state == RecordState.OPEN,
                    unindexed(_R.plan_id) == plan_id,
                    with_purchase(),
                )
                rows = records_with_channels(connection, list(connection.scalars(query)))
                found |= {row.crm_id: row for row in rows}
        return found

    def finished(self, mapping: str, crm_ids: Sequence[str], plan_id: str, since: datetime) -> dict[str, FinishedBy]:
        """Find the plan's records that have their final outcome, by CRM id.

        Args:
            mapping: the mapping of the records.
            crm_ids: the ids of the records.
            plan_id: runs of this plan count at any time.
            since: other runs count if they closed the record later than this.
        """
        found: dict[str, FinishedBy | None] = {}
        query = (
            sa.select(_R.crm_id, _R.run_id, _R.state, _R.outcome, _R.reason, _R.closed_at, t.run.c.plan_id)
            .outerjoin(t.run, t.run.c.id == _R.run_id)
            .order_by(_R.id)
        )
        with self._db.read() as connection:
            for part in chunks(crm_ids):
                for row in connection.execute(query.where(_R.mapping == mapping, _R.crm_id.in_(part))):
                    by_plan = row.plan_id == plan_id
                    ended = (
                        row.state == RecordState.CLOSED
                        and row.outcome in FINAL_OUTCOMES
                        and row.reason != ANOTHER_PERSON
                    )
                    counts = ended and (by_plan or (row.closed_at is not None and row.closed_at > since))
                    before = found.get(row.crm_id)
                    if before is None or not before.by_plan:  # a later outcome does not replace the plan's own
                        found[row.crm_id] = FinishedBy(row.run_id, by_plan) if counts else None
        return {crm_id: by for crm_id, by in found.items() if by is not None}

    def live(self, since: datetime) -> frozenset[str]:
        """The ids of the plans that were applied at this time or later."""
        query = sa.select(t.run.c.plan_id).where(t.run.c.command == "apply", t.run.c.started_at >= since)
        with self._db.read() as connection:
            return frozenset(connection.scalars(query.where(t.run.c.plan_id.is_not(None)).distinct()))
