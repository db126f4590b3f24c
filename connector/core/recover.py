"""What a read of the provider's own record of a person means for a purchase without a result.

Three kinds of purchase are read: one whose answer was lost (`unknown`), one that was taken but has no line in a task
(`submitted`), and one that was refused in a way that calls for a look before it is sent again (`planned`). The tables
follow the resolution of unknown outcomes in docs/vendors.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from connector.core.model import Result
from connector.core.states import PurchaseState

# Seconds before each read of a person whose purchase left no trace yet: one minute, then five, then fifteen.
TRACE_SCHEDULE_S = (60.0, 300.0, 900.0)
RESUBMISSIONS = 1
GIVEN_UP = "given up by an operator"  # the reason of a purchase whose late result still counts
EARLIER_REQUEST = "an earlier request brought the value"  # of a delivered purchase whose own answer may still arrive


class ProviderState(StrEnum):
    """What the vendor's record shows of one channel."""

    NOT_BOUGHT = "not_bought"
    RUNNING = "running"
    UNREADABLE = "unreadable"  # an unknown status, or an answer about another person; proves nothing
    DELIVERED = "delivered"
    NO_VALUE = "no_value"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Final:
    """The read shows the result.

    Attributes:
        charged: the price was taken, or must be presumed to have been.
    """

    result: Result
    reason: str
    charged: bool


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """Nothing is decided; read once more.

    Attributes:
        after_s: seconds from now; None means at the pace of a running task, and that this read counts for nothing.
        running: the vendor shows that work is under way.
    """

    after_s: float | None
    running: bool = False

    @property
    def counts(self) -> bool:
        """Whether the read was one of those without a trace."""
        return self.after_s is not None


@dataclass(frozen=True, slots=True)
class MaySubmit:
    """The vendor shows that nothing was bought: a planned purchase may be sent."""


@dataclass(frozen=True, slots=True)
class MayRepeat:
    """The lost request was not taken: it may be sent once more, counted."""


@dataclass(frozen=True, slots=True)
class AskOperator:
    """The vendor shows nothing, and the one resubmission was used: a person must decide."""


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
    """Decide by the vendor's record.

    Args:
        state: of the purchase.
        view: of the vendor.
        checks: fruitless reads before this one.
        resubmitted: how often it was sent again.
        charges_failures: whether a failed item must be presumed charged.
        sent: whether a request for it has left; else the vendor showed work that others have begun.
    """
    # A planned purchase that was sent before: what the vendor shows is that lost request's work.
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
    if not sent:  # an answer that could not be read, or a purchase of others that came to nothing
        return MaySubmit()
    return Final(
        Result.FAILED, "the vendor's task ended without this person, and its record shows no purchase", charged=True
    )
