"""Requests of the CRM's automation, stored until each record has its final outcome.

A request is stored before its sender gets an answer; repeats of it are not stored again. Its records are offered to
runs, and offered again while a run defers them, for a week at most.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.model import FINAL_OUTCOMES, Outcome
from connector.core.states import JobKind, RequestItemState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.jobs import Jobs
from connector.store.rows import chunks

KEPT = timedelta(days=7)  # within this time, the same id means the same request
POSTPONED_S = 60.0  # the wait after a run could not be made
AGAIN_AFTER_S = 900.0  # the wait after a run deferred a record or left it waiting for a vendor
NOT_TAKEN = "no record of this mapping's object and condition has this id"
GIVEN_UP = "nothing was bought within a week"
MOST_REASONS = 50  # shown in the state of one request
OTHER_REASONS = "other reasons"
NOTIFICATION = "notification:"  # the prefix of a notification's id; all of one message have the same accepted_at
_A, _R = t.request_item.c, t.request.c
# In the words of the index's own condition, or SQLite does not use it.
_IS_OPEN: sa.ColumnElement[bool] = sa.literal_column(f"request_item.state != '{RequestItemState.DONE}'")


class ConflictError(Exception):
    """A request id arrived again with another body."""


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A request as it arrived.

    Attributes:
        digest: the hash of the body; the same id with another digest is a conflict.
        crm_ids: the requested records, at least one.
    """

    request_id: str
    digest: str
    mapping: str
    crm_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class RequestedRecord:
    """A record that a request names.

    Attributes:
        budget_id: the same for all records of one HTTP request.
        is_single: it is the only record of its HTTP request.
    """

    item_id: int
    crm_id: str
    budget_id: str = ""
    is_single: bool = True


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """The number of records of a request with one outcome and reason."""

    outcome: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class RequestState:
    """The state of a request, as counts of its records.

    Attributes:
        states: the number of records by state.
        outcomes: the number of records by outcome, for those that have one.
        reasons: the outcomes by reason, the most frequent first; outcomes without a reason are left out.
    """

    states: Mapping[str, int]
    outcomes: Mapping[str, int]
    reasons: tuple[ReasonCount, ...] = field(default=(), compare=False)

    @property
    def state(self) -> str:
        """`waiting` before the first run, `working`, or `done` when every record has its final outcome."""
        if not self.states.keys() - {RequestItemState.DONE}:
            return RequestItemState.DONE
        return (
            RequestItemState.WAITING if self.states.keys() == {RequestItemState.WAITING} else RequestItemState.WORKING
        )


