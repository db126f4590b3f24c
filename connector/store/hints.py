"""What a vendor says of a paid request of its own accord: never the truth, only a reason to ask at once."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connector.core.person import Source
from connector.store import tables as t
from connector.store.database import Database
from connector.store.follow_ups import reset_pace
from connector.store.outbox import Outbox

_A, _H, _K, _U = t.attempt.c, t.hint.c, t.task.c, t.unlock.c


@dataclass(frozen=True, slots=True)
class Hint:
    """The vendor's id of a request whose own answer was lost."""

    id: int
    attempt_id: str
    vendor_id: str
    person: str


class Hints:
    """The ledger's side of callbacks.

    Args:
        database: the ledger's.
        outbox: told in the transaction that stores a hint.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._db = database
        self._outbox = outbox

    def receive(self, attempt_id: str, vendor_id: str, now: datetime) -> bool:
        """Store what was told; False when there is no such request.

        Where the request's task is known, a hint of the same id makes it due at once, and one of another is nothing.
        """
        with self._db.write(alone=False) as connection:
            attempt = connection.execute(sa.select(_A.provider).where(_A.id == attempt_id)).one_or_none()
            if attempt is None:
                return False
            task = connection.execute(
                sa.select(_K.id, _K.vendor_id).where(_K.attempt_id == attempt_id).limit(1)
            ).one_or_none()
            if task is None:
                connection.execute(
                    self._db.insert(t.hint)
                    .values(attempt_id=attempt_id, vendor_id=vendor_id, state="waiting", received_at=now)
                    .on_conflict_do_nothing(index_elements=["attempt_id", "vendor_id"])
                )
            elif task.vendor_id != vendor_id:
                return True
            else:
                connection.execute(
                    sa.update(t.task).where(_K.id == task.id, _K.state == "open").values(next_poll_at=now)
                )
            theirs = sa.or_(_U.attempt_id == attempt_id, _U.prior_attempt_id == attempt_id)
            for mapping in connection.scalars(sa.select(_U.mapping).where(theirs).distinct()):
                reset_pace(connection, mapping)
                self._outbox.work(connection, mapping)
        return True

    def waiting(self, source: Source, limit: int = 20) -> list[Hint]:
        """Hints of requests whose answer was lost, oldest first; a request under way has its own answer to come."""
        query = (
            sa.select(_H.id, _H.attempt_id, _H.vendor_id, _U.person)
            .join(t.attempt, _A.id == _H.attempt_id)
            .join(t.unlock, sa.or_(_U.attempt_id == _H.attempt_id, _U.prior_attempt_id == _H.attempt_id))
            .where(
                _H.state == "waiting",
                _A.state == "lost",
                _A.provider == source.name,
                _A.account == source.account,
            )
            .order_by(_H.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [Hint(row.id, row.attempt_id, row.vendor_id, row.person) for row in connection.execute(query)]

    def done(self, hint: Hint, *, used: bool) -> None:
        """A hint was confirmed by the vendor's own answer, or was not."""
        with self._db.write() as connection:
            connection.execute(sa.update(t.hint).where(_H.id == hint.id).values(state="used" if used else "refused"))
