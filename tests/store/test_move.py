"""Copying all rows of an embedded ledger to PostgreSQL: every table, every kind of column, in pages of any size."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_harness import START, open_ledger_at

from connector.core.errors import AccountingError, ConfigurationError
from connector.store import move
from connector.store import tables as t
from connector.store.database import Database
from connector.store.mark import NO_ENTRY, UNREADABLE, MarkedHold, mark_of
from connector.store.moved import lock_moved, refuse_moved
from connector.store.utc_time import UtcTime

COUNT = 7
PLACE = "PostgreSQL at db.example/ledger"


def value_of(column: sa.Column[object], number: int) -> object:
    """A value for a column, different in each row; some values that can be NULL are."""
    kind = column.type
    if column.nullable and number % 3 == 0:
        return None
    values: dict[type, object] = {
        UtcTime: START + timedelta(days=number, microseconds=number),
        sa.JSON: {"text": f"Zoë {number} \u0000\U0001f600", "list": [1.5, None, True], "a": {}},
        sa.Boolean: number % 2 == 0,
        sa.LargeBinary: bytes([0, 255, number, 39, 92]),
        sa.Float: number / 3,
        sa.Integer: number,
        sa.BigInteger: 2**40 + number,
    }
    for one, value in values.items():
        if type(kind) is one or (one is sa.JSON and isinstance(kind, sa.JSON)):
            return value
    text = f"{number}\t\\N 'é\"\n"
    return text[: kind.length] if isinstance(kind, sa.String) and kind.length else text


def fill(database: Database) -> None:
    """Put rows into every table."""
    with database.write() as connection:
        for table in t.metadata.sorted_tables:
            rows = [
                {column.name: value_of(column, number) for column in table.columns} for number in range(1, COUNT + 1)
            ]
            connection.execute(sa.insert(table), rows)


@pytest.fixture(name="old")
def _old(tmp_path: Path) -> Iterator[Database]:
    with closing(open_ledger_at(tmp_path / "connector.db")) as ledger:
        fill(ledger.database)
        yield ledger.database


@pytest.fixture(name="new")
def _new(postgres_url: str) -> Iterator[Database]:
    with closing(Database(postgres_url)) as database:
        yield database


def quiet(_count: int) -> None:
    """No progress."""


def copied(old: Database, new: Database) -> move.Contents:
    with old.read() as reading, new.write() as writing:
        return move.copy_rows(reading, writing, quiet)


def contents(database: Database) -> move.Contents:
    with database.read() as connection:
        return move.contents_of(connection, quiet)


@pytest.mark.parametrize("page", [1, 2, 3, COUNT, 1000])
def test_every_table_and_column_is_copied(
    old: Database, new: Database, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "PAGE", page)
    found = copied(old, new)
    assert found == contents(old) == contents(new)
    assert all(one.rows >= COUNT for one in found.values())
    assert found.keys() == t.metadata.tables.keys()
    with old.read() as one, new.read() as other:
        for table in t.metadata.sorted_tables:
            query = sa.select(table)
            by_key = sorted(one.execute(query).all(), key=repr)
            assert by_key == sorted(other.execute(query).all(), key=repr), table.name


def test_new_ids_follow_the_copied_ones(old: Database, new: Database) -> None:
    copied(old, new)
    with new.write() as connection:
        for table in t.metadata.sorted_tables:
            if "id" in table.c and isinstance(table.c.id.type, sa.Integer):
                row = {one.name: value_of(one, COUNT + 2) for one in table.columns if one.name != "id"}
                row |= {one.parent.name: 1 for one in table.foreign_keys if isinstance(one.parent.type, sa.Integer)}
                row |= {"request_id": value_of(t.request.c.id, 1)} if table is t.request_item else {}
                added = connection.execute(sa.insert(table).values(row).returning(table.c.id)).scalar_one()
                assert added == COUNT + 1, table.name


def test_progress_counts_every_row(old: Database, new: Database) -> None:
    counted: list[int] = []
    with old.read() as reading, new.write() as writing:
        move.copy_rows(reading, writing, counted.append)
        assert sum(counted) == move.count_rows(reading)


@pytest.mark.parametrize("table", t.metadata.sorted_tables, ids=lambda one: str(one.name))
def test_one_changed_or_missing_row_is_found(old: Database, table: sa.Table) -> None:
    whole, rollback = contents(old), RuntimeError()
    plain = next(
        (
            one
            for one in reversed(table.columns)
            if not one.primary_key and not one.foreign_keys and one.name != "state"
        ),
        next(iter(table.columns)),
    )
    row = next(iter(table.primary_key)) == sa.select(sa.func.max(next(iter(table.primary_key)))).scalar_subquery()
    changes = [
        sa.update(table).where(row).values({plain.name: value_of(plain, 100)}),
        sa.delete(table).where(row),
    ]
    for change in changes:
        with pytest.raises(RuntimeError), old.write() as connection:  # noqa: PT012 the block rolls the change back
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            connection.execute(change)
            assert move.differing(whole, move.contents_of(connection, quiet)) == [table.name]
            raise rollback
    assert move.differing(whole, contents(old)) == []


def test_a_database_has_a_ledger_as_soon_as_it_has_an_id_or_a_row(old: Database, new: Database) -> None:
    with new.read() as connection:
        assert move.ledger_id_in(connection) is None  # the migrations have stored a value in `meta`
        assert connection.scalar(sa.select(sa.func.count()).select_from(t.meta)) == 1
    with closing(Database("sqlite://")) as empty, empty.read() as connection:
        assert move.ledger_id_in(connection) is None
    with new.write() as connection:
        connection.execute(sa.insert(t.request).values(id="1", digest="d", accepted_at=START))
        assert move.ledger_id_in(connection) == ""
    with old.read() as connection:
        assert move.ledger_id_in(connection) not in {None, ""}


def test_a_copy_is_recognised_until_the_ledger_is_used(old: Database, new: Database) -> None:
    found = copied(old, new)
    with new.write() as connection:
        assert not move.is_copy_of(connection, found)
        move.keep_fingerprint(new, connection, found)
        assert move.is_copy_of(connection, contents(old))
    with old.write() as connection:  # `credits` reads balances at the vendors' rates
        connection.execute(sa.delete(t.rate_limit))
        connection.execute(sa.delete(t.worker))
    with new.read() as connection:
        assert move.is_copy_of(connection, contents(old))
        with old.write() as using:
            using.execute(sa.update(t.entry).values(credits=t.entry.c.credits + 1))
        assert not move.is_copy_of(connection, contents(old))


@pytest.mark.parametrize("value", ["x" * 200, "a\0b"])
def test_a_value_that_cannot_be_stored_is_named_by_its_table(old: Database, new: Database, value: str) -> None:
    with old.write() as connection:
        connection.execute(sa.update(t.change).where(t.change.c.id == 1).values(object=value))
    with pytest.raises(AccountingError, match="cannot store a value of table change") as caught:
        copied(old, new)
    assert value not in str(caught.value)
    assert move.differing(contents(new), contents(new)) == []
    with new.read() as connection:
        assert move.ledger_id_in(connection) is None


# -- the lock and the mark ---------------------------------------------------------------------------------------


def test_a_locked_ledger_rejects_every_change(old: Database, tmp_path: Path) -> None:
    path = tmp_path / "connector.db"
    refuse_moved(old, path)
    with old.write() as connection:
        lock_moved(old, connection, "PostgreSQL at db'x/ledger")
    with pytest.raises(ConfigurationError, match="this ledger was moved to PostgreSQL at db'x/ledger"):
        refuse_moved(old)
    for table in t.metadata.sorted_tables:
        new_row = {column.name: value_of(column, 50) for column in table.columns}
        column = next(iter(table.columns))
        for statement in (
            sa.insert(table).values(new_row),
            sa.update(table).values({column.name: column}),
            sa.delete(table),
        ):
            with pytest.raises(sa.exc.IntegrityError, match="was moved to"), old.write() as connection:
                connection.execute(statement)


def test_the_mark_keeps_the_new_place(old: Database, tmp_path: Path) -> None:
    with old.write() as connection:
        ledger_id = move.ledger_id_in(connection) or ""
        first, second = (
            MarkedHold(row.id, row.attempt_id)
            for row in connection.execute(sa.select(t.entry.c.id, t.entry.c.attempt_id).order_by(t.entry.c.id).limit(2))
        )
    mark = mark_of(tmp_path, ledger_id)
    assert mark.moved_to() == ""
    mark.advance(first, old)
    mark.record_move(PLACE)
    mark.advance(second, old)
    assert mark.moved_to() == PLACE
    assert not mark.is_missing_in(old)
    mark.reset(old, "detection")
    assert mark.moved_to() == PLACE
    with pytest.raises(ConfigurationError, match="this ledger was moved to PostgreSQL at db"):
        refuse_moved(old, tmp_path / "connector.db")


def test_a_mark_without_a_purchase_names_the_place_too(tmp_path: Path) -> None:
    mark = mark_of(tmp_path, "id")
    mark.record_move(PLACE)
    assert mark.moved_to() == PLACE
    assert NO_ENTRY == 0


def test_a_mark_is_copied_unless_a_newer_one_is_there(old: Database, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, theirs = mark_of(tmp_path, "id"), mark_of(tmp_path / "other", "id")
    ours.copy_to(theirs)
    assert theirs.path is not None
    assert not theirs.path.exists()
    with old.read() as connection:
        holds = [
            MarkedHold(row.id, row.attempt_id)
            for row in connection.execute(sa.select(t.entry.c.id, t.entry.c.attempt_id).order_by(t.entry.c.id))
        ]
    ours.advance(holds[1], old)
    ours.copy_to(theirs)
    assert ours.path is not None
    assert theirs.path.read_text() == ours.path.read_text()
    theirs.advance(holds[2], old)
    newer = theirs.path.read_text()
    ours.copy_to(theirs)
    assert theirs.path.read_text() == newer
    ours.copy_to(ours)
    ours.path.write_text("damaged")
    assert ours.moved_to() == UNREADABLE.moved_to
    ours.record_move(PLACE)
    assert ours.is_missing_in(old)
