"""What an operator may say of unlocks that nobody else can resolve, and what time says of them."""

import pytest
from ledgers import on_postgres
from stage import Stage, World, mapping

from connector.core.errors import ConfigurationError
from connector.core.model import Outcome
from connector.engine.resolution import OperatorsWord, resolve
from connector.simulator.faults import Fault


@pytest.fixture
def lost(world: World, stage: Stage) -> tuple[Stage, str]:
    """A Lead whose Salesfinity lookup was taken and whose answer was lost."""
    only = mapping("lead", channels={"work_email": {"from": ["salesfinity"], "field": "Email"}, "phone": None})
    person = world.person()
    lead = world.lead(person)
    found = stage.other(only)
    world.faults.arm(Fault("salesfinity", "requestEmailEnrichment", "drop_after"))
    report = found.sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    return found, lead


def say(stage: Stage, word: OperatorsWord) -> str:
    with stage.parts() as parts:
        (open_unlock,) = parts.ledger.operator.needs_a_look()
        return resolve(parts.ledger, open_unlock.id, word, parts.clock.now())


def test_an_unknown_is_never_sent_again_by_itself(world: World, lost: tuple[Stage, str]) -> None:
    stage, _ = lost
    for _ in range(3):
        world.clock.advance(days=2)
        assert stage.sync().outcomes == {Outcome.UNKNOWN: 1}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1


def test_giving_up_ends_the_record_and_counts_the_credit(world: World, lost: tuple[Stage, str]) -> None:
    stage, lead = lost
    say(stage, OperatorsWord.GIVE_UP)
    report = stage.sync()
    assert report.outcomes == {Outcome.FAILED: 1}
    record = world.org.get("Lead", lead)
    assert record["Enrichment_Requested__c"] is False
    assert "given up" in str(record["Enrichment_Error__c"])
    with stage.parts() as parts:
        assert parts.ledger.credits.totals()["salesfinity"].charged == 1
        assert parts.ledger.credits.imbalance() == ""


def test_delivered_by_hand_closes_the_record_as_delivered(world: World, lost: tuple[Stage, str]) -> None:
    stage, lead = lost
    world.org.edit("Lead", lead, {"Email": "by.hand@example.com"})
    say(stage, OperatorsWord.DELIVERED)
    report = stage.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    record = world.org.get("Lead", lead)
    assert record["Email"] == "by.hand@example.com"
    assert record["Enrichment_Requested__c"] is False


def test_an_allowed_repeat_buys_once_more_and_delivers(world: World, lost: tuple[Stage, str]) -> None:
    stage, lead = lost
    say(stage, OperatorsWord.ALLOW_REPEAT)
    world.bought_again.add(("salesfinity", str(world.get(lead)["LinkedIn_URL__c"]).rpartition("/")[2], "work"))
    report = stage.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.org.get("Lead", lead)["Email"] is not None
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 2
    with stage.parts() as parts:
        assert parts.ledger.credits.imbalance() == ""


def test_after_a_day_an_unknown_counts_as_charged(world: World, lost: tuple[Stage, str]) -> None:
    stage, _ = lost
    world.clock.advance(hours=25)
    stage.sync()
    with stage.parts() as parts:
        totals = parts.ledger.credits.totals()["salesfinity"]
        assert (totals.charged, totals.open) == (1, 0)
        assert parts.ledger.credits.imbalance() == ""
        assert [row.state.value for row in parts.ledger.operator.needs_a_look()] == ["unknown"]


def test_a_presumed_charge_is_taken_back_when_the_vendor_shows_nothing_was_bought(world: World, stage: Stage) -> None:
    stage.wait_s = 0
    world.lead(world.person())
    world.faults.arm(Fault("lensmor", "submitEmailUnlock", "drop_before"))
    stage.sync()
    world.clock.advance(hours=25)
    for _ in range(4):
        stage.sync()
        world.clock.advance(minutes=20)
    stage.wait_s = 3600
    stage.sync()
    with stage.parts() as parts:
        assert parts.ledger.credits.totals()["lensmor"].charged == 165
        assert parts.ledger.credits.imbalance() == ""
    assert world.charges.total("lensmor") == 165


def test_a_word_that_does_not_fit_is_refused(world: World, stage: Stage) -> None:
    world.lead(world.person())
    stage.sync()
    with stage.parts() as parts, pytest.raises(ConfigurationError, match="delivered"):
        resolve(parts.ledger, 1, OperatorsWord.GIVE_UP, parts.clock.now())
    with stage.parts() as parts, pytest.raises(ConfigurationError, match="there is no unlock 999"):
        resolve(parts.ledger, 999, OperatorsWord.GIVE_UP, parts.clock.now())


def test_forgetting_erases_the_record_and_keeps_the_money(world: World, stage: Stage) -> None:
    person = world.person()
    lead, other = world.lead(person), world.lead(person)
    stage.sync()
    with stage.parts() as parts:
        assert parts.ledger.operator.forget([lead]) == 1
        assert parts.ledger.credits.totals()["lensmor"].charged == 165
        assert parts.ledger.credits.imbalance() == ""
    if on_postgres(stage.folder):
        return  # there is no file to search
    database = (stage.folder / "connector.db").read_bytes()
    assert lead.encode() not in database
    assert other.encode() in database
