"""The temporary data of a plan: its records in order, by page and by id, and what was seen."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from connector.core.errors import StopError
from connector.core.frozen import FrozenRecord
from connector.core.model import Channel
from connector.store.spool import Spool

RECORDS = [FrozenRecord(id=f"00Q{number}", version=str(number), buy={Channel.PHONE: number}) for number in range(5)]


@pytest.fixture(name="spool")
def _spool() -> Iterator[Spool]:
    with closing(Spool()) as spool:
        yield spool


def test_records_are_read_in_their_order_and_by_id(spool: Spool) -> None:
    spool.add("lead", RECORDS[:2])
    spool.add("contact", RECORDS[2:3])
    spool.add("lead", RECORDS[3:])
    assert list(spool.pages("lead", 2)) == [[RECORDS[0], RECORDS[1]], [RECORDS[3], RECORDS[4]]]
    assert list(spool.pages("account", 2)) == []
    assert (spool.count(), spool.count("lead"), spool.count("account")) == (5, 4, 0)
    assert spool.get("contact", "00Q2") == RECORDS[2]
    assert spool.get("lead", "00Q2") is None


def test_the_first_record_with_an_id_counts(spool: Spool) -> None:
    spool.add("lead", [RECORDS[0], RECORDS[0].model_copy(update={"version": "9"})])
    assert list(spool.pages("lead", 10)) == [[RECORDS[0]]]


def test_a_key_is_new_once(spool: Spool) -> None:
    keys = [("a", "b"), ("a", "b"), ("ab", ""), ("a", "b", "")]
    assert [spool.is_new(*key) for key in keys] == [True, False, True, True]


def test_a_full_disk_stops_the_plan(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoRoom:
        def executemany(self, *_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(spool, "_db", NoRoom())
    with pytest.raises(StopError, match="make room in the temporary folder"):
        spool.add("lead", RECORDS)
