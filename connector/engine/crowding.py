"""Rows that are refused together: because of one of them, because they are too many, or each for itself.

Limits and failures of the org's automation hit a whole call. Fewer rows in a call find the one to blame. Where row
after row fails alone, the search is given up, and what is left counts as refused for a reason of its own.
"""

import hashlib
from collections.abc import Sequence

from connector.crm.interface import ErrorClass, Rejection
from connector.engine.context import Run
from connector.store.rows import RecordRow

ALL_FAIL = 20  # so many rows that failed alone, one after the other: all fail
PROBES = 5  # of them, once that is so, in each further collection
SHARED = frozenset({ErrorClass.LIMIT, ErrorClass.AUTOMATION})


def may_be_anothers(run: Run, object_name: str, answer: Rejection | None, sent: int) -> bool:
    """Whether the row may be taken when it is sent with fewer others.

    Args:
        run: the run.
        object_name: the CRM object.
        answer: what the CRM said of the row.
        sent: rows in the call.
    """
    shared = answer is not None and answer.error_class in SHARED
    return shared and sent > 1 and run.failed_alone[object_name] < ALL_FAIL


def learn(run: Run, object_name: str, answers: Sequence[Rejection | None], *, is_search: bool) -> None:
    """Draw the conclusions of one call for the next ones.

    Args:
        run: the run.
        object_name: the CRM object.
        answers: row by row.
        is_search: the rows were refused before, and are sent again.
    """
    shared = [answer for answer in answers if answer is not None and answer.error_class in SHARED]
    if is_search and len(shared) < len(answers):
        run.failed_alone[object_name] = 0
    elif not is_search:
        run.failed_alone[object_name] = min(run.failed_alone[object_name], ALL_FAIL - PROBES)
    if shared and len(answers) == 1:
        run.failed_alone[object_name] += 1
        if run.failed_alone[object_name] == ALL_FAIL:
            run.smaller.pop(object_name, None)  # fewer rows did not help
    over_limit = any(answer.error_class is ErrorClass.LIMIT for answer in shared)
    if over_limit and run.failed_alone[object_name] < ALL_FAIL:
        run.smaller[object_name] = max(1, len(answers) // 2)


def mixed(run: Run, rows: Sequence[RecordRow]) -> list[RecordRow]:
    """The rows in an order of this run's own: those that always fail must not stand before the others every day."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{run.id}/{row.id}".encode()).digest())
