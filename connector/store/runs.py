"""The history of runs, and what each wrote to the CRM."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.model import FieldValue
from connector.core.states import ChangeState, PurchaseState, RecordState, RunState, TaskState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.jobs import Jobs
from connector.store.poll_backoff import PollBackoff
from connector.store.rows import chunks
from connector.store.seal import Seal

LATEST = "latest"
STATUS = "status:"  # before the hash of a status word, which is no bought value
_RUN, _C, _P, _R = t.run.c, t.change.c, t.purchase.c, t.record.c
_OPEN_PURCHASES = (
    sa.select(_P.provider, _P.state, sa.func.count())
    .where(_P.state.in_((PurchaseState.SUBMITTING, PurchaseState.SUBMITTED, PurchaseState.UNKNOWN)))
    .group_by(_P.provider, _P.state)
)
_OPEN_TASKS = sa.select(sa.func.count()).where(t.task.c.state == TaskState.OPEN)
_OPEN_RECORDS = sa.select(sa.func.count()).where(_R.state == RecordState.OPEN)
_PARKED_RECORDS = _OPEN_RECORDS.where(_R.parked_version.is_not(None))


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run; `report` is what it printed, None while it runs or when it died."""

    id: str
    command: str
    mappings: tuple[str, ...]
    state: str
    started_at: datetime
    finished_at: datetime | None
    report: Mapping[str, Any] | None
    plan_id: str | None = None
    undone_by: str | None = None


