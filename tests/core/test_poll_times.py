"""When tasks are polled: within the vendor's schedule, and close to the time at which such tasks usually end."""

import random

import pytest

from connector.core.poll_times import (
    BOUNDS_S,
    STRETCHED_S,
    PollSchedule,
    TaskTimes,
    next_poll_s,
    running_until_s,
    times_of,
)

USUAL = PollSchedule((3.0, 5.0, 10.0, 20.0))
NOTHING_KNOWN = TaskTimes()


def polls_of(ends_s: float, times: TaskTimes, schedule: PollSchedule = USUAL) -> list[float]:
    """The times of all polls of a task that ends after so many seconds."""
    found = [next_poll_s(schedule, 0, 0.0, times)]
    while found[-1] < ends_s:
        found.append(found[-1] + next_poll_s(schedule, len(found), found[-1], times))
    return found


def learned(*ends_s: float, count: int = 40) -> TaskTimes:
    """The times after many tasks that end after these seconds, polled as learned until then."""
    times = NOTHING_KNOWN
    for number in range(count):
        polls = [0.0, *polls_of(ends_s[number % len(ends_s)], times)]
        times = times.add(polls[-2], polls[-1])
    return times


def test_nothing_is_left_out_before_anything_is_known() -> None:
    assert polls_of(40, NOTHING_KNOWN) == [3, 8, 18, 38, 58]


def test_an_old_task_is_polled_once_a_minute() -> None:
    assert polls_of(400, NOTHING_KNOWN)[-3:] == [318, 378, 438]


def test_polls_that_are_likely_useless_are_left_out() -> None:
    polls = polls_of(45, learned(45.0))
    assert len(polls) <= 2 < len(polls_of(45, NOTHING_KNOWN))
    assert polls[-1] < 60


@pytest.mark.parametrize("ends_s", [2, 7, 12, 20, 33, 70, 150, 250])
def test_fewer_requests_and_no_later_results(ends_s: float) -> None:
    before, after = polls_of(ends_s, NOTHING_KNOWN), polls_of(ends_s, learned(float(ends_s)))
    assert len(after) <= len(before)
    assert after[-1] - ends_s <= max(before[-1] - ends_s, ends_s * 0.3)


def test_times_that_have_fallen_are_noticed() -> None:
    times = learned(120.0)
    first_before = polls_of(10, times)[0]
    for _ in range(60):
        times = times.add(0.0, polls_of(10, times)[0])
    assert polls_of(10, times)[0] < 20 < first_before


def test_polls_stay_within_the_schedule() -> None:
    chance = random.Random(7)
    for _ in range(200):
        times = times_of([(low, low + chance.expovariate(0.02)) for low in (0.0, 5.0, 40.0) * 5], NOTHING_KNOWN)
        polls, elapsed_s = chance.randrange(12), chance.expovariate(0.01)
        wait_s = next_poll_s(USUAL, polls, elapsed_s, times)
        assert USUAL.wait_s(polls, elapsed_s) <= wait_s <= STRETCHED_S


def test_the_operators_schedule_is_exact() -> None:
    exact = PollSchedule((7.0, 9.0), is_exact=True)
    assert polls_of(400, learned(120.0), exact)[:4] == [7, 16, 25, 34]
    assert polls_of(400, learned(120.0), exact)[-1] - polls_of(400, learned(120.0), exact)[-2] == 9


def test_a_longer_schedule_than_a_minute_is_kept() -> None:
    callback = PollSchedule((60.0, 300.0))
    assert polls_of(700, learned(30.0), callback) == [60, 360, 660, 960]


def test_the_size_is_fixed_and_the_form_is_stable() -> None:
    times = learned(1.0, 30.0, 900.0, count=300).add(10.0**6, 10.0**7)
    assert len(times.weights) == len(BOUNDS_S)
    assert len(times.to_json()) < 700
    assert sum(times.weights) < 40
    assert TaskTimes.from_json(times.to_json()) == times
    assert TaskTimes.from_json("[1.0, 2.0]") == NOTHING_KNOWN


def test_the_last_poll_before_the_end() -> None:
    assert [running_until_s(USUAL, polls, due_s) for polls, due_s in ((0, 3.0), (1, 8.0), (3, 38.0))] == [0, 3, 18]
