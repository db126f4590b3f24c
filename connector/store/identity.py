"""The owner of a ledger: its CRM orgs, its vendor accounts, and the mapping of each flag.

They are stored in table `meta` when they are first used. With another org or vendor account, the ledger would confuse
the purchases of both: a rehearsal would leak into production, or production into a rehearsal.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.core.errors import ConfigurationError
from connector.core.states import RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import put_value

_ORG, _VENDOR, _FLAG = "org:", "vendor:", "flag:"
FLAG_FREE_AFTER = timedelta(days=30)  # without a run and open records, another mapping may use the flag
ANOTHER_LEDGER = "use another folder, or set CONNECTOR_DATABASE_URL to another ledger"


@dataclass(frozen=True, slots=True)
class OrgIdentity:
    """A CRM org.

    Attributes:
        id: the org's id; empty if the CRM does not show it.
        host: the org's address, which changes when the org is renamed.
    """

    crm: str
    id: str
    host: str

    def is_same(self, other: "OrgIdentity") -> bool:
        """Compare the ids, or the hosts if an id is unknown."""
        return self.id == other.id if self.id and other.id else self.host == other.host

    def __str__(self) -> str:
        """Format the org for messages."""
        return f"{self.id} ({self.host})" if self.id else self.host


@dataclass(frozen=True, slots=True)
class VendorIdentity:
    """One account at one address of a vendor."""

    vendor: str
    address: str
    account: str

    def __str__(self) -> str:
        """Format the account for messages."""
        return f"{self.address} (account {self.account})"


@dataclass(frozen=True, slots=True)
class FlagUse:
    """A flag of a CRM object, and the mapping that uses it."""

    crm: str
    object: str
    field: str
    mapping: str

    @property
    def key(self) -> str:
        """The key in table `meta`: short, and the same for any case of the names."""
        names = f"{self.crm}/{self.object}/{self.field}".lower()
        return _FLAG + hashlib.sha256(names.encode()).hexdigest()[:40]


class Identity:
    """Stores and checks the owner of a ledger."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def bind(
        self,
        orgs: Sequence[OrgIdentity],
        vendors: Sequence[VendorIdentity],
        flags: Sequence[FlagUse] = (),
        now: datetime | None = None,
        *,
        record: bool = True,
    ) -> None:
        """Check that orgs, vendor accounts and flags belong to this ledger, and store new ones.

        Args:
            orgs: the orgs of this process.
            vendors: the vendor accounts of this process.
            flags: the flags of its mappings; empty for commands without a mapping.
            now: the ledger's time; required with flags.
            record: whether to store new ones.

        Raises:
            ConfigurationError: something differs; the message names both values of each.
        """
        with self._db.write() as connection:
            known = _known(connection)
            problems = [*_other_orgs(known, orgs), *_other_vendors(known, vendors)]
            problems += [p for use in flags if now is not None and (p := _other_mapping(connection, known, use, now))]
            if problems:
                raise ConfigurationError("\n".join(problems))
            if not record:
                return
            for org in orgs:
                before = known.get(_ORG + org.crm, {})
                self._put(connection, _ORG + org.crm, {**asdict(org), "id": org.id or before.get("id", "")})
            for vendor in vendors:
                self._put(connection, _VENDOR + vendor.vendor, asdict(vendor))
            for use in flags:
                self._free_former(connection, known, use)
                self._put(connection, use.key, {"mapping": use.mapping, "at": now.isoformat() if now else ""})

    def _free_former(self, connection: sa.Connection, known: Mapping[str, dict[str, str]], use: FlagUse) -> None:
        """Release the former flag of a mapping that uses another one now, unless it has open records."""
        former = [k for k, v in known.items() if k.startswith(_FLAG) and v["mapping"] == use.mapping and k != use.key]
        if former and not _has_open_records(connection, use.mapping):
            connection.execute(sa.delete(t.meta).where(t.meta.c.key.in_(former)))

    def _put(self, connection: sa.Connection, key: str, value: Mapping[str, str]) -> None:
        put_value(self._db, connection, key, json.dumps(value))


def _known(connection: sa.Connection) -> dict[str, dict[str, str]]:
    key = t.meta.c.key
    ours = sa.or_(*(key.startswith(prefix) for prefix in (_ORG, _VENDOR, _FLAG)))
    return {row.key: json.loads(row.value) for row in connection.execute(sa.select(t.meta).where(ours))}


def _other_orgs(known: Mapping[str, dict[str, str]], orgs: Sequence[OrgIdentity]) -> list[str]:
    before = [(org, OrgIdentity(**known[_ORG + org.crm])) for org in orgs if _ORG + org.crm in known]
    return [
        f"this ledger belongs to the {org.crm} org {old}, not to {org}; {ANOTHER_LEDGER}"
        for org, old in before
        if not org.is_same(old)
    ]


def _other_vendors(known: Mapping[str, dict[str, str]], vendors: Sequence[VendorIdentity]) -> list[str]:
    before = [(one, VendorIdentity(**known[_VENDOR + one.vendor])) for one in vendors if _VENDOR + one.vendor in known]
    return [
        f"this ledger belongs to {one.vendor} at {old}, not at {one}; {ANOTHER_LEDGER}"
        for one, old in before
        if one != old
    ]


def _has_open_records(connection: sa.Connection, mapping: str) -> bool:
    r = t.record.c
    return (
        connection.scalar(sa.select(r.id).where(r.mapping == mapping, r.state == RecordState.OPEN).limit(1)) is not None
    )


def _other_mapping(
    connection: sa.Connection, known: Mapping[str, dict[str, str]], use: FlagUse, now: datetime
) -> str | None:
    before = known.get(use.key)
    if before is None or before["mapping"] == use.mapping:
        return None
    if (
        not _has_open_records(connection, before["mapping"])
        and now - datetime.fromisoformat(before["at"]) > FLAG_FREE_AFTER
    ):
        return None
    return (
        f"mapping {use.mapping} uses the flag {use.field} of {use.object}, which belongs to mapping "
        f"{before['mapping']} of this ledger: give it a flag of its own. If it is the same mapping under another name, "
        f"write name: {before['mapping']} in its file"
    )
