"""Creates a large ledger at once, as many runs would have left it, so that commands can be measured on it.

    python -m benchmarks.ledger connector.db 1000000 --runs 200

Each record is closed and has two channels with a purchase each; nothing is open. All rows are consistent: the
accounting adds up, and every command works on the ledger.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from pydantic import SecretStr

from connector.app.configuring import Configured
from connector.app.wiring import open_ledger
from connector.config import Settings
from connector.core.model import Channel, Outcome, Result
from connector.core.report import CrmFigures, Report
from connector.core.spend import EntryKind, Hold
from connector.core.states import (
    AttemptState,
    ChangeState,
    ChannelState,
    PurchaseState,
    RecordState,
    RunState,
    TaskState,
)
from connector.providers.lensmor.identifiers import PERSONNEL_ID
from connector.store import monthly_spend, totals
from connector.store import tables as t
from connector.store.credits import budget_day
from connector.store.ledger import Ledger

KEY = SecretStr("C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0=")
PROVIDER, ACCOUNT, MAPPING, OBJECT = "lensmor", "default", "lead", "Lead"
PRICES = {Channel.WORK_EMAIL: 15, Channel.PHONE: 150}
BATCH = 100  # purchases of a paid request
NOT_FOUND_EVERY = 10  # one of so many people has no value
RECORDS_AT_ONCE = 10_000
UNDO_DAYS = 30
LONGEST_RUN = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a ledger.

    Attributes:
        runs: the number of runs among which the records are divided.
        days: how long ago the first run began.
    """

    records: int
    runs: int = 100
    days: float = 90


@dataclass(frozen=True, slots=True)
class _PastRun:
    id: str
    at: datetime
    first: int  # the number of its first record
    size: int

    def report(self) -> dict[str, object]:
        """Its report."""
        empty = self.size // NOT_FOUND_EVERY
        outcomes = {Outcome.DELIVERED: self.size - empty, Outcome.NOT_FOUND: empty}
        return Report(
            run_id=self.id,
            command="sync",
            mappings=(MAPPING,),
            state=RunState.FINISHED,
            selected=self.size,
            outcomes=outcomes,
            channels=dict.fromkeys((channel.value for channel in PRICES), outcomes),
            credits={},
            crm={"salesforce": CrmFigures(0, 0, 0, self.size, 0)},
            started_at=self.at,
            finished_at=self.at + LONGEST_RUN,
        ).to_json()


def fill(ledger: Ledger, size: Size, now: datetime) -> None:
    """Fill an empty ledger with the rows of past runs.

    Args:
        ledger: an empty ledger.
        size: the number of records and runs.
        now: the last run ended before this time.
    """
    ledger.keys.reseal()  # otherwise the first run would seal every image again
    image = ledger.seal.seal({"Email": None, "MobilePhone": None})
    with ledger.database.write() as connection:
        for run in _runs(size, now):
            _insert(connection, t.run, [_run_row(run)])
            for start in range(0, run.size, RECORDS_AT_ONCE):
                numbers = range(run.first + start, run.first + min(run.size, start + RECORDS_AT_ONCE))
                is_undoable = run.at > now - timedelta(days=UNDO_DAYS)
                _add_records(connection, run, numbers, image if is_undoable else None)
        totals.rebuild(ledger.database, connection)
        monthly_spend.rebuild(connection)


def _runs(size: Size, now: datetime) -> Iterator[_PastRun]:
    each, more = divmod(size.records, size.runs)
    first, began = 1, now - timedelta(days=size.days)
    for number in range(size.runs):
        at = began + (timedelta(days=size.days) - LONGEST_RUN * 2) * number / max(1, size.runs - 1)
        count = each + (number < more)
        yield _PastRun(f"{at:%Y%m%dT%H%M%S}-{number:06x}", at, first, count)
        first += count


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, object]]) -> None:
    if rows:
        connection.execute(sa.insert(table), list(rows))


