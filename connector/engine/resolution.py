"""An operator's decision on a purchase, checked against the purchase's state."""

from datetime import datetime
from enum import StrEnum

from connector.core.errors import ConfigurationError
from connector.core.model import Result, UnlockState
from connector.core.recover import GIVEN_UP as GIVEN_UP_PURCHASE
from connector.store.ledger import Ledger
from connector.store.rows import Settlement

GIVEN_UP = "its value could not be written and was given up by an operator"


class OperatorsWord(StrEnum):
    """What `connector resolve` may be told."""

    DELIVERED = "delivered"
    ALLOW_REPEAT = "allow-repeat"
    GIVE_UP = "give-up"
    RETRY_WRITE = "retry-write"


def resolve(ledger: Ledger, unlock_id: int, word: OperatorsWord, now: datetime) -> str:
    """Do what the operator says; returns it in words.

    Raises:
        ConfigurationError: there is no such unlock, or the word does not fit it.
    """
    found = ledger.operator.find(unlock_id)
    if found is None:
        raise ConfigurationError(f"there is no unlock {unlock_id}; see: connector status")
    state, result = found
    if word is OperatorsWord.RETRY_WRITE:
        count = ledger.operator.retry_write(unlock_id)
        if not count:
            raise ConfigurationError(f"nothing of unlock {unlock_id} is parked; see: connector status")
        return f"the value of unlock {unlock_id} is offered to {count} record(s) on the next run"
    if word is OperatorsWord.GIVE_UP and state is UnlockState.FINAL:
        count = ledger.operator.give_up_write(unlock_id, GIVEN_UP)
        if not count:
            ended = result.value if result else state.value
            raise ConfigurationError(
                f"unlock {unlock_id} is {ended}, and nothing of it is parked; see: connector status"
            )
        return (
            f"the value of unlock {unlock_id} is given up for {count} record(s); the next run queries the next source"
        )
    ends = word in {OperatorsWord.GIVE_UP, OperatorsWord.DELIVERED} and ledger.operator.is_at_vendor(unlock_id, now)
    if not ends and not _may_be_resolved(state, result, word):
        raise ConfigurationError(
            f"unlock {unlock_id} is {result.value if result else state.value}; an operator's word is for unknown ones "
            "(--give-up and --delivered also for unfinished ones, --allow-repeat for failed ones)"
        )
    match word:
        case OperatorsWord.DELIVERED:
            _end(ledger, Settlement(unlock_id, Result.DELIVERED, "delivered by hand", charged=True), state, now)
            ledger.operator.delivered_by_hand(unlock_id, now)
            return f"unlock {unlock_id} counts as delivered by hand and charged; its records close on the next run"
        case OperatorsWord.GIVE_UP:
            _end(ledger, Settlement(unlock_id, Result.FAILED, GIVEN_UP_PURCHASE, charged=True), state, now)
            late = "; a result that still comes is kept" if ends else ""
            return (
                f"unlock {unlock_id} is given up and counts as charged; the next source is asked on the next run{late}"
            )
        case OperatorsWord.ALLOW_REPEAT:
            if state is UnlockState.UNKNOWN:
                reason = "its answer was lost; an operator has allowed a repeat"
                _end(ledger, Settlement(unlock_id, Result.FAILED, reason, charged=True), state, now)
            if not ledger.operator.allow_repeat(unlock_id):
                raise ConfigurationError(f"unlock {unlock_id} was delivered meanwhile; see: connector status")
            return f"unlock {unlock_id} counts as charged, and may be bought once more by the next run that selects it"


def _may_be_resolved(state: UnlockState, result: Result | None, word: OperatorsWord) -> bool:
    """Whether a decision fits a purchase that the vendor is not working on."""
    return state is UnlockState.UNKNOWN or (word is OperatorsWord.ALLOW_REPEAT and result is Result.FAILED)


def _end(ledger: Ledger, settlement: Settlement, state: UnlockState, now: datetime) -> None:
    """End a purchase as the operator says, if it is still in the state that the decision is for.

    Raises:
        ConfigurationError: it is not.
    """
    if not ledger.results.settle([settlement], now, only=state):
        raise ConfigurationError(
            f"unlock {settlement.unlock_id} is {state.value} no longer: its answer has arrived; see: connector status"
        )
