"""A ledger of an earlier revision with data in every state works with this version: nothing is lost or paid again.

`released/revision_0003.jsonl` holds rows that version 0.1.0 wrote, one per line, as [table, row]. The ledgers of
earlier
revisions are the same rows without the later tables and columns; those of later revisions also have the rows of
`LATER`.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from harness import Harness, World, mapping
from ledgers import KEY, URL_FILE, settings_of

from connector.jobs.schedule import next_sync
from connector.store import tables as t
from connector.store.database import Database
from connector.store.job_queue import NoQueue
from connector.store.jobs import Jobs
from connector.store.schema import upgrade

ROWS = Path(__file__).parent / "released" / "revision_0003.jsonl"
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
Row = Mapping[str, Any]
# By revision, the rows that no earlier version writes: a followed record of a plan, a value that is due to be erased,
# one that the CRM never accepts, an unresolved person, a balance of 64 bits.
LATER: Mapping[str, Sequence[str]] = {
    "0004": (
        "UPDATE unlock SET charged_credits = price_credits WHERE state = 'final' AND hold = 'charged'",
        "INSERT INTO unusable_value (mapping, crm_id, unlock_id, reason) "
        "SELECT 'lead', crm_id, (SELECT min(id) FROM unlock), 'no address' FROM record WHERE id = 1",
        "UPDATE want SET shown_outcome = 'parked', shown_reason = 'too long' WHERE parked",
        "UPDATE want SET state = 'lookup', unlock_id = NULL, parked = false WHERE id = (SELECT max(id) FROM want)",
    ),
    "0005": (
        "UPDATE record SET former_ids = ' 00QSm0000099999MAA', plan_id = 'plan-1' WHERE id = 1",
        "UPDATE want SET erase_at = 1795168800000000 WHERE parked",
        "UPDATE observation SET balance = 900000000000000 WHERE id = 1",
        "INSERT INTO meta (key, value) VALUES ('tick:lead', '2026-11-20T10:00:00+00:00'), "
        '(\'look:lead\', \'{"pace_s": 120.0, "not_before": "2026-11-20T10:02:00+00:00"}\')',
    ),
}
# The present names of the tables and columns in those rows.
TABLES = {"unlock": "purchase", "want": "record_channel", "ask": "request_item", "lookup": "identity_match",
          "errand": "job", "hint": "callback_receipt"}  # fmt: skip
COLUMNS = {
    "unlock": {"event_id": "grouping_key"},
    "want": {"unlock_id": "purchase_id", "tried": "failed_sources"},
    "task": {"vendor_id": "provider_task_id"},
    "hint": {"vendor_id": "provider_task_id"},
    "unusable_value": {"unlock_id": "purchase_id"},
    "lookup": {"linkedin": "value", "personnel_id": "matched", "events": "grouping_keys"},
}
STATES = {"lookup": "resolving", "held": "deferred"}


def _released() -> list[tuple[str, Row]]:
    return [(table, row) for table, row in map(json.loads, ROWS.read_text(encoding="utf-8").splitlines())]


@pytest.fixture(name="folder", params=REVISIONS)
def _folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with a ledger of that revision and the released rows."""
    with _empty(request, tmp_path) as folder:
        url, _ = settings_of(folder)
        with closing(Database(url)) as database:
            with database.engine.begin() as connection:
                upgrade(connection, request.param)
            _fill(database)
            _add_later(database, request.param)
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


def _fill(database: Database) -> None:
    """Insert the rows; leave out the tables and columns that this revision does not have."""
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


def _add_later(database: Database, revision: str) -> None:
    with database.write() as connection:
        for added, statements in LATER.items():
            for statement in statements if added <= revision else ():
                connection.execute(sa.text(statement))


def _presumed_earlier_attempts() -> set[str]:
    """Attempts without a presumed charge in revision 0001, which kept their holds open."""
    return {
        row["prior_attempt_id"] for name, row in _released() if name == "unlock" and row["prior_hold"] == "presumed"
    }


def _is_ours(name: str | None, *_: object) -> bool:
    return "procrastinate" not in (name or "")


def _go_on_counting(connection: sa.Connection, schema: sa.MetaData) -> None:
    """Let new rows get ids above the inserted ones."""
    for table in schema.tables.values():
        if "id" in table.c and isinstance(table.c.id.type, sa.Integer):
            query = "SELECT setval(pg_get_serial_sequence(:name, 'id'), coalesce((SELECT max(id) FROM {}), 1))"
            connection.execute(sa.text(query.format(connection.dialect.identifier_preparer.quote(table.name))),
                               {"name": f'"{table.name}"'})  # fmt: skip


def _plain(value: object) -> object:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value


