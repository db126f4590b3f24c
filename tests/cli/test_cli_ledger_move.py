"""`connector ledger move`: an embedded ledger with every kind of open work continues on PostgreSQL."""

import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa
from commands import clean_environment
from company import Company, company, free_port, is_ready, wait_until
from forked_commands import started
from ledger_moves import PASSWORD, fill, ledger_of, make_move, moved, rows_at, sums, switch, with_password
from postgres_server import Postgres, run_sql
from workspace import Workspace, outcome_of

from connector.app import ledger_move
from connector.app.configuring import configure
from connector.app.wiring import open_ledger
from connector.core.errors import AccountingError, ConfigurationError
from connector.engine.adoption import adopt_answers
from connector.jobs.clock import SystemClock
from connector.store import move
from connector.store import tables as t
from connector.store.failures import outage
from connector.store.inbox import InboundRequest
from connector.store.mark import Mark

pytest_plugins = ("cli_fixtures",)
COMMANDS = [
    ("sync", "-m", "lead"),
    ("status",),
    ("credits",),
    ("runs",),
    ("undo", "latest", "--yes"),
    ("ledger", "trust", "--yes"),
]


@pytest.fixture(name="url")
def _url(postgres: Postgres) -> Iterator[str]:
    """The address of a database without any table."""
    url = postgres.new(migrated=False)
    yield url
    postgres.drop(url)


@pytest.fixture(name="busy")
def _busy(workspace: Workspace) -> Workspace:
    """A ledger with every kind of open work."""
    fill(workspace)
    return workspace


@pytest.fixture(name="used")
def _used(workspace: Workspace) -> Workspace:
    """A ledger with one finished run."""
    workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0
    return workspace


def test_the_same_sync_continues_and_buys_nothing_twice(busy: Workspace, url: str) -> None:
    before, posts = sums(busy), busy.paid_posts
    said = moved(busy, url)
    assert sums(busy) == before
    for line in (f"     CONNECTOR_SECRET_KEY=file:{busy.folder}/connector.db.key\n", "connector doctor -m NAME"):
        assert line in said.out
    busy.simulator.clock.advance(2e9)  # the vendor finishes its tasks
    report = busy.run("sync", "-m", "lead", "--json").json
    assert outcome_of(report) == {"delivered": 1, "parked": 1}
    assert busy.paid_posts == posts
    assert busy.run("doctor", "-m", "lead").code == 0
    assert busy.run("status", "--json").json["accounting"] == ""


def test_a_run_from_before_the_move_can_be_undone(busy: Workspace, url: str) -> None:
    first = busy.run("runs", "--json").json["runs"][-1]["run_id"]
    moved(busy, url)
    undone = busy.run("undo", first, "--yes", "--json")
    assert undone.code == 0
    assert undone.json["selected"] == 2
    assert busy.run("runs", "--json").json["runs"][-1]["undone_by"] == undone.json["run_id"]


def test_new_rows_get_ids_after_the_copied_ones(busy: Workspace, url: str) -> None:
    moved(busy, url)
    with closing(ledger_of(busy)) as ledger, ledger.database.read() as connection:
        before = connection.scalar(sa.select(sa.func.max(t.purchase.c.id))) or 0
    lead = busy.lead()
    assert busy.run("sync", "-m", "lead", "--json").json["outcomes"]["delivered"] >= 1
    assert busy.org.get("Lead", lead)["Email"]
    with closing(ledger_of(busy)) as ledger, ledger.database.read() as connection:
        assert (connection.scalar(sa.select(sa.func.max(t.purchase.c.id))) or 0) > before