def _run_row(run: _PastRun) -> dict[str, object]:
    return {
        "id": run.id,
        "command": "sync",
        "mappings": [MAPPING],
        "state": RunState.FINISHED,
        "started_at": run.at,
        "finished_at": run.at + LONGEST_RUN,
        "report": run.report(),
    }


def _has_value(number: int) -> bool:
    return number % NOT_FOUND_EVERY != 0


def _add_records(connection: sa.Connection, run: _PastRun, numbers: range, image: bytes | None) -> None:
    """Insert the records with the numbers of a range, and everything about them."""
    for place, channel in enumerate(PRICES):
        for start in range(0, len(numbers), BATCH):
            _add_request(connection, run, channel, place, numbers[start : start + BATCH])
        _copy(connection, t.purchase, numbers, _purchase(run, channel, place, numbers[0]))
    _copy(connection, t.record, numbers, _record(run))
    for place, channel in enumerate(PRICES):
        _copy(connection, t.record_channel, numbers, _channel(channel, place))
    _copy(connection, t.change, numbers, _change(run, image))
    outcomes = {"run_id": run.id, "record_id": _N, "outcome": _OUTCOME, "reason": _REASON, "attention": ""}
    _copy(connection, t.run_record, numbers, outcomes)


def _copy(connection: sa.Connection, table: sa.Table, numbers: range, values: Mapping[str, object]) -> None:
    """Insert one row for each number; a value may be an expression of the number."""
    columns = {
        name: value if isinstance(value, sa.ColumnElement) else sa.literal(value, table.c[name].type)
        for name, value in values.items()
    }
    first = sa.select(sa.literal(numbers[0]).label("n")).cte("numbers", recursive=True)
    every = first.union_all(sa.select(first.c.n + 1).where(first.c.n < numbers[-1]))
    source = sa.select(*(value.label(name) for name, value in columns.items())).select_from(every)
    connection.execute(sa.insert(table).from_select(list(columns), source))


_N: sa.ColumnElement[int] = sa.literal_column("n", sa.Integer)
_FOUND = _N % NOT_FOUND_EVERY != 0
_OUTCOME = sa.case((_FOUND, Outcome.DELIVERED.value), else_=Outcome.NOT_FOUND.value)
_REASON = sa.case((_FOUND, ""), else_="lensmor did not find it")
_PERSON = sa.cast(_N + 1_000_000_000, sa.String)
_CRM_ID = sa.literal("00Q").concat(sa.cast(_N + 100_000_000_000, sa.String)).concat("AAA")


def _record(run: _PastRun) -> dict[str, object]:
    identifiers = sa.literal(f'{{"{PERSONNEL_ID.name}": "').concat(_PERSON).concat('"}')
    return {
        "id": _N,
        "crm": "salesforce",
        "mapping": MAPPING,
        "object": OBJECT,
        "crm_id": _CRM_ID,
        "state": RecordState.CLOSED,
        "run_id": run.id,
        "identifiers": identifiers,
        "outcome": _OUTCOME,
        "opened_at": run.at,
        "closed_at": run.at + LONGEST_RUN / 2,
    }


def _channel(channel: Channel, place: int) -> dict[str, object]:
    return {
        "record_id": _N,
        "channel": channel.value,
        "state": ChannelState.DONE,
        "purchase_id": 2 * _N + place,
        "outcome": _OUTCOME,
        "reason": _REASON,
        "shown_outcome": _OUTCOME,
        "shown_reason": _REASON,
    }


def _change(run: _PastRun, image: bytes | None) -> dict[str, object]:
    return {
        "run_id": run.id,
        "record_id": _N,
        "object": OBJECT,
        "crm_id": _CRM_ID,
        "fields": {"Email": "0" * 43, "MobilePhone": "1" * 43},
        "before": image,
        "state": ChangeState.WRITTEN,
        "at": run.at + LONGEST_RUN / 2,
    }


def _attempt_id(run: _PastRun, place: int) -> str:
    """The id of a request, without the number of its first person."""
    return f"{run.id}-{place}-"


