"""The keys that a ledger needs: each key that sealed or hashed data still in use must be listed in the settings.

Table `meta` stores fingerprints: the keys that may be needed, the newest key, the keys under which earlier versions
hashed without naming the key, and for each former newest key the last credit entry before it was replaced. The data is
searched only if a key is missing from the list; a key that no data needs is then removed from `meta`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from connector.core.errors import ConfigurationError
from connector.core.states import MAY_STAND, AttemptState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.meta import get_value, put_value
from connector.store.seal import Seal

KNOWN, NEWEST, UNNAMED, ENDED = "key_fingerprints", "key_newest", "key_unnamed", "key_ended"
SEALED_UNDER = "sealed_under"
PAGE = 500
VALUES = "values that wait to be written", "the next run seals them again under the newest key"
IMAGES = "values from before a write", "the next run seals them again under the newest key"
HASHES = "hashes of written values, for undo", "erased when the undo time (CONNECTOR_UNDO_DAYS) ends"
BASELINES = "hashes of field values from before a purchase", "erased when those records close"
CALLBACKS = "callback addresses of requests without an answer", "erased when those purchases end (connector status)"
Kind = tuple[str, str]
_P, _C, _RC, _R, _A, _E = t.purchase.c, t.change.c, t.record_channel.c, t.record.c, t.attempt.c, t.entry.c


@dataclass(frozen=True, slots=True)
class _KeyHistory:
    """The keys of the ledger, all as fingerprints.

    Attributes:
        keys: the keys that may be needed.
        newest: the first key of the list when the ledger was last opened; empty if an earlier version opened it.
        unnamed: the keys of hashes that do not name their key.
        ended: by former newest key, the newest credit entry when it was replaced.
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
        """Check that the list has every key that the ledger needs, and store the list.

        Raises:
            ConfigurationError: a needed key is missing.
        """
        listed = self._seal.fingerprints
        with self._db.write() as connection:
            stored = history = _read(connection)
            missing = history.keys.difference(listed)
            if history.keys and not history.newest:
                history = self._of_earlier_version(connection, history, missing)
            elif missing:
                self._require_newest(history)
                self._refuse_if_needed(self._needs(connection, history, missing), missing)
            for one in missing:
                self._erase_hashes(connection, one)
            ended = {one: entry for one, entry in history.ended.items() if one in listed}
            if history.newest and history.newest != listed[0]:
                ended[history.newest] = connection.scalar(sa.select(sa.func.max(_E.id))) or 0
            ended.pop(listed[0], None)
            updated = replace(history, keys=frozenset(listed), newest=listed[0], ended=ended)
            if updated != stored:
                self._save(connection, updated)

    def _of_earlier_version(
        self, connection: sa.Connection, history: _KeyHistory, missing: frozenset[str]
    ) -> _KeyHistory:
        """Complete the history of an earlier version, which stored all keys ever listed and the last run's newest key.

        A key that is missing now may have been dropped long ago, as those versions allowed.
        """
        newest = _get(connection, SEALED_UNDER)
        if newest:
            self._require_newest(replace(history, newest=newest))
        elif len(missing) == len(history.keys):
            raise _wrong_key()
        self._refuse_if_needed(list(self._sealed_kinds(connection)) if missing else [], missing)
        return replace(history, newest=newest, unnamed=history.keys - missing)

    def _require_newest(self, history: _KeyHistory) -> None:
        listed = self._seal.fingerprints
        if history.newest in listed:
            return
        if not history.keys.intersection(listed):
            raise _wrong_key()
        raise ConfigurationError(
            "CONNECTOR_SECRET_KEY (without it, the key file beside the ledger) lacks the newest key that this ledger "
            f"was used with (fingerprint {history.newest}): its values and hashes would not be recognised. Put that "
            "key back into the list. To return to an older key, list both with the older one first, and keep the other "
            "until the connector accepts the list without it"
        )

    def _refuse_if_needed(self, kinds: Sequence[Kind], missing: frozenset[str]) -> None:
        if not kinds:
            return
        data = "; ".join(f"{name} ({until})" for name, until in kinds)
        raise ConfigurationError(
            f"CONNECTOR_SECRET_KEY no longer lists a key that this ledger still needs (fingerprint "
            f"{' or '.join(sorted(missing))}) for: {data}. Add it at the end of the list"
        )

    def _needs(self, connection: sa.Connection, history: _KeyHistory, missing: frozenset[str]) -> list[Kind]:
        """The kinds of data in use that need a missing key."""
        unnamed = bool(missing & history.unnamed)
        needed = list(self._sealed_kinds(connection))
        in_use = _C.before.is_not(None), _C.state.in_(MAY_STAND)
        by_field = _column(connection, t.change, _C.fields, *in_use)
        if any(_made_under(found, missing, unnamed=unnamed) for hashes in by_field for found in hashes.values()):
            needed.append(HASHES)
        open_records = sa.select(_R.id).where(_R.state == RecordState.OPEN)
        baselines = _column(
            connection, t.record_channel, _RC.baseline, _RC.baseline.is_not(None), _RC.record_id.in_(open_records)
        )
        if any(_made_under(found, missing, unnamed=unnamed) for found in baselines):
            needed.append(BASELINES)
        if any(_awaits_callback(connection, history.ended.get(one)) for one in missing):
            needed.append(CALLBACKS)
        return needed

    def _sealed_kinds(self, connection: sa.Connection) -> Iterator[Kind]:
        for kind, table, column in ((VALUES, t.purchase, _P.value), (IMAGES, t.change, _C.before)):
            if not all(self._seal.opens(sealed) for sealed in _column(connection, table, column, column.is_not(None))):
                yield kind

    def _erase_hashes(self, connection: sa.Connection, fingerprint: str) -> None:
        """Erase the hashes of delivered values that were made under a key: without it they are useless."""
        made = _P.value_hash.startswith(f"{fingerprint}:", autoescape=True)
        connection.execute(sa.update(t.purchase).where(made).values(value_hash=None))

    def _save(self, connection: sa.Connection, history: _KeyHistory) -> None:
        values = {
            KNOWN: json.dumps(sorted(history.keys)),
            NEWEST: history.newest,
            UNNAMED: json.dumps(sorted(history.unnamed)),
            ENDED: json.dumps(history.ended),
        }
        for key, value in values.items():
            put_value(self._db, connection, key, value)

    def reseal(self) -> int:
        """Seal all data again under the newest key; returns the number of rows.

        Values are hashed again too; all other hashes stay under the key that made them.

        Raises:
            ConfigurationError: data is sealed under a key that is no longer listed.
        """
        self.check()
        newest = self._seal.fingerprints[0]
        with self._db.write() as connection:
            if _get(connection, SEALED_UNDER) == newest:
                return 0
            count = self._reseal_column(connection, t.purchase, _P.value) + self._reseal_column(
                connection, t.change, _C.before
            )
            put_value(self._db, connection, SEALED_UNDER, newest)
        return count

    def _reseal_column(self, connection: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> int:
        count = 0
        hashed = [_P.value_hash] if table is t.purchase else []
        changed: dict[str, object] = {one.name: sa.bindparam(f"new_{one.name}") for one in (column, *hashed)}
        update = sa.update(table).where(table.c.id == sa.bindparam("key")).values(changed)
        for rows in _pages(connection, table, column, column.is_not(None)):
            connection.execute(update, [self._resealed(row_id, column.name, sealed) for row_id, sealed in rows])
            count += len(rows)
        return count

    def _resealed(self, row_id: int, name: str, sealed: bytes) -> dict[str, object]:
        """The parameters that replace one sealed column, and the hash of its value."""
        opened = self._seal.open(sealed)
        return {
            "key": row_id,
            f"new_{name}": self._seal.seal(opened),
            "new_value_hash": self._seal.hash(opened.get("value")),
        }


def _read(connection: sa.Connection) -> _KeyHistory:
    keys, unnamed, ended = (_get(connection, name) for name in (KNOWN, UNNAMED, ENDED))
    return _KeyHistory(
        frozenset(json.loads(keys or "[]")),
        _get(connection, NEWEST),
        frozenset(json.loads(unnamed or "[]")),
        dict(json.loads(ended or "{}")),
    )


def _get(connection: sa.Connection, key: str) -> str:
    return get_value(connection, key) or ""


def _pages(
    connection: sa.Connection, table: sa.Table, column: sa.ColumnElement[Any], *in_use: sa.ColumnElement[bool]
) -> Iterator[Sequence[Any]]:
    """(id, column) of the rows in use, a page at a time."""
    query, last = sa.select(table.c.id, column).where(*in_use).order_by(table.c.id).limit(PAGE), 0
    while rows := connection.execute(query.where(table.c.id > last)).all():
        yield rows
        last = rows[-1][0]


def _column(
    connection: sa.Connection, table: sa.Table, column: sa.ColumnElement[Any], *in_use: sa.ColumnElement[bool]
) -> Iterator[Any]:
    for rows in _pages(connection, table, column, *in_use):
        yield from (value for _, value in rows)


def _made_under(hashed: str, missing: frozenset[str], *, unnamed: bool) -> bool:
    """Whether a missing key made this hash, or may have made it if the hash names no key."""
    fingerprint, colon, _ = hashed.partition(":")
    return fingerprint in missing if colon else unnamed


def _awaits_callback(connection: sa.Connection, last_entry: int | None) -> bool:
    """Whether only a callback can bring the answer to a request whose hold is at most this entry."""
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


def _wrong_key() -> ConfigurationError:
    return ConfigurationError(
        "the ledger was sealed with another key: restore CONNECTOR_SECRET_KEY (several keys may be listed, newest "
        "first) or the key file beside the ledger"
    )
