"""Which keys a ledger needs: every key that has sealed or hashed something still alive must be listed.

Kept in table `meta`, as fingerprints: the keys that may be needed, the newest one, the keys under which earlier
versions have hashed without naming the key, and for each former newest key the money entry at which another took over.
What is alive is only looked through when a key is missing from the list. A key that nothing needs is then forgotten.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from connector.core.errors import ConfigurationError
from connector.core.states import AttemptState, ChangeState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import get_value, put_value
from connector.store.seal import Seal

KNOWN, NEWEST, UNNAMED, ENDED = "key_fingerprints", "key_newest", "key_unnamed", "key_ended"
SEALED_UNDER = "sealed_under"
PAGE = 500
VALUES = "values that wait to be written", "the next run seals them again under the newest key"
IMAGES = "values from before a write", "the next run seals them again under the newest key"
HASHES = "hashes by which undo knows what a run has written", "they go when the undo time (CONNECTOR_UNDO_DAYS) ends"
BASELINES = "hashes of fields as they were when a purchase was intended", "they go when those records close"
CALLBACKS = "callback addresses of requests without an answer", "they go when those purchases end (connector status)"
Kind = tuple[str, str]
_P, _C, _RC, _R, _A, _E = t.purchase.c, t.change.c, t.record_channel.c, t.record.c, t.attempt.c, t.entry.c


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger keeps about its keys, all as fingerprints.

    Attributes:
        keys: those that may be needed.
        newest: the first of the list when the ledger was last opened; empty before this was kept.
        unnamed: those that may have made hashes which do not name their key.
        ended: by former newest key, the newest money entry when it was replaced.
    """

    keys: frozenset[str] = frozenset()
    newest: str = ""
    unnamed: frozenset[str] = frozenset()
    ended: dict[str, int] = field(default_factory=dict)


