"""The history of runs, and of their writes to the CRM."""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.model import FieldValue
from connector.core.states import MAY_STAND, ChangeState, RecordState, RunState, TaskState
from connector.store import monitoring
from connector.store import tables as t
from connector.store.batches import execute_many
from connector.store.database import Database
from connector.store.jobs import Jobs
from connector.store.poll_backoff import PollBackoff
from connector.store.record_sql import unindexed
from connector.store.rows import AnyRow, chunks
from connector.store.seal import Seal
from connector.store.tables.purchases import IS_SENT

LATEST = "latest"
STATUS = "status:"  # the prefix of a status field's hash, as opposed to a bought value's
_RUN, _C, _P, _R = t.run.c, t.change.c, t.purchase.c, t.record.c
_OPEN_PURCHASES = sa.select(_P.provider, _P.state, sa.func.count()).where(IS_SENT).group_by(_P.provider, _P.state)
_OPEN_AT = sa.select(_P.id).where(IS_SENT, _P.provider == sa.bindparam("provider")).limit(1)
_OPEN_TASKS = sa.select(sa.func.count()).where(t.task.c.state == TaskState.OPEN)
_OPEN_RECORDS = sa.select(sa.func.count()).where(_R.state == RecordState.OPEN, _R.mapping > "")  # by `uq_record_open`
_PARKED_RECORDS = _OPEN_RECORDS.where(_R.parked_version.is_not(None))


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run; `report` is None while it is running, or if it crashed."""

    id: str
    command: str
    mappings: tuple[str, ...]
    state: str
    started_at: datetime
    finished_at: datetime | None
    report: Mapping[str, Any] | None
    plan_id: str | None = None
    undone_by: str | None = None
    condensed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intended:
    """An intended write to one record.

    Attributes:
        before: by field, the present value.
        after: by field, the value to write.
        statuses: the names of the status fields.
    """

    record_id: int
    crm_id: str
    before: Mapping[str, FieldValue]
    after: Mapping[str, FieldValue]
    statuses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One write of a run: by field, the keyed hash of the written value, and the value before."""

    id: int
    record_id: int
    object: str
    crm_id: str
    hashes: Mapping[str, str]
    before: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """Counts of open work in the ledger."""

    purchases: Mapping[tuple[str, str], int]  # by (provider, state)
    tasks: int
    records: int
    parked: int


