"""Figures for monitors: the sum of charges never falls, and the figures of other accounts do not count."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledger_harness import EMAIL, LENSMOR, START, LedgerHarness

from connector.app.figures import ServiceFigures, service_figures
from connector.core.model import Result
from connector.core.person import Source
from connector.core.task_seconds import BOUNDS_S, TaskSeconds
from connector.store import repeats
from connector.store import tables as t


def figures(harness: LedgerHarness, source: Source = LENSMOR) -> ServiceFigures:
    return service_figures(harness.ledger, ["lead"], [source])


def charges(harness: LedgerHarness) -> tuple[float, float]:
    """The credits charged and reversed, as a monitor sees them."""
    values = figures(harness).values
    return values["credits_charged"]["lensmor",], values["credits_reversed"]["lensmor",]


def test_a_reversed_charge_does_not_lower_the_sum() -> None:
    harness = LedgerHarness()
    (first, second) = harness.plan("1", "2")
    batch = harness.batch()
    harness.accept(batch)
    harness.finalize(first)
    harness.finalize(second, result=Result.NOT_FOUND, charged=True)
    assert charges(harness) == (30, 0)
    for purchase_id in (second, second):  # the second time, there is nothing to reverse
        with harness.ledger.database.write() as connection:
            repeats.uncharge(connection, [purchase_id], batch.attempt_id, harness.now)
    assert harness.ledger.credits.totals()["lensmor"].charged == 15
    assert charges(harness) == (30, 15)


def test_the_newest_balance_of_the_own_account_is_shown() -> None:
    harness = LedgerHarness()
    for account, balance in (("default", 900), ("default", 700), ("other", 5)):
        harness.now += timedelta(minutes=1)
        harness.ledger.credits.observe("lensmor", account, "run-1", balance, harness.now, 0)
    values = figures(harness).values
    assert values["vendor_balance"] == {("lensmor",): 700}
    assert values["vendor_balance_timestamp_seconds"] == {("lensmor",): (START + timedelta(minutes=2)).timestamp()}


def test_task_times_add_up_over_processes() -> None:
    harness = LedgerHarness()
    for _ in range(2):
        harness.ledger.task_times.add(LENSMOR, EMAIL, [(0.0, 4.0), (5.0, 7.5)])
    (found,) = figures(harness).tasks.values()
    assert found == TaskSeconds().add([4.0, 7.5, 4.0, 7.5])
    assert found.seconds == 23.0
    assert figures(harness, replace(LENSMOR, account="other")).tasks == {}


@pytest.mark.parametrize(
    ("seconds", "place"), [(0.0, 0), (1.0, 0), (1.1, 1), (86400.0, len(BOUNDS_S) - 1), (86400.1, len(BOUNDS_S))]
)
def test_a_duration_belongs_to_the_part_that_ends_with_it(seconds: float, place: int) -> None:
    found = TaskSeconds().add([seconds])
    assert found.counts[place] == sum(found.counts) == 1
    assert TaskSeconds.from_json(found.to_json()) == found


def test_sums_with_other_bounds_count_as_zero() -> None:
    assert TaskSeconds.from_json("[1, 2, 3.5]") == TaskSeconds() == TaskSeconds.from_json(None)


def test_requests_with_an_outcome_are_not_read() -> None:
    harness = LedgerHarness()
    with harness.ledger.database.write() as connection:
        connection.execute(sa.insert(t.request), {"id": "r", "digest": "", "accepted_at": START})
        item = {"request_id": "r", "mapping": "lead", "not_before": START}
        states = ("waiting", "waiting", "working", "done")
        items = [{**item, "crm_id": str(number), "state": state} for number, state in enumerate(states)]
        connection.execute(sa.insert(t.request_item), items)
    assert figures(harness).values["requested_records"] == {("waiting",): 2, ("working",): 1}
