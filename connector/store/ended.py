"""Channels of a run whose purchase has ended: those with a value become ready, the others need their next source."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from connector.core.model import Result
from connector.core.states import ChannelState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.record_sql import MARK_READY, UNUSABLE, unindexed
from connector.store.record_views import EndedChannel
from connector.store.rows import CHANNEL_COLUMNS, AnyRow, chunks, record_channel_of

_P, _R, _RC, _N = t.purchase.c, t.record.c, t.record_channel.c, t.unusable_value.c
PAGE = 2000  # channels in one page of `all`
# These statements run in every turn, so they are built once: building one costs more than executing it.
_ENDED_AT_ALL = (
    sa.select(
        *CHANNEL_COLUMNS,
        _R.mapping,
        _P.provider,
        sa.case((_N.reason.is_not(None), Result.NOT_FOUND.value), else_=_P.result).label("result"),
        sa.func.coalesce(_N.reason, _P.reason).label("why"),
        _P.value.is_not(None).label("has"),
    )
    .join(t.record, _R.id == _RC.record_id)
    .join(t.purchase, _P.id == _RC.purchase_id)
    .outerjoin(t.unusable_value, UNUSABLE)
    .where(
        _R.state == RecordState.OPEN,
        _RC.state == ChannelState.OPEN,
        _P.state == PurchaseState.FINAL.value,
        sa.or_(_P.result != Result.DELIVERED.value, _P.value.is_not(None), _N.reason.is_not(None)),
    )
)
_ENDED_PAGE = (
    _ENDED_AT_ALL.where(
        _R.run_id == sa.bindparam("run_id"),
        _R.mapping == sa.bindparam("mapping"),
        _R.id >= sa.bindparam("record_id"),
        sa.or_(_R.id > sa.bindparam("record_id"), _RC.id > sa.bindparam("channel_id")),
    )
    .order_by(_R.id, _RC.id)
    .limit(sa.bindparam("page", type_=sa.Integer))
)
_ENDED_OF = _ENDED_AT_ALL.where(
    unindexed(_R.run_id) == sa.bindparam("run_id"), _P.id.in_(sa.bindparam("ids", expanding=True))
)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_MARK_CHANNELS = (
    sa.update(t.record_channel).where(_RC.id.in_(_IDS), _RC.state == ChannelState.OPEN).values(state=ChannelState.READY)
)


class EndedChannels:
    """Lists and advances the channels of a run."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_purchases(self, run_id: str, purchase_ids: Sequence[int]) -> list[EndedChannel]:
        """List the open channels of this run whose purchase is final: to be written, or to be bought elsewhere.

        A channel whose value was erased and must be read again is left out.

        Args:
            run_id: the run.
            purchase_ids: only channels of these purchases.
        """
        with self._db.read() as connection:
            return [
                _ended_of(row)
                for part in chunks(purchase_ids)
                for row in connection.execute(_ENDED_OF, {"run_id": run_id, "ids": list(part)}).all()
            ]

    def all(self, run_id: str, mapping: str) -> Iterator[list[EndedChannel]]:
        """List all such channels of a mapping, a page at a time."""
        values: dict[str, object] = {
            "run_id": run_id,
            "mapping": mapping,
            "record_id": 0,
            "channel_id": 0,
            "page": PAGE,
        }
        while True:
            with self._db.read() as connection:
                page = [_ended_of(row) for row in connection.execute(_ENDED_PAGE, values)]
            if page:
                yield page
            if len(page) < PAGE:
                return
            values |= {"record_id": page[-1].record_id, "channel_id": page[-1].record_channel.id}

    def mark_ready(self, ended: Sequence[EndedChannel]) -> None:
        """Mark channels as ready, because their value is stored; their records too, if nothing else is unfinished."""
        if not ended:
            return
        with self._db.write() as connection:
            for part in chunks(ended):
                connection.execute(_MARK_CHANNELS, {"ids": [one.record_channel.id for one in part]})
                connection.execute(MARK_READY, {"ids": sorted({one.record_id for one in part})})


def _ended_of(row: AnyRow) -> EndedChannel:
    mapping, provider, result, why, has = row[len(CHANNEL_COLUMNS) :]
    return EndedChannel(record_channel_of(row), row.record_id, mapping, provider, Result(result), bool(has), why)
