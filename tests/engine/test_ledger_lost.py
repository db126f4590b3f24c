"""A ledger that fails in the middle of a run is an external failure, and the next run loses nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only
from ledgers import on_postgres

from connector.app.failures import explained
from connector.core.errors import ConfigurationError, StopError
from connector.core.model import Outcome
from connector.store.answers import Answers
from connector.store.attempts import Attempts
from connector.store.database import Database
from connector.store.ledger import Ledger
from connector.store.results import Results

Break = Callable[[Database], None]
OTHER_SESSIONS = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid()"
)


def _cut_off(database: Database) -> None:
    """Cut off the ledger: PostgreSQL ends every session, as a restart does; SQLite's files become read-only."""
    if not database.is_sqlite:
        with sa.create_engine(database.engine.url, poolclass=sa.pool.NullPool).connect() as connection:
            connection.execute(OTHER_SESSIONS)
        return

    def read_only(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA query_only=ON")

    sa.event.listen(database.engine, "begin", read_only)


@pytest.mark.parametrize("where", ["take", "accept", "finalize"])
def test_a_lost_database_is_an_outage_and_costs_nothing(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    owner: Any = {"take": Attempts, "accept": Answers, "finalize": Results}[where]
    usual = getattr(owner, where)
    lead = world.lead(world.person())
    harness = harness.other(email_only())

    def broken(self: Any, *args: object, **named: object) -> object:  # noqa: ANN401 either of the two
        _cut_off(self._db)
        if on_postgres(harness.folder):
            with self._db.engine.connect() as connection:  # a session that the server ended
                connection.detach()
                _cut_off(self._db)
                connection.execute(sa.text("SELECT 1"))
        return usual(self, *args, **named)

    monkeypatch.setattr(owner, where, broken)
    with pytest.raises(sa.exc.DBAPIError) as caught:
        harness.sync()
    found = explained(caught.value)
    assert isinstance(found, StopError)
    assert found.exit_code == 4
    assert "the queue is intact" in str(found)
    monkeypatch.undo()
    world.clock.advance(minutes=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert world.paid_posts() == 1


def test_a_newer_ledger_is_refused_and_unchanged(harness: Harness) -> None:
    with harness.ledger() as ledger, ledger.database.write() as connection:
        before = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(ConfigurationError, match="newer version of the connector"):
            harness.sync()
    finally:
        _set_version(harness, before)
    with harness.ledger() as ledger:
        assert isinstance(ledger, Ledger)


def _set_version(harness: Harness, version: str) -> None:
    database = Database(harness.configured().ledger_url())
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    database.close()