def test_workers_take_up_all_open_work(tmp_path_factory: pytest.TempPathFactory, url: str) -> None:
    with company(tmp_path_factory.mktemp("company"), 6, 0.01) as running:
        port = free_port()
        serving = running.start("serve", "-m", "lead.yaml", "--port", str(port))
        wait_until(lambda: is_ready(port), "serve works")
        refused = running.start("ledger", "move", "--to", url, "--yes")
        assert refused.wait(60) == 5
        assert "'connector serve' uses this ledger: stop it" in running.words(refused)
        running.simulator.lensmor.task_seconds = 1e9
        asked = running.start("sync", "-m", "lead.yaml", "--json")
        wait_until(lambda: running.simulator.lensmor.requests.count("getEmailUnlockTask") > 0, "it waits for Lensmor")
        for process in (serving, asked):
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        running.simulator.clock.advance(2e9)  # the vendor finishes its tasks
        with closing(open_ledger(configure(running.folder / ".env"))) as ledger:
            request = InboundRequest("request-1", "digest", "lead", running.facts.lead_ids[:2])
            ledger.inbox.accept([request], ledger.database.clock())
        done = running.start("ledger", "move", "--to", url, "--yes")
        assert done.wait(60) == 0, running.words(done)
        settings = (running.folder / ".env").read_text()
        (running.folder / ".env").write_text(
            re.sub("CONNECTOR_DATABASE_URL=.*", f"CONNECTOR_DATABASE_URL={url}", settings)
        )
        worker = running.start("worker", "-m", "lead.yaml")
        wait_until(lambda: not _open_work(running), "the worker has finished everything")
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
        assert running.unfinished(running.facts.lead_ids) == []
        assert running.doubles() == []
        assert running.charged == 6 * 165


def _open_work(running: Company) -> int:
    status = running.run("status", "--json")
    return int(status["open_records"]) + int(status["open_requests"])


# -- the lock of the old ledger ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_uses_the_old_ledger(used: Workspace, url: str, command: tuple[str, ...]) -> None:
    make_move(used, with_password(url))
    used.lead()
    posts = used.paid_posts
    said = used.run(*command)
    assert said.code == 2
    assert f"this ledger was moved to PostgreSQL at 127.0.0.1:{sa.make_url(url).port}/" in said.err
    assert PASSWORD not in said.err
    assert used.paid_posts == posts


def test_doctor_names_the_new_place_and_a_second_move_too(used: Workspace, url: str) -> None:
    make_move(used, url)
    said = used.run("doctor", "-m", "lead")
    assert said.code == 2
    assert "ledger: this ledger was moved to PostgreSQL at 127.0.0.1" in said.out
    again = used.run("ledger", "move", "--to", url, "--yes")
    assert again.code == 2
    assert "this ledger was moved to PostgreSQL" in again.err


def test_a_process_that_has_it_open_is_locked_out(used: Workspace, url: str) -> None:
    with closing(ledger_of(used)) as early:
        make_move(used, url)
        with pytest.raises(ConfigurationError, match="was moved to PostgreSQL"), early.hold_run_lock():
            pass
        with pytest.raises(sa.exc.IntegrityError) as caught:
            early.inbox.accept([InboundRequest("late", "digest", "lead", ["a"])], early.database.clock())
        assert "was moved to PostgreSQL" in str(outage(caught.value))
        with early.database.read() as connection:
            for table in t.metadata.sorted_tables:
                column = next(iter(table.columns))
                for statement in (sa.delete(table), sa.update(table).values({column.name: column})):
                    if connection.scalar(sa.select(sa.func.count()).select_from(table)):
                        with pytest.raises(sa.exc.IntegrityError), early.database.write() as writing:
                            writing.execute(statement)


def test_a_backup_from_before_the_move_is_refused(used: Workspace, url: str) -> None:
    file, copy = used.folder / "connector.db", used.folder / "backup.db"
    with closing(sqlite3.connect(file)) as ours, closing(sqlite3.connect(copy)) as theirs:
        ours.backup(theirs)
    make_move(used, url)
    switch(used, url)
    used.lead()
    assert used.run("sync", "-m", "lead").code == 0
    used.set(CONNECTOR_DATABASE_URL=None, CONNECTOR_SECRET_KEY=None)
    for name in ("connector.db-wal", "connector.db-shm"):
        (used.folder / name).unlink(missing_ok=True)
    shutil.copyfile(copy, file)
    posts = used.paid_posts
    used.lead()
    said = used.run("sync", "-m", "lead")
    assert said.code == 2
    assert "this ledger was moved to PostgreSQL" in said.err
    elsewhere = used.run("ledger", "move", "--to", f"{url}_more", "--yes")
    assert elsewhere.code == 2
    assert "this ledger was moved to PostgreSQL" in elsewhere.err
    assert used.paid_posts == posts