@dataclass(frozen=True, slots=True)
class Intended:
    """What is about to be written to one record: values before, and after; `statuses` names the status fields."""

    record_id: int
    crm_id: str
    before: Mapping[str, FieldValue]
    after: Mapping[str, FieldValue]
    statuses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One write of a run: by field, the keyed hash of what was written and the value before."""

    id: int
    record_id: int
    object: str
    crm_id: str
    hashes: Mapping[str, str]
    before: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """What the ledger still has in hand."""

    purchases: Mapping[tuple[str, str], int]  # (provider, state) -> number
    tasks: int
    records: int
    parked: int


class Runs:
    """The ledger's side of history.

    Args:
        database: the ledger's.
        seal: of before-images.
        jobs: offers a run to helpers.
        poll_backoff: gets the next polls of a run's mappings.
    """

    def __init__(self, database: Database, seal: Seal, jobs: Jobs, poll_backoff: PollBackoff) -> None:
        self._db = database
        self._seal = seal
        self._jobs = jobs
        self._poll_backoff = poll_backoff

    def start(self, command: str, mappings: Sequence[str], now: datetime, plan_id: str | None = None) -> str:
        """Begin a run, of a frozen plan or of none; ids sort by time."""
        run_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        with self._db.write() as connection:
            connection.execute(
                sa.insert(t.run).values(
                    id=run_id,
                    command=command,
                    mappings=list(mappings),
                    state=RunState.RUNNING,
                    started_at=now,
                    plan_id=plan_id,
                )
            )
            self._jobs.invite_helpers(connection, run_id, mappings)
            self._poll_backoff.run_begins(connection, mappings, now)
        return run_id

    def finish(self, run_id: str, state: str, report: Mapping[str, Any], now: datetime) -> None:
        """End a run with its report."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.run).where(_RUN.id == run_id).values(state=state, report=report, finished_at=now)
            )
            run = connection.execute(sa.select(_RUN.mappings, _RUN.started_at).where(_RUN.id == run_id)).one_or_none()
            if run is not None:
                self._poll_backoff.run_ends(connection, run.mappings, run.started_at, now)

    def is_running(self, run_id: str) -> bool:
        """Whether a run has neither ended nor been marked as crashed."""
        with self._db.read() as connection:
            return connection.scalar(sa.select(_RUN.state).where(_RUN.id == run_id)) == RunState.RUNNING

    def mark_crashed(self, now: datetime, mappings: Collection[str] | None = None) -> int:
        """Runs that still say `running` when a new driver starts have died with their process.

        Args:
            now: the ledger's time.
            mappings: those that the new driver holds, while runs of others may be alive; None: it is alone.
        """
        with self._db.write() as connection:
            running = connection.execute(sa.select(_RUN.id, _RUN.mappings).where(_RUN.state == RunState.RUNNING)).all()
            died = [row.id for row in running if mappings is None or set(row.mappings) & set(mappings)]
            for part in chunks(died):
                connection.execute(
                    sa.update(t.run).where(_RUN.id.in_(part)).values(state=RunState.DIED, finished_at=now)
                )
        return len(died)

    def newest(self, limit: int = 50, since: datetime | None = None) -> list[RunRow]:
        """Newest first; those that started at `since` or later."""
        query = sa.select(t.run).order_by(_RUN.started_at.desc(), _RUN.id.desc()).limit(limit)
        if since is not None:
            query = query.where(_RUN.started_at >= since)
        with self._db.read() as connection:
            return [_run_of(row) for row in connection.execute(query)]

    def find(self, run_id: str) -> RunRow | None:
        """One run: by its id, by the beginning of it when that is unique, or `latest`, the one started last."""
        if run_id == LATEST:
            return next(iter(self.newest(1)), None)
        with self._db.read() as connection:
            query = sa.select(t.run).where(_RUN.id.startswith(run_id, autoescape=True)).limit(2)
            rows = connection.execute(query).all()
        return _run_of(rows[0]) if len(rows) == 1 else None

    def unclosed(self, limit: int = 50) -> str:
        """Of the latest runs, those whose outcomes do not sum to their selected records; empty when there is none."""
        wrong = [
            f"run {row.id}: {row.report['selected']} records selected, {sum(row.report['outcomes'].values())} outcomes"
            for row in self.newest(limit)
            if row.report is not None and row.state != RunState.FAILED
            if row.report["selected"] != sum(row.report["outcomes"].values())
        ]
        return "; ".join(wrong)

    # -- changes ---------------------------------------------------------------------------------------------

    def intend(self, run_id: str, object_name: str, changes: Sequence[Intended], now: datetime) -> None:
        """Commit what will be written, before it leaves."""
        rows = [
            {
                "run_id": run_id,
                "record_id": change.record_id,
                "object": object_name,
                "crm_id": change.crm_id,
                "fields": {
                    name: f"{STATUS if name in change.statuses else ''}{self._seal.hash(value)}"
                    for name, value in change.after.items()
                },
                "before": self._seal.seal(change.before),
                "state": ChangeState.INTENDED,
                "at": now,
            }
            for change in changes
        ]
        if rows:
            with self._db.write() as connection:
                connection.execute(sa.insert(t.change), rows)

    def settle(self, run_id: str, states: Mapping[int, str]) -> None:
        """Note, by record, whether the CRM took the newest intended change (`written`) or not (`rejected`).

        An older one whose answer was lost stays intended: it may have landed, and can be undone.
        """
        with self._db.write() as connection:
            for state in set(states.values()):
                record_ids = [record_id for record_id, value in states.items() if value == state]
                newest = (
                    sa.select(sa.func.max(_C.id))
                    .where(_C.run_id == run_id, _C.record_id.in_(record_ids))
                    .group_by(_C.record_id)
                )
                connection.execute(
                    sa.update(t.change).where(_C.id.in_(newest), _C.state == ChangeState.INTENDED).values(state=state)
                )

    def undoable(self, run_id: str) -> list[ChangeRow]:
        """What a run wrote, or may have written when it died between intent and answer, and can still put back."""
        query = (
            sa.select(t.change)
            .where(
                _C.run_id == run_id, _C.state.in_((ChangeState.WRITTEN, ChangeState.INTENDED)), _C.before.is_not(None)
            )
            .order_by(_C.object, _C.id)
        )
        with self._db.read() as connection:
            return [
                ChangeRow(
                    row.id,
                    row.record_id,
                    row.object,
                    row.crm_id,
                    {name: hashed.removeprefix(STATUS) for name, hashed in row.fields.items()},
                    self._seal.open(row.before),
                )
                for row in connection.execute(query)
            ]

    def earlier_statuses(self, run_id: str, record_ids: Sequence[int]) -> dict[int, list[ChangeRow]]:
        """By record, the statuses that other runs have written, oldest first; of each enrichment its own.

        Args:
            run_id: whose own changes are left out.
            record_ids: rows of `record`: one enrichment of a CRM record each.
        """
        found: dict[int, list[ChangeRow]] = {}
        query = sa.select(t.change).where(
            _C.run_id != run_id,
            _C.before.is_not(None),
            _C.state.in_((ChangeState.WRITTEN, ChangeState.INTENDED, ChangeState.UNDONE)),
        )
        with self._db.read() as connection:
            for part in chunks(record_ids):
                for row in connection.execute(query.where(_C.record_id.in_(part)).order_by(_C.id)):
                    hashes = row.fields
                    ours = {name: text.removeprefix(STATUS) for name, text in hashes.items() if text.startswith(STATUS)}
                    change = ChangeRow(row.id, row.record_id, row.object, row.crm_id, ours, self._seal.open(row.before))
                    found.setdefault(row.record_id, []).append(change)
        return found

    def undone(self, change_ids: Sequence[int], kept: Sequence[int] = ()) -> None:
        """These changes are put back, or found changed by others: a second undo leaves them alone.

        Args:
            change_ids: the changes.
            kept: those of which a later write stays; an undo of that write needs their before-image.
        """
        with self._db.write() as connection:
            for ids, values in ((change_ids, {"before": None}), (kept, {})):
                for part in chunks(ids):
                    connection.execute(
                        sa.update(t.change).where(_C.id.in_(part)).values(state=ChangeState.UNDONE, **values)
                    )

    def mark_undone(self, run_id: str, undo_id: str) -> None:
        """Note on a run which undo has restored the values that it replaced."""
        with self._db.write() as connection:
            connection.execute(sa.update(t.run).where(_RUN.id == run_id).values(undone_by=undo_id))

    def forget_images(self, before: datetime) -> int:
        """Erase before-images whose undo time has ended."""
        with self._db.write() as connection:
            erased = connection.execute(
                sa.update(t.change).where(_C.at < before, _C.before.is_not(None)).values(before=None)
            )
        return erased.rowcount

    def written(self, run_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
        """(object, CRM id, fields) of everything a run wrote."""
        query = sa.select(_C.object, _C.crm_id, _C.fields).where(_C.run_id == run_id, _C.state == ChangeState.WRITTEN)
        with self._db.read() as connection:
            return [(row.object, row.crm_id, tuple(row.fields)) for row in connection.execute(query)]

    # -- what is open ----------------------------------------------------------------------------------------

    def open_counts(self) -> OpenCounts:
        """What later runs will go on with."""
        with self._db.read() as connection:
            purchases = connection.execute(_OPEN_PURCHASES)
            return OpenCounts(
                purchases={(provider, state): count for provider, state, count in purchases},
                tasks=int(connection.scalar(_OPEN_TASKS) or 0),
                records=int(connection.scalar(_OPEN_RECORDS) or 0),
                parked=int(connection.scalar(_PARKED_RECORDS) or 0),
            )


def _run_of(row: sa.Row[tuple[object, ...]]) -> RunRow:
    return RunRow(
        row.id,
        row.command,
        tuple(row.mappings),
        row.state,
        row.started_at,
        row.finished_at,
        row.report,
        row.plan_id,
        row.undone_by,
    )
