"""Statements for many rows store what SQLAlchemy's own execution stores."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from connector.store import tables as t
from connector.store.batches import execute_many
from connector.store.planning import _TAKE_UP_RECORD
from connector.store.record_sql import UPDATE_RECORD

NOW = datetime(2026, 11, 20, 10, 0, 0, 123_456, tzinfo=UTC)
RECORDS: list[dict[str, object]] = [
    {
        "crm": "salesforce",
        "mapping": "lead",
        "object": "Lead",
        "crm_id": f"00Q{number}",
        "state": "open",
        "run_id": "r1",
        "identifiers": {"personnel_id": str(number)},
        "grouping_keys": {},
        "resolved": {},
        "opened_at": NOW,
    }
    for number in range(3)
]
FINISHED: list[dict[str, object]] = [
    {
        "key": number + 1,
        "new_state": "closed",
        "new_outcome": "delivered",
        "new_reason": "a reason with % and : and ?",
        "new_progress": number == 1,
        "new_stamps": False,
        "new_parked": None,
        "new_attention": "",
        "new_closed": NOW,
        "new_ready": False,
        "new_tried": "r1",
        "new_refused": False,
    }
    for number in range(3)
]
TAKEN_UP: list[dict[str, object]] = [
    {
        "key": 2,
        "new_run": "r2",
        "new_identifiers": {"personnel_id": "7", "linkedin_url": "ada"},
        "new_groups": {"event_id": "9"},
        "new_resolved": {},
        "new_attention": "",
        "is_chosen": True,
    }
]
Steps = list[tuple[sa.Insert | sa.Update, list[dict[str, object]]]]
STEPS: Steps = [(sa.insert(t.record), RECORDS), (UPDATE_RECORD, FINISHED), (_TAKE_UP_RECORD, TAKEN_UP)]


@pytest.fixture(name="connection")
def _connection() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    t.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def stored(connection: sa.Connection) -> list[dict[str, object]]:
    rows = [dict(row) for row in connection.execute(sa.select(t.record).order_by(t.record.c.id)).mappings()]
    connection.rollback()
    return rows


def test_it_stores_what_sqlalchemy_stores(connection: sa.Connection) -> None:
    for statement, rows in STEPS:
        connection.execute(statement, rows)
    expected = stored(connection)
    for statement, rows in STEPS:
        execute_many(connection, statement, rows)
    assert stored(connection) == expected
    assert [row["closed_at"] for row in expected] == [NOW] * 3
    assert expected[1]["chosen"] is True


def test_no_rows_execute_nothing(connection: sa.Connection) -> None:
    execute_many(connection, sa.insert(t.record), [])
    assert stored(connection) == []


def test_a_row_without_a_name_of_the_first_row_is_an_error(connection: sa.Connection) -> None:
    with pytest.raises(KeyError):
        execute_many(connection, sa.insert(t.record), [RECORDS[0], {"crm": "salesforce"}])