def test_the_mark_is_carried_to_the_folder_of_the_settings(workspace: Workspace, url: str) -> None:
    (workspace.folder / "data").mkdir()
    workspace.set(CONNECTOR_DATABASE_URL="sqlite:///data/connector.db")
    workspace.lead()
    workspace.run("sync", "-m", "lead")
    assert list(workspace.folder.glob("*.mark")) == []
    said = workspace.run("ledger", "move", "--to", url, "--yes")
    assert f"CONNECTOR_SECRET_KEY=file:{workspace.folder}/data/connector.db.key\n" in said.out
    assert "…" not in said.out
    assert len(list(workspace.folder.glob("*.mark"))) == 1
    switch(workspace, url, workspace.folder / "data" / "connector.db.key")
    workspace.lead()
    assert workspace.run("sync", "-m", "lead").code == 0


# -- interruptions -----------------------------------------------------------------------------------------------

BEFORE_COMMIT = [
    (move, "copy_rows"),
    (move, "contents_of"),
    (ledger_move, "imbalance"),
    (move, "keep_fingerprint"),
    (Mark, "copy_to"),
]
AFTER_COMMIT = [(Mark, "record_move"), (ledger_move, "lock_moved")]


def interrupted(workspace: Workspace, url: str, owner: object, name: str) -> None:
    def cut(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, cut)
        with pytest.raises(KeyboardInterrupt):
            make_move(workspace, url)


@pytest.mark.parametrize(("owner", "name"), BEFORE_COMMIT, ids=lambda one: str(one).rpartition(".")[2][:14])
def test_an_interruption_before_the_commit_changes_nothing(used: Workspace, url: str, owner: object, name: str) -> None:
    before = sums(used)
    interrupted(used, url, owner, name)
    assert rows_at(url) == 0
    used.lead()
    assert used.run("sync", "-m", "lead").code == 0
    assert sums(used) != before
    before = sums(used)
    moved(used, url)
    assert sums(used) == before


@pytest.mark.parametrize(("owner", "name"), AFTER_COMMIT, ids=lambda one: str(one).rpartition(".")[2][:14])
def test_an_interruption_after_the_commit_is_recognised(used: Workspace, url: str, owner: object, name: str) -> None:
    before = sums(used)
    interrupted(used, url, owner, name)
    rows = rows_at(url)
    assert rows > 0
    said = moved(used, url)
    assert "The rows were copied before" in said.err
    assert rows_at(url) == rows
    assert sums(used) == before
    used.set(CONNECTOR_DATABASE_URL=None, CONNECTOR_SECRET_KEY=None)
    assert used.run("status").code == 2


def test_a_killed_move_leaves_the_old_ledger_in_use(used: Workspace, url: str) -> None:
    program = (
        "import os, sys; from connector.store import move; from connector.cli.entry import main; "
        "move.contents_of = lambda *_: os.kill(os.getpid(), 9); "
        f"sys.argv = ['connector', 'ledger', 'move', '--to', '{url}', '--yes']; main()"
    )
    with started(
        [sys.executable, "-c", program],
        cwd=used.folder,
        env=clean_environment(),
    ) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert rows_at(url) == 0
    assert used.run("status").code == 0
    moved(used, url)
    assert used.run("status").code == 0


def test_a_copy_is_not_finished_after_the_old_ledger_was_used(used: Workspace, url: str) -> None:
    interrupted(used, url, Mark, "record_move")
    used.lead()
    assert used.run("sync", "-m", "lead").code == 0
    said = used.run("ledger", "move", "--to", url, "--yes")
    assert said.code == 2
    assert "this ledger was used after the copy was made" in said.err
    assert used.run("status").code == 0


def test_a_copy_that_was_used_is_still_recognised(used: Workspace, url: str) -> None:
    interrupted(used, url, Mark, "record_move")
    switch(used, url)
    used.lead()
    assert used.run("sync", "-m", "lead").code == 0
    after = sums(used)
    used.set(CONNECTOR_DATABASE_URL=None, CONNECTOR_SECRET_KEY=None)
    moved(used, url)
    assert sums(used) == after


