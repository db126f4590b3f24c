"""The judgement of the vendor's record of a person: the complete table for unknown outcomes (docs/vendors.md)."""

import itertools

import pytest

from connector.core.model import Result
from connector.core.recover import (
    RESUBMISSIONS,
    TRACE_SCHEDULE_S,
    AskOperator,
    Final,
    MayRepeat,
    MaySubmit,
    ProviderState,
    ReadAgain,
    Verdict,
    judge,
)
from connector.core.states import PurchaseState

P, T, U = PurchaseState.PLANNED, PurchaseState.SUBMITTED, PurchaseState.UNKNOWN
READ_STATES = (P, T, U)


def test_the_schedule_is_one_minute_then_five_then_fifteen() -> None:
    assert TRACE_SCHEDULE_S == (60.0, 300.0, 900.0)
    assert RESUBMISSIONS == 1


@pytest.mark.parametrize(
    ("state", "view", "checks", "resubmitted", "verdict"),
    [
        # shown with a value: deliver; paid once if the request was ours
        (U, ProviderState.DELIVERED, 0, 0, Final(Result.DELIVERED, "", charged=True)),
        (U, ProviderState.DELIVERED, 2, 1, Final(Result.DELIVERED, "", charged=True)),
        (T, ProviderState.DELIVERED, 0, 0, Final(Result.DELIVERED, "", charged=True)),
        (P, ProviderState.DELIVERED, 0, 0, Final(Result.DELIVERED, "", charged=False)),
        (P, ProviderState.DELIVERED, 0, 1, Final(Result.DELIVERED, "", charged=True)),
        # running: the lost request took effect; keep polling like a task
        (U, ProviderState.RUNNING, 0, 0, ReadAgain(None, running=True)),
        (T, ProviderState.RUNNING, 9, 0, ReadAgain(None, running=True)),
        (P, ProviderState.RUNNING, 0, 0, ReadAgain(None, running=True)),
        # unreadable: poll again like a task, without any conclusion
        (U, ProviderState.UNREADABLE, 0, 0, ReadAgain(None)),
        (U, ProviderState.UNREADABLE, 9, 1, ReadAgain(None)),
        (T, ProviderState.UNREADABLE, 9, 0, ReadAgain(None)),
        (P, ProviderState.UNREADABLE, 0, 0, ReadAgain(None)),
        # no trace: again after five and fifteen minutes, then one resubmission, then an operator decides
        (U, ProviderState.NOT_BOUGHT, 0, 0, ReadAgain(300.0)),
        (U, ProviderState.NOT_BOUGHT, 1, 0, ReadAgain(900.0)),
        (U, ProviderState.NOT_BOUGHT, 2, 0, MayRepeat()),
        (U, ProviderState.NOT_BOUGHT, 7, 0, MayRepeat()),
        (U, ProviderState.NOT_BOUGHT, 0, 1, ReadAgain(300.0)),
        (U, ProviderState.NOT_BOUGHT, 2, 1, AskOperator()),
        (U, ProviderState.NOT_BOUGHT, 2, 5, AskOperator()),
        # accepted, but the record lags behind the task: the same waits, and never a second purchase
        (T, ProviderState.NOT_BOUGHT, 0, 0, ReadAgain(300.0)),
        (T, ProviderState.NOT_BOUGHT, 1, 0, ReadAgain(900.0)),
        # refused with 402 or 409: may be sent
        (P, ProviderState.NOT_BOUGHT, 0, 0, MaySubmit()),
        (P, ProviderState.NOT_BOUGHT, 0, 1, MaySubmit()),
    ],
)
def test_the_table(state: PurchaseState, view: ProviderState, checks: int, resubmitted: int, verdict: Verdict) -> None:
    assert judge(state, view, checks, resubmitted, charges_failures=True) == verdict


@pytest.mark.parametrize(("state", "charged"), [(U, True), (T, True), (P, False)])
def test_unlocked_without_a_value_is_not_found(state: PurchaseState, charged: bool) -> None:
    found = judge(state, ProviderState.NO_VALUE, 0, 0, charges_failures=True)
    assert isinstance(found, Final)
    assert (found.result, found.charged) == (Result.NOT_FOUND, charged)
    assert "shows no value" in found.reason


@pytest.mark.parametrize(
    ("state", "charges_failures", "charged"),
    [(U, True, True), (U, False, False), (T, True, True), (T, False, False), (P, True, False), (P, False, False)],
)
def test_the_vendors_own_failure_is_final(state: PurchaseState, charges_failures: bool, charged: bool) -> None:
    found = judge(state, ProviderState.FAILED, 0, 0, charges_failures=charges_failures)
    assert isinstance(found, Final)
    assert (found.result, found.charged) == (Result.FAILED, charged)


def test_an_accepted_but_invisible_purchase_fails_and_counts_as_charged() -> None:
    found = judge(T, ProviderState.NOT_BOUGHT, 2, 0, charges_failures=False)
    assert isinstance(found, Final)
    assert (found.result, found.charged) == (Result.FAILED, True)


@pytest.mark.parametrize("state", READ_STATES)
@pytest.mark.parametrize("view", ProviderState)
def test_no_request_is_repeated_without_evidence(state: PurchaseState, view: ProviderState) -> None:
    for checks, resubmitted, charges in itertools.product(range(5), range(3), (True, False)):
        verdict = judge(state, view, checks, resubmitted, charges_failures=charges)
        if isinstance(verdict, MayRepeat):
            assert (state, view, resubmitted) == (U, ProviderState.NOT_BOUGHT, 0)
            assert checks + 1 >= len(TRACE_SCHEDULE_S)
        if isinstance(verdict, MaySubmit):
            assert (state, view) == (P, ProviderState.NOT_BOUGHT)
        if isinstance(verdict, ReadAgain) and verdict.after_s is not None:
            assert verdict.after_s in TRACE_SCHEDULE_S[1:]
        if isinstance(verdict, Final) and verdict.result is not Result.DELIVERED:
            assert verdict.reason
