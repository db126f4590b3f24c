"""Condenses old closed records and old runs to sums, so that the ledger does not keep every detail for ever.

Purchases and credit entries stay. So do the facts about a condensed record that later decisions need:

- which purchases it has received the value of (`received_value`): its field is then not bought or overwritten again;
- which values its CRM can never accept (`unusable_value`).

A record stays as it is while its purchase is not final, while a write to it may still be undone, or if this ledger
wrote the status "in progress" that the CRM still shows. The work of one call is bounded; later calls do the rest.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from connector.core.states import ChannelState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import get_value, put_value
from connector.store.restored import keep_last_write
from connector.store.rows import AnyRow, chunks
from connector.store.utc_time import UtcTime

RECORDS_AT_ONCE = 1_000  # per transaction
RECORDS_PER_CALL = 10_000  # looked at, whether they can be condensed or not
RUNS_AT_ONCE = 100
RUNS_PER_CALL = 1_000
_POSITION = "condensed until"  # the last record that was looked at: those before it stay for a reason
_DETAILS: dict[str, object] = {"attention": [], "reasons": {}}  # what a condensed run's report loses
_R, _RC, _P, _C = t.record.c, t.record_channel.c, t.purchase.c, t.change.c
_RR, _RUN, _S = t.run_record.c, t.run.c, t.monthly_sum.c
_SumKey = tuple[str, str, str, str]  # month, mapping, channel, outcome


@dataclass(frozen=True, slots=True)
class Condensed:
    """The numbers of runs and records that were condensed."""

    runs: int
    records: int


@dataclass(frozen=True, slots=True)
class MonthlySum:
    """Condensed records of a month and mapping with one outcome.

    Attributes:
        month: when the records were closed, such as 2026-11.
        channel: empty for whole records.
        outcome: empty for records that were closed without one.
    """

    month: str
    mapping: str
    channel: str
    outcome: str
    count: int


class Retention:
    """Condenses old records and runs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def condense(self, before: datetime, now: datetime) -> Condensed:
        """Condense runs that ended, and records that were closed, before a time; the oldest first.

        Args:
            before: now less the retention, which is at least as long as the undo time.
            now: the ledger's time.
        """
        return Condensed(self._condense_runs(before, now), self._condense_records(before))

    def sums(self) -> list[MonthlySum]:
        """List the sums of all condensed records, by month."""
        with self._db.read() as connection:
            rows = connection.execute(sa.select(t.monthly_sum).order_by(_S.month, _S.mapping, _S.channel, _S.outcome))
            return [MonthlySum(*row) for row in rows]

    def _condense_runs(self, before: datetime, now: datetime) -> int:
        done = 0
        while done < RUNS_PER_CALL:
            with self._db.write() as connection:
                rows = connection.execute(_OLD_RUNS, {"before": before, "limit": RUNS_AT_ONCE}).all()
                if rows:
                    reduced = [{"key": row.id, "reduced": _reduced(row.report), "now": now} for row in rows]
                    connection.execute(_REDUCE_RUN, reduced)
            done += len(rows)
            if len(rows) < RUNS_AT_ONCE:
                break
        return done

    def _condense_records(self, before: datetime) -> int:
        looked_at = condensed = 0
        while looked_at < RECORDS_PER_CALL:
            with self._db.write() as connection:
                position = _read_position(connection)
                rows = connection.execute(_old_records(_limit(connection, before), position)).all()
                if not rows:
                    if position is not None:
                        self._move_on(connection, None)  # the next call looks at the oldest records again
                    break
                stay = _still_needed(connection, [row.id for row in rows], before)
                gone = [row for row in rows if row.id not in stay and not row.in_progress]
                if gone:
                    self._replace(connection, gone)
                if position is not None or len(gone) < len(rows):
                    self._move_on(connection, rows[-1])
            looked_at += len(rows)
            condensed += len(gone)
        return condensed

    def _replace(self, connection: sa.Connection, rows: Sequence[AnyRow]) -> None:
        """Replace records by sums, and by the facts that later decisions need."""
        by_id = {row.id: row for row in rows}
        sums: Counter[_SumKey] = Counter((_month(row), row.mapping, "", row.outcome or "") for row in rows)
        received: list[dict[str, object]] = []
        for part in chunks(list(by_id)):
            for channel in connection.execute(_CHANNELS, {"ids": list(part)}):
                record = by_id[channel.record_id]
                sums[_month(record), record.mapping, channel.channel, channel.outcome or ""] += 1
                if channel.purchase_id is not None and channel.state == ChannelState.DONE:
                    received.append(
                        {"mapping": record.mapping, "crm_id": record.crm_id, "purchase_id": channel.purchase_id}
                    )
        if received:
            connection.execute(self._db.insert(t.received_value).on_conflict_do_nothing(), received)
        self._add(connection, sums)
        keep_last_write(self._db, connection)
        for part in chunks(list(by_id)):
            for statement in _DELETE:
                connection.execute(statement, {"ids": list(part)})

    def _add(self, connection: sa.Connection, sums: Counter[_SumKey]) -> None:
        new = self._db.insert(t.monthly_sum)
        key = ["month", "mapping", "channel", "outcome"]
        add = new.on_conflict_do_update(index_elements=key, set_={"count": _S.count + new.excluded.count})
        rows = [dict(zip(key, names, strict=True)) | {"count": count} for names, count in sorted(sums.items())]
        connection.execute(add, rows)

    def _move_on(self, connection: sa.Connection, row: AnyRow | None) -> None:
        text = "" if row is None else f"{row.closed_at.isoformat()} {row.id}"
        put_value(self._db, connection, _POSITION, text)


