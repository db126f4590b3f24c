"""The estimate of CRM requests, and its inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.crm_calls import FIXED, CallSizes, calls_for, records_for

REST = CallSizes(2000, 200)
JOBS = CallSizes(2000, 200, 10_000)


@pytest.mark.parametrize(
    ("records", "sizes", "calls"),
    [(0, REST, 0), (1, REST, 4), (2000, REST, 14), (10_000, REST, 70), (10_000, JOBS, 20)],
)
def test_requests_of_some_records(records: int, sizes: CallSizes, calls: int) -> None:
    assert calls_for(records, sizes) == FIXED + calls


@given(st.integers(0, 5_000), st.sampled_from([REST, JOBS, CallSizes(100, 100)]))
def test_the_most_records_fit_and_one_more_does_not(calls: int, sizes: CallSizes) -> None:
    most = records_for(calls, sizes)
    assert most == 0 or calls_for(most, sizes) <= calls
    assert calls_for(most + sizes.block, sizes) > calls


@given(st.integers(0, 100_000), st.sampled_from([REST, JOBS]))
def test_more_records_never_need_fewer_requests(records: int, sizes: CallSizes) -> None:
    assert calls_for(records, sizes) <= calls_for(records + 1, sizes)
