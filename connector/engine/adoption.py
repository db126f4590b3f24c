"""Adopts the answers in the recovery journal, which the database could not store; unusable ones are reported.

A stored answer is checked like any external value. An unusable answer is kept and does not stop later runs: its request
is verified like one whose answer was lost.
"""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from connector.core.clock import Clock
from connector.core.limits import MAX_ROW_ID, is_plain, is_vendor_id
from connector.core.model import Attention
from connector.core.printable import one_line
from connector.engine import journaled
from connector.engine.context import Run
from connector.store.journal import REFUSED, Answer
from connector.store.ledger import Ledger
from connector.store.rows import RequestAnswer

_MAX_ATTEMPT_ID_CHARACTERS = 40
_LONGEST_REASON = 300
STRANGE = "the recovery journal {file} holds an answer that matches no paid request of this ledger, or cannot be read"
STRANGE_NEXT = (
    "if this ledger was restored from a backup, use the newer ledger; otherwise move the file to another folder, and "
    "keep it: it names paid requests"
)


@dataclass(frozen=True, slots=True)
class AdoptedAnswers:
    """The answers of the recovery journal that could not be adopted.

    Attributes:
        refused: a sentence about the unusable ones, which were set aside; empty if there were none.
        strange: files that cannot be read, or that match no paid request of the ledger.
    """

    refused: str
    strange: tuple[Path, ...]


def adopt_stored(run: Run) -> None:
    """Adopt the answers in the recovery journal; each file stays until its answer is in the ledger or is set aside.

    Raises:
        sa.exc.SQLAlchemyError: the database is lost again.
    """
    found = adopt_answers(run.services.ledger, run.services.clock)
    run.attention += [Attention(STRANGE.format(file=path), STRANGE_NEXT) for path in found.strange]
    if found.refused:
        run.services.progress.note(found.refused)
        run.attention.append(
            Attention(found.refused, "their requests are verified like those with a lost answer; see: connector status")
        )


def adopt_answers(ledger: Ledger, clock: Clock) -> AdoptedAnswers:
    """Adopt the answers in the recovery journal, without a run; see `adopt_stored`."""
    refused = 0
    with ledger.journal.adopting(ledger.attempts.knows) as adoption:
        for answer in adoption.answers:
            if not _adopt(ledger, clock, answer):
                adoption.refuse(answer)
                refused += 1
    words = f"{refused} stored answer(s) to paid requests cannot be used; they are kept in files that end in {REFUSED}"
    return AdoptedAnswers(words if refused else "", tuple(adoption.strange))


def stored_answer(found: object) -> RequestAnswer | None:
    """Parse an answer from a stored JSON value; None if it is invalid or exceeds the limits of the ledger."""
    if not isinstance(found, dict):
        return None
    attempt_id, task_id = found.get("attempt_id"), found.get("task_id")
    check, gone, back = (found.get(name) for name in ("check", "gone", "back"))
    if not isinstance(attempt_id, str) or not is_plain(attempt_id, _MAX_ATTEMPT_ID_CHARACTERS):
        return None
    if task_id is not None and not (isinstance(task_id, str) and is_vendor_id(task_id)):
        return None
    checks, reasons = _by_row(check), _by_row(gone)
    rows = [_row_id(one) for one in back] if isinstance(back, list) else [] if back is None else [None]
    if checks is None or reasons is None or None in rows:
        return None
    return RequestAnswer(
        attempt_id,
        task_id,
        {row: free is True for row, free in checks.items()},
        {row: one_line(str(reason), _LONGEST_REASON) for row, reason in reasons.items()},
        tuple(row for row in rows if row is not None),
    )


def _adopt(ledger: Ledger, clock: Clock, found: Answer) -> bool:
    """Adopt an answer; False if it is unusable. An answer that the ledger already has changes nothing."""
    answer = stored_answer(found)
    if answer is None:
        return False
    try:
        if journaled.adopt(ledger, clock, found):
            return True
        ledger.answers.accept(answer, clock.now(), clock.now())
    except (sa.exc.DataError, sa.exc.IntegrityError):
        return False
    return True


def _by_row(found: object) -> dict[int, object] | None:
    """Convert the keys to ids of rows; None if any key is not one."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        return None
    rows = {_row_id(key): value for key, value in found.items()}
    return None if None in rows else {row: value for row, value in rows.items() if row is not None}


def _row_id(found: object) -> int | None:
    text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(MAX_ROW_ID)):
        return None
    return int(text) if int(text) <= MAX_ROW_ID else None
