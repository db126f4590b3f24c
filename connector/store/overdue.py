"""Work that has waited too long, and the end of the wait for parked values and for records without a mapping."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from connector.core.ages import OPEN_RECORD_AGE, PARKED_NOTICE, REQUEST_AGE, TASK_AGE
from connector.core.model import Outcome
from connector.core.states import (
    AT_PROVIDER,
    ChannelState,
    JobKind,
    JobState,
    RecordState,
    RequestItemState,
)
from connector.store import tables as t
from connector.store.database import Database
from connector.store.record_sql import UNUSED_VALUE, in_plans
from connector.store.tables.purchases import IS_SENT

_P, _R, _RC, _A, _K, _E = t.purchase.c, t.record.c, t.record_channel.c, t.request_item.c, t.attempt.c, t.job.c
AT_ONCE = 500
RELEASED = "released by an operator: no run covers its mapping any more"


class Waiting(StrEnum):
    """The kinds of waiting work."""

    RECORDS = "open records"
    PURCHASES = "purchases"
    REQUESTS = "requested records"
    RUNS = "queued runs"
    PARKED = "parked values"


@dataclass(frozen=True, slots=True)
class Overdue:
    """Work of one kind that has waited longer than the age limit of the kind.

    Attributes:
        subject: the mapping; for purchases the provider, for runs the command.
        example: the id of the oldest purchase, for purchases and parked values; empty for other kinds.
        since: when the oldest began to wait; for parked values, when the first of them is erased.
    """

    what: Waiting
    subject: str
    count: int
    since: datetime
    example: str = ""


@dataclass(frozen=True, slots=True)
class ParkedValue:
    """A value that is paid for and could not be written."""

    crm_id: str
    purchase_id: int


class OverdueWork:
    """Finds overdue work and ends waits."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self, now: datetime) -> list[Overdue]:
        """List all overdue work, by kind and subject."""
        run, first = t.run.c, sa.func.min
        records = (
            sa.select(_R.mapping, sa.func.count(), first(run.started_at))
            .join(t.run, run.id == _R.run_id)
            .where(
                _R.state == RecordState.OPEN, run.started_at < now - OPEN_RECORD_AGE, ~in_plans(now - OPEN_RECORD_AGE)
            )
        )
        purchases = (
            sa.select(_P.provider, sa.func.count(), first(_K.created_at), first(_P.id))
            .join(t.attempt, _K.id == _P.attempt_id)
            .where(IS_SENT, _P.state.in_(AT_PROVIDER), _K.created_at < now - TASK_AGE)
        )
        requests = sa.select(_A.mapping, sa.func.count(), first(_A.not_before)).where(
            _A.state != RequestItemState.DONE, _A.not_before < now - REQUEST_AGE
        )
        runs = sa.select(_E.command, sa.func.count(), first(_E.asked_at)).where(
            _E.kind == JobKind.RUN, _E.state == JobState.WAITING, _E.asked_at < now - REQUEST_AGE
        )
        parked = (
            sa.select(_R.mapping, sa.func.count(), first(_RC.erase_at), first(_RC.purchase_id))
            .join(t.record, _R.id == _RC.record_id)
            .where(_R.state == RecordState.OPEN, _RC.parked, _RC.erase_at.is_not(None))
        )
        queries = {
            Waiting.RECORDS: records.group_by(_R.mapping),
            Waiting.PURCHASES: purchases.group_by(_P.provider),
            Waiting.REQUESTS: requests.group_by(_A.mapping),
            Waiting.RUNS: runs.group_by(_E.command),
            Waiting.PARKED: parked.group_by(_R.mapping),
        }
        with self._db.read() as connection:
            return [
                Overdue(what, row[0], int(row[1]), row[2], str(row[3]) if len(row) > 3 else "")
                for what, query in queries.items()
                for row in sorted(connection.execute(query).all(), key=lambda row: str(row[0]))
            ]

    def announce(self, now: datetime, retention: timedelta) -> Iterator[ParkedValue]:
        """Set the time of erasure of values that have been parked for their retention; yields each value once.

        Args:
            now: the ledger's time.
            retention: the time since the value arrived.
        """
        stale = sa.update(t.record_channel).where(_RC.erase_at.is_not(None), sa.not_(_RC.parked)).values(erase_at=None)
        due = (
            sa.select(_RC.id, _R.crm_id, _RC.purchase_id)
            .join(t.record, _R.id == _RC.record_id)
            .join(t.purchase, _P.id == _RC.purchase_id)
            .where(_R.state == RecordState.OPEN, _RC.parked, _RC.erase_at.is_(None))
            .where(_P.value.is_not(None), _P.final_at < now - retention)
            .order_by(_RC.id)
            .limit(AT_ONCE)
        )
        with self._db.write() as connection:
            connection.execute(stale)
        while True:
            with self._db.write() as connection:
                rows = connection.execute(due).all()
                if not rows:
                    return
                ids = [row.id for row in rows]
                connection.execute(
                    sa.update(t.record_channel).where(_RC.id.in_(ids)).values(erase_at=now + PARKED_NOTICE)
                )
            yield from (ParkedValue(row.crm_id, row.purchase_id) for row in rows)

    def erase_parked(self, now: datetime, reason: str) -> Iterator[ParkedValue]:
        """Erase values whose time of erasure has come; their records close with the reason in the next run."""
        due = (
            sa.select(_RC.id, _RC.record_id, _R.crm_id, _RC.purchase_id)
            .join(t.record, _R.id == _RC.record_id)
            .where(_R.state == RecordState.OPEN, _RC.parked, _RC.erase_at <= now)
            .order_by(_RC.erase_at, _RC.id)
            .limit(AT_ONCE)
        )
        while True:
            with self._db.write() as connection:
                rows = connection.execute(due).all()
                if not rows:
                    return
                self._end_parked(connection, [(row.id, row.record_id, row.purchase_id) for row in rows], reason)
            yield from (ParkedValue(row.crm_id, row.purchase_id) for row in rows)

    def _end_parked(self, connection: sa.Connection, rows: list[tuple[int, int, int]], reason: str) -> None:
        ended = {"state": ChannelState.READY, "outcome": Outcome.FAILED.value, "reason": reason}
        channels = sa.update(t.record_channel).where(_RC.id.in_([row[0] for row in rows]))
        connection.execute(channels.values(**ended, keep_status=False, parked=False, erase_at=None))
        records = sa.update(t.record).where(_R.id.in_([row[1] for row in rows]))
        connection.execute(records.values(parked_version=None))
        purchase_ids = [row[2] for row in rows]
        # A channel with an outcome needs no value any more, in any state.
        waiting = sa.select(_RC.purchase_id).join(t.record, _R.id == _RC.record_id)
        waiting = waiting.where(
            _RC.purchase_id.in_(purchase_ids), _RC.state != ChannelState.DONE, _R.state == RecordState.OPEN
        )
        needed = set(connection.scalars(waiting.where(_RC.outcome.is_(None))))
        unused = set(purchase_ids) - needed
        connection.execute(sa.update(t.purchase).where(_P.id.in_(unused)).values(value=None))

    def release(self, mapping: str, now: datetime) -> int:
        """Close every open record of a mapping that is no longer used; returns the number of records.

        Purchases in flight stay and are collected; values that no other record waits for are erased.
        """
        page = (
            sa.select(_R.id).where(_R.mapping == mapping, _R.state == RecordState.OPEN).order_by(_R.id).limit(AT_ONCE)
        )
        ended = {
            "state": RecordState.CLOSED,
            "outcome": Outcome.SKIPPED.value,
            "reason": RELEASED,
            "attention": "",
            "closed_at": now,
        }
        closed = 0
        while True:
            with self._db.write() as connection:
                ids = list(connection.scalars(page))
                if not ids:
                    return closed
                theirs = sa.select(_RC.purchase_id).where(_RC.record_id.in_(ids), _RC.purchase_id.is_not(None))
                connection.execute(sa.update(t.record).where(_R.id.in_(ids)).values(**ended))
                connection.execute(sa.update(t.purchase).where(_P.id.in_(theirs), UNUSED_VALUE).values(value=None))
            closed += len(ids)
