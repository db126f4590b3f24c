"""The recovery journal: answers to paid requests that the database could not store (connection lost, disk full).

Each paid request in flight has its own file. It is created and filled before the request is sent, so that the disk
space of the answer is reserved. When the answer is committed, the file is deleted. An answer that cannot be committed
is written to the file and flushed, and the next run reads it first. Files are named after the ledger's id, so other
ledgers in the folder neither adopt nor remove them. They contain ids of the vendor and the ledger, no personal data.

A process locks the file of each request in flight. The lock ends with the process, so an unlocked file without an
answer is the reservation of a dead process.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from connector.core.errors import JournalError
from connector.store.private import OWNER_ONLY

REFUSED = ".refused"  # the suffix of files with unusable answers
BLOCK_BYTES = 4096
# The longest line has the attempt and the task (at most 200 characters), and for each purchase its id, twice, with the
# reason why the vendor will never deliver it.
FIXED_BYTES, BYTES_PER_PURCHASE = 2048, 256
_ATTEMPT_ID = re.compile(r"[0-9A-Za-z_-]{1,40}")
_STANDARD_ERROR = 2
Answer = dict[str, object]


class Reservation:
    """The reserved disk space for the answer to one paid request.

    Args:
        path: the file; None for ledgers in memory.
        handle: the open file, locked by this process; -1 for ledgers in memory.
    """

    def __init__(self, path: Path | None, handle: int) -> None:
        self._path = path
        self._handle = handle
        self._is_kept = False

    def keep(self, answer: Mapping[str, object]) -> None:
        """Write an answer and flush it to disk; if that fails, print it on standard error."""
        line = json.dumps(dict(answer))
        self._is_kept = True  # even if the next steps fail, a part of the answer may be in the file
        if self._path is None:
            _print_answer(None, line, OSError("a ledger in memory has no journal"))
            return
        try:
            _write(self._handle, line.encode() + b"\n")
            os.fsync(self._handle)
            _flush_folder(self._path.parent)
        except OSError as error:
            _print_answer(self._path, line, error)

    @contextlib.contextmanager
    def kept_on_failure(self, answer: Mapping[str, object]) -> Iterator[None]:
        """Keep the answer if the block, which commits it, fails or is interrupted."""
        try:
            yield
        except (Exception, KeyboardInterrupt):
            self.keep(answer)
            raise

    def give_back(self) -> None:
        """Delete the file, unless it contains an answer, and unlock it."""
        if self._path is None:
            return
        try:
            if not self._is_kept:
                self._path.unlink(missing_ok=True)  # before the unlock: a waiting process then sees the deleted file
        finally:
            os.close(self._handle)


@dataclass
class Adoption:
    """The content of a ledger's journal.

    Attributes:
        answers: the answers to requests of the ledger; their files are deleted when the adoption succeeds.
        strange: files that cannot be read, or that match no request of this ledger; they stay.
    """

    answers: list[Answer] = field(default_factory=list)
    strange: list[Path] = field(default_factory=list)
    _left: list[int] = field(default_factory=list)
    _refused: list[int] = field(default_factory=list)

    def refuse(self, answer: Answer) -> None:
        """Set an unusable answer aside: it is kept, and never read again."""
        self._refused.append(id(answer))

    def is_refused(self, answer: Answer | None) -> bool:
        """Whether an answer is to be set aside."""
        return id(answer) in self._refused

    def leave(self, answer: Answer) -> None:
        """Leave an answer in the journal."""
        self._left.append(id(answer))

    def is_adopted(self, answer: Answer | None) -> bool:
        """Whether an answer can be deleted."""
        return answer is not None and id(answer) not in self._left


class RecoveryJournal:
    """The journal of one ledger.

    Args:
        folder: the folder of its files; None for ledgers in memory.
        ledger_id: the ledger's id.
        former: the file of earlier versions: one answer per line, possibly of several ledgers.
    """

    def __init__(self, folder: Path | None, ledger_id: str, former: Path | None = None) -> None:
        self._folder = folder
        self._name = f"connector-{ledger_id}"
        self._former = former

    @contextlib.contextmanager
    def reserve(self, purchases: int) -> Iterator[Reservation]:
        """Reserve the disk space of one answer while the block runs.

        Args:
            purchases: the most purchases that the request may carry.

        Raises:
            JournalError: the disk is full, or the folder is not writable.
        """
        if self._folder is None:
            yield Reservation(None, -1)
            return
        try:
            reserved = self._make(self._folder, FIXED_BYTES + BYTES_PER_PURCHASE * purchases)
        except OSError as error:
            raise JournalError(
                f"no disk space can be reserved for the recovery journal in {self._folder} "
                f"({error.strerror or type(error).__name__}), so nothing is bought: free disk space there and let the "
                "connector's user write in that folder, then run again"
            ) from error
        try:
            yield reserved
        finally:
            reserved.give_back()

    def _make(self, folder: Path, size: int) -> Reservation:
        while True:
            path = folder / f"{self._name}.{secrets.token_hex(6)}.journal"
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if not os.fstat(handle).st_nlink:  # another process deleted it before it was locked
                    os.close(handle)
                    continue
                _allocate(handle, -(-size // BLOCK_BYTES) * BLOCK_BYTES)
            except BaseException:
                path.unlink(missing_ok=True)
                os.close(handle)
                raise
            return Reservation(path, handle)

    @contextlib.contextmanager
    def adopting(self, knows: Callable[[str], bool]) -> Iterator[Adoption]:
        """Read the answers, which the block commits; if it succeeds, their files are deleted.

        Args:
            knows: whether the ledger has a paid request with this id.
        """
        adoption = Adoption()
        with contextlib.ExitStack() as held:
            cleanups = [self._open(path, knows, adoption, held) for path in self.files()]
            if self._former is not None and self._former.exists():
                cleanups.append(self._open_former(self._former, knows, adoption, held))
            yield adoption
            for clean_up in cleanups:
                clean_up()

    def files(self) -> list[Path]:
        """List the journal's files, including those of requests in flight."""
        return [] if self._folder is None else sorted(self._folder.glob(f"{self._name}.*.journal"))

    def _open(
        self, path: Path, knows: Callable[[str], bool], adoption: Adoption, held: contextlib.ExitStack
    ) -> Callable[[], None]:
        """Read one file, unless its request is in flight; returns the cleanup after the adoption."""
        try:
            file = held.enter_context(path.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            return _do_nothing
        except PermissionError:
            adoption.strange.append(path)
            return _do_nothing
        text = file.read().rstrip(b"\0").decode(errors="replace").strip()
        if not text:
            path.unlink(missing_ok=True)  # the reservation of a dead process
            return _do_nothing
        answer = _parsed(text, knows)
        if answer is None:
            adoption.strange.append(path)
            return _do_nothing
        adoption.answers.append(answer)

        def clean_up() -> None:
            if adoption.is_refused(answer):
                path.replace(path.with_name(path.name + REFUSED))
            elif adoption.is_adopted(answer):
                path.unlink(missing_ok=True)

        return clean_up

    def _open_former(
        self, path: Path, knows: Callable[[str], bool], adoption: Adoption, held: contextlib.ExitStack
    ) -> Callable[[], None]:
        """Read the file of an earlier version; lines for other ledgers stay in it."""
        file = held.enter_context(_locked(path))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip("\0 ")]
        answers = [_parsed(line, knows) for line in lines]
        adoption.answers += [answer for answer in answers if answer is not None]
        if None in answers:
            adoption.strange.append(path)

        def clean_up() -> None:
            pairs = list(zip(lines, answers, strict=True))
            rest = [line for line, found in pairs if not adoption.is_adopted(found)]
            _append(path.with_name(path.name + REFUSED), [line for line, found in pairs if adoption.is_refused(found)])
            if not rest:
                path.unlink(missing_ok=True)
            elif len(rest) < len(lines):
                _replace(path, "\n".join(rest) + "\n")

        return clean_up