@pytest.mark.parametrize("table", [t.entry, t.change, t.run])
def test_a_difference_in_one_row_rolls_everything_back(busy: Workspace, url: str, table: sa.Table) -> None:
    real = move.contents_of

    def changed(connection: sa.Connection, on_rows: move.OnRows) -> move.Contents:
        column = next(one for one in table.columns if one.name in {"credits", "before", "selected"})
        value = {"credits": 1, "before": b"x", "selected": {"lead": 9}}[column.name]
        key = next(iter(table.primary_key))
        connection.execute(
            sa.update(table).where(key == sa.select(sa.func.max(key)).scalar_subquery()).values({column.name: value})
        )
        return real(connection, on_rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(move, "contents_of", changed)
        with pytest.raises(AccountingError, match=f"in {table.name}, so nothing"):
            make_move(busy, url)
    assert rows_at(url) == 0
    assert busy.run("status").code == 0


def test_sums_that_do_not_add_up_roll_everything_back(busy: Workspace, url: str) -> None:
    with closing(ledger_of(busy)) as ledger, ledger.database.write() as connection:
        connection.execute(sa.update(t.running_total).values(credits=t.running_total.c.credits + 1))
    with pytest.raises(AccountingError, match="does not add up"):
        make_move(busy, url)
    assert rows_at(url) == 0


def test_pages_of_any_size_copy_the_same_rows(busy: Workspace, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(ledger_of(busy)) as ledger, ledger.database.read() as connection:
        whole = move.contents_of(connection, lambda _: None)
        for size in (1, 2, 3):
            monkeypatch.setattr(move, "PAGE", size)
            assert move.contents_of(connection, lambda _: None) == whole
    before = sums(busy)
    moved(busy, url)
    assert sums(busy) == before


# -- refusals ----------------------------------------------------------------------------------------------------


def test_another_ledger_at_the_new_place_is_refused(used: Workspace, url: str) -> None:
    used.set(CONNECTOR_DATABASE_URL=url, CONNECTOR_SECRET_KEY="C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0=")
    assert used.run("status").code == 0  # it makes a ledger
    rows = rows_at(url)
    used.set(CONNECTOR_DATABASE_URL=None, CONNECTOR_SECRET_KEY=None)
    said = used.run("ledger", "move", "--to", url, "--yes")
    assert said.code == 2
    assert "has a ledger already" in said.err
    assert rows_at(url) == rows
    assert used.run("status").code == 0


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("sqlite:///other.db", "a file is no new place for a ledger"),
        ("mysql://user:hush-of-the-server@host/db", "must be sqlite:///path or postgresql://user@host/database"),
        ("postgres://user:hush-of-the-server@host/db", "write postgresql:// instead of postgres://"),
        ("postgresql://user:hush-of-the-server@127.0.0.1:1/db", "PostgreSQL at 127.0.0.1:1/db cannot be reached"),
        ("", "must be"),
        ("file:nowhere", "cannot be read"),
    ],
)
def test_an_unusable_address_is_refused_before_the_question(used: Workspace, to: str, words: str) -> None:
    said = used.run("ledger", "move", "--to", to, "--yes")
    assert said.code == 2
    assert words in said.err
    assert PASSWORD not in said.err
    assert used.run("status").code == 0


def test_there_must_be_an_embedded_ledger(workspace: Workspace, url: str) -> None:
    said = workspace.run("ledger", "move", "--to", url, "--yes")
    assert said.code == 2
    assert "there is no ledger at" in said.err
    workspace.lead()
    workspace.run("sync", "-m", "lead")
    moved(workspace, url)
    said = workspace.run("ledger", "move", "--to", url, "--yes")
    assert said.code == 2
    assert "the ledger in use is not a file" in said.err


def test_it_asks_and_says_nothing_when_quiet(used: Workspace, url: str) -> None:
    assert "--yes" in used.run("ledger", "move", "--to", url).err
    asked = used.run("ledger", "move", "--to", url, answer="n\n")
    assert asked.code == 2
    assert "Nothing was done." in asked.err
    assert rows_at(url) == 0
    said = used.run("ledger", "move", "--to", url, "--yes", "--quiet")
    assert (said.code, said.err) == (0, "")
    assert "1. Put into" in said.out


