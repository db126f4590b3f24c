"""Work that is asked of whoever drives the ledger: runs handed over, ticks of a schedule, and who is there to do it."""

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.store import tables as t
from connector.store.database import Database
from connector.store.outbox import Outbox
from connector.store.stored_times import TOLERANCE

ALIVE_FOR = timedelta(seconds=30)  # a worker that gave no sign for so long is gone
KEPT = timedelta(days=7)  # longer than anybody waits for an answer
HINTS_KEPT = timedelta(days=30)
ANY_VERSION = ""  # instead of a digest: the schedule means the mapping as it is when its sync is made
_E, _W, _M = t.errand.c, t.worker.c, t.meta.c


@dataclass(frozen=True, slots=True)
class Errand:
    """A run that one process asks another to make.

    Attributes:
        mappings: name and digest of each mapping file that is meant.
        chosen: which records; None means the flagged ones.
        result: what came of it, once it is done.
    """

    id: str
    command: str
    mappings: Mapping[str, str]
    chosen: Mapping[str, Any] | None
    state: str
    progress: Mapping[str, Any]
    result: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A process that does work for others, with name and digest of each mapping that it knows."""

    owner: str
    kind: str
    mappings: Mapping[str, str]


class Errands:
    """The ledger's side of work for others.

    Args:
        database: the ledger's.
        outbox: told in the transaction that stores an errand.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._db = database
        self._outbox = outbox

    # -- runs handed over ------------------------------------------------------------------------------------

    def ask(self, command: str, mappings: Mapping[str, str], chosen: Mapping[str, Any] | None, now: datetime) -> str:
        """Ask for a run; its id."""
        with self._db.write(alone=False) as connection:
            return self._ask(connection, command, mappings, chosen, now)

    def _ask(
        self,
        connection: sa.Connection,
        command: str,
        mappings: Mapping[str, str],
        chosen: Mapping[str, Any] | None,
        now: datetime,
    ) -> str:
        errand_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        connection.execute(
            sa.insert(t.errand).values(
                id=errand_id,
                command=command,
                mappings=json.dumps(dict(mappings)),
                chosen=None if chosen is None else json.dumps(dict(chosen)),
                state="waiting",
                asked_at=now,
            )
        )
        self._outbox.work(connection, min(mappings))
        return errand_id

    def find(self, errand_id: str) -> Errand | None:
        """An errand as it stands now."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(t.errand).where(_E.id == errand_id)).one_or_none()
        return None if row is None else _errand_of(row)

    def waiting(self, mappings: Collection[str]) -> list[Errand]:
        """Errands without an end whose mappings are all among these, oldest first.

        One that says `running` is listed too: whoever takes it up drives its mappings, so its former runner is dead.
        """
        with self._db.read() as connection:
            rows = connection.execute(sa.select(t.errand).where(_E.state != "done").order_by(_E.asked_at, _E.id)).all()
        return [found for found in map(_errand_of, rows) if found.mappings.keys() <= set(mappings)]

    def begin(self, errand_id: str) -> bool:
        """Take an errand up; False when it has an end, or was taken back."""
        return self._set(errand_id, state="running", progress="")

    def name_records(self, errand_id: str, ids: Sequence[str]) -> None:
        """From now on these records are meant, whatever chose them."""
        self._set(errand_id, chosen=json.dumps({"where": None, "ids": list(ids), "limit": None}))

    def tell(self, errand_id: str, progress: Mapping[str, Any]) -> None:
        """Say how far it is."""
        self._set(errand_id, progress=json.dumps(dict(progress)))

    def end(self, errand_id: str, result: Mapping[str, Any]) -> None:
        """Say what came of it."""
        self._set(errand_id, state="done", result=json.dumps(dict(result)))

    def take_back(self, errand_id: str) -> bool:
        """Remove an errand that nobody has begun."""
        with self._db.write(alone=False) as connection:
            gone = connection.execute(sa.delete(t.errand).where(_E.id == errand_id, _E.state == "waiting"))
        return gone.rowcount == 1

    def _set(self, errand_id: str, **values: object) -> bool:
        with self._db.write(alone=False) as connection:
            changed = connection.execute(
                sa.update(t.errand).where(_E.id == errand_id, _E.state != "done").values(**values)
            )
        return changed.rowcount == 1

    def tidy(self, now: datetime) -> None:
        """Forget errands that ended long ago, workers that are gone, and callbacks that nobody can use any more."""
        with self._db.write() as connection:
            connection.execute(sa.delete(t.errand).where(_E.state == "done", _E.asked_at < now - KEPT))
            connection.execute(sa.delete(t.worker).where(_W.beat_at < now - KEPT))
            connection.execute(sa.delete(t.hint).where(t.hint.c.received_at < now - HINTS_KEPT))

    # -- the schedule ----------------------------------------------------------------------------------------

    def last_tick(self, mapping: str, now: datetime) -> datetime:
        """When a mapping's schedule last began a run; a schedule that is new begins to count now."""
        key = f"tick:{mapping}"
        with self._db.read() as connection:
            found = connection.scalar(sa.select(_M.value).where(_M.key == key))
        if found is not None and datetime.fromisoformat(found) <= now + TOLERANCE:
            return datetime.fromisoformat(found)
        with self._db.write(alone=False) as connection:
            connection.execute(
                self._db.insert(t.meta)
                .values(key=key, value=now.isoformat())
                .on_conflict_do_nothing(index_elements=["key"])
            )
            # A tick that lies ahead was written by a clock that was wrong: the schedule counts from now.
            connection.execute(sa.update(t.meta).where(_M.key == key, _M.value == found).values(value=now.isoformat()))
        return now

    def tick(self, mapping: str, last: datetime, now: datetime) -> bool:
        """Claim the tick that is due and ask for its sync; False when somebody else has it."""
        with self._db.write(alone=False) as connection:
            moved = connection.execute(
                sa.update(t.meta)
                .where(_M.key == f"tick:{mapping}", _M.value == last.isoformat())
                .values(value=now.isoformat())
            )
            if moved.rowcount == 1:
                self._ask(connection, "sync", {mapping: ANY_VERSION}, None, now)
        return moved.rowcount == 1

    # -- who is there ----------------------------------------------------------------------------------------

    def beat(self, owner: str, kind: str, mappings: Mapping[str, str], now: datetime) -> None:
        """Be seen as alive."""
        values = {"kind": kind, "mappings": json.dumps(dict(mappings)), "beat_at": now}
        with self._db.write(alone=False) as connection:
            connection.execute(
                self._db.insert(t.worker)
                .values(owner=owner, **values)
                .on_conflict_do_update(index_elements=["owner"], set_=values)
            )

    def leave(self, owner: str) -> None:
        """Be gone, in good order."""
        with self._db.write(alone=False) as connection:
            connection.execute(sa.delete(t.worker).where(_W.owner == owner))

    def workers(self, now: datetime) -> list[WorkerRow]:
        """Who gave a sign of life not long ago."""
        with self._db.read() as connection:
            rows = connection.execute(
                sa.select(_W.owner, _W.kind, _W.mappings).where(_W.beat_at > now - ALIVE_FOR).order_by(_W.owner)
            )
            return [WorkerRow(row.owner, row.kind, json.loads(row.mappings)) for row in rows]


def _errand_of(row: sa.Row[tuple[object, ...]]) -> Errand:
    return Errand(
        row.id,
        row.command,
        json.loads(row.mappings),
        json.loads(row.chosen) if row.chosen else None,
        row.state,
        json.loads(row.progress) if row.progress else {},
        json.loads(row.result) if row.result else None,
    )