def _purchase(run: _PastRun, channel: Channel, place: int, first: int) -> dict[str, object]:
    final_at = run.at + LONGEST_RUN / 3
    batch = first + sa.cast((_N - first) / BATCH, sa.Integer) * BATCH
    return {
        "id": 2 * _N + place,
        "provider": PROVIDER,
        "account": ACCOUNT,
        "channel": channel.value,
        "person_kind": PERSONNEL_ID.name,
        "person": _PERSON,
        "generation": 1,
        "state": PurchaseState.FINAL.value,
        "result": sa.case((_FOUND, Result.DELIVERED.value), else_=Result.NOT_FOUND.value),
        "mapping": MAPPING,
        "run_id": run.id,
        "price_credits": PRICES[channel],
        "charged_credits": sa.case((_FOUND, PRICES[channel]), else_=0),
        "attempt_id": sa.literal(_attempt_id(run, place)).concat(sa.cast(batch, sa.String)),
        "task_id": 2 * batch + place,
        "hold": sa.case((_FOUND, Hold.CHARGED.value), else_=Hold.RELEASED.value),
        "state_at": final_at,
        "final_at": final_at,
    }


def _add_request(connection: sa.Connection, run: _PastRun, channel: Channel, place: int, numbers: range) -> None:
    """Insert one paid request with its task and its entries."""
    attempt_id, task_id = f"{_attempt_id(run, place)}{numbers[0]}", 2 * numbers[0] + place
    account = {"provider": PROVIDER, "account": ACCOUNT}
    common = {**account, "channel": channel.value, "run_id": run.id}
    day = budget_day(run.at)
    attempt = {"id": attempt_id, "owner": "past", "state": AttemptState.SUBMITTED, "size": len(numbers)}
    times = {"budget_day": day, "created_at": run.at, "answered_at": run.at}
    _insert(connection, t.attempt, [{**common, **attempt, **times}])
    task = {"id": task_id, "provider_task_id": f"task-{task_id}", "attempt_id": attempt_id, "state": TaskState.ENDED}
    _insert(connection, t.task, [{**common, **task, "submitted_at": run.at}])
    price, found = PRICES[channel], sum(map(_has_value, numbers))
    amounts = {
        EntryKind.HOLD: price * len(numbers),
        EntryKind.CHARGE: price * found,
        EntryKind.RELEASE: price * (len(numbers) - found),
    }
    entry = {**account, "at": run.at, "budget_day": day, "mapping": MAPPING, "run_id": run.id, "attempt_id": attempt_id}
    _insert(
        connection,
        t.entry,
        [{**entry, "kind": kind.value, "credits": amount} for kind, amount in amounts.items() if amount],
    )


def create(path: Path, size: Size, now: datetime) -> None:
    """Create a ledger on SQLite.

    Args:
        path: the file, which must not exist.
        size: the number of records and runs.
        now: the last run ended before this time.
    """
    settings = Settings(connector_database_url=f"sqlite:///{path.resolve()}", connector_secret_key=KEY)
    ledger = open_ledger(Configured(settings, {}, {}, None))
    try:
        raw = ledger.database.engine.raw_connection()  # back in the pool, it is the one that is used next
        for pragma in ("synchronous=OFF", "cache_size=-200000"):
            raw.cursor().execute(f"PRAGMA {pragma}")
        raw.close()
        fill(ledger, size, now)
    finally:
        ledger.close()


def main() -> None:
    """Create the ledger that the arguments describe; prints its size and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("records", type=int)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--days", type=float, default=90)
    given = parser.parse_args()
    began = time.perf_counter()
    create(given.path, Size(given.records, given.runs, given.days), datetime.now(UTC))
    megabytes = given.path.stat().st_size / 1_000_000
    sys.stdout.write(
        f"{given.records:,} records, {megabytes:,.0f} MB, {time.perf_counter() - began:.0f} s\n"
        f"CONNECTOR_DATABASE_URL=sqlite:///{given.path.resolve()} CONNECTOR_SECRET_KEY={KEY.get_secret_value()}\n"
    )


if __name__ == "__main__":
    main()
