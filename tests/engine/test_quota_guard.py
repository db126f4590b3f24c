"""The guard on the CRM's daily requests: a run takes only the records that it can also write."""

import pytest
from harness import Harness, World, email_only

from connector.core.crm_calls import CallSizes, calls_for
from connector.core.model import Outcome
from connector.crm.salesforce.site import SalesforceCrm

SIZES = CallSizes(2, 2)


@pytest.fixture(autouse=True)
def _small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records a call, so that a few records need many calls."""
    monkeypatch.setattr(SalesforceCrm, "read_size", 2)
    monkeypatch.setattr(SalesforceCrm, "write_size", 2)


def leave(world: World, calls: int) -> None:
    """Leave so many requests for the connector today, beside its reserve of a fifth."""
    world.org.daily_limit = 1000
    world.org.daily_used = 800 - calls


def test_records_beyond_the_quota_are_left_for_the_next_day(world: World, harness: Harness) -> None:
    harness = harness.other(email_only("lensmor"))
    leads = [world.lead(world.person()) for _ in range(6)]
    leave(world, calls_for(4, SIZES) + 3)
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 4}
    assert report.exit_code == 4
    assert "more requests today" in report.stopped[0]
    assert world.org.daily_used <= 800
    assert [bool(world.get(lead)["Enrichment_Requested__c"]) for lead in leads].count(True) == 2
    world.org.daily_used = 0
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 2}
    assert all(world.get(lead)["Email"] for lead in leads)


def test_a_run_without_enough_requests_buys_nothing(world: World, harness: Harness) -> None:
    harness = harness.other(email_only("lensmor"))
    lead = world.lead(world.person())
    leave(world, 6)
    report = harness.sync()
    assert (report.selected, report.exit_code, world.paid_posts()) == (0, 4, 0)
    assert world.get(lead)["Enrichment_Requested__c"]


def test_a_plan_names_the_requests(world: World, harness: Harness) -> None:
    harness = harness.other(email_only("lensmor"))
    for _ in range(6):
        world.lead(world.person())
    leave(world, calls_for(4, SIZES) + 3)
    found = harness.preview()
    calls = found.crm_calls["salesforce"]
    assert calls.most_calls == calls_for(6, SIZES)
    assert calls.left_today is not None
    assert calls.left_today < calls.most_calls
    assert any("a run takes 4 records" in note for note in found.notes)
