"""Receipts of callbacks: never the truth about a paid request, only a reason to read it at the provider."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import sqlalchemy as sa

from connector.core.model import Identifier
from connector.core.person import Source
from connector.core.states import AttemptState, ChannelState, JobKind, ReceiptState, RecordState, TaskState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.jobs import Jobs
from connector.store.rows import person_of

KEPT = timedelta(days=30)
# A vendor calls back once, and up to three times where it got no answer. Others who know the address can store no more
# than this. The vendor is asked about each, within a run's time and after everything else.
MOST_RECEIPTS = 5  # of one attempt
_A, _H, _K, _P = t.attempt.c, t.callback_receipt.c, t.task.c, t.purchase.c
_WAITING = (
    sa.select(_H.id, _H.attempt_id, _H.provider_task_id, _P.person_kind, _P.person)
    .join(t.attempt, _A.id == _H.attempt_id)
    .join(t.purchase, sa.or_(_P.attempt_id == _H.attempt_id, _P.prior_attempt_id == _H.attempt_id))
    .where(
        _H.state == ReceiptState.WAITING,
        _A.state == AttemptState.LOST,
        _A.provider == sa.bindparam("provider"),
        _A.account == sa.bindparam("account"),
    )
    .order_by(_H.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


class ReceiptOutcome(Enum):
    """What becomes of a callback when it arrives."""

    UNKNOWN = "there is no such request"
    STORED = "it is kept, or its task was made due"
    WITHOUT_EFFECT = "it repeats an earlier one, or names another task than the known one"
    CROWDED = "too many wait for this request already; it may be sent again later"


@dataclass(frozen=True, slots=True)
class CallbackReceipt:
    """The vendor's id of a request whose own answer was lost."""

    id: int
    attempt_id: str
    provider_task_id: str
    person: Identifier


class CallbackReceipts:
    """The ledger's side of callbacks.

    Args:
        database: the ledger's.
        jobs: get the next polls, in the transaction that stores a receipt.
    """

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._db = database
        self._jobs = jobs

    def receive(self, provider: str, attempt_id: str, provider_task_id: str, now: datetime) -> ReceiptOutcome:
        """Store a callback, unless it repeats an earlier one or too many wait already.

        Where the request's task is known, a callback of the same id makes it due at once, the first time only; one of
        another id is nothing.
        """
        with self._db.write(alone=False) as connection:
            # Locked: of two that arrive at once, each counts the other.
            mine = sa.select(_A.provider).where(_A.id == attempt_id, _A.provider == provider).with_for_update()
            if connection.execute(mine).one_or_none() is None:
                return ReceiptOutcome.UNKNOWN
            task = connection.execute(
                sa.select(_K.id, _K.provider_task_id).where(_K.attempt_id == attempt_id).limit(1)
            ).one_or_none()
            if task is not None and task.provider_task_id != provider_task_id:
                return ReceiptOutcome.WITHOUT_EFFECT
            refusal = self._make_room(connection, attempt_id, provider_task_id)
            if refusal is not None:
                return refusal
            state = ReceiptState.WAITING if task is None else ReceiptState.USED
            connection.execute(
                sa.insert(t.callback_receipt).values(
                    attempt_id=attempt_id, provider_task_id=provider_task_id, state=state, received_at=now
                )
            )
            if task is not None:
                connection.execute(
                    sa.update(t.task).where(_K.id == task.id, _K.state == TaskState.OPEN).values(next_poll_at=now)
                )
            theirs = sa.or_(_P.attempt_id == attempt_id, _P.prior_attempt_id == attempt_id)
            waiting = _who_waits(connection, theirs)
            self._jobs.bring_forward(connection, JobKind.POLL, waiting, now, not_before=None, backoff_s=None)
        return ReceiptOutcome.STORED

    def _make_room(self, connection: sa.Connection, attempt_id: str, provider_task_id: str) -> ReceiptOutcome | None:
        """Why a callback is not stored; one that the vendor did not confirm makes room for another."""
        query = sa.select(_H.id, _H.provider_task_id, _H.state).where(_H.attempt_id == attempt_id).order_by(_H.id)
        stored = connection.execute(query).all()
        if any(row.provider_task_id == provider_task_id for row in stored):
            return ReceiptOutcome.WITHOUT_EFFECT
        if len(stored) < MOST_RECEIPTS:
            return None
        refused = next((row.id for row in stored if row.state == ReceiptState.REFUSED), None)
        if refused is None:
            return ReceiptOutcome.CROWDED
        connection.execute(sa.delete(t.callback_receipt).where(_H.id == refused))
        return None

    def waiting(self, source: Source, limit: int = 20) -> list[CallbackReceipt]:
        """Receipts of requests whose answer was lost, oldest first; a request under way has its own answer to come."""
        values = {"provider": source.name, "account": source.account, "most": limit}
        with self._db.read() as connection:
            rows = connection.execute(_WAITING, values)
            return [CallbackReceipt(row.id, row.attempt_id, row.provider_task_id, person_of(row)) for row in rows]

    def purge(self, now: datetime) -> None:
        """Delete receipts so old that they can serve no purpose."""
        with self._db.write(alone=False) as connection:
            connection.execute(sa.delete(t.callback_receipt).where(_H.received_at < now - KEPT))

    def done(self, receipt: CallbackReceipt, *, used: bool) -> None:
        """Note whether the vendor's own answer confirmed a receipt."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(t.callback_receipt)
                .where(_H.id == receipt.id)
                .values(state=ReceiptState.USED if used else ReceiptState.REFUSED)
            )


def _who_waits(connection: sa.Connection, theirs: sa.ColumnElement[bool]) -> set[str]:
    """The mappings that pay for some purchases, and those whose open records wait for them."""
    payers = sa.select(_P.mapping).where(theirs)
    records = (
        sa.select(t.record.c.mapping)
        .join(t.record_channel, t.record_channel.c.record_id == t.record.c.id)
        .join(t.purchase, t.record_channel.c.purchase_id == _P.id)
        .where(theirs, t.record.c.state == RecordState.OPEN, t.record_channel.c.state == ChannelState.OPEN)
    )
    return {*connection.scalars(payers), *connection.scalars(records)}
