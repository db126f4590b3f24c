"""Steps of the tests that move an embedded ledger to PostgreSQL."""

from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from commands import Said
from workspace import Workspace, outcome_of

from connector.app.configuring import configure
from connector.app.ledger_move import LedgerMove
from connector.app.wiring import open_ledger
from connector.engine.context import Silent
from connector.store import move
from connector.store.database import Database
from connector.store.inbox import InboundRequest
from connector.store.ledger import Ledger

PASSWORD = "hush-of-the-server"


def fill(workspace: Workspace) -> None:
    """Make a ledger with a finished run, a purchase that the vendor has not finished, a parked value, and a request."""
    usual_s = workspace.simulator.lensmor.task_seconds
    workspace.lead()
    workspace.lead()
    assert outcome_of(workspace.run("sync", "-m", "lead", "--json").json) == {"delivered": 2}
    workspace.simulator.lensmor.task_seconds = 1e9
    workspace.set(CONNECTOR_WAIT_SECONDS="200")
    workspace.lead()
    assert outcome_of(workspace.run("sync", "-m", "lead", "--json").json) == {"waiting": 1}
    workspace.simulator.lensmor.task_seconds = usual_s
    workspace.lead()
    workspace.arm("salesforce", "update_many", "row_error", 5, code="STRING_TOO_LONG", fields=["Email"])
    assert outcome_of(workspace.run("sync", "-m", "lead", "--json").json) == {"waiting": 1, "parked": 1}
    workspace.simulator.faults.clear()
    workspace.set(CONNECTOR_WAIT_SECONDS="20000")
    with closing(ledger_of(workspace)) as ledger:
        request = InboundRequest("request-1", "digest", "lead", [workspace.lead(Enrichment_Requested__c=False)])
        assert ledger.inbox.accept([request], ledger.database.clock()) == [True]


def ledger_of(workspace: Workspace) -> Ledger:
    """Open the ledger that the settings name."""
    return open_ledger(configure(workspace.folder / ".env"))


def make_move(workspace: Workspace, url: str) -> None:
    """Move the ledger without a command, so that errors of any kind can be seen."""
    LedgerMove(configure(workspace.folder / ".env"), url, Silent()).make()


def with_password(url: str) -> str:
    """The address with a password, which the server does not ask for."""
    return sa.make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)


def moved(workspace: Workspace, url: str) -> Said:
    """Move the ledger by the command, and put the settings that it names into `.env`."""
    said = workspace.run("ledger", "move", "--to", with_password(url), "--yes")
    assert said.code == 0, said.err
    key = (workspace.folder / "connector.db.key").read_text().strip()
    assert all(secret not in said.out + said.err for secret in (PASSWORD, key))
    switch(workspace, url)
    return said


def switch(workspace: Workspace, url: str, key_file: Path | None = None) -> None:
    """Use the ledger at this address, with the key of the old one."""
    key = key_file or workspace.folder / "connector.db.key"
    workspace.set(CONNECTOR_DATABASE_URL=url, CONNECTOR_SECRET_KEY=f"file:{key}")


def rows_at(url: str) -> int:
    """The number of rows of the ledger at an address; 0 if there is no ledger."""
    with closing(Database(url)) as database, database.read() as connection:
        return 0 if move.ledger_id_in(connection) is None else move.count_rows(connection)


def sums(workspace: Workspace) -> tuple[object, ...]:
    """What `status` and `credits` show, without the place of the ledger."""
    status, credits_ = (workspace.run(name, "--json").json for name in ("status", "credits"))
    return {**status, "ledger": ""}, credits_
