"""An operator's decisions on purchases that stay unknown, and the effect of time on them."""

import pytest
from harness import Harness, World, mapping
from ledgers import on_postgres

from connector.core.errors import ConfigurationError
from connector.core.model import Outcome
from connector.engine.resolve import OperatorDecision, resolve
from connector.simulator.faults import Fault


@pytest.fixture
def lost(world: World, harness: Harness) -> tuple[Harness, str]:
    """A Lead whose Salesfinity lookup took effect and whose answer was lost."""
    only = mapping("lead", channels={"work_email": {"from": ["salesfinity"], "field": "Email"}, "phone": None})
    person = world.person()
    lead = world.lead(person)
    found = harness.other(only)
    world.faults.arm(Fault("salesfinity", "requestEmailEnrichment", "drop_after"))
    report = found.sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    return found, lead


def decide(harness: Harness, decision: OperatorDecision) -> str:
    with harness.services() as services:
        (open_purchase,) = services.ledger.operator.needs_a_look()
        return resolve(services.ledger, open_purchase.id, decision, services.clock.now())


def test_an_unknown_purchase_is_never_sent_again_automatically(world: World, lost: tuple[Harness, str]) -> None:
    harness, _ = lost
    for _ in range(3):
        world.clock.advance(days=2)
        assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1


def test_give_up_ends_the_record_and_counts_the_credit(world: World, lost: tuple[Harness, str]) -> None:
    harness, lead = lost
    decide(harness, OperatorDecision.GIVE_UP)
    report = harness.sync()
    assert report.outcomes == {Outcome.FAILED: 1}
    record = world.org.get("Lead", lead)
    assert record["Enrichment_Requested__c"] is False
    assert "given up" in str(record["Enrichment_Error__c"])
    with harness.services() as services:
        assert services.ledger.credits.totals()["salesfinity"].charged == 1
        assert services.ledger.credits.imbalance() == ""


def test_delivered_closes_the_record_as_delivered(world: World, lost: tuple[Harness, str]) -> None:
    harness, lead = lost
    world.org.edit("Lead", lead, {"Email": "by.hand@example.com"})
    decide(harness, OperatorDecision.DELIVERED)
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    record = world.org.get("Lead", lead)
    assert record["Email"] == "by.hand@example.com"
    assert record["Enrichment_Requested__c"] is False


def test_an_allowed_repeat_buys_once_more_and_delivers(world: World, lost: tuple[Harness, str]) -> None:
    harness, lead = lost
    decide(harness, OperatorDecision.ALLOW_REPEAT)
    world.bought_again.add(("salesfinity", str(world.get(lead)["LinkedIn_URL__c"]).rpartition("/")[2], "work"))
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.org.get("Lead", lead)["Email"] is not None
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 2
    with harness.services() as services:
        assert services.ledger.credits.imbalance() == ""


def test_an_unknown_purchase_counts_as_charged_after_a_day(world: World, lost: tuple[Harness, str]) -> None:
    harness, _ = lost
    world.clock.advance(hours=25)
    harness.sync()
    with harness.services() as services:
        totals = services.ledger.credits.totals()["salesfinity"]
        assert (totals.charged, totals.open) == (1, 0)
        assert services.ledger.credits.imbalance() == ""
        assert [row.state.value for row in services.ledger.operator.needs_a_look()] == ["unknown"]


def test_a_presumed_charge_is_reversed_if_nothing_was_bought(world: World, harness: Harness) -> None:
    harness.wait_s = 0
    world.lead(world.person())
    world.faults.arm(Fault("lensmor", "submitEmailUnlock", "drop_before"))
    harness.sync()
    world.clock.advance(hours=25)
    for _ in range(4):
        harness.sync()
        world.clock.advance(minutes=20)
    harness.wait_s = 3600
    harness.sync()
    with harness.services() as services:
        assert services.ledger.credits.totals()["lensmor"].charged == 165
        assert services.ledger.credits.imbalance() == ""
    assert world.charges.total("lensmor") == 165


def test_an_unsuitable_decision_is_refused(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness.sync()
    with harness.services() as services, pytest.raises(ConfigurationError, match="delivered"):
        resolve(services.ledger, 1, OperatorDecision.GIVE_UP, services.clock.now())
    with harness.services() as services, pytest.raises(ConfigurationError, match="there is no purchase 999"):
        resolve(services.ledger, 999, OperatorDecision.GIVE_UP, services.clock.now())


def test_forgetting_erases_the_record_and_keeps_the_money(world: World, harness: Harness) -> None:
    person = world.person()
    lead, other = world.lead(person), world.lead(person)
    harness.sync()
    with harness.services() as services:
        assert services.ledger.operator.forget([lead]) == 1
        assert services.ledger.credits.totals()["lensmor"].charged == 165
        assert services.ledger.credits.imbalance() == ""
    if on_postgres(harness.folder):
        return  # no file to search
    database = (harness.folder / "connector.db").read_bytes()
    assert lead.encode() not in database
    assert other.encode() in database
