"""Overdue work is reported with the command that ends the wait, and that command ends it."""

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only, mapping, reasons_of
from service_harness import ServiceHarness

from connector.app.status import status_of
from connector.core.errors import ConfigurationError
from connector.core.model import Outcome
from connector.core.report import Report
from connector.engine.resolve import OperatorDecision, resolve
from connector.store import tables as t

UNDO_DAYS = 30  # the setting of the tests' connector


def attention(report: Report) -> str:
    return " | ".join(f"{one.reason} -> {one.next}" for one in report.attention)


def overdue(harness: Harness) -> list[tuple[str, str, int]]:
    """(what, subject, count) as `connector status` shows it."""
    with harness.ledger() as ledger:
        rows = status_of(ledger, "ledger", harness.world.clock.now()).overdue
    assert all(row.next and row.reason for row in rows)
    return [(row.what, row.subject, row.count) for row in rows]


def values(harness: Harness) -> int:
    """The number of sealed values in the ledger."""
    with harness.ledger() as ledger, ledger.database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).where(t.purchase.c.value.is_not(None))) or 0)


# -- open records whose mapping is no longer run ----------------------------------------------------------------


@pytest.fixture
def left(world: World, harness: Harness) -> tuple[Harness, Harness, str]:
    """A Lead with open work, the harness of its mapping, and one of another mapping, which goes on."""
    leads, contacts = harness.other(email_only()), harness.other(email_only(name="contact"))
    lead = world.lead(world.person())
    world.lensmor.task_seconds = 600
    leads.wait_s = 30
    leads.sync()
    return leads, contacts, lead


def test_uncovered_open_records_are_reported_after_a_week(world: World, left: tuple[Harness, Harness, str]) -> None:
    leads, contacts, lead = left
    world.clock.advance(days=6, hours=23)
    assert "open record" not in attention(contacts.other().sync())
    world.clock.advance(hours=2)
    report = contacts.other().sync()
    assert "1 open record(s) of mapping lead" in attention(report)
    assert "connector sync -m lead" in attention(report)
    assert "connector release lead" in attention(report)
    assert report.exit_code == 3
    assert ("open records", "lead", 1) in overdue(contacts)
    assert leads.other().sync().outcomes == {Outcome.DELIVERED: 1}  # the first next step
    assert world.get(lead)["Email"]
    assert overdue(contacts) == []


def test_released_records_close_and_purchases_are_kept(world: World, left: tuple[Harness, Harness, str]) -> None:
    leads, contacts, lead = left
    world.clock.advance(days=8)
    with contacts.ledger() as ledger:
        assert ledger.overdue.release("lead", world.clock.now()) == 1
        assert ledger.overdue.release("lead", world.clock.now()) == 0
    assert "open record" not in attention(contacts.other().sync())
    assert world.get(lead)["Enrichment_Requested__c"] is True
    posts = world.paid_posts()
    assert leads.other().sync().outcomes == {Outcome.DELIVERED: 1}  # still flagged: planned again at no cost
    assert world.paid_posts() == posts


# -- vendor tasks that never end --------------------------------------------------------------------------------


@pytest.fixture
def stuck(world: World, harness: Harness) -> tuple[Harness, str, str]:
    """A Lead whose Salesfinity lookup takes three weeks."""
    person = world.person()
    assert person.linkedin_name is not None
    lead = world.lead(person)
    world.salesfinity.lookup_seconds = 20 * 86_400
    harness = harness.other(email_only("salesfinity", "lensmor"))
    harness.wait_s = 60
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    return harness, lead, str(person.work_email)


def purchase(harness: Harness) -> int:
    with harness.ledger() as ledger, ledger.database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.min(t.purchase.c.id))) or 0)


def decide(harness: Harness, decision: OperatorDecision, purchase_id: int) -> str:
    with harness.ledger() as ledger:
        return resolve(ledger, purchase_id, decision, harness.world.clock.now())


