"""Judges the provider's own record of a person for a purchase without a result.

Three kinds of purchase are verified like this: one whose answer was lost (`unknown`), one that was accepted but has no
line in a task (`submitted`), and one that was refused in a way that requires a check before it is sent again
(`planned`). The tables follow the resolution of unknown outcomes in docs/vendors.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from connector.core.model import Result
from connector.core.states import PurchaseState

# Seconds before each read of a person whose purchase has left no trace: one minute, then five, then fifteen.
TRACE_SCHEDULE_S = (60.0, 300.0, 900.0)
RESUBMISSIONS = 1
GIVEN_UP = "given up by an operator"  # the reason of a purchase whose late result still counts
EARLIER_REQUEST = "an earlier request brought the value"  # of a delivered purchase whose own answer may still arrive


class ProviderState(StrEnum):
    """The state of one channel in the vendor's record of a person."""

    NOT_BOUGHT = "not_bought"
    RUNNING = "running"
    UNREADABLE = "unreadable"  # unknown status, or another person's answer; inconclusive
    DELIVERED = "delivered"
    NO_VALUE = "no_value"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Final:
    """The read shows the result.

    Attributes:
        charged: whether the price was charged, or must be presumed charged.
    """

    result: Result
    reason: str
    charged: bool


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The read is inconclusive; read again.

    Attributes:
        after_s: seconds from now; None means to poll as for a running task, without counting this read.
        running: whether the vendor shows a running task.
    """

    after_s: float | None
    running: bool = False

    @property
    def counts(self) -> bool:
        """Whether the read counts as one without a trace."""
        return self.after_s is not None


@dataclass(frozen=True, slots=True)
class MaySubmit:
    """The vendor's record shows no purchase: the planned one may be sent."""


@dataclass(frozen=True, slots=True)
class MayRepeat:
    """The lost request had no effect: it may be sent once more, which is counted."""


@dataclass(frozen=True, slots=True)
class AskOperator:
    """The vendor's record shows nothing, and the one resubmission is used up: an operator must decide."""


Verdict = Final | ReadAgain | MaySubmit | MayRepeat | AskOperator


def judge(
    state: PurchaseState,
    view: ProviderState,
    checks: int,
    resubmitted: int,
    *,
    charges_failures: bool,
    sent: bool = True,
) -> Verdict:
    """Decide from the vendor's record.

    Args:
        state: the state of the purchase.
        view: the channel in the vendor's record.
        checks: the number of earlier reads without a trace.
        resubmitted: how often the request was sent again.
        charges_failures: whether a failed item must be presumed charged.
        sent: whether a request for it has left; if not, another user started the vendor's task.
    """
    # A planned purchase that was sent before: the vendor shows the effect of that lost request.
    bought = (sent and state is not PurchaseState.PLANNED) or resubmitted > 0
    match view:
        case ProviderState.DELIVERED:
            return Final(Result.DELIVERED, "", charged=bought)
        case ProviderState.NO_VALUE:
            return Final(Result.NOT_FOUND, "the vendor unlocked the person and shows no value", charged=bought)
        case ProviderState.FAILED:
            return Final(Result.FAILED, "the vendor says that the purchase failed", charged=bought and charges_failures)
        case ProviderState.RUNNING:
            return ReadAgain(None, running=True)
        case ProviderState.UNREADABLE:
            return ReadAgain(None)
        case ProviderState.NOT_BOUGHT:
            return _no_trace(state, checks, resubmitted, sent=sent)


def _no_trace(state: PurchaseState, checks: int, resubmitted: int, *, sent: bool) -> Verdict:
    if state is PurchaseState.PLANNED:
        return MaySubmit()
    if checks + 1 < len(TRACE_SCHEDULE_S):
        return ReadAgain(TRACE_SCHEDULE_S[checks + 1])
    if state is PurchaseState.UNKNOWN:
        return MayRepeat() if resubmitted < RESUBMISSIONS else AskOperator()
    if not sent:  # the answer was unreadable, or another user's purchase ended without a result
        return MaySubmit()
    return Final(
        Result.FAILED, "the vendor's task ended without this person, and its record shows no purchase", charged=True
    )
