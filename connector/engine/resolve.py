"""Applies an operator's decision to a purchase, if the purchase's state allows it."""

from datetime import datetime
from enum import StrEnum

from connector.core.errors import ConfigurationError
from connector.core.model import Result
from connector.core.recover import GIVEN_UP as GIVEN_UP_PURCHASE
from connector.core.states import PurchaseState
from connector.store.ledger import Ledger
from connector.store.operator import OpenPurchase
from connector.store.rows import FinalResult

GIVEN_UP = "its value could not be written and was given up by an operator"


class OperatorDecision(StrEnum):
    """The decisions of `connector resolve`."""

    DELIVERED = "delivered"
    ALLOW_REPEAT = "allow-repeat"
    GIVE_UP = "give-up"
    RETRY_WRITE = "retry-write"


def options_of(row: OpenPurchase) -> tuple[OperatorDecision, ...]:
    """The decisions that a purchase allows; none for an event, and for a request that is only sent again if needed."""
    if row.event_id or row.unsent:
        return ()
    if row.parked:
        return (OperatorDecision.RETRY_WRITE, OperatorDecision.GIVE_UP)
    if row.state is PurchaseState.UNKNOWN:
        return (OperatorDecision.DELIVERED, OperatorDecision.ALLOW_REPEAT, OperatorDecision.GIVE_UP)
    return (OperatorDecision.DELIVERED, OperatorDecision.GIVE_UP)


def resolve(ledger: Ledger, purchase_id: int, decision: OperatorDecision, now: datetime) -> str:
    """Apply a decision; returns a sentence about its effect.

    Raises:
        ConfigurationError: there is no such purchase, or its state does not allow the decision.
    """
    found = ledger.operator.find(purchase_id)
    if found is None:
        raise ConfigurationError(f"there is no purchase {purchase_id}; see: connector status")
    state, result = found
    if decision is OperatorDecision.RETRY_WRITE:
        count = ledger.operator.retry_write(purchase_id)
        if not count:
            raise ConfigurationError(f"nothing of purchase {purchase_id} is parked; see: connector status")
        return f"the next run tries again to write the value of purchase {purchase_id} to {count} record(s)"
    if decision is OperatorDecision.GIVE_UP and state is PurchaseState.FINAL:
        count = ledger.operator.give_up_write(purchase_id, GIVEN_UP)
        if not count:
            ended = result.value if result else state.value
            raise ConfigurationError(
                f"purchase {purchase_id} is {ended}, and nothing of it is parked; see: connector status"
            )
        return (
            f"the value of purchase {purchase_id} is given up for {count} record(s); the next run queries the next "
            "source"
        )
    may_end = decision in {OperatorDecision.GIVE_UP, OperatorDecision.DELIVERED}
    ends = may_end and ledger.operator.is_at_vendor(purchase_id, now)
    if not ends and not _may_be_resolved(state, result, decision):
        raise ConfigurationError(
            f"purchase {purchase_id} is {result.value if result else state.value}; an operator's decision is for "
            "unknown ones (--give-up and --delivered also for unfinished ones, --allow-repeat for failed ones)"
        )
    match decision:
        case OperatorDecision.DELIVERED:
            _end(ledger, FinalResult(purchase_id, Result.DELIVERED, "delivered by hand", charged=True), state, now)
            ledger.operator.delivered_by_hand(purchase_id, now)
            return f"purchase {purchase_id} counts as delivered by hand and charged; its records close on the next run"
        case OperatorDecision.GIVE_UP:
            _end(ledger, FinalResult(purchase_id, Result.FAILED, GIVEN_UP_PURCHASE, charged=True), state, now)
            late = "; a late result is kept" if ends else ""
            return (
                f"purchase {purchase_id} is given up and counts as charged; the next run queries the next source{late}"
            )
        case OperatorDecision.ALLOW_REPEAT:
            if state is PurchaseState.UNKNOWN:
                reason = "its answer was lost; an operator has allowed a repeat"
                _end(ledger, FinalResult(purchase_id, Result.FAILED, reason, charged=True), state, now)
            if not ledger.operator.allow_repeat(purchase_id):
                raise ConfigurationError(f"purchase {purchase_id} was delivered meanwhile; see: connector status")
            return f"purchase {purchase_id} counts as charged, and may be bought again by the next run that selects it"


def _may_be_resolved(state: PurchaseState, result: Result | None, decision: OperatorDecision) -> bool:
    """Whether the state of a purchase that is not at the vendor allows a decision."""
    return state is PurchaseState.UNKNOWN or (decision is OperatorDecision.ALLOW_REPEAT and result is Result.FAILED)


def _end(ledger: Ledger, result: FinalResult, state: PurchaseState, now: datetime) -> None:
    """Finalize a purchase, if it is still in the state that the decision is for.

    Raises:
        ConfigurationError: the state has changed.
    """
    if not ledger.results.finalize([result], now, only=state):
        raise ConfigurationError(
            f"purchase {result.purchase_id} is {state.value} no longer: its answer has arrived; see: connector status"
        )
