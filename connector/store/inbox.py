"""Requests of the CRM's automation, kept until each record has its final outcome.

A request is stored once, whatever repeats of it arrive, before its sender gets an answer. Its records wait here, are
offered to runs, and are offered again while a run defers them, for a week at most.
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

KEPT = timedelta(days=7)  # so long the same id is the same request
POSTPONED_S = 60.0  # until what no run could be made for is offered again
AGAIN_AFTER_S = 900.0  # until what a run deferred, or left with a vendor, is offered again
NOT_TAKEN = "no record of this mapping's object and condition has this id"
GIVEN_UP = "nothing was bought within a week"
MOST_REASONS = 50  # in the state of one request
OTHER_REASONS = "other reasons"
NOTIFICATION = "notification:"  # begins the id of what came in an Outbound Message; one message, one moment
_A, _R = t.request_item.c, t.request.c


class ConflictError(Exception):
    """The same request id came with another body."""


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A request as it came.

    Attributes:
        digest: of what it asks for; the same id with another one is a conflict.
        crm_ids: at least one record.
    """

    request_id: str
    digest: str
    mapping: str
    crm_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class RequestedRecord:
    """A record that a request names.

    Attributes:
        budget_id: the same for all records of one HTTP request, for as long as the ledger knows it.
        alone: it is the only record of its HTTP request.
    """

    item_id: int
    crm_id: str
    budget_id: str = ""
    alone: bool = True


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many records of a request have an outcome for one reason."""

    outcome: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class RequestState:
    """The state of a request: its records by state, and the outcomes of those that have one.

    Attributes:
        states: number of records by state.
        outcomes: number of records by outcome.
        reasons: the outcomes again by reason, the most frequent first; outcomes without a reason are left out.
    """

    states: Mapping[str, int]
    outcomes: Mapping[str, int]
    reasons: tuple[ReasonCount, ...] = field(default=(), compare=False)

    @property
    def state(self) -> str:
        """waiting: no run took it up yet; working; done: every record has its final outcome."""
        if not self.states.keys() - {RequestItemState.DONE}:
            return RequestItemState.DONE
        return (
            RequestItemState.WAITING if self.states.keys() == {RequestItemState.WAITING} else RequestItemState.WORKING
        )


class Inbox:
    """The ledger's side of requests.

    Args:
        database: the ledger's.
        jobs: get the requests' times, in the transaction that stores a request.
    """

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._db = database
        self._jobs = jobs

    def accept(self, inbound_requests: Sequence[InboundRequest], now: datetime) -> list[bool]:
        """Store requests, all or none; for each whether it is new.

        Raises:
            ConflictError: within a week the same id came with another digest.
        """
        with self._db.write(alone=False) as connection:
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
        if connection.scalar(expired) is not None:  # locked: of two who bring it again at once, one makes it new
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

    def look(self, request_id: str) -> RequestState | None:
        """What has become of a request; None when there is none of this id."""
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
        """Records of a mapping that a run should be offered now, the longest waiting first."""
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

    def is_asked(self, mappings: Collection[str], now: datetime, since: datetime | None = None) -> bool:
        """Whether any record of these mappings should be offered to a run now, and became due after a moment."""
        late = [] if since is None else [_A.not_before > since]
        query = sa.select(_A.id).where(_A.mapping.in_(mappings), _A.state != RequestItemState.DONE, _is_due(now), *late)
        with self._db.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def set_next(self, mapping: str, now: datetime) -> None:
        """Make the mapping's job due when the first of its requested records is."""
        query = sa.select(sa.func.min(_A.not_before)).where(_A.mapping == mapping, _A.state != RequestItemState.DONE)
        with self._db.write() as connection:
            self._jobs.lock(connection, JobKind.REQUESTS, mapping, now)
            self._jobs.set_due(connection, JobKind.REQUESTS, mapping, connection.scalar(query))

    def postpone(self, offered: Sequence[RequestedRecord], reason: str, until: datetime) -> None:
        """No run could be made for these: they come again then."""
        values = {"state": RequestItemState.WORKING, "outcome": Outcome.DEFERRED.value, "reason": reason}
        with self._db.write() as connection:
            for part in chunks([one.item_id for one in offered]):
                connection.execute(
                    sa.update(t.request_item)
                    .where(_A.id.in_(part), _A.state != RequestItemState.DONE)
                    .values(**values, not_before=until)
                )

    def counts(self) -> dict[str, int]:
        """Records by state, of all requests."""
        with self._db.read() as connection:
            rows = connection.execute(sa.select(_A.state, sa.func.count().label("count")).group_by(_A.state))
            return {row[0]: row[1] for row in rows}

    def follow(self, run_id: str, mappings: Sequence[str], began_at: datetime, again_at: datetime) -> None:
        """Note what a run said of records that requests wait for, whatever made it take them up.

        A request that came while the run was at work may ask because the record was changed since it was read: it is
        offered to the next one.

        Args:
            run_id: the run.
            mappings: of the run.
            began_at: when the run began.
            again_at: when records without a last word are offered again.
        """
        w, r = t.run_record.c, t.record.c
        said = (
            sa.select(_A.id, w.outcome, w.reason)
            .join(t.record, sa.and_(r.crm_id == _A.crm_id, r.mapping == _A.mapping))
            .join(t.run_record, sa.and_(w.record_id == r.id, w.run_id == run_id))
            .join(t.request, _R.id == _A.request_id)
            .where(_A.state != RequestItemState.DONE, _A.mapping.in_(mappings), _R.accepted_at <= began_at)
        )
        with self._db.write() as connection:
            for row in connection.execute(said).all():
                _note(connection, row.id, run_id, Outcome(row.outcome), row.reason, again_at)

    def unanswered(self, offered: Sequence[RequestedRecord], run_id: str) -> list[RequestedRecord]:
        """Those of the offered records that a run has said nothing of."""
        w, r = t.run_record.c, t.record.c
        said = (
            sa.select(w.record_id)
            .join(t.record, r.id == w.record_id)
            .where(w.run_id == run_id, r.crm_id == _A.crm_id, r.mapping == _A.mapping)
        )
        query = sa.select(_A.id, _A.crm_id).where(
            _A.state != RequestItemState.DONE, ~sa.exists(said.correlate(t.request_item))
        )
        with self._db.read() as connection:
            return [
                RequestedRecord(row.id, row.crm_id)
                for part in chunks([one.item_id for one in offered])
                for row in connection.execute(query.where(_A.id.in_(part)))
            ]

    def settle(self, offered: Sequence[RequestedRecord], run_id: str) -> None:
        """Records that a run was offered and did not take up: it has no outcome for them."""
        values = {
            "state": RequestItemState.DONE,
            "outcome": Outcome.SKIPPED.value,
            "reason": NOT_TAKEN,
            "run_id": run_id,
        }
        left = [one.item_id for one in self.unanswered(offered, run_id)]
        with self._db.write() as connection:
            for part in chunks(left):
                connection.execute(
                    sa.update(t.request_item).where(_A.id.in_(part), _A.state != RequestItemState.DONE).values(**values)
                )

    def purge(self, now: datetime) -> int:
        """Give up what no run could buy within a week, and forget requests that are done for as long.

        Returns:
            How many requested records were given up.
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
            gone = sa.select(_R.id).where(_R.accepted_at < now - 2 * KEPT, _R.id.not_in(open_ones))
            connection.execute(sa.delete(t.request_item).where(_A.request_id.in_(gone)))
            connection.execute(sa.delete(t.request).where(_R.id.in_(gone)))
        return given_up.rowcount


def _is_due(now: datetime) -> sa.ColumnElement[bool]:
    """Due, or planned further ahead than any rule allows: by a clock that was wrong."""
    return sa.or_(_A.not_before <= now, _A.not_before > now + timedelta(seconds=AGAIN_AFTER_S))


def _budget_of(request_id: str, accepted_at: datetime) -> str | datetime:
    """What a record's HTTP request is known by: its id; for the notifications of one message, the moment it came."""
    return accepted_at if request_id.startswith(NOTIFICATION) else request_id


