"""The causes of alerts: which exit codes, balances and silences are one, and what the messages say."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.core.alerts import (
    RunEnd,
    balance_check,
    begun,
    checks_of_run,
    no_value_check,
    silence_check,
    spend_check,
)
from connector.core.errors import ConfigurationError

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(("code", "held"), [(0, []), (1, [1]), (2, [2]), (3, [3]), (4, [4]), (130, [])], ids=str)
def test_an_exit_code_begins_its_own_cause_and_ends_the_others(code: int, held: list[int]) -> None:
    found = list(checks_of_run(RunEnd("sync", ("lead",), code)))
    assert [int(one.cause.key.rpartition(" ")[2]) for one in found if one.holds] == held
    assert [one.cause.key for one in found if not one.holds] == [
        f"run sync lead {other}" for other in (1, 2, 3, 4) if other not in held
    ]


def test_only_a_stopped_run_waits_for_a_second_day() -> None:
    found = {int(one.cause.key[-1]): one.cause.patience for one in checks_of_run(RunEnd("sync", ("lead",), 4))}
    assert found == {1: False, 2: False, 3: False, 4: True}


def test_another_run_with_the_lock_says_nothing() -> None:
    assert list(checks_of_run(RunEnd("sync", ("lead",), 5))) == []


def test_runs_of_other_commands_and_mappings_have_causes_of_their_own() -> None:
    keys = [
        {one.cause.key for one in checks_of_run(end)}
        for end in (RunEnd("sync", ("lead",), 3), RunEnd("sync", ("contact",), 3), RunEnd("backfill", ("lead",), 3))
    ]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]


def test_a_message_names_the_run_the_first_reasons_and_the_number_of_the_others() -> None:
    end = RunEnd("sync", ("lead",), 3, "run-1", tuple(f"reason {number}" for number in range(5)), 12)
    (cause,) = [one.cause for one in checks_of_run(end) if one.holds]
    text = begun(cause).text()
    assert "sync of lead ended with exit code 3: finished, but records need attention" in text
    assert "reason 4" in text
    assert "and 7 more" in text
    assert "connector show run-1" in text


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [(ConfigurationError("one\ntwo"), 2, "one"), (KeyError("ada@example.com"), 1, "KeyError")],
)
def test_a_fault_is_named_without_its_text(error: Exception, code: int, reason: str) -> None:
    found = RunEnd.failed("sync", ["lead"], error)
    assert (found.exit_code, found.reasons) == (code, (reason,))


def test_limits_are_crossed_not_reached() -> None:
    assert [balance_check("acme", balance, 100).holds for balance in (99, 100)] == [True, False]
    assert [spend_check("acme", spent, 100, "2026-11-20").holds for spent in (100, 101)] == [False, True]
    ages = (timedelta(days=2), timedelta(days=2, seconds=1))
    assert [silence_check(NOW - age, NOW, timedelta(days=2)).holds for age in ages] == [False, True]


@pytest.mark.parametrize(("answers", "with_value", "holds"), [(100, 0, True), (99, 0, False), (100, 1, False)])
def test_a_hundred_answers_without_a_value_are_a_cause(answers: int, with_value: int, holds: bool) -> None:
    assert no_value_check("acme", "work_email", answers, with_value, 100).holds is holds
