"""The recovery journal: it belongs to one ledger, reserves disk space, and prints an answer that it cannot store."""

import errno
import fcntl
import json
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ledger_harness import LedgerHarness, open_ledger_at

from connector.core.errors import JournalError
from connector.store.journal import RecoveryJournal
from connector.store.ledger import Ledger

ANSWER: dict[str, object] = {
    "attempt_id": "a1",
    "task_id": "task-1",
    "check": {7: True},
    "gone": {8: "no match"},
    "back": [9],
}
READ = {"attempt_id": "a1", "task_id": "task-1", "check": {"7": True}, "gone": {"8": "no match"}, "back": [9]}
ID = "0" * 32


def everything(_attempt_id: str) -> bool:
    return True


def nothing(_attempt_id: str) -> bool:
    return False


def journal(folder: Path, ledger_id: str = ID) -> RecoveryJournal:
    return RecoveryJournal(folder, ledger_id, folder / "connector.db.spill")


def keep(at: RecoveryJournal, answer: Mapping[str, object]) -> None:
    with at.reserve(1) as reserved:
        reserved.keep(answer)


def adopt(at: RecoveryJournal, knows: Callable[[str], bool] = everything) -> list[dict[str, object]]:
    with at.adopting(knows) as found:
        return list(found.answers)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# -- answers ----------------------------------------------------------------------------------------------------


def test_answers_are_kept_read_and_deleted_when_adopted(tmp_path: Path) -> None:
    assert adopt(journal(tmp_path)) == []
    keep(journal(tmp_path), ANSWER)
    keep(journal(tmp_path), {"attempt_id": "a2", "task_id": None})
    found = adopt(journal(tmp_path))
    assert sorted(found, key=str) == sorted([READ, {"attempt_id": "a2", "task_id": None}], key=str)
    assert names(tmp_path) == []


def test_answers_whose_adoption_fails_stay(tmp_path: Path) -> None:
    keep(journal(tmp_path), ANSWER)
    with pytest.raises(RuntimeError), journal(tmp_path).adopting(everything):
        raise RuntimeError("the database went away again")
    assert adopt(journal(tmp_path)) == [READ]


def test_an_answer_that_is_left_stays(tmp_path: Path) -> None:
    keep(journal(tmp_path), ANSWER)
    with journal(tmp_path).adopting(everything) as found:
        found.leave(found.answers[0])
    assert adopt(journal(tmp_path)) == [READ]


def test_a_kept_answer_is_on_disk_with_its_folder_entry_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink()))
    keep(journal(tmp_path), ANSWER)
    assert synced == [tmp_path / names(tmp_path)[0], tmp_path]


def test_an_answer_is_kept_if_its_commit_fails_or_is_interrupted(tmp_path: Path) -> None:
    for error in (RuntimeError, OSError, KeyboardInterrupt):
        with pytest.raises(error), journal(tmp_path).reserve(1) as reserved, reserved.kept_on_failure(ANSWER):
            raise error
        assert adopt(journal(tmp_path)) == [READ]
    with journal(tmp_path).reserve(1) as reserved, reserved.kept_on_failure(ANSWER):
        pass
    assert names(tmp_path) == []


# -- several ledgers --------------------------------------------------------------------------------------------


def test_another_ledger_neither_adopts_nor_removes_it(tmp_path: Path) -> None:
    keep(journal(tmp_path), ANSWER)
    assert adopt(journal(tmp_path, "1" * 32)) == []
    assert adopt(journal(tmp_path)) == [READ]


def test_the_file_is_named_after_the_ledgers_id_which_stays(tmp_path: Path) -> None:
    path = tmp_path / "connector.db"
    first = open_ledger_at(path)
    with first.journal.reserve(1):
        assert [name for name in names(tmp_path) if name.startswith(f"connector-{first.id}.")]
    first.close()
    assert open_ledger_at(path).id == first.id
    assert open_ledger_at(tmp_path / "other.db").id != first.id