def _budget_id(budget: str | datetime) -> str:
    text = budget if isinstance(budget, str) else f"message {budget.isoformat()}"
    return f"request-{hashlib.sha256(text.encode()).hexdigest()[:30]}"


def _sizes(connection: sa.Connection, budgets: Collection[str | datetime]) -> dict[str | datetime, int]:
    """How many records each HTTP request has named, those that are done included."""
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
    """The reasons by falling count; past a bound, the rest of each outcome is one row."""
    ordered = sorted(found.items(), key=lambda row: (-row[1], row[0]))
    shown = [ReasonCount(outcome, reason, count) for (outcome, reason), count in ordered[:MOST_REASONS]]
    rest = Counter[str]()
    for (outcome, _), count in ordered[MOST_REASONS:]:
        rest[outcome] += count
    return (*shown, *(ReasonCount(outcome, OTHER_REASONS, count) for outcome, count in sorted(rest.items())))


def _note(
    connection: sa.Connection, item_id: int, run_id: str, outcome: Outcome, reason: str, again_at: datetime
) -> None:
    """Note a run's outcome of a requested record; without a final outcome it is offered again later."""
    values: dict[str, object] = {"outcome": outcome.value, "reason": reason, "run_id": run_id}
    later = {"state": RequestItemState.WORKING, "not_before": again_at}
    values |= {"state": RequestItemState.DONE} if outcome in FINAL_OUTCOMES else later
    connection.execute(
        sa.update(t.request_item).where(_A.id == item_id, _A.state != RequestItemState.DONE).values(**values)
    )