def test_a_run_that_holds_the_lock_is_not_disturbed(used: Workspace, url: str) -> None:
    with closing(ledger_of(used)) as ledger, ledger.hold_run_lock():
        said = used.run("ledger", "move", "--to", url, "--yes")
    assert said.code == 5
    assert "another run holds this ledger's run lock" in said.err


def test_an_address_in_a_file_is_named_by_its_file(used: Workspace, url: str) -> None:
    place = used.folder / "the address"
    place.write_text(with_password(url) + "\n")
    said = used.run("ledger", "move", "--to", "file:the address", "--yes")
    assert said.code == 0
    assert f"CONNECTOR_DATABASE_URL='file:{place}'\n" in said.out
    assert PASSWORD not in said.out + said.err
    lines = [line.strip() for line in said.out.splitlines() if line.startswith("     CONNECTOR_")]
    with (used.folder / ".env").open("a") as file:
        file.write("\n".join(lines) + "\n")
    assert used.run("status", "--json").json["ledger"].startswith("PostgreSQL at ")


def test_a_key_that_is_set_stays_as_it_is(workspace: Workspace, url: str) -> None:
    workspace.set(CONNECTOR_SECRET_KEY="C0nnectorTestKeyC0nnectorTestKeyC0nnectorT0=")
    workspace.lead()
    workspace.run("sync", "-m", "lead")
    said = workspace.run("ledger", "move", "--to", url, "--yes")
    assert "CONNECTOR_SECRET_KEY stays as it is." in said.out
    assert "CONNECTOR_SECRET_KEY=" not in said.out


def test_a_key_file_that_no_setting_can_name_is_refused(used: Workspace, url: str) -> None:
    file = used.folder / "connector.db.key"
    file.write_text(f"{file.read_text().strip()},\nC0nnectorTestKeyC0nnectorTestKeyC0nnectorT0=\n")
    said = used.run("ledger", "move", "--to", url, "--yes")
    assert said.code == 2
    assert "write its keys into one line" in said.err
    assert rows_at(url) == 0


def test_answers_of_the_recovery_journal_are_stored_first(used: Workspace, url: str) -> None:
    with closing(ledger_of(used)) as ledger:
        strange = used.folder / f"connector-{ledger.id}.0123456789ab.journal"
        with ledger.database.read() as connection:
            attempt = connection.scalar(sa.select(t.attempt.c.id).limit(1))
    strange.write_text('{"attempt_id": "no-such-request", "task_id": "9"}\n')
    said = used.run("ledger", "move", "--to", url, "--yes")
    assert said.code == 2
    assert f"{strange} holds an answer that matches no paid request" in said.err
    strange.write_text(f'{{"attempt_id": "{attempt}", "task_id": "9", "check": {{}}, "gone": {{}}}}\n')
    moved(used, url)
    assert not strange.exists()
    with closing(ledger_of(used)) as ledger:
        assert adopt_answers(ledger, SystemClock()).strange == ()


def test_a_value_that_postgresql_cannot_store_is_named_by_its_table(used: Workspace, url: str) -> None:
    with closing(ledger_of(used)) as ledger, ledger.database.write() as connection:
        connection.execute(sa.update(t.record).values(object="x" * 200))
    with pytest.raises(AccountingError, match="cannot store a value of table record") as caught:
        make_move(used, url)
    assert "xxx" not in str(caught.value)
    assert rows_at(url) == 0
    assert used.run("status").code == 0


def test_a_user_without_rights_is_told(used: Workspace, url: str, postgres: Postgres) -> None:
    user = f"u_{sa.make_url(url).database}"
    run_sql(postgres.admin_url, f"CREATE USER {user}")
    try:
        poor = sa.make_url(url).set(username=user).render_as_string()
        said = used.run("ledger", "move", "--to", poor, "--yes")
        assert said.code == 2
        assert "the database user needs the right to create tables" in said.err
        assert used.run("status").code == 0
    finally:
        run_sql(postgres.admin_url, f"DROP USER {user}")


def test_outcomes_are_the_same_after_a_move(busy: Workspace, url: str) -> None:
    latest = busy.run("show", "latest", "--json").json
    moved(busy, url)
    assert busy.run("show", "latest", "--json").json == latest
    assert outcome_of(latest) == {"waiting": 1, "parked": 1}
