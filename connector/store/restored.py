"""The state of a ledger that is an older copy: when this was detected, and which providers are trusted again.

After the copy was made, people may have been bought that this ledger does not know. So each person who is planned is
first read at the vendor, if the vendor keeps a record of people. From a vendor without such records, nothing is bought
until an operator trusts the ledger again.
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
from connector.store.credits import NewEntry, Payer, append
from connector.store.database import Database
from connector.store.mark import add_detection
from connector.store.meta import get_value, put_value
from connector.store.stored_times import keep_latest_stamp, latest_stamp
from connector.store.totals import UNSEEN

_KEY = "restored"
_P, _M = t.purchase.c, t.meta.c


@dataclass(frozen=True, slots=True)
class Restored:
    """The ledger is an older copy.

    Attributes:
        at: when this was detected.
        sign: how it was detected, as text for people.
        trusted: the providers for which an operator trusts the ledger again.
        counted: the providers whose charges since the copy already count against the caps.
    """

    at: datetime
    sign: str
    trusted: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()

    def to_json(self) -> str:
        """Convert it to the stored form."""
        sets = {"trusted": sorted(self.trusted), "counted": sorted(self.counted)}
        return json.dumps({"at": self.at.isoformat(), "sign": self.sign, **sets})

    @classmethod
    def from_json(cls, text: str) -> "Restored":
        """Convert it from the stored form."""
        found: Mapping[str, Any] = json.loads(text)
        at = datetime.fromisoformat(found["at"])
        return cls(at, found["sign"], frozenset(found["trusted"]), frozenset(found["counted"]))


@dataclass(frozen=True, slots=True)
class Unseen:
    """Credits that a vendor charged for purchases unknown to this ledger."""

    payer: Payer
    credits: int


class RestoredCopy:
    """Stores the state of an older copy."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def state(self) -> Restored | None:
        """Read the state; None if the ledger is not an older copy, or is trusted again."""
        with self._db.read() as connection:
            return restored_state(connection)

    def begin(self, found: Restored, unseen: Sequence[Unseen], now: datetime) -> str:
        """Store that the ledger is an older copy; the people of its planned purchases count as unread.

        Args:
            found: the state; the providers in `unseen` are added to `counted`.
            unseen: the charges that are known already.
            now: the ledger's time.

        Returns:
            The id of this detection. The ledger keeps it for good, also after it is trusted again.
        """
        with self._db.write() as connection:
            detection = add_detection(self._db, connection)
            self._put(connection, replace(found, counted=found.counted | {one.payer.provider for one in unseen}))
            connection.execute(sa.update(t.purchase).where(_P.state == PurchaseState.PLANNED.value).values(checks=0))
            for one in unseen:
                _count(connection, one, now)
        return detection

    def read_planned(self, providers: Collection[str], now: datetime) -> None:
        """Schedule reads of the people of planned purchases from these providers, before anything is bought."""
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
        """Trust the ledger again, for one provider or for all; returns whether it was an older copy."""
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
        """The time of the ledger's last write to a CRM, by the latest clock that it had; None before the first."""
        with self._db.read() as connection:
            return _last_write(connection)

    def _put(self, connection: sa.Connection, found: Restored) -> None:
        put_value(self._db, connection, _KEY, found.to_json())


def restored_state(connection: sa.Connection) -> Restored | None:
    """Read the state of an older copy within a transaction; see `RestoredCopy.state`."""
    text = get_value(connection, _KEY)
    return None if text is None else Restored.from_json(text)


def keep_last_write(database: Database, connection: sa.Connection) -> None:
    """Store the time of the last write before a record's changes are erased, because its stamp in the CRM stays."""
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
