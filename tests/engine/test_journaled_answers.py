"""An answer to a paid request that the database cannot store is never lost, whatever it contains."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only
from ledgers import URL_FILE, Ledgers, journal_of, on_postgres
from test_event_purchases import EVENT, PRICE, buy, event_charges

from connector.core.errors import AccountingError, JournalError
from connector.core.model import Outcome
from connector.engine import recovery
from connector.store import journal
from connector.store.answers import Answers
from connector.store.attempts import Attempts
from connector.store.results import Results

GONE = sa.exc.OperationalError("", {}, Exception("disk I/O error"))


@contextmanager
def failing(owner: object, name: str, error: BaseException = GONE) -> Iterator[None]:
    """Let a call fail as if the database or the disk were gone."""

    def gone(*_args: object, **_more: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, gone)
        yield


def full_disk() -> AbstractContextManager[None]:
    return failing(os, "posix_fallocate", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def fail(harness: Harness, owner: type, name: str) -> None:
    with failing(owner, name), pytest.raises(sa.exc.OperationalError):
        harness.sync()


@pytest.mark.parametrize("error", [GONE, AccountingError("no number"), MemoryError()])
def test_an_answer_is_journaled_after_any_failure(world: World, harness: Harness, error: Exception) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only("salesfinity"))
    with failing(Answers, "accept", error), contextlib.suppress(type(error)):
        harness.sync()
    assert len(journal_of(harness.folder)) == 1
    world.clock.advance(minutes=1)
    harness.syncs(3)
    assert world.get(lead)["Email"] == person.work_email
    assert world.paid_posts() == 1
    assert journal_of(harness.folder) == []


def test_a_journaled_refusal_is_not_an_unknown_purchase(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only("salesfinity"))  # a lost refusal of this vendor would need an operator
    world.arm("salesfinity", "requestEmailEnrichment", "status", status=400)
    fail(harness, Answers, "give_back")
    assert len(journal_of(harness.folder)) == 1
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["salesfinity"].held == 0
    assert world.get(lead)["Email"] == person.work_email
    assert world.ours("salesfinity") == 1
    assert journal_of(harness.folder) == []


def test_a_journaled_credits_refusal_is_waited_out(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness = harness.other(email_only())
    world.arm("lensmor", "submitEmailUnlock", "status", status=402)
    fail(harness, Answers, "give_back")
    posts = world.paid_posts()
    world.clock.advance(minutes=1)
    harness.other().sync()
    assert world.paid_posts() <= posts + 1  # the vendor's own record is read first
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].open == 0


@pytest.mark.parametrize("method", [(Answers, "accept"), (Results, "finalize"), (Attempts, "reprice")])
def test_a_journaled_event_answer_has_the_real_price(world: World, harness: Harness, method: tuple[type, str]) -> None:
    harness.mappings = {"lead": email_only()}
    with failing(*method), pytest.raises(sa.exc.OperationalError):
        buy(harness, price=PRICE - 500)  # the vendor charges more than expected
    assert event_charges(world) == PRICE
    assert len(journal_of(harness.folder)) == 1
    harness.sync()
    with harness.ledger() as ledger:
        found = ledger.credits.totals()["lensmor"]
        assert (found.open, found.charged) == (0, PRICE)
    assert journal_of(harness.folder) == []


def test_an_event_purchase_adopts_only_its_own_answer(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness = harness.other(email_only("salesfinity"))
    fail(harness, Answers, "accept")
    harness.mappings |= {"contact": email_only(name="contact")}  # a mapping of the vendor that sells events
    with failing(Results, "finalize"), pytest.raises(sa.exc.OperationalError):
        buy(harness)
    assert len(journal_of(harness.folder)) == 2
    access, report = buy(harness)
    assert access is not None
    assert access.already_unlocked
    assert report.credits["lensmor"].held == 0
    assert len(journal_of(harness.folder)) == 1
    assert event_charges(world) == PRICE


def test_without_disk_space_nothing_is_held_or_sent(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    with full_disk():
        report = harness.sync()
    assert report.exit_code == 4
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert any("No space left on device" in reason and "free disk space" in reason for reason in report.stopped)
    assert world.paid_posts() == 0
    with harness.ledger() as ledger:
        assert ledger.credits.totals() == {}
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email


def test_without_disk_space_earlier_purchases_are_collected(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    harness.wait_s = 0
    world.lensmor.task_seconds = 60
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    other = world.lead(world.person())
    world.clock.advance(minutes=5)
    with full_disk():
        report = harness.other().sync()
    assert report.exit_code == 4
    assert world.get(lead)["Email"] == person.email
    assert world.get(other)["Email"] is None
    assert world.paid_posts() == 1


def test_without_disk_space_no_event_is_bought(world: World, harness: Harness) -> None:
    harness.mappings = {"lead": email_only()}
    with full_disk(), pytest.raises(JournalError) as raised:
        buy(harness)
    assert raised.value.exit_code == 4
    assert event_charges(world) == 0
    with harness.ledger() as ledger:
        assert ledger.credits.totals() == {}
    assert EVENT not in str(journal_of(harness.folder))
    buy(harness)
    assert event_charges(world) == PRICE


def test_if_the_journal_fails_too_the_ids_are_printed(
    world: World, harness: Harness, capfd: pytest.CaptureFixture[str]
) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only("salesfinity"))
    broken = failing(journal, "_write", OSError(errno.EIO, "Input/output error"))
    with failing(Answers, "accept"), broken, pytest.raises(sa.exc.OperationalError):
        harness.sync()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "recovery journal" in line]
    assert str(person.linkedin_name) not in line
    assert "@" not in line
    (file,) = journal_of(harness.folder)
    file.write_text(line[line.index("{") :])
    harness.syncs(3)
    assert world.get(lead)["Email"] == person.work_email
    assert world.paid_posts() == 1


def test_an_answer_for_a_newer_ledger_stays_and_is_reported(world: World, harness: Harness, tmp_path: Path) -> None:
    """A restored backup does not have the request; the newer ledger adopts its answer once it is put back."""
    if on_postgres(harness.folder):
        pytest.skip("a backup of a file")
    person = world.person()
    world.lead(person)
    harness = harness.other(email_only("salesfinity"))
    shutil.copytree(harness.folder, tmp_path / "backup")
    fail(harness, Answers, "accept")
    shutil.copytree(harness.folder, tmp_path / "newer")
    (file,) = journal_of(harness.folder)
    for name in ("connector.db-wal", "connector.db-shm"):
        (harness.folder / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup" / "connector.db", harness.folder / "connector.db")
    with harness.run() as run:
        recovery.recover(run)
        assert any(file.name in entry.reason and "newer" in str(entry.next) for entry in run.attention)
    assert journal_of(harness.folder) == [file]
    shutil.copy(tmp_path / "newer" / "connector.db", harness.folder / "connector.db")
    harness.syncs(3)
    assert journal_of(harness.folder) == []
    assert world.paid_posts() == 1


def test_two_ledgers_in_a_folder_keep_their_answers_apart(world: World, harness: Harness, ledgers: Ledgers) -> None:
    if not on_postgres(harness.folder):
        pytest.skip("embedded ledgers of one folder have files of their own")
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only("salesfinity"))
    fail(harness, Answers, "accept")
    address = (harness.folder / URL_FILE).read_text()
    with ledgers.new() as other:
        (harness.folder / URL_FILE).write_text((other / URL_FILE).read_text())
        with harness.other().run() as run:
            recovery.recover(run)
            assert run.attention == []
    assert len(journal_of(harness.folder)) == 1
    (harness.folder / URL_FILE).write_text(address)
    harness.syncs(3)
    assert world.get(lead)["Email"] == person.work_email
    assert world.paid_posts() == 1
