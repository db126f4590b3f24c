"""What a ledger knows of having been restored from an older copy: since when, and what has not been dealt with.

Between the copy and its restoring, people may have been bought of whom this ledger knows nothing. So each person who is
planned from now on is read at the vendor before the purchase, where the vendor keeps a record of people. At a vendor
that keeps none, nothing is bought until an operator trusts the ledger again.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.spend import EntryKind
from connector.core.states import PurchaseState
from connector.store import tables as t
from connector.store.credits import UNSEEN, NewEntry, Payer, append
from connector.store.database import Database
from connector.store.meta import get_value, put_value
from connector.store.stored_times import keep_latest_stamp, latest_stamp

_KEY = "restored"
_P, _M = t.purchase.c, t.meta.c


@dataclass(frozen=True, slots=True)
class Restored:
    """An older copy of the ledger that is in use.

    Attributes:
        at: when it was noticed.
        sign: by what, in words.
        trusted: providers for which an operator trusts the ledger all the same.
        counted: providers whose charges since the copy count against the caps already.
    """

    at: datetime
    sign: str
    trusted: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()

    def to_json(self) -> str:
        """As it is stored."""
        sets = {"trusted": sorted(self.trusted), "counted": sorted(self.counted)}
        return json.dumps({"at": self.at.isoformat(), "sign": self.sign, **sets})

    @classmethod
    def from_json(cls, text: str) -> "Restored":
        """From the stored form."""
        found: Mapping[str, Any] = json.loads(text)
        at = datetime.fromisoformat(found["at"])
        return cls(at, found["sign"], frozenset(found["trusted"]), frozenset(found["counted"]))


@dataclass(frozen=True, slots=True)
class Unseen:
    """Credits that a vendor has charged for purchases of which this ledger knows nothing."""

    payer: Payer
    credits: int


class RestoredCopy:
    """The ledger's side of having been restored."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def state(self) -> Restored | None:
        """None for a ledger that was never restored, or that is trusted again."""
        with self._db.read() as connection:
            return restored_state(connection)

    def begin(self, found: Restored, unseen: Sequence[Unseen], now: datetime) -> None:
        """Keep that the ledger is an older copy; what is planned in it was not read since.

        Args:
            found: the state; providers in `unseen` count as counted.
            unseen: charges that are known already.
            now: the ledger's time.
        """
        with self._db.write() as connection:
            self._put(connection, replace(found, counted=found.counted | {one.payer.provider for one in unseen}))
            connection.execute(sa.update(t.purchase).where(_P.state == PurchaseState.PLANNED.value).values(checks=0))
            for one in unseen:
                _count(connection, one, now)

    def read_planned(self, providers: Collection[str], now: datetime) -> None:
        """Read the people of planned purchases at these providers before anything is bought for them."""
        unread = (_P.state == PurchaseState.PLANNED.value, _P.checks == 0, _P.check_at.is_(None))
        with self._db.write() as connection:
            connection.execute(sa.update(t.purchase).where(*unread, _P.provider.in_(providers)).values(check_at=now))

    def count(self, unseen: Unseen, now: datetime) -> None:
        """Count a provider's charges since the copy against every cap of the day, once."""
        with self._db.write() as connection:
            found = restored_state(connection)
            if found is not None and unseen.payer.provider not in found.counted:
                self._put(connection, replace(found, counted=found.counted | {unseen.payer.provider}))
                _count(connection, unseen, now)

    def trust(self, provider: str | None) -> bool:
        """An operator trusts the ledger, for one provider or for all; whether it was an older copy."""
        with self._db.write() as connection:
            found = restored_state(connection)
            if found is None:
                return False
            if provider is None:
                connection.execute(sa.delete(t.meta).where(_M.key == _KEY))
            else:
                self._put(connection, replace(found, trusted=found.trusted | {provider}))
        return True

    def last_write(self) -> datetime | None:
        """When a run of this ledger last wrote to a CRM, by the latest clock that it had; None before the first."""
        with self._db.read() as connection:
            return _last_write(connection)

    def _put(self, connection: sa.Connection, found: Restored) -> None:
        put_value(self._db, connection, _KEY, found.to_json())


def restored_state(connection: sa.Connection) -> Restored | None:
    """As `RestoredCopy.state`, within a transaction."""
    text = get_value(connection, _KEY)
    return None if text is None else Restored.from_json(text)


def keep_last_write(database: Database, connection: sa.Connection) -> None:
    """Keep the time of the last write before the changes of a record are erased: its stamp in the CRM stays."""
    last = _last_write(connection)
    if last is not None:
        keep_latest_stamp(database, connection, last)


def _last_write(connection: sa.Connection) -> datetime | None:
    c = t.change.c
    found = [connection.scalar(sa.select(c.at).order_by(c.id.desc()).limit(1)), latest_stamp(connection)]
    return max([one for one in found if one is not None], default=None)


def _count(connection: sa.Connection, unseen: Unseen, now: datetime) -> None:
    attempt_id = f"{UNSEEN} {unseen.payer.run_id}"[:40]
    kinds = (EntryKind.HOLD, EntryKind.CHARGE)
    append(connection, unseen.payer, [NewEntry(attempt_id, UNSEEN, kind, unseen.credits) for kind in kinds], now)