class Keys:
    """The ledger's side of `CONNECTOR_SECRET_KEY`."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._db = database
        self._seal = seal

    def check(self) -> None:
        """Refuse a list that lacks a key which the ledger needs; else remember the list.

        Raises:
            ConfigurationError: such a key is missing.
        """
        listed = self._seal.fingerprints
        with self._db.write() as connection:
            kept = known = _read(connection)
            missing = known.keys.difference(listed)
            if known.keys and not known.newest:
                known = self._of_earlier_version(connection, known, missing)
            elif missing:
                self._require_newest(known)
                self._refuse_if_needed(self._needs(connection, known, missing), missing)
            for one in missing:
                self._forget(connection, one)
            ended = {one: entry for one, entry in known.ended.items() if one in listed}
            if known.newest and known.newest != listed[0]:
                ended[known.newest] = connection.scalar(sa.select(sa.func.max(_E.id))) or 0
            ended.pop(listed[0], None)
            made = replace(known, keys=frozenset(listed), newest=listed[0], ended=ended)
            if made != kept:
                self._save(connection, made)

    def _of_earlier_version(self, connection: sa.Connection, known: _Known, missing: frozenset[str]) -> _Known:
        """Earlier versions kept every key that was ever listed, and which one the last run has sealed under.

        A key that is missing now may have been dropped long ago, as those versions allowed.
        """
        newest = _get(connection, SEALED_UNDER)
        if newest:
            self._require_newest(replace(known, newest=newest))
        elif len(missing) == len(known.keys):
            raise _another()
        self._refuse_if_needed(list(self._sealed_kinds(connection)) if missing else [], missing)
        return replace(known, newest=newest, unnamed=known.keys - missing)

    def _require_newest(self, known: _Known) -> None:
        listed = self._seal.fingerprints
        if known.newest in listed:
            return
        if not known.keys.intersection(listed):
            raise _another()
        raise ConfigurationError(
            "CONNECTOR_SECRET_KEY (without it, the key file beside the ledger) lacks the newest key that this ledger "
            f"was used with (fingerprint {known.newest}): its values and hashes would not be recognised. Put that key "
            "back into the list. To return to an older key, list both with the older one first, and keep the other "
            "until the connector accepts the list without it"
        )

    def _refuse_if_needed(self, kinds: Sequence[Kind], missing: frozenset[str]) -> None:
        if not kinds:
            return
        what = "; ".join(f"{name} ({until})" for name, until in kinds)
        raise ConfigurationError(
            f"CONNECTOR_SECRET_KEY no longer lists a key that this ledger still needs (fingerprint "
            f"{' or '.join(sorted(missing))}) for: {what}. Add it at the end of the list"
        )

    def _needs(self, connection: sa.Connection, known: _Known, missing: frozenset[str]) -> list[Kind]:
        """For which kinds of what is alive a missing key is needed."""
        unnamed = bool(missing & known.unnamed)
        needed = list(self._sealed_kinds(connection))
        alive = _C.before.is_not(None), _C.state.in_((ChangeState.WRITTEN, ChangeState.INTENDED))
        by_field = _column(connection, t.change, _C.fields, *alive)
        if any(_made_under(found, missing, unnamed=unnamed) for hashes in by_field for found in hashes.values()):
            needed.append(HASHES)
        open_records = sa.select(_R.id).where(_R.state == RecordState.OPEN)
        baselines = _column(
            connection, t.record_channel, _RC.baseline, _RC.baseline.is_not(None), _RC.record_id.in_(open_records)
        )
        if any(_made_under(found, missing, unnamed=unnamed) for found in baselines):
            needed.append(BASELINES)
        if any(_awaits_callback(connection, known.ended.get(one)) for one in missing):
            needed.append(CALLBACKS)
        return needed

    def _sealed_kinds(self, connection: sa.Connection) -> Iterator[Kind]:
        for kind, table, column in ((VALUES, t.purchase, _P.value), (IMAGES, t.change, _C.before)):
            if not all(self._seal.opens(sealed) for sealed in _column(connection, table, column, column.is_not(None))):
                yield kind

    def _forget(self, connection: sa.Connection, fingerprint: str) -> None:
        """Erase the hashes of values that were delivered and erased: without their key they say nothing."""
        made = _P.value_hash.startswith(f"{fingerprint}:", autoescape=True)
        connection.execute(sa.update(t.purchase).where(made).values(value_hash=None))

    def _save(self, connection: sa.Connection, known: _Known) -> None:
        values = {
            KNOWN: json.dumps(sorted(known.keys)),
            NEWEST: known.newest,
            UNNAMED: json.dumps(sorted(known.unnamed)),
            ENDED: json.dumps(known.ended),
        }
        for key, value in values.items():
            put_value(self._db, connection, key, value)

    def rotate(self) -> int:
        """Seal under the newest key all that an older one has sealed; how many rows.

        Hashes stay under the key that made them, except that of a value which is still at hand.

        Raises:
            ConfigurationError: something is sealed under a key that is no longer listed.
        """
        self.check()
        newest = self._seal.fingerprints[0]
        with self._db.write() as connection:
            if _get(connection, SEALED_UNDER) == newest:
                return 0
            count = self._reseal(connection, t.purchase, _P.value) + self._reseal(connection, t.change, _C.before)
            put_value(self._db, connection, SEALED_UNDER, newest)
        return count

    def _reseal(self, connection: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> int:
        count = 0
        for rows in _pages(connection, table, column, column.is_not(None)):
            for row_id, sealed in rows:
                opened = self._seal.open(sealed)
                changed: dict[str, object] = {column.name: self._seal.seal(opened)}
                if table is t.purchase:
                    changed["value_hash"] = self._seal.hash(opened.get("value"))
                connection.execute(sa.update(table).where(table.c.id == row_id).values(changed))
            count += len(rows)
        return count


def _read(connection: sa.Connection) -> _Known:
    keys, unnamed, ended = (_get(connection, name) for name in (KNOWN, UNNAMED, ENDED))
    return _Known(
        frozenset(json.loads(keys or "[]")),
        _get(connection, NEWEST),
        frozenset(json.loads(unnamed or "[]")),
        dict(json.loads(ended or "{}")),
    )


def _get(connection: sa.Connection, key: str) -> str:
    return get_value(connection, key) or ""


def _pages(
    connection: sa.Connection, table: sa.Table, column: sa.ColumnElement[Any], *alive: sa.ColumnElement[bool]
) -> Iterator[Sequence[Any]]:
    """(id, column) of the rows that are alive, a page at a time."""
    query, last = sa.select(table.c.id, column).where(*alive).order_by(table.c.id).limit(PAGE), 0
    while rows := connection.execute(query.where(table.c.id > last)).all():
        yield rows
        last = rows[-1][0]


def _column(
    connection: sa.Connection, table: sa.Table, column: sa.ColumnElement[Any], *alive: sa.ColumnElement[bool]
) -> Iterator[Any]:
    for rows in _pages(connection, table, column, *alive):
        yield from (value for _, value in rows)


def _made_under(hashed: str, missing: frozenset[str], *, unnamed: bool) -> bool:
    """Whether a missing key has made this hash, or may have where it names none."""
    fingerprint, colon, _ = hashed.partition(":")
    return fingerprint in missing if colon else unnamed


def _awaits_callback(connection: sa.Connection, last_entry: int | None) -> bool:
    """Whether a request was sent, up to this money entry, whose answer only a callback may bring."""
    if last_entry is None:
        return False
    open_purchase = sa.exists().where(
        sa.or_(_P.attempt_id == _A.id, _P.prior_attempt_id == _A.id), _P.state != PurchaseState.FINAL.value
    )
    query = (
        sa.select(_A.id)
        .join(t.entry, _E.attempt_id == _A.id)
        .where(_A.state.in_((AttemptState.SUBMITTING, AttemptState.LOST)), _E.id <= last_entry, open_purchase)
        .limit(1)
    )
    return connection.scalar(query) is not None


def _another() -> ConfigurationError:
    return ConfigurationError(
        "the ledger was sealed with another key: restore CONNECTOR_SECRET_KEY (several keys may be listed, newest "
        "first) or the key file beside the ledger"
    )
