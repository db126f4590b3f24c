"""`connector ledger move`: copies an embedded ledger to PostgreSQL, compares both, and locks the old one.

All rows are copied and compared in one transaction on PostgreSQL, while a writing transaction of the old ledger keeps
every other writer out. Then the copy is committed, the old mark names the new place, and the lock of the old ledger is
committed. Before the first commit, an interruption leaves the old ledger in use and no row on PostgreSQL. After it, the
same command recognises the copy, by the ledger's id and a fingerprint of the copied rows, and only makes the lock.
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from connector.app.configuring import Configured
from connector.app.views import MovedLedger
from connector.app.wiring import key_file_of, open_ledger
from connector.config import database_url, read_values
from connector.core.addresses import database_address, hide_passwords
from connector.core.errors import AccountingError, ConfigurationError, LockedError
from connector.engine.adoption import STRANGE, STRANGE_NEXT, adopt_answers
from connector.engine.context import Progress
from connector.jobs.clock import SystemClock
from connector.store import move
from connector.store.credits import imbalance
from connector.store.database import Database, sqlite_path
from connector.store.ledger import Ledger
from connector.store.mark import mark_of
from connector.store.moved import lock_moved, moved_text
from connector.store.seal import Seal

DATABASE_SETTING, KEY_SETTING = "CONNECTOR_DATABASE_URL", "CONNECTOR_SECRET_KEY"
_FILE = "file:"
_SAME_LEDGER = (
    "has a copy of this ledger, but this ledger was used after the copy was made. If the copy was not used, empty that "
    "database (or create a new one) and run this command again; if it was, each of the two lacks what the other has "
    'done: see "From SQLite to PostgreSQL" in docs/deployment.md'
)


class LedgerMove:
    """The move of the ledger in use to a PostgreSQL database.

    Args:
        configured: the settings of the ledger in use.
        to: the new address, or `file:` and the path of a file that contains it.
        progress: receives stages, steps and notes.

    Raises:
        ConfigurationError: the ledger in use is not an existing file, or `to` is no PostgreSQL address.
    """

    def __init__(self, configured: Configured, to: str, progress: Progress) -> None:
        self._configured = configured
        self._to = to
        self._progress = progress
        path = sqlite_path(configured.ledger_url())
        if path is None:
            raise ConfigurationError(
                f"the ledger in use is not a file: {DATABASE_SETTING} names {configured.ledger_place()} already. Run "
                "this command with the settings of the ledger that is to be moved"
            )
        self._path = path
        self._url = _address(to, configured.folder())
        self._place = f"PostgreSQL at {database_address(self._url)}"

    def check(self) -> str:
        """Check everything that can be checked without a change; returns the question for the admin.

        Raises:
            ConfigurationError: the ledger cannot be moved, or not to this database.
            LockedError: a run, or a server, uses the ledger.
        """
        with self._old_ledger() as ledger:
            self._check_key(ledger)
            with ledger.database.read() as old:
                count = move.count_rows(old)
            with closing(Database(self._url)) as new:
                self._check_place(new, ledger.id)
        return (
            f"Move the ledger {self._path} ({count:,} rows) to {self._place}? Its file is locked afterwards, and there "
            "is no way back to it. Continue?"
        )

    def make(self) -> MovedLedger:
        """Move the ledger.

        Raises:
            ConfigurationError: as `check`.
            LockedError: as `check`.
            AccountingError: the copy differs, or does not add up; nothing was changed.
        """
        with self._old_ledger() as ledger, closing(Database(self._url)) as new:
            self._check_key(ledger)
            self._check_place(new, ledger.id)
            self._adopt_answers(ledger)
            new.migrate()
            # Nothing can be stored in the old ledger from here on, not even by a server without the run lock.
            with ledger.database.write() as old:
                contents = self._filled(ledger, old, new)
                ledger.mark.record_move(self._place)
                lock_moved(ledger.database, old, self._place)
        return MovedLedger(
            ledger=str(self._path),
            place=self._place,
            rows=sum(one.rows for one in contents.values()),
            tables=len(contents),
            settings_file=str(self._configured.env_file or ""),
            lines=self._lines(),
            keeps_key=self._configured.settings.connector_secret_key is not None,
            hides_password=self._shown_url() != self._url and not self._to.startswith(_FILE),
        )

    # -- checks ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _old_ledger(self) -> Iterator[Ledger]:
        """The ledger in use, under its run lock, while no server uses it."""
        with closing(open_ledger(self._configured, must_exist=True, even_if_moved=True)) as ledger:
            named = ledger.mark.moved_to()
            if named and named != self._place:
                raise ConfigurationError(moved_text(named))
            _refuse_server(ledger)  # it may hold the run lock ...
            with ledger.hold_run_lock():
                _refuse_server(ledger)  # ... or have left it to another command for a moment
                yield ledger

    def _check_key(self, ledger: Ledger) -> None:
        """Check that the key file is a usable value of the setting, which a ledger on PostgreSQL needs."""
        if self._configured.settings.connector_secret_key is not None:
            return
        found = read_values(None, {KEY_SETTING: f"{_FILE}{self._key_file}"})
        text = found.texts.get(KEY_SETTING, "")
        keys = [key.strip() for key in text.split(",") if key.strip()]
        if found.problems or Seal(keys).fingerprints != ledger.seal.fingerprints:
            raise ConfigurationError(
                f"the key file {self._key_file} cannot be used as {KEY_SETTING}: write its keys into one line, "
                "separated by commas, newest first"
            )

    def _check_place(self, new: Database, ledger_id: str) -> None:
        """Check that the database can be reached, and has no ledger other than a copy of this one."""
        try:
            with new.read() as connection:
                found = move.ledger_id_in(connection)
        except sa.exc.OperationalError as error:
            raise ConfigurationError(
                f"--to: {self._place} cannot be reached: check the address, its user and password, and that the "
                "server runs and has this database"
            ) from error
        except sa.exc.DatabaseError as error:
            raise ConfigurationError(f"--to: the tables of {self._place} cannot be read by this user") from error
        if found is not None and found != ledger_id:
            raise self._is_used()

    def _is_used(self) -> ConfigurationError:
        return ConfigurationError(
            f"--to: {self._place} has a ledger already (a run, 'connector doctor' or another move made it): name an "
            "empty database"
        )

    def _adopt_answers(self, ledger: Ledger) -> None:
        """Store the answers of the recovery journal, as the start of a run does; the new ledger has another folder.

        Raises:
            ConfigurationError: the journal has a file that does not belong to this ledger.
        """
        found = adopt_answers(ledger, SystemClock(self._configured.settings.connector_time_scale))
        if found.strange:
            raise ConfigurationError(f"{STRANGE.format(file=found.strange[0])}; {STRANGE_NEXT}")
        if found.refused:
            self._progress.note(found.refused)

    # -- the copy --------------------------------------------------------------------------------------------------

    def _filled(self, ledger: Ledger, old: sa.Connection, new: Database) -> move.Contents:
        """Copy and compare everything, and commit it; if that was done before, only recognise it."""
        with new.read() as connection:
            found = move.ledger_id_in(connection)
        if found == ledger.id:
            return self._recognised(ledger, old, new)
        count = move.count_rows(old)
        self._progress.stage("Rows to copy", count)
        with new.write() as connection:
            if move.ledger_id_in(connection) is not None:
                raise self._is_used()
            contents = move.copy_rows(old, connection, self._progress.step)
            self._progress.stage("Rows to compare", count)
            self._compare(contents, move.contents_of(connection, self._progress.step))
            self._check_sums(connection)
            move.keep_fingerprint(new, connection, contents)
            self._carry_mark(ledger)
        return contents

    def _recognised(self, ledger: Ledger, old: sa.Connection, new: Database) -> move.Contents:
        """The contents of the old ledger, which an interrupted move has copied already.

        Raises:
            ConfigurationError: the old ledger was used since.
        """
        self._progress.stage("Rows to compare", move.count_rows(old))
        contents = move.contents_of(old, self._progress.step)
        with new.read() as connection:
            is_copy = move.is_copy_of(connection, contents)
        if not is_copy:
            raise ConfigurationError(f"--to: {self._place} {_SAME_LEDGER}")
        self._progress.note("The rows were copied before; only the lock of the old ledger was missing.")
        self._carry_mark(ledger)
        return contents

    def _compare(self, old: move.Contents, new: move.Contents) -> None:
        names = move.differing(old, new)
        if names:
            raise AccountingError(
                f"the copy differs from {self._path} in {', '.join(names)}, so nothing was changed: the ledger is used "
                "as before. Please report it"
            )

    def _check_sums(self, new: sa.Connection) -> None:
        problem = imbalance(new)
        if problem:
            raise AccountingError(
                f"the copied ledger does not add up, so nothing was changed: {problem}. Please report it"
            )

    def _carry_mark(self, ledger: Ledger) -> None:
        """Copy the mark to the folder where commands look for it when the ledger is on PostgreSQL."""
        ledger.mark.copy_to(mark_of(self._configured.folder(), ledger.id))

    # -- the next steps --------------------------------------------------------------------------------------------

    @property
    def _key_file(self) -> Path:
        return key_file_of(self._path)

    def _shown_url(self) -> str:
        return hide_passwords(self._url)

    def _lines(self) -> list[str]:
        """The lines for the settings file; the key itself is never shown."""
        place = self._to if self._to.startswith(_FILE) else self._shown_url()
        if place.startswith(_FILE):
            place = f"{_FILE}{Path(place.removeprefix(_FILE).removeprefix('//').strip()).absolute()}"
        lines = [_line(DATABASE_SETTING, place)]
        if self._configured.settings.connector_secret_key is None:
            lines.append(_line(KEY_SETTING, f"{_FILE}{self._key_file}"))
        return lines


def _refuse_server(ledger: Ledger) -> None:
    found = ledger.workers(ledger.database.clock())
    if found:
        raise LockedError(
            f"'connector {found[0].kind}' uses this ledger: stop it (SIGTERM, or Ctrl-C), and run this command again; "
            "if it was killed, wait half a minute"
        )


def _address(to: str, folder: Path) -> str:
    """The address of the new database.

    Raises:
        ConfigurationError: it is no PostgreSQL address; the message never shows it.
    """
    found = read_values(None, {DATABASE_SETTING: to})
    if found.problems:
        raise ConfigurationError("\n".join(f"--to: {one.message}" for one in found.problems))
    try:
        url = database_url(found.texts.get(DATABASE_SETTING, ""), folder)
    except ConfigurationError as error:
        raise ConfigurationError(f"--to: {str(error).removeprefix(f'{DATABASE_SETTING} ')}") from error
    if sqlite_path(url) is not None:
        raise ConfigurationError("--to: must be postgresql://user@host/database; a file is no new place for a ledger")
    return url


def _line(name: str, value: str) -> str:
    """One line of a settings file, quoted if a program could read it differently otherwise."""
    if re.search(r"[\s#'\"\\]", value):
        value = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"{name}={value}"