def _rows(database: Database) -> dict[str, list[Row]]:
    """Every row of every table, unconverted."""
    with database.read() as connection:
        schema = sa.MetaData()
        schema.reflect(connection)
        return {
            name: sorted((dict(row) for row in connection.execute(sa.select(table)).mappings()), key=repr)
            for name, table in schema.tables.items()
            if name != "alembic_version"
        }


def test_the_released_rows_have_every_state() -> None:
    """The other tests depend on this."""
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


def test_an_upgrade_keeps_every_row(folder: Path) -> None:
    with closing(Database(settings_of(folder)[0])) as database:
        before = _rows(database)
        database.migrate()
        after = _rows(database)
        with database.read() as connection:
            context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
            assert compare_metadata(context, t.metadata) == []
    for name, rows in before.items():
        expected = [_in_present_words(name, row) for row in rows if not _is_a_job_now(name, row)]
        found = [row for row in after[TABLES.get(name, name)] if name != "errand" or row["kind"] == "run"]
        found = [row for row in found if row.get("key") != "totals_checked"]  # written by the upgrade
        kept = [{key: row[key] for key in expected[0]} for row in found] if rows else []
        assert sorted(kept, key=repr) == sorted(expected, key=repr), name
    for row in after["purchase"]:
        was_charged = row["state"] == "final" and row["hold"] == "charged"
        assert row["charged_credits"] == (row["price_credits"] if was_charged else 0)
        kinds = {"lensmor": "personnel_id", "salesfinity": "linkedin_url"}
        assert row["person_kind"] == ("event_id" if row["channel"] == "event" else kinds[row["provider"]])
    assert {row["crm"] for row in after["record"]} == {"salesforce"}
    standing = {row["id"] for row in after["job"] if row["kind"] != "run"}
    asked, ticked = ({"requests:lead"} if "ask" in before else set()), {"schedule:lead"} & standing
    assert standing == {"poll:lead"} | asked | ticked
    assert ticked or not any(row["key"] == "tick:lead" for row in before["meta"])


def test_a_schedule_goes_on_counting_from_its_last_sync(folder: Path) -> None:
    with closing(Database(settings_of(folder)[0])) as database:
        had_tick = any(row["key"] == "tick:lead" for row in _rows(database)["meta"])
        database.migrate()
        jobs = Jobs(database, NoQueue())
        now = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
        due = next_sync(jobs, "lead", "*/15 * * * *", now)
    assert due == datetime(2026, 11, 20, 10, 15 if had_tick else 45, tzinfo=UTC)


def _is_a_job_now(table: str, row: Row) -> bool:
    """What earlier revisions kept of schedules and polls among the single values."""
    return table == "meta" and str(row["key"]).startswith(("tick:", "look:"))


def _in_present_words(table: str, row: Row) -> dict[str, Any]:
    """A row of an earlier revision with the present names of columns and states; JSON decoded."""
    names = COLUMNS.get(table, {})
    found = {names.get(key, key): value for key, value in row.items()}
    if table == "want":
        found["state"] = STATES.get(found["state"], found["state"])
    for key in _json_columns(TABLES.get(table, table)):
        if isinstance(found.get(key), str):
            found[key] = json.loads(found[key] or "{}")
    if table == "record":
        kinds = {"personnel_id": found.pop("personnel_id"), "linkedin_url": found.pop("linkedin")}
        event_id, resolved_id = found.pop("event_id"), found.pop("resolved_id")
        found["identifiers"] = {kind: value for kind, value in kinds.items() if value is not None}
        found["grouping_keys"] = {} if event_id is None else {"event_id": event_id}
        found["resolved"] = {} if resolved_id is None else {"personnel_id": resolved_id}
    if table == "lookup":
        found |= {"kind": "linkedin_url", "matched_kind": None if found["matched"] is None else "personnel_id"}
    return found


def _json_columns(table: str) -> list[str]:
    return [column.name for column in t.metadata.tables[table].columns if isinstance(column.type, sa.JSON)]


def test_an_upgraded_ledger_finishes_its_open_work(world: World, folder: Path) -> None:
    """The vendors know none of the tasks and no record names a person any more: nothing is paid again."""
    harness = Harness(world, folder, mapping("lead"), mapping("contact"))
    world.clock.advance(days=3)
    with harness.ledger() as ledger:
        assert ledger.credits.imbalance() == ""
        sealed = [row["value"] for row in _rows(ledger.database)["purchase"] if row["value"] is not None]
        assert sealed
        assert all(ledger.seal.open(value) for value in sealed)
        before = ledger.credits.totals()
    for _ in range(60):  # the released ledger has records with these ids
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