_OLD_RUNS = (
    sa.select(_RUN.id, _RUN.report)
    .where(
        _RUN.condensed_at.is_(None),
        _RUN.started_at < sa.bindparam("before"),
        _RUN.finished_at < sa.bindparam("before"),
    )
    .order_by(_RUN.started_at)
    .limit(sa.bindparam("limit"))
)
_REDUCE_RUN = (
    sa.update(t.run)
    .where(_RUN.id == sa.bindparam("key"))
    .values(report=sa.bindparam("reduced", type_=_RUN.report.type), condensed_at=sa.bindparam("now"))
)
_OLDEST_DETAILED_RUN = sa.select(_RUN.started_at).where(_RUN.condensed_at.is_(None)).order_by(_RUN.started_at).limit(1)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_CHANNELS = sa.select(_RC.record_id, _RC.channel, _RC.outcome, _RC.state, _RC.purchase_id).where(
    _RC.record_id.in_(_IDS)
)
_UNFINISHED = (
    sa.select(_RC.record_id)
    .join(t.purchase, _P.id == _RC.purchase_id)
    .where(_RC.record_id.in_(_IDS), _P.state != PurchaseState.FINAL.value)
)
_WRITTEN_SINCE = sa.select(_C.record_id).where(
    _C.record_id.in_(_IDS), sa.or_(_C.at >= sa.bindparam("before"), _C.before.is_not(None))
)
_DELETE = (
    sa.delete(t.record_channel).where(_RC.record_id.in_(_IDS)),
    sa.delete(t.change).where(_C.record_id.in_(_IDS)),
    sa.delete(t.run_record).where(_RR.record_id.in_(_IDS)),
    sa.delete(t.record).where(_R.id.in_(_IDS)),
)


def _reduced(report: dict[str, object] | None) -> dict[str, object] | None:
    """A report without the details of single records; its sums stay."""
    return None if report is None else {**report, **{name: _DETAILS[name] for name in _DETAILS if name in report}}


def _limit(connection: sa.Connection, before: datetime) -> datetime:
    """The time before which records may be condensed: no run that still shows its details has selected them."""
    oldest = connection.scalar(_OLDEST_DETAILED_RUN)
    return before if oldest is None else min(before, oldest)


def _old_records(before: datetime, after: tuple[datetime, int] | None) -> sa.Select[tuple[object, ...]]:
    query = (
        sa.select(_R.id, _R.mapping, _R.crm_id, _R.outcome, _R.in_progress, _R.closed_at)
        .where(_R.state == RecordState.CLOSED, _R.closed_at < before)
        .order_by(_R.closed_at, _R.id)
        .limit(RECORDS_AT_ONCE)
    )
    if after is None:
        return query
    closed_at, record_id = after
    return query.where(
        sa.tuple_(_R.closed_at, _R.id) > sa.tuple_(sa.literal(closed_at, UtcTime), sa.literal(record_id))
    )


def _still_needed(connection: sa.Connection, record_ids: Sequence[int], before: datetime) -> Collection[int]:
    """The records whose purchase is not final, and those that were written to lately, by an undo for example."""
    found: set[int] = set()
    for part in chunks(record_ids):
        found |= set(connection.scalars(_UNFINISHED, {"ids": list(part)}))
        found |= set(connection.scalars(_WRITTEN_SINCE, {"ids": list(part), "before": before}))
    return found


def _read_position(connection: sa.Connection) -> tuple[datetime, int] | None:
    closed_at, _, record_id = (get_value(connection, _POSITION) or "").partition(" ")
    return (datetime.fromisoformat(closed_at), int(record_id)) if record_id else None


def _month(row: AnyRow) -> str:
    return f"{row.closed_at.astimezone(UTC):%Y-%m}"
