"""The state machines of the ledger: their states, and the moves that the store may make.

A purchase:

    planned ──hold committed──▶ submitting ──provider's id committed──▶ submitted ──result──▶ final
       ▲                          │    │                                                        ▲
       └──definite refusal────────┘    └──answer lost, or owner dead──▶ unknown ────────────────┘

A `planned` purchase becomes `submitted` or `unknown` without being sent only if the late answer to its lost request
arrives after a repeat was allowed and before the repeat left. A `submitting` one that has not left yet goes back to
`planned` first.

An `unknown` purchase becomes `submitted` when a late answer brings its task id. It becomes `planned` when the provider
shows that the request had no effect (one counted resubmission), or the operator allows a repeat. It becomes `final`
when the provider's own record of the person shows the result, or an older purchase of the same person and channel
delivers late; such a value also ends a `planned` or `submitted` purchase. `final` never changes, with one exception
that costs nothing: evidence of a value turns not found or failed into delivered.

The store makes no move that is missing from the tables below; `tests/state_moves.py` checks that.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

S = TypeVar("S", bound=StrEnum)
Moves = Mapping[S, frozenset[S]]


class PurchaseState(StrEnum):
    """The states of a purchase."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    FINAL = "final"


class RecordState(StrEnum):
    """The states of a record; a record that is flagged again gets a new row."""

    OPEN = "open"
    CLOSED = "closed"


class ChannelState(StrEnum):
    """The states of a record channel.

    Resolving: the person's identity must be resolved first. Open: waits for its purchase. Deferred: nothing more is
    done for it in this run. Ready: has a value or a reason to write. Done: has its outcome.
    """

    RESOLVING = "resolving"
    OPEN = "open"
    DEFERRED = "deferred"
    READY = "ready"
    DONE = "done"


class AttemptState(StrEnum):
    """The states of a paid request. Recalled: withdrawn before it left, after a late answer to an earlier one."""

    SUBMITTING = "submitting"
    RECALLED = "recalled"
    SUBMITTED = "submitted"
    REFUSED = "refused"
    LOST = "lost"


class TaskState(StrEnum):
    """Whether a provider's task is still polled."""

    OPEN = "open"
    ENDED = "ended"


class ChangeState(StrEnum):
    """The states of a write to the CRM; the before-image is committed with INTENDED before the write leaves."""

    INTENDED = "intended"
    WRITTEN = "written"
    REJECTED = "rejected"
    UNDONE = "undone"


class BulkJobState(StrEnum):
    """The states of a job of updates. Planned: it may exist in the CRM without its id being known here."""

    PLANNED = "planned"
    CREATED = "created"
    ENDED = "ended"


class RunState(StrEnum):
    """The states of a run. Stopped: a cap, a quota or an outage ended it early. Died: its process was killed."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    DIED = "died"


class RequestItemState(StrEnum):
    """The states of a requested record. Working: a run has selected it, and it has no final outcome yet."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"


class JobKind(StrEnum):
    """What a job asks for, the most urgent first.

    Run: a run that another process delegates. Schedule: the next sync of a mapping's schedule. Requests: requested
    records of a mapping. Poll: what a mapping's open records wait for.
    """

    RUN = "run"
    SCHEDULE = "schedule"
    REQUESTS = "requests"
    POLL = "poll"


