"""The figures of monitors follow what runs do: outcomes, successes, balances, task times, and reversed charges."""

import pytest
from harness import Harness, World

from connector.app.figures import ServiceFigures, service_figures
from connector.core.task_seconds import BOUNDS_S


def figures(harness: Harness) -> ServiceFigures:
    with harness.services() as services:
        return service_figures(services.ledger, list(harness.mappings), list(services.sources.values()))


def test_a_ledger_without_runs_has_no_figures(harness: Harness) -> None:
    found = figures(harness)
    assert found.tasks == {}
    empty = ("attention_records", "vendor_balance", "channel_outcomes", "last_success_timestamp_seconds")
    assert [found.values[name] for name in empty] == [{}] * 4


def test_finished_records_count_once_by_channel_and_outcome(world: World, harness: Harness) -> None:
    for _ in range(3):
        world.lead(world.person())
    filled = world.lead(world.person(), Email="own@example.com")
    harness.sync()
    emails = {outcome: count for (_, channel, outcome), count in outcomes(harness).items() if channel == "work_email"}
    assert emails == {"delivered": 3, "already_filled": 1}
    world.flag(filled)
    harness.other().sync()
    again = {outcome: count for (_, channel, outcome), count in outcomes(harness).items() if channel == "work_email"}
    assert again["delivered"] == 3
    assert again["already_filled"] == 2


def outcomes(harness: Harness) -> dict[tuple[str, ...], float]:
    return dict(figures(harness).values["channel_outcomes"])


def test_a_record_that_waits_is_counted_when_it_is_finished(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.lensmor.task_seconds = 7200
    harness.wait_s = 60
    harness.sync()
    assert outcomes(harness) == {}
    assert figures(harness).tasks == {}
    world.clock.advance(hours=3)
    harness.other().sync()
    assert outcomes(harness) == {("lead", "work_email", "delivered"): 1, ("lead", "phone", "delivered"): 1}


def test_the_last_success_and_the_records_that_need_attention(world: World, harness: Harness) -> None:
    refuses = [True]
    world.org.add_validation("Lead", lambda record: bool(refuses and record["Email"]))
    world.lead(world.person())
    parked = harness.sync()
    assert parked.exit_code == 3
    found = figures(harness).values
    success = found["last_success_timestamp_seconds"][("lead",)]
    assert success == parked.finished_at.timestamp()
    assert found["attention_records"] == {("lead",): 1}
    refuses.clear()
    world.clock.advance(hours=1)
    world.arm("lensmor", "getCreditsBalance", "status", times=50, status=503)
    stopped = harness.other().sync()
    assert stopped.exit_code == 4
    assert figures(harness).values["last_success_timestamp_seconds"] == {("lead",): success}
    world.simulator.faults.clear()
    world.clock.advance(days=2)  # a parked value is written again once a day
    finished = harness.other().sync()
    assert finished.exit_code == 0
    found = figures(harness).values
    assert found["last_success_timestamp_seconds"] == {("lead",): finished.finished_at.timestamp()}
    assert found["attention_records"] == {("lead",): 0}


def test_the_balance_is_the_last_one_that_the_vendor_showed(world: World, harness: Harness) -> None:
    world.lead(world.person())
    report = harness.sync()
    found = figures(harness).values
    assert found["vendor_balance"] == {
        (name,): one.balance_after for name, one in report.credits.items() if one.balance_after is not None
    }
    assert found["vendor_balance_timestamp_seconds"][("lensmor",)] <= world.clock.unix()


@pytest.mark.parametrize("seconds", [3.0, 200.0])
def test_task_times_are_counted_by_duration(world: World, harness: Harness, seconds: float) -> None:
    world.lensmor.task_seconds = seconds
    for _ in range(2):
        world.lead(world.person())
    harness.sync()
    tasks = figures(harness).tasks
    assert tasks.keys() == {("lensmor", "work_email"), ("lensmor", "phone")}
    for one in tasks.values():
        assert sum(one.counts) == 1  # both people are in one task
        assert one.seconds >= seconds
        place = next(index for index, count in enumerate(one.counts) if count)
        assert BOUNDS_S[place - 1] < one.seconds <= BOUNDS_S[place]
