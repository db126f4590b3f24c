"""Rows that are refused together: because of one row, because they are too many, or each for its own reason.

A limit or a failure of the org's automation affects a whole call. Calls with fewer rows isolate the faulty row. If many
rows in a row fail alone, the search ends, and the remaining rows count as refused for their own reason.
"""

import hashlib
from collections.abc import Sequence

from connector.crm.interface import ErrorClass, Rejection
from connector.engine.context import Run
from connector.store.rows import RecordRow

ALL_FAIL = 20  # after this many rows in a row have failed alone, all rows are expected to fail
PROBES = 5  # the number of rows sent alone in each further collection after that
SHARED = frozenset({ErrorClass.LIMIT, ErrorClass.AUTOMATION})


def may_be_anothers(run: Run, object_name: str, answer: Rejection | None, sent: int) -> bool:
    """Whether the row may succeed with fewer others in the call.

    Args:
        run: the run.
        object_name: the CRM object.
        answer: the CRM's answer for the row.
        sent: the number of rows in the call.
    """
    shared = answer is not None and answer.error_class in SHARED
    return shared and sent > 1 and run.failed_alone[object_name] < ALL_FAIL


def learn(run: Run, object_name: str, answers: Sequence[Rejection | None], *, is_search: bool) -> None:
    """Adapt the size of the next calls to the answers of one call.

    Args:
        run: the run.
        object_name: the CRM object.
        answers: the answers, one for each row.
        is_search: the rows were refused before, and were sent again.
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


def shuffled(run: Run, rows: Sequence[RecordRow]) -> list[RecordRow]:
    """The rows in a pseudo-random order of this run: rows that always fail must not come first in every run."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{run.id}/{row.id}".encode()).digest())
