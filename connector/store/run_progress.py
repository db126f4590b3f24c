"""Reads the figures of a run while it works, for a display in any process.

Everything comes from the ledger, so the figures are the same for a run of this process, of another one, or of several,
and they include the work that the run continues for an earlier one. Only the requests to the CRM are passed in: the
process of the run alone sends them.

Two kinds of figures have different costs:

- Credits and rates are a few rows of `running_total` and `rate_limit`: they are read every time.
- Counts go over the run's records and channels. With indexes alone, this takes three seconds for 1,000,000 records with
  two channels each (SQLite, November 2026). Counters kept by each write would cost every transaction of the run a row
  that all its threads contend for. Counts are therefore read at a growing interval: after a count that took a
  time, the next one waits 49 times as long, so counting never takes more than 2 % of the time. A small run is counted
  every second, that of a million records every two to three minutes.

A reading transaction holds no lock that a writer waits for, in either database.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.core.clock import Clock
from connector.core.run_figures import CrmCalls, ProviderFigures, RunCounts, RunFigures
from connector.core.states import SENT, ChangeState, ChannelState, PurchaseState, RecordState
from connector.store import tables as t
from connector.store.database import Database
from connector.store.totals import HELD, UNSEEN

COUNT_EVERY_S = 1.0
REST_PER_COUNT = 49  # times the duration of a count
MINUTE_S = 60.0
_C, _P, _R, _RC, _T, _L = (
    t.change.c,
    t.purchase.c,
    t.record.c,
    t.record_channel.c,
    t.running_total.c,
    t.rate_limit.c,
)
_RUN_ID: sa.BindParameter[str] = sa.bindparam("run_id")
_RECORDS = sa.select(_R.state, sa.func.count()).where(_R.run_id == _RUN_ID).group_by(_R.state)
_CHANNELS = (
    sa.select(_RC.state, _P.provider, _P.state, sa.func.count())
    .select_from(t.record)
    .join(t.record_channel, _RC.record_id == _R.id)
    .outerjoin(t.purchase, _P.id == _RC.purchase_id)
    .where(_R.run_id == _RUN_ID, _R.state == RecordState.OPEN)
    .where(_RC.state.in_((ChannelState.RESOLVING, ChannelState.OPEN)))
    .group_by(_RC.state, _P.provider, _P.state)
)
_WRITTEN = sa.select(sa.func.count(_C.record_id.distinct())).where(
    _C.run_id == _RUN_ID, _C.state == ChangeState.WRITTEN
)
_IS_MONTH = sa.and_(_T.scope >= "month:", _T.scope < "month;")


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a display must know from the start of a run.

    Attributes:
        accounts: the account by provider.
        charged: by provider, the credits that had been charged before the run.
        mappings: the mappings whose credits count, if other runs are possible at the same time; None for all.
    """

    run_id: str
    accounts: Mapping[str, str]
    charged: Mapping[str, int]
    mappings: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The start as JSON, for a display in another process."""
        mappings = None if self.mappings is None else list(self.mappings)
        return {
            "run_id": self.run_id,
            "accounts": dict(self.accounts),
            "charged": dict(self.charged),
            "mappings": mappings,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "RunStart":
        """Parse the JSON form."""
        mappings = found["mappings"]
        return cls(found["run_id"], found["accounts"], found["charged"], None if mappings is None else tuple(mappings))


class RunWatch:
    """Reads the figures of one run; for one thread at a time.

    Args:
        database: the ledger's database, in a file or on a server.
        start: the start of the run.
        clock: measures the minute of the rates, and the duration of a count.
        crm_calls: returns the run's requests to the CRM, as far as they are known.
    """

    def __init__(
        self, database: Database, start: RunStart, clock: Clock, crm_calls: Callable[[], CrmCalls | None]
    ) -> None:
        self.start = start
        self.crm_calls = crm_calls
        self._db = database
        self._clock = clock
        self._counts, self._counted = RunCounts(), 0
        self._count_at_s: float | None = None
        self._sent: deque[tuple[float, Mapping[str, int]]] = deque()

    @classmethod
    def begin(
        cls,
        database: Database,
        run_id: str,
        accounts: Mapping[str, str],
        mappings: Collection[str] | None,
        clock: Clock,
        crm_calls: Callable[[], CrmCalls | None],
    ) -> "RunWatch":
        """Watch a run that begins now, in the process of the run."""
        scope = None if mappings is None else tuple(mappings)
        with database.read() as connection:
            charged = {name: spent for name, (spent, _) in _credits(connection, accounts, scope).items()}
        return cls(database, RunStart(run_id, dict(accounts), charged, scope), clock, crm_calls)

    def read(self) -> RunFigures:
        """Read the figures; counts may be as old as the interval that their cost allows."""
        start, now_s = self.start, self._clock.monotonic()
        with self._db.read() as connection:
            credits_ = _credits(connection, start.accounts, start.mappings)
            limits = {row.key: row for row in connection.execute(sa.select(_L.key, _L.per_minute, _L.sent))}
        sent = self._sent_in_a_minute(now_s, {key: int(row.sent) for key, row in limits.items()})
        if self._count_at_s is None or now_s >= self._count_at_s:
            self._counts, self._counted = self._count(), self._counted + 1
            ended_s = self._clock.monotonic()
            self._count_at_s = ended_s + max(COUNT_EVERY_S, (ended_s - now_s) * REST_PER_COUNT)
        providers = []
        for name, account in start.accounts.items():
            key, (charged, held) = f"{name}/{account}", credits_[name]
            limit = limits[key].per_minute if key in limits else None
            spent = charged - start.charged.get(name, 0)
            providers.append(ProviderFigures(name, spent, held, sent.get(key), limit))
        return RunFigures(self._counts, tuple(providers), self.crm_calls(), self._counted)

    def _sent_in_a_minute(self, now_s: float, sent: Mapping[str, int]) -> dict[str, int]:
        """The requests of the last minute by key, from the totals of now and of a minute ago.

        In the first minute they are those since the display began. In rehearsals a minute of the vendors is shorter.
        """
        minute_s = MINUTE_S * self._clock.scale
        self._sent.append((now_s, sent))
        while len(self._sent) > 2 and now_s - self._sent[1][0] >= minute_s:
            self._sent.popleft()
        since_s, before = self._sent[0]
        span_s = now_s - since_s
        if span_s <= 0:
            return {}
        share = min(1.0, minute_s / span_s)
        return {key: round((total - before.get(key, 0)) * share) for key, total in sent.items()}

    def _count(self) -> RunCounts:
        parameters = {"run_id": self.start.run_id}
        with self._db.read() as connection:
            records = {state: int(count) for state, count in connection.execute(_RECORDS, parameters)}
            channels = connection.execute(_CHANNELS, parameters).all()
            written = int(connection.scalar(_WRITTEN, parameters) or 0)
        lookups = 0
        unsent: Counter[str] = Counter()
        waiting: Counter[str] = Counter()
        for state, provider, purchase_state, count in channels:
            if state == ChannelState.RESOLVING:
                lookups += count
            elif purchase_state == PurchaseState.PLANNED:
                unsent[provider] += count
            elif purchase_state in SENT:
                waiting[provider] += count
        return RunCounts(sum(records.values()), records.get(RecordState.CLOSED, 0), written, lookups, unsent, waiting)


def _credits(
    connection: sa.Connection, accounts: Mapping[str, str], mappings: Collection[str] | None
) -> dict[str, tuple[int, int]]:
    """By provider, the credits charged in all months and those held now."""
    mine = _T.mapping != UNSEEN if mappings is None else _T.mapping.in_(list(mappings))
    query = (
        sa.select(_T.provider, _T.account, _T.scope, sa.func.sum(_T.credits))
        .where(sa.or_(_T.scope == HELD, _IS_MONTH), mine, _T.provider.in_(list(accounts)))
        .group_by(_T.provider, _T.account, _T.scope)
    )
    held: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for provider, account, scope, credits_ in connection.execute(query):
        if accounts[provider] == account:
            (held if scope == HELD else used)[provider] += int(credits_)
    return {name: (used[name] - held[name], held[name]) for name in accounts}