class Inbox:
    """The ledger's side of requests.

    Args:
        database: the ledger's database.
        jobs: the queue; the transaction that stores a request makes its job due.
    """

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._db = database
        self._jobs = jobs

    def accept(self, inbound_requests: Sequence[InboundRequest], now: datetime) -> list[bool]:
        """Store requests, all or none; returns for each whether it is new.

        Raises:
            ConflictError: the id of a request arrived with another digest within a week.
        """
        with self._db.write(exclusive=False) as connection:
            are_new = [self._store(connection, one, now) for one in inbound_requests]
            waiting = {one.mapping for one, is_new in zip(inbound_requests, are_new, strict=True) if is_new}
            self._jobs.bring_forward(connection, JobKind.REQUESTS, waiting, now)
        return are_new

    def _store(self, connection: sa.Connection, inbound_request: InboundRequest, now: datetime) -> bool:
        if not self._is_new(connection, inbound_request.request_id, inbound_request.digest, now):
            return False
        rows = [
            {
                "request_id": inbound_request.request_id,
                "mapping": inbound_request.mapping,
                "crm_id": crm_id,
                "state": RequestItemState.WAITING,
                "not_before": now,
            }
            for crm_id in dict.fromkeys(inbound_request.crm_ids)
        ]
        connection.execute(sa.insert(t.request_item), rows)
        return True

    def _is_new(self, connection: sa.Connection, request_id: str, digest: str, now: datetime) -> bool:
        if self._add(connection, request_id, digest, now):
            return True
        mine = _R.id == request_id
        is_open = sa.exists().where(_A.request_id == request_id, _A.state != RequestItemState.DONE)
        expired = sa.select(_R.id).where(mine, _R.accepted_at < now - KEPT, ~is_open).with_for_update()
        if connection.scalar(expired) is not None:  # locked: of two simultaneous repeats, one is stored as new
            connection.execute(sa.delete(t.request_item).where(_A.request_id == request_id))
            connection.execute(sa.delete(t.request).where(mine))
            return self._add(connection, request_id, digest, now)
        if connection.scalar(sa.select(_R.digest).where(mine)) != digest:
            raise ConflictError(request_id)
        return False

    def _add(self, connection: sa.Connection, request_id: str, digest: str, now: datetime) -> bool:
        added = connection.execute(
            self._db.insert(t.request)
            .values(id=request_id, digest=digest, accepted_at=now)
            .on_conflict_do_nothing(index_elements=["id"])
            .returning(_R.id)
        )
        return added.first() is not None

    def state_of(self, request_id: str) -> RequestState | None:
        """Read the state of a request; None if there is none with this id."""
        query = sa.select(_A.state, _A.outcome, _A.reason, sa.func.count()).where(_A.request_id == request_id)
        with self._db.read() as connection:
            if connection.scalar(sa.select(_R.id).where(_R.id == request_id)) is None:
                return None
            rows = connection.execute(query.group_by(_A.state, _A.outcome, _A.reason)).all()
        states, outcomes, reasons = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
        for state, outcome, reason, count in rows:
            states[state] += count
            outcomes[outcome] += count
            if outcome and reason:
                reasons[outcome, reason] += count
        del outcomes[""]
        return RequestState(states, outcomes, _most_frequent(reasons))

    def due(self, now: datetime, mapping: str, limit: int = 2000) -> list[RequestedRecord]:
        """List the requested records of a mapping that are due for a run, the longest due first."""
        query = (
            sa.select(_A.id, _A.crm_id, _A.request_id, _R.accepted_at)
            .join(t.request, _R.id == _A.request_id)
            .where(_A.mapping == mapping, _A.state != RequestItemState.DONE, _is_due(now))
            .order_by(_A.not_before, _A.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            rows = [
                (row.id, row.crm_id, _budget_of(row.request_id, row.accepted_at)) for row in connection.execute(query)
            ]
            sizes = _sizes(connection, {budget for _, _, budget in rows})
        return [
            RequestedRecord(item_id, crm_id, _budget_id(budget), sizes[budget] == 1) for item_id, crm_id, budget in rows
        ]

    def has_due(self, mappings: Collection[str], now: datetime, since: datetime | None = None) -> bool:
        """Whether any requested record of these mappings is due; with `since`, only if it became due after that."""
        newer = [] if since is None else [_A.not_before > since]
        query = sa.select(_A.id).where(
            _A.mapping.in_(mappings), _A.state != RequestItemState.DONE, _is_due(now), *newer
        )
        with self._db.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def set_next(self, mapping: str, now: datetime) -> None:
        """Make the mapping's job due when its first requested record is due."""
        query = sa.select(sa.func.min(_A.not_before)).where(_A.mapping == mapping, _A.state != RequestItemState.DONE)
        with self._db.write() as connection:
            self._jobs.lock(connection, JobKind.REQUESTS, mapping, now)
            self._jobs.set_due(connection, JobKind.REQUESTS, mapping, connection.scalar(query))

    def postpone(self, offered: Sequence[RequestedRecord], reason: str, until: datetime) -> None:
        """Defer records because no run could be made; they are due again at a time."""
        values = {"state": RequestItemState.WORKING, "outcome": Outcome.DEFERRED.value, "reason": reason}
        with self._db.write() as connection:
            for part in chunks([one.item_id for one in offered]):
                connection.execute(
                    sa.update(t.request_item)
                    .where(_A.id.in_(part), _A.state != RequestItemState.DONE)
                    .values(**values, not_before=until)
                )

    def counts(self) -> dict[str, int]:
        """The number of records of all requests, by state."""
        with self._db.read() as connection:
            rows = connection.execute(sa.select(_A.state, sa.func.count().label("count")).group_by(_A.state))
            return {row[0]: row[1] for row in rows}

    def open_counts(self) -> dict[str, int]:
        """The number of records of all requests that have no final outcome, by state."""
        is_open = sa.select(_A.state, sa.func.count()).where(_IS_OPEN, _A.mapping > "").group_by(_A.state)
        with self._db.read() as connection:
            return {state: count for state, count in connection.execute(is_open)}  # noqa: C416 rows are not pairs

    def record_outcomes(self, run_id: str, mappings: Sequence[str], began_at: datetime, again_at: datetime) -> None:
        """Store a run's outcomes of all requested records, also of those that it selected for another reason.

        Requests that arrived during the run are left for the next one: the record may have changed after it was read.

        Args:
            run_id: the run.
            mappings: the mappings of the run.
            began_at: when the run began.
            again_at: when records without a final outcome are due again.
        """
        w, r = t.run_record.c, t.record.c
        outcomes = (
            sa.select(_A.id, w.outcome, w.reason)
            .join(t.record, sa.and_(r.crm_id == _A.crm_id, r.mapping == _A.mapping))
            .join(t.run_record, sa.and_(w.record_id == r.id, w.run_id == run_id))
            .join(t.request, _R.id == _A.request_id)
            .where(_A.state != RequestItemState.DONE, _A.mapping.in_(mappings), _R.accepted_at <= began_at)
        )
        with self._db.write() as connection:
            for row in connection.execute(outcomes).all():
                _record_outcome(connection, row.id, run_id, Outcome(row.outcome), row.reason, again_at)

    def unanswered(self, offered: Sequence[RequestedRecord], run_id: str) -> list[RequestedRecord]:
        """The offered records for which a run has no outcome."""
        w, r = t.run_record.c, t.record.c
        answered = (
            sa.select(w.record_id)
            .join(t.record, r.id == w.record_id)
            .where(w.run_id == run_id, r.crm_id == _A.crm_id, r.mapping == _A.mapping)
        )
        query = sa.select(_A.id, _A.crm_id).where(
            _A.state != RequestItemState.DONE, ~sa.exists(answered.correlate(t.request_item))
        )
        with self._db.read() as connection:
            return [
                RequestedRecord(row.id, row.crm_id)
                for part in chunks([one.item_id for one in offered])
                for row in connection.execute(query.where(_A.id.in_(part)))
            ]

    def skip_unanswered(self, offered: Sequence[RequestedRecord], run_id: str) -> None:
        """End the offered records for which a run has no outcome as skipped: it found no such record."""
        values = {
            "state": RequestItemState.DONE,
            "outcome": Outcome.SKIPPED.value,
            "reason": NOT_TAKEN,
            "run_id": run_id,
        }
        rest = [one.item_id for one in self.unanswered(offered, run_id)]
        with self._db.write() as connection:
            for part in chunks(rest):
                connection.execute(
                    sa.update(t.request_item).where(_A.id.in_(part), _A.state != RequestItemState.DONE).values(**values)
                )

    def purge(self, now: datetime) -> int:
        """Give up records for which no run bought anything within a week; delete done requests after two weeks.

        Returns:
            The number of records that were given up.
        """
        old = sa.select(_R.id).where(_R.accepted_at < now - KEPT)
        open_ones = sa.select(_A.request_id).where(_A.state != RequestItemState.DONE)
        with self._db.write() as connection:
            given_up = connection.execute(
                sa.update(t.request_item)
                .where(
                    _A.request_id.in_(old),
                    _A.state != RequestItemState.DONE,
                    _A.outcome.in_(("", Outcome.DEFERRED.value)),
                )
                .values(state=RequestItemState.DONE, outcome=Outcome.DEFERRED.value, reason=GIVEN_UP)
            )
            expired = sa.select(_R.id).where(_R.accepted_at < now - 2 * KEPT, _R.id.not_in(open_ones))
            connection.execute(sa.delete(t.request_item).where(_A.request_id.in_(expired)))
            connection.execute(sa.delete(t.request).where(_R.id.in_(expired)))
        return given_up.rowcount


def _is_due(now: datetime) -> sa.ColumnElement[bool]:
    """Whether a record is due; also if it is planned further ahead than any rule allows, by a wrong clock."""
    return sa.or_(_A.not_before <= now, _A.not_before > now + timedelta(seconds=AGAIN_AFTER_S))


def _budget_of(request_id: str, accepted_at: datetime) -> str | datetime:
    """The key of a record's HTTP request: the request id, or the time of arrival for notifications of one message."""
    return accepted_at if request_id.startswith(NOTIFICATION) else request_id


def _budget_id(budget: str | datetime) -> str:
    text = budget if isinstance(budget, str) else f"message {budget.isoformat()}"
    return f"request-{hashlib.sha256(text.encode()).hexdigest()[:30]}"


def _sizes(connection: sa.Connection, budgets: Collection[str | datetime]) -> dict[str | datetime, int]:
    """The number of records of each HTTP request, including records that are done."""
    sizes: dict[str | datetime, int] = {}
    requests = [one for one in budgets if isinstance(one, str)]
    messages = [one for one in budgets if not isinstance(one, str)]
    for ids in chunks(requests):
        query = sa.select(_A.request_id, sa.func.count()).where(_A.request_id.in_(ids)).group_by(_A.request_id)
        sizes |= {row[0]: row[1] for row in connection.execute(query)}
    for moments in chunks(messages):
        notified = (_R.accepted_at.in_(moments), _R.id.startswith(NOTIFICATION))
        moment_query = sa.select(_R.accepted_at, sa.func.count()).where(*notified).group_by(_R.accepted_at)
        sizes |= {row[0]: row[1] for row in connection.execute(moment_query)}
    return sizes


def _most_frequent(found: Mapping[tuple[str, str], int]) -> tuple[ReasonCount, ...]:
    """The most frequent reasons, in descending order; one more row for each outcome counts the rest."""
    ordered = sorted(found.items(), key=lambda row: (-row[1], row[0]))
    shown = [ReasonCount(outcome, reason, count) for (outcome, reason), count in ordered[:MOST_REASONS]]
    rest = Counter[str]()
    for (outcome, _), count in ordered[MOST_REASONS:]:
        rest[outcome] += count
    return (*shown, *(ReasonCount(outcome, OTHER_REASONS, count) for outcome, count in sorted(rest.items())))


def _record_outcome(
    connection: sa.Connection, item_id: int, run_id: str, outcome: Outcome, reason: str, again_at: datetime
) -> None:
    """Store a run's outcome of a requested record; unless the outcome is final, the record is due again later."""
    values: dict[str, object] = {"outcome": outcome.value, "reason": reason, "run_id": run_id}
    later = {"state": RequestItemState.WORKING, "not_before": again_at}
    values |= {"state": RequestItemState.DONE} if outcome in FINAL_OUTCOMES else later
    connection.execute(
        sa.update(t.request_item).where(_A.id == item_id, _A.state != RequestItemState.DONE).values(**values)
    )