def test_a_task_that_never_ends_is_reported_after_a_day(world: World, stuck: tuple[Harness, str, str]) -> None:
    harness, _, _ = stuck
    world.clock.advance(hours=23)
    assert "have no result" not in attention(harness.other().sync())
    assert overdue(harness) == []
    world.clock.advance(hours=2)
    report = harness.other().sync()
    assert f"connector resolve {purchase(harness)} --give-up" in attention(report)
    assert report.exit_code == 3
    assert overdue(harness) == [("purchases", "salesfinity", 1)]
    with harness.ledger() as ledger:
        (row,) = status_of(ledger, "ledger", world.clock.now()).needs_a_look
    assert (row.state, "--give-up" in row.next) == ("submitted", True)


def test_a_given_up_task_counts_as_charged_and_the_next_source_follows(
    world: World, stuck: tuple[Harness, str, str]
) -> None:
    harness, lead, _ = stuck
    world.clock.advance(days=2)
    assert "counts as charged" in decide(harness, OperatorDecision.GIVE_UP, purchase(harness))
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"]
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["salesfinity"].charged == 1
        assert ledger.credits.imbalance() == ""
    assert overdue(harness) == []
    with pytest.raises(ConfigurationError):
        decide(harness, OperatorDecision.GIVE_UP, purchase(harness))


def test_a_late_result_is_kept_for_the_person(world: World, stuck: tuple[Harness, str, str]) -> None:
    harness, _, work_email = stuck
    decide(harness, OperatorDecision.GIVE_UP, purchase(harness))
    only = harness.other(email_only("salesfinity"))
    world.clock.advance(days=21)
    harness.other().sync()
    posts = world.paid_posts()
    later = world.lead(None, LinkedIn_URL__c=_address(harness))
    assert only.other().sync().outcomes[Outcome.DELIVERED] == 1
    assert world.get(later)["Email"] == work_email
    assert world.paid_posts() == posts


def _address(harness: Harness) -> str:
    with harness.ledger() as ledger, ledger.database.read() as connection:
        name = connection.scalar(sa.select(t.purchase.c.person).where(t.purchase.c.provider == "salesfinity"))
    return f"https://www.linkedin.com/in/{name}"


def test_a_given_up_task_is_not_polled_forever(world: World, stuck: tuple[Harness, str, str]) -> None:
    harness, _, _ = stuck
    decide(harness, OperatorDecision.GIVE_UP, purchase(harness))
    world.clock.advance(days=31)
    harness.other().sync()
    reads = world.salesfinity.requests.count("getEmailEnrichment")
    world.clock.advance(hours=1)
    harness.other().sync()
    assert world.salesfinity.requests.count("getEmailEnrichment") == reads
    with harness.ledger() as ledger:
        assert ledger.runs.open_counts().tasks == 0


def test_a_running_task_entered_by_hand_counts_as_delivered(world: World, stuck: tuple[Harness, str, str]) -> None:
    harness, lead, _ = stuck
    world.edit(lead, Email="by.hand@example.com")
    decide(harness, OperatorDecision.DELIVERED, purchase(harness))
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Enrichment_Requested__c"] is False
    with pytest.raises(ConfigurationError):
        decide(harness, OperatorDecision.ALLOW_REPEAT, purchase(harness))


# -- parked values ----------------------------------------------------------------------------------------------


@pytest.fixture
def parked(world: World, harness: Harness) -> tuple[Harness, str, list[bool]]:
    """A Lead whose Email a rule refuses, and the switch of that rule."""
    lead, strict = world.lead(world.person()), [True]
    world.org.add_validation(
        "Lead",
        lambda record: strict[0] and record.get("Email") is not None,
        code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
        message="not now",
        fields=("Email",),
    )
    harness = harness.other(email_only())
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    return harness, lead, strict