def _do_nothing() -> None:
    """The cleanup of a file that stays or is deleted already."""


def _parsed(text: str, knows: Callable[[str], bool]) -> Answer | None:
    """Parse an answer; None if the text is invalid or the ledger has no such request."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    attempt_id = found.get("attempt_id") if isinstance(found, dict) else None
    if not isinstance(attempt_id, str) or not _ATTEMPT_ID.fullmatch(attempt_id) or not knows(attempt_id):
        return None
    return dict(found)


def _allocate(handle: int, size: int) -> None:
    """Allocate the disk blocks of a file, so that later writes need no further space."""
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None:  # macOS
        _write(handle, b"\0" * size)
        os.fsync(handle)
    else:
        allocate(handle, 0, size)


def _write(handle: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(handle, data[done:], done)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    try:
        _write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)


def _append(path: Path, lines: list[str]) -> None:
    if lines:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _print_answer(path: Path | None, line: str, error: OSError) -> None:
    """Print an answer that could not be stored, as one line on standard error."""
    next_step = f"free disk space, make it the only line of {path}, and run again: the next run reads it"
    text = (
        "connector: neither the ledger nor its recovery journal could store the answer to a paid request "
        f"({error.strerror or error}). Keep the answer, which is the text in the outer braces. "
        f"Next step: {next_step if path else 'report it'}. Answer: {line}\n"
    )
    with contextlib.suppress(OSError):
        os.write(_STANDARD_ERROR, text.encode())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open and lock the file of an earlier version; open it again if it was replaced before it was locked."""
    while True:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                file.seek(0)
                yield file
                return
