"""A ledger of an earlier revision, with data in every state, goes on with this program: nothing is lost or paid again.

`released/revision_0003.jsonl` holds rows that version 0.1.0 wrote: one line per row, as [table, row]. Ledgers of the
earlier revisions are the same rows without the tables and columns that came later.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from harness import Harness, World, mapping
from ledgers import KEY, URL_FILE, settings_of

from connector.store import tables as t
from connector.store.database import Database

ROWS = Path(__file__).parent / "released" / "revision_0003.jsonl"
REVISIONS = ("0001", "0002", "0003")
Row = Mapping[str, Any]


def _released() -> list[tuple[str, Row]]:
    return [(table, row) for table, row in map(json.loads, ROWS.read_text(encoding="utf-8").splitlines())]


@pytest.fixture(name="folder", params=REVISIONS)
def _folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with a ledger of that revision and the released rows."""
    with _empty(request, tmp_path) as folder:
        url, _ = settings_of(folder)
        with closing(Database(url)) as database:
            _upgrade(database, request.param)
            _fill(database)
        yield folder


@contextmanager
def _empty(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path]:
    """A folder with an empty database and the key of the released ledger."""
    if request.config.getoption("--store") != "postgres":
        key_file = folder / "connector.db.key"
        key_file.touch(mode=0o600)
        key_file.write_text(KEY.get_secret_value(), encoding="ascii")
        yield folder
        return
    server = request.getfixturevalue("postgres")
    url = server.new(migrated=False)
    (folder / URL_FILE).write_text(url, encoding="utf-8")
    try:
        yield folder
    finally:
        server.drop(url)


def _upgrade(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "connector.store:migrations")
    config.set_main_option("path_separator", "os")
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _fill(database: Database) -> None:
    """Insert the rows, as far as this revision has their tables and columns."""
    with database.write() as connection:
        schema = sa.MetaData()
        schema.reflect(connection)
        presumed = set() if "prior_hold" in schema.tables["unlock"].c else _presumed_earlier_attempts()
        for name, row in _released():
            table = schema.tables.get(name)
            if table is not None and not (
                name == "entry" and row["kind"] == "charge" and row["attempt_id"] in presumed
            ):
                known = {key: _plain(value) for key, value in row.items() if key in table.c}
                connection.execute(sa.insert(table).values(**known))
        if not database.is_sqlite:
            _go_on_counting(connection, schema)


def _presumed_earlier_attempts() -> set[str]:
    """Attempts that revision 0001 could not presume charged: it kept their holds open."""
    return {
        row["prior_attempt_id"] for name, row in _released() if name == "unlock" and row["prior_hold"] == "presumed"
    }


def _is_ours(name: str | None, *_: object) -> bool:
    return "procrastinate" not in (name or "")


def _go_on_counting(connection: sa.Connection, schema: sa.MetaData) -> None:
    """New rows get numbers above those that were inserted."""
    for table in schema.tables.values():
        if "id" in table.c and isinstance(table.c.id.type, sa.Integer):
            query = "SELECT setval(pg_get_serial_sequence(:name, 'id'), coalesce((SELECT max(id) FROM {}), 1))"
            connection.execute(sa.text(query.format(connection.dialect.identifier_preparer.quote(table.name))),
                               {"name": f'"{table.name}"'})  # fmt: skip


def _plain(value: object) -> object:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value


def _rows(database: Database) -> dict[str, list[Row]]:
    """Every row of every table, as the database holds it."""
    with database.read() as connection:
        schema = sa.MetaData()
        schema.reflect(connection)
        return {
            name: sorted((dict(row) for row in connection.execute(sa.select(table)).mappings()), key=repr)
            for name, table in schema.tables.items()
            if name != "alembic_version"
        }


def test_the_released_rows_have_every_state() -> None:
    """What the other tests rest on."""
    seen: dict[tuple[str, str], set[object]] = {}
    for table, row in _released():
        for column in ("state", "result", "outcome", "hold", "prior_hold", "kind", "parked"):
            if column in row:
                seen.setdefault((table, column), set()).add(row[column])
    assert seen["unlock", "state"] == {"planned", "submitting", "submitted", "unknown", "final"}
    assert seen["unlock", "result"] == {None, "delivered", "not_found", "failed"}
    assert seen["unlock", "hold"] == {"", "open", "charged", "released", "presumed"}
    assert seen["unlock", "prior_hold"] == {"", "open", "presumed"}
    assert seen["want", "state"] == {"open", "held", "ready", "done"}
    assert seen["want", "parked"] == {False, True}
    assert seen["record", "state"] == {"open", "closed"}
    assert seen["record", "outcome"] >= {
        None,
        "delivered",
        "failed",
        "skipped",
        "parked",
        "unknown",
        "waiting",
        "deferred",
    }
    assert seen["attempt", "state"] == {"submitting", "submitted", "lost"}
    assert seen["task", "state"] == {"open", "ended"}
    assert seen["change", "state"] == {"intended", "written", "rejected", "undone"}
    assert seen["run", "state"] >= {"running", "finished", "died"}


def test_an_upgrade_keeps_every_row_and_makes_the_present_schema(folder: Path) -> None:
    with closing(Database(settings_of(folder)[0])) as database:
        before = _rows(database)
        database.migrate()
        after = _rows(database)
        with database.read() as connection:
            context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
            assert compare_metadata(context, t.metadata) == []
    for name, rows in before.items():
        kept = [{key: row[key] for key in rows[0]} for row in after[name]] if rows else []
        assert sorted(kept, key=repr) == rows, name
    for row in after["unlock"]:
        was_charged = row["state"] == "final" and row["hold"] == "charged"
        assert row["charged_credits"] == (row["price_credits"] if was_charged else 0)


def test_an_upgraded_ledger_opens_balances_and_finishes_its_open_work(world: World, folder: Path) -> None:
    """The vendors know none of the tasks, and the records name no person any more: nothing is paid again."""
    harness = Harness(world, folder, mapping("lead"), mapping("contact"))
    world.clock.advance(days=3)
    with harness.ledger() as ledger:
        assert ledger.credits.imbalance() == ""
        sealed = [row["value"] for row in _rows(ledger.database)["unlock"] if row["value"] is not None]
        assert sealed
        assert all(ledger.seal.open(value) for value in sealed)
        before = ledger.credits.totals()
    for _ in range(60):  # the released ledger knows records of these ids
        world.org.insert("Lead", {"LastName": "Sample", "Company": "Example Works"})
        world.org.insert("Contact", {"LastName": "Sample"})
    fresh = world.person(personnel_id="99001", linkedin_name="sample-99001")
    lead = world.lead(fresh)
    report = harness.sync()
    assert report.selected >= 1
    assert world.get(lead)["Email"] == fresh.email
    assert world.charges.count("lensmor", fresh.personnel_id, "email") == 1
    assert world.paid_posts() == 2, "only the new person is bought: an email and a phone"
    with harness.ledger() as ledger:
        assert ledger.credits.imbalance() == ""
        assert ledger.credits.totals()["lensmor"].charged > before["lensmor"].charged