UNDO_PAGE = 200  # records
_UNDOABLE = (_C.run_id == sa.bindparam("run_id"), _C.state.in_(MAY_STAND), _C.before.is_not(None))
_CHANGED_RECORDS = (
    sa.select(_C.object, _C.crm_id)
    .where(
        *_UNDOABLE,
        sa.tuple_(_C.object, _C.crm_id) > sa.tuple_(sa.bindparam("after_object"), sa.bindparam("after_id")),
    )
    .distinct()
    .order_by(_C.object, _C.crm_id)
    .limit(sa.bindparam("page", type_=sa.Integer))
)
_CHANGES_OF = (
    sa.select(t.change)
    .where(*_UNDOABLE, _C.object == sa.bindparam("object"), _C.crm_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(_C.crm_id, _C.id)
)


def _after(object_name: str, crm_id: str) -> dict[str, str]:
    return {"after_object": object_name, "after_id": crm_id}


def _by_object(records: Sequence[AnyRow]) -> list[tuple[str, list[str]]]:
    """The CRM ids of records, by object in their order."""
    found: dict[str, list[str]] = {}
    for row in records:
        found.setdefault(row.object, []).append(row.crm_id)
    return list(found.items())


class Runs:
    """Stores runs, their reports and their changes.

    Args:
        database: the ledger's database.
        seal: seals the before-images.
        jobs: invites helpers to a run.
        poll_backoff: sets the next polls of a run's mappings.
    """

    def __init__(self, database: Database, seal: Seal, jobs: Jobs, poll_backoff: PollBackoff) -> None:
        self._db = database
        self._seal = seal
        self._jobs = jobs
        self._poll_backoff = poll_backoff

    def start(self, command: str, mappings: Sequence[str], now: datetime, plan_id: str | None = None) -> str:
        """Begin a run, optionally of a frozen plan; returns its id. Ids sort by time."""
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

    def finish(
        self, run_id: str, state: str, report: Mapping[str, Any], now: datetime, *, success: bool = False
    ) -> None:
        """End a run and store its report; `success` if it did its work, records that need attention included."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.run).where(_RUN.id == run_id).values(state=state, report=report, finished_at=now)
            )
            run = connection.execute(sa.select(_RUN.mappings, _RUN.started_at).where(_RUN.id == run_id)).one_or_none()
            if run is not None:
                self._poll_backoff.run_ends(connection, run.mappings, run.started_at, now)
                monitoring.run_ended(self._db, connection, run_id, run.mappings, now if success else None)

    def is_running(self, run_id: str) -> bool:
        """Whether a run has neither ended nor been marked as crashed."""
        with self._db.read() as connection:
            return connection.scalar(sa.select(_RUN.state).where(_RUN.id == run_id)) == RunState.RUNNING

    def mark_crashed(self, now: datetime, mappings: Collection[str] | None = None) -> int:
        """Mark running runs as crashed; call it with the run lock, so that their processes are dead.

        Args:
            now: the ledger's time.
            mappings: the mappings whose run lock is held; None means that of the whole ledger.

        Returns:
            The number of crashed runs.
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
        """List the latest runs, newest first, that started at `since` or later."""
        query = sa.select(t.run).order_by(_RUN.started_at.desc(), _RUN.id.desc()).limit(limit)
        if since is not None:
            query = query.where(_RUN.started_at >= since)
        with self._db.read() as connection:
            return [run_of(row) for row in connection.execute(query)]

    def find(self, run_id: str) -> RunRow | None:
        """Find a run by its id, by a unique prefix of it, or by `latest`; None if there is none."""
        if run_id == LATEST:
            return next(iter(self.newest(1)), None)
        with self._db.read() as connection:
            query = sa.select(t.run).where(_RUN.id.startswith(run_id, autoescape=True)).limit(2)
            rows = connection.execute(query).all()
        return run_of(rows[0]) if len(rows) == 1 else None

    def unclosed(self, limit: int = 50) -> str:
        """Describe the latest runs whose outcomes do not sum to their selected records; empty if all do."""
        wrong = [
            f"run {row.id}: {row.report['selected']} records selected, {sum(row.report['outcomes'].values())} outcomes"
            for row in self.newest(limit)
            if row.report is not None and row.state != RunState.FAILED
            if row.report["selected"] != sum(row.report["outcomes"].values())
        ]
        return "; ".join(wrong)

    # -- changes ---------------------------------------------------------------------------------------------

    def intend(self, run_id: str, object_name: str, changes: Sequence[Intended], now: datetime) -> None:
        """Store intended writes, before they are sent."""
        rows = change_rows(self._seal, run_id, object_name, changes, now)
        if rows:
            with self._db.write() as connection:
                execute_many(connection, ADD_CHANGE, rows)

    def record_answers(self, run_id: str, states: Mapping[int, str]) -> None:
        """Store, by record, whether the CRM accepted the newest intended change (`written`) or not (`rejected`).

        An older change whose answer was lost stays intended: it may have taken effect, and can be undone.
        """
        with self._db.write() as connection:
            for state in sorted(set(states.values())):
                for part in chunks([record_id for record_id, value in states.items() if value == state]):
                    newest = (
                        sa.select(sa.func.max(_C.id))
                        .where(unindexed(_C.run_id) == run_id, _C.record_id.in_(part))
                        .group_by(_C.record_id)
                    )
                    connection.execute(
                        sa.update(t.change)
                        .where(_C.id.in_(newest), _C.state == ChangeState.INTENDED)
                        .values(state=state)
                    )

    def undoable(self, run_id: str) -> Iterator[list[ChangeRow]]:
        """Yield the changes of a run that can be undone, also those whose answer was lost, in pages.

        A page has all changes of its records; records are ordered by object and CRM id.
        """
        after = ("", "")
        while True:
            with self._db.read() as connection:
                records = connection.execute(
                    _CHANGED_RECORDS, {"run_id": run_id, "page": UNDO_PAGE} | _after(*after)
                ).all()
                page = [
                    self._change_of(row)
                    for object_name, ids in _by_object(records)
                    for part in chunks(ids)
                    for row in connection.execute(_CHANGES_OF, {"run_id": run_id, "object": object_name, "ids": part})
                ]
            if page:
                yield page
            if len(records) < UNDO_PAGE:
                return
            after = (records[-1].object, records[-1].crm_id)

    def count_undoable(self, run_id: str) -> int:
        """The number of changes of a run that can be undone."""
        with self._db.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).where(*_UNDOABLE), {"run_id": run_id}) or 0)

    def count_undoable_records(self, run_id: str) -> int:
        """The number of CRM records with such changes."""
        records = sa.select(_C.object, _C.crm_id).where(*_UNDOABLE).distinct().subquery()
        with self._db.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(records), {"run_id": run_id}) or 0)

    def _change_of(self, row: AnyRow) -> ChangeRow:
        hashes = {name: hashed.removeprefix(STATUS) for name, hashed in row.fields.items()}
        return ChangeRow(row.id, row.record_id, row.object, row.crm_id, hashes, self._seal.open(row.before))

    def earlier_statuses(self, run_id: str, record_ids: Sequence[int]) -> dict[int, list[ChangeRow]]:
        """Read the statuses that other runs wrote, by record, oldest first.

        Args:
            run_id: the run whose own changes are left out.
            record_ids: rows of `record`; each is one enrichment of a CRM record.
        """
        found: dict[int, list[ChangeRow]] = {}
        query = sa.select(t.change).where(
            _C.run_id != run_id,
            _C.before.is_not(None),
            _C.state.in_((*MAY_STAND, ChangeState.UNDONE)),
        )
        with self._db.read() as connection:
            for part in chunks(record_ids):
                for row in connection.execute(query.where(_C.record_id.in_(part)).order_by(_C.id)):
                    hashes = row.fields
                    ours = {name: text.removeprefix(STATUS) for name, text in hashes.items() if text.startswith(STATUS)}
                    change = ChangeRow(row.id, row.record_id, row.object, row.crm_id, ours, self._seal.open(row.before))
                    found.setdefault(row.record_id, []).append(change)
        return found

    def mark_changes_undone(self, change_ids: Sequence[int], kept: Sequence[int] = ()) -> None:
        """Mark changes as undone, also those that others have changed since: a second undo skips them.

        Args:
            change_ids: the changes.
            kept: changes that a later write replaced; they keep the before-image, which an undo of that write needs.
        """
        with self._db.write() as connection:
            for ids, values in ((change_ids, {"before": None}), (kept, {})):
                for part in chunks(ids):
                    connection.execute(
                        sa.update(t.change).where(_C.id.in_(part)).values(state=ChangeState.UNDONE, **values)
                    )

    def mark_run_undone(self, run_id: str, undo_id: str) -> None:
        """Store on a run the id of the undo that restored its values."""
        with self._db.write() as connection:
            connection.execute(sa.update(t.run).where(_RUN.id == run_id).values(undone_by=undo_id))

    def erase_before_images(self, before: datetime) -> int:
        """Erase the before-images of changes before a time; returns their number."""
        with self._db.write() as connection:
            erased = connection.execute(
                sa.update(t.change).where(_C.at < before, _C.before.is_not(None)).values(before=None)
            )
        return erased.rowcount

    def written(self, run_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
        """(object, CRM id, fields) of each change that a run wrote."""
        query = sa.select(_C.object, _C.crm_id, _C.fields).where(_C.run_id == run_id, _C.state == ChangeState.WRITTEN)
        with self._db.read() as connection:
            return [(row.object, row.crm_id, tuple(row.fields)) for row in connection.execute(query)]

    # -- open work -------------------------------------------------------------------------------------------

    def open_providers(self, names: Iterable[str]) -> frozenset[str]:
        """Those of these providers at which purchases are open: sent, and without a result."""
        with self._db.read() as connection:
            return frozenset(n for n in names if connection.scalar(_OPEN_AT, {"provider": n}) is not None)

    def open_counts(self) -> OpenCounts:
        """Count the open work that later runs will continue."""
        with self._db.read() as connection:
            purchases = connection.execute(_OPEN_PURCHASES)
            return OpenCounts(
                purchases={(provider, state): count for provider, state, count in purchases},
                tasks=int(connection.scalar(_OPEN_TASKS) or 0),
                records=int(connection.scalar(_OPEN_RECORDS) or 0),
                parked=int(connection.scalar(_PARKED_RECORDS) or 0),
            )


ADD_CHANGE = sa.insert(t.change)


def change_rows(
    seal: Seal, run_id: str, object_name: str, changes: Sequence[Intended], now: datetime
) -> list[dict[str, object]]:
    """Build the rows of `change` for intended writes."""
    return [
        {
            "run_id": run_id,
            "record_id": change.record_id,
            "object": object_name,
            "crm_id": change.crm_id,
            "fields": {
                name: f"{STATUS if name in change.statuses else ''}{seal.hash(value)}"
                for name, value in change.after.items()
            },
            "before": seal.seal(change.before),
            "state": ChangeState.INTENDED,
            "at": now,
        }
        for change in changes
    ]


def run_of(row: sa.Row[tuple[object, ...]]) -> RunRow:
    """A run, from a whole row of the table."""
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
        row.condensed_at,
    )