class JobState(StrEnum):
    """The states of a delegated run; a mapping's standing jobs always wait for their time."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class ReceiptState(StrEnum):
    """Whether the provider confirmed a callback."""

    WAITING = "waiting"
    USED = "used"
    REFUSED = "refused"


_P, _C, _A, _W, _U = PurchaseState, ChannelState, AttemptState, ChangeState, RunState

PURCHASE: Moves[PurchaseState] = {
    _P.PLANNED: frozenset({_P.SUBMITTING, _P.SUBMITTED, _P.UNKNOWN, _P.FINAL}),
    _P.SUBMITTING: frozenset({_P.PLANNED, _P.SUBMITTED, _P.UNKNOWN, _P.FINAL}),
    _P.SUBMITTED: frozenset({_P.FINAL, _P.UNKNOWN, _P.PLANNED}),
    _P.UNKNOWN: frozenset({_P.SUBMITTED, _P.PLANNED, _P.FINAL}),
    _P.FINAL: frozenset(),
}
RECORD: Moves[RecordState] = {
    RecordState.OPEN: frozenset({RecordState.CLOSED}),
    RecordState.CLOSED: frozenset(),
}
_DECIDED = frozenset({_C.RESOLVING, _C.OPEN, _C.DEFERRED, _C.READY})
CHANNEL: Moves[ChannelState] = {
    _C.RESOLVING: _DECIDED | {_C.DONE},
    _C.OPEN: _DECIDED | {_C.DONE},
    _C.DEFERRED: _DECIDED | {_C.DONE},
    _C.READY: frozenset(
        {_C.OPEN, _C.DEFERRED, _C.DONE}
    ),  # an operator's decision, or a value that the CRM cannot accept
    _C.DONE: frozenset({_C.OPEN, _C.READY}),  # undone, or skipped for a reason that no longer holds
}
ATTEMPT: Moves[AttemptState] = {
    _A.SUBMITTING: frozenset({_A.RECALLED, _A.SUBMITTED, _A.REFUSED, _A.LOST}),
    _A.RECALLED: frozenset({_A.SUBMITTED, _A.REFUSED, _A.LOST}),
    _A.LOST: frozenset({_A.SUBMITTED, _A.REFUSED}),  # its answer came late
    _A.SUBMITTED: frozenset(),
    _A.REFUSED: frozenset(),
}
TASK: Moves[TaskState] = {TaskState.OPEN: frozenset({TaskState.ENDED}), TaskState.ENDED: frozenset()}
CHANGE: Moves[ChangeState] = {
    _W.INTENDED: frozenset({_W.WRITTEN, _W.REJECTED, _W.UNDONE}),
    _W.WRITTEN: frozenset({_W.UNDONE}),
    _W.REJECTED: frozenset(),
    _W.UNDONE: frozenset(),
}
RUN: Moves[RunState] = {
    _U.RUNNING: frozenset({_U.FINISHED, _U.STOPPED, _U.FAILED, _U.DIED}),
    **dict.fromkeys((_U.FINISHED, _U.STOPPED, _U.FAILED, _U.DIED), frozenset[RunState]()),
}
BULK_JOB: Moves[BulkJobState] = {
    BulkJobState.PLANNED: frozenset({BulkJobState.CREATED, BulkJobState.ENDED}),
    BulkJobState.CREATED: frozenset({BulkJobState.ENDED}),
    BulkJobState.ENDED: frozenset(),
}
REQUEST_ITEM: Moves[RequestItemState] = {
    RequestItemState.WAITING: frozenset({RequestItemState.WORKING, RequestItemState.DONE}),
    RequestItemState.WORKING: frozenset({RequestItemState.DONE}),
    RequestItemState.DONE: frozenset(),
}
JOB: Moves[JobState] = {
    JobState.WAITING: frozenset({JobState.RUNNING, JobState.DONE}),
    JobState.RUNNING: frozenset({JobState.DONE}),
    JobState.DONE: frozenset(),
}
RECEIPT: Moves[ReceiptState] = {
    ReceiptState.WAITING: frozenset({ReceiptState.USED, ReceiptState.REFUSED}),
    ReceiptState.USED: frozenset(),
    ReceiptState.REFUSED: frozenset(),
}
MACHINES: Mapping[str, Moves[PurchaseState] | Moves[RecordState] | Moves[ChannelState] | Moves[AttemptState]
                  | Moves[TaskState] | Moves[ChangeState] | Moves[RunState] | Moves[RequestItemState]
                  | Moves[JobState] | Moves[ReceiptState] | Moves[BulkJobState]] = {
    "purchase": PURCHASE, "record": RECORD, "record_channel": CHANNEL, "attempt": ATTEMPT, "task": TASK,
    "change": CHANGE, "run": RUN, "request_item": REQUEST_ITEM, "job": JOB, "callback_receipt": RECEIPT,
    "bulk_job": BULK_JOB,
}  # fmt: skip

UNFINISHED_CHANNEL = (ChannelState.RESOLVING, ChannelState.OPEN, ChannelState.DEFERRED)  # nothing to write yet
UNANSWERED = (AttemptState.SUBMITTING, AttemptState.RECALLED)
SENT = (PurchaseState.SUBMITTING, PurchaseState.SUBMITTED, PurchaseState.UNKNOWN)  # may cost credits, has no result
AT_PROVIDER = (PurchaseState.SUBMITTING, PurchaseState.SUBMITTED)
BOUGHT = tuple(state for state in PurchaseState if state is not PurchaseState.PLANNED)
MAY_STAND = (ChangeState.WRITTEN, ChangeState.INTENDED)  # the CRM may hold our value


def before(moves: Moves[S], new: S) -> tuple[S, ...]:
    """The states that may change to `new`, for compare-and-set."""
    return tuple(old for old, following in moves.items() if new in following)