def test_a_new_ledger_in_the_same_place_leaves_the_former_ledgers_answers(tmp_path: Path) -> None:
    path = tmp_path / "connector.db"
    former = open_ledger_at(path)
    keep(former.journal, ANSWER)
    former.close()
    for file in tmp_path.glob("connector.db*"):
        file.unlink()
    assert adopt(open_ledger_at(path).journal) == []
    assert len(list(tmp_path.glob("*.journal"))) == 1


def test_an_answer_to_an_unknown_request_stays_and_is_named(tmp_path: Path) -> None:
    """The ledger was restored from a backup older than the request."""
    keep(journal(tmp_path), ANSWER)
    for _ in range(2):
        with journal(tmp_path).adopting(nothing) as found:
            assert found.answers == []
            assert [path.name for path in found.strange] == names(tmp_path)
    assert adopt(journal(tmp_path)) == [READ]


@pytest.mark.parametrize(
    "text", ['{"attempt_id": "a1", "task', "[1]", "7", '{"attempt_id": 7}', '{"attempt_id": "a\\u0000"}', "{}", "\xff"]
)
def test_an_unreadable_file_stays_and_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / f"connector-{ID}.ab.journal"
    file.write_text(text, encoding="latin-1")
    with journal(tmp_path).adopting(everything) as found:
        assert (found.answers, found.strange) == ([], [file])
    assert file.read_text(encoding="latin-1") == text


# -- the file of earlier versions -------------------------------------------------------------------------------


def test_the_former_file_is_adopted_once_for_known_requests_only(tmp_path: Path) -> None:
    """On PostgreSQL, two ledgers could share a folder and so the file."""
    former = tmp_path / "connector.db.spill"
    mine, theirs, cut = json.dumps(ANSWER), json.dumps({"attempt_id": "b1", "task_id": "t"}), '{"attempt_id": "a3", "ta'
    former.write_text(f"\n{mine}\n\n{theirs}\n\n{cut}\n")
    with journal(tmp_path).adopting(lambda one: one == "a1") as found:
        assert (found.answers, found.strange) == ([READ], [former])
    assert former.read_text() == f"{theirs}\n{cut}\n"
    assert adopt(journal(tmp_path), lambda one: one == "a1") == []
    assert adopt(journal(tmp_path, "1" * 32), lambda one: one == "b1") == [{"attempt_id": "b1", "task_id": "t"}]
    assert former.read_text() == f"{cut}\n"


def test_the_former_file_is_deleted_when_it_is_adopted_completely(tmp_path: Path) -> None:
    (tmp_path / "connector.db.spill").write_text(f"\n{json.dumps(ANSWER)}\n")
    with pytest.raises(RuntimeError), journal(tmp_path).adopting(everything):
        raise RuntimeError
    assert adopt(journal(tmp_path)) == [READ]
    assert names(tmp_path) == []


def test_an_answer_that_an_earlier_version_adds_meanwhile_is_not_lost(tmp_path: Path) -> None:
    former = tmp_path / "connector.db.spill"
    former.write_text(f"{json.dumps(ANSWER)}\n")
    added = threading.Event()

    def add() -> None:
        while True:
            with former.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_nlink:
                    file.write(f"{json.dumps({'attempt_id': 'late'})}\n")
                    added.set()
                    return

    late = threading.Thread(target=add)
    with journal(tmp_path).adopting(everything) as found:
        late.start()
        late.join(0.2)
        assert found.answers == [READ]
        assert not added.is_set()
    late.join()
    assert adopt(journal(tmp_path)) == [{"attempt_id": "late"}]


# -- reserved space ---------------------------------------------------------------------------------------------


def test_space_is_reserved_while_a_request_is_in_flight(tmp_path: Path) -> None:
    with journal(tmp_path).reserve(100), journal(tmp_path).reserve(1):
        blocks = sorted(file.stat().st_blocks * 512 for file in tmp_path.iterdir())
        assert blocks[0] >= 2048 + 256
        assert blocks[1] >= 2048 + 100 * 256
    assert names(tmp_path) == []