def test_a_parked_value_is_reported_and_later_erased(world: World, parked: tuple[Harness, str, list[bool]]) -> None:
    harness, lead, _ = parked
    world.clock.advance(days=UNDO_DAYS - 1)
    assert "erased" not in attention(harness.other().sync())
    world.clock.advance(days=2)
    later = harness.other().sync()
    assert f"it is erased on {'2026-12-28'}" in attention(later)
    assert "--retry-write" in attention(later)
    assert later.outcomes == {Outcome.PARKED: 1}
    assert values(harness) == 1
    assert overdue(harness) == [("parked values", "lead", 1)]
    world.clock.advance(days=6)
    assert values(harness) == 1
    harness.other().sync()
    assert values(harness) == 1
    world.clock.advance(days=2)
    erased = harness.other().sync()
    assert values(harness) == 0
    assert "the value was erased" in attention(erased)
    assert "flag it again" in attention(erased)
    assert erased.outcomes == {Outcome.FAILED: 1}
    record = world.get(lead)
    assert (record["Email"], record["Enrichment_Requested__c"]) == (None, False)
    assert "could not be written" in str(record["Enrichment_Error__c"])
    assert overdue(harness) == []
    assert harness.other().sync().selected == 0


def test_an_erased_value_is_read_again_at_no_cost(world: World, parked: tuple[Harness, str, list[bool]]) -> None:
    harness, lead, strict = parked
    for days in (UNDO_DAYS + 1, 8):
        world.clock.advance(days=days)
        harness.other().sync()
    strict[0] = False
    world.flag(lead)
    posts = world.paid_posts()
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.paid_posts() == posts


def test_a_value_written_after_the_announcement_is_kept(world: World, parked: tuple[Harness, str, list[bool]]) -> None:
    harness, lead, strict = parked
    world.clock.advance(days=UNDO_DAYS + 1)
    harness.other().sync()
    strict[0] = False
    world.clock.advance(days=8 - 2)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"]
    world.clock.advance(days=3)
    assert attention(harness.other().sync()) == ""


def test_parked_values_of_an_unused_mapping_are_erased(world: World, parked: tuple[Harness, str, list[bool]]) -> None:
    harness, lead, _ = parked
    contacts = harness.other(email_only(name="contact"))
    texts = []
    for days in (UNDO_DAYS + 1, 8):
        world.clock.advance(days=days)
        texts.append(attention(contacts.other().sync()))
    assert "it is erased on" in texts[0]
    assert "the value was erased" in texts[1]
    assert "connector release lead" in texts[1]
    assert values(harness) == 0
    assert world.get(lead)["Enrichment_Requested__c"] is True


# -- requests ---------------------------------------------------------------------------------------------------


def test_unprocessed_requests_are_reported_then_given_up(world: World, harness: Harness) -> None:
    harness = harness.other(mapping("lead"), email_only(name="contact"))
    lead = world.lead(world.person(), Enrichment_Requested__c=False)
    ServiceHarness(harness).ask(lead)
    contacts = harness.other(email_only(name="contact"))
    world.clock.advance(minutes=50)
    assert attention(contacts.sync()) == ""
    world.clock.advance(minutes=20)
    report = contacts.other().sync()
    assert "1 requested record(s) of mapping lead" in attention(report)
    assert "connector serve -m lead" in attention(report)
    assert overdue(harness) == [("requested records", "lead", 1)]
    world.clock.advance(days=8)
    assert "1 requested record(s) were given up" in attention(contacts.other().sync())
    assert overdue(harness) == []
    assert ServiceHarness(harness).request_state().state == "done"


def test_a_processed_request_is_not_reported(world: World, harness: Harness) -> None:
    service = ServiceHarness(harness.other(mapping("lead")))
    service.ask(world.lead(world.person(), Enrichment_Requested__c=False))
    world.clock.advance(hours=2)
    service.work()
    assert service.request_state().state == "done"
    assert overdue(harness) == []


def test_an_unstarted_queued_run_is_reported(world: World, harness: Harness) -> None:
    with harness.ledger() as ledger:
        ledger.jobs.delegate("backfill", {"lead": "x"}, {"ids": [], "where": None, "limit": None}, world.clock.now())
    world.clock.advance(hours=2)
    assert "1 queued run(s) (backfill)" in attention(harness.other(email_only()).sync())
    assert overdue(harness) == [("queued runs", "backfill", 1)]
    assert reasons_of(harness.other(email_only()).sync(), "deferred") == {}