def test_the_longest_answer_fits_into_the_reservation(tmp_path: Path) -> None:
    ids = [10**12 + number for number in range(100)]
    gone = {str(one): "lensmor refuses this personnel id as invalid" for one in ids}
    longest = {"attempt_id": "a" * 32, "purchases": ids, "task_id": "t" * 200, "check": {}, "gone": gone, "back": []}
    with journal(tmp_path).reserve(100) as reserved:
        (file,) = tmp_path.iterdir()
        size = file.stat().st_size
        reserved.keep(longest)
        assert file.stat().st_size == size
    assert adopt(journal(tmp_path)) == [longest]


def test_a_request_in_flight_keeps_its_reservation(tmp_path: Path) -> None:
    with journal(tmp_path).reserve(1) as reserved:
        assert adopt(journal(tmp_path)) == []
        reserved.keep(ANSWER)
        assert adopt(journal(tmp_path)) == []  # its process still holds the lock
    assert adopt(journal(tmp_path)) == [READ]


def test_the_reservation_of_a_killed_process_is_deleted(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from connector.store.journal import RecoveryJournal\n"
        f"with RecoveryJournal(Path(sys.argv[1]), {ID!r}).reserve(1): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False).returncode == 9  # noqa: S603
    assert len(names(tmp_path)) == 1
    assert adopt(journal(tmp_path)) == []
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "text"), [(errno.ENOSPC, "No space left"), (errno.EDQUOT, "quota"), (errno.EROFS, "Read-only")]
)
def test_without_space_there_is_no_reservation_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def full(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(JournalError, match=text) as raised, journal(tmp_path).reserve(1):
        pass
    assert raised.value.exit_code == 4
    assert str(tmp_path) in str(raised.value)
    assert names(tmp_path) == []


def test_a_real_limit_of_the_system_refuses_the_reservation(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from connector.store.journal import RecoveryJournal\n"
        "from connector.core.errors import JournalError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        f"    with RecoveryJournal(Path(sys.argv[1]), {ID!r}).reserve(100): sys.exit(1)\n"
        "except JournalError: sys.exit(4)"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 4  # noqa: S603
    assert names(tmp_path) == []


def test_without_fallocate_the_space_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    with journal(tmp_path).reserve(1) as reserved:
        (file,) = tmp_path.iterdir()
        assert file.stat().st_blocks * 512 >= 2048 + 256
        reserved.keep(ANSWER)
    assert adopt(journal(tmp_path)) == [READ]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with journal(tmp_path).reserve(1):
            (file,) = tmp_path.iterdir()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        os.umask(before)


# -- standard error ---------------------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_stored_is_printed_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_args: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with journal(tmp_path).reserve(1) as reserved, monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", broken)
        reserved.keep({**ANSWER, "purchases": [7, 8, 9], "task_id": "t\n\x1b[2J"})
    (line,) = capfd.readouterr().err.splitlines()
    assert "Input/output error" in line
    assert all(word in line for word in ('"attempt_id": "a1"', '"purchases": [7, 8, 9]', "task_id"))
    assert line.isprintable()
    (file,) = tmp_path.iterdir()
    assert str(file) in line
    file.write_text(line[line.index("{") :])  # the next step in the message
    (answer,) = adopt(journal(tmp_path))
    assert answer["task_id"] == "t\n\x1b[2J"


def test_a_ledger_in_memory_reserves_nothing_and_prints(capfd: pytest.CaptureFixture[str]) -> None:
    ledger = open_ledger_at(None)
    with ledger.journal.reserve(1) as reserved:
        pass
    assert capfd.readouterr().err == ""
    reserved.keep(ANSWER)
    assert '"attempt_id": "a1"' in capfd.readouterr().err
    assert adopt(ledger.journal) == []


def test_a_ledger_knows_its_requests(tmp_path: Path) -> None:
    ledger: Ledger = open_ledger_at(tmp_path / "ledger.db")
    harness = LedgerHarness(ledger)
    harness.plan("70011")
    batch = harness.batch()
    assert ledger.attempts.knows(batch.attempt_id)
    assert not ledger.attempts.knows("f" * 32)
