"""Forgetting a record leaves its ids and its person's name in no table, whatever its history."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only, mapping
from ledger_search import texts_with
from service_harness import ServiceHarness

from connector.core.model import Outcome
from connector.crm.salesforce.ids import spellings
from connector.store import tables as t


def forget(harness: Harness, record_id: str) -> int:
    with harness.ledger() as ledger:
        return ledger.operator.forget([record_id], spellings)


PURCHASE = "purchase.person"  # a purchase keeps its person, so that the person is not bought twice


def found_in(harness: Harness, *words: str | None) -> list[str]:
    """The columns that still contain one of the words."""
    with harness.ledger() as ledger, ledger.database.read() as connection:
        return [place for place in texts_with(connection, [word for word in words if word]) if place != PURCHASE]


def money(harness: Harness) -> list[tuple[object, ...]]:
    with harness.ledger() as ledger, ledger.database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(t.entry).order_by(t.entry.c.id))]


@pytest.fixture
def converted(world: World, harness: Harness) -> Iterator[tuple[Harness, str, str, str]]:
    """A Lead that was requested, bought, written and converted; its Contact was refused a value."""
    person = world.person(email=None)
    assert person.linkedin_name is not None
    lead = world.lead(person)
    harness = harness.other(mapping("lead"), mapping("contact"))
    service = ServiceHarness(harness)
    service.ask(lead, request_id=f"flow-{lead}")
    world.salesfinity.lookup_seconds = 600
    harness.wait_s = 60
    harness.sync()
    contact = world.org.convert_lead(lead, carry_custom=False)
    world.org.add_validation(
        "Contact",
        lambda record: record.get("Email") is not None,
        code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
        message=f"duplicate of {lead}",
        fields=("Email",),
    )
    world.clock.advance(minutes=20)
    harness.other().sync()
    yield harness, lead, contact, person.linkedin_name
    with harness.ledger() as ledger:
        assert ledger.credits.imbalance() == ""


@pytest.mark.parametrize("by", ["lead", "lead in 15 characters", "contact"])
def test_no_table_keeps_an_id_or_name(converted: tuple[Harness, str, str, str], by: str) -> None:
    harness, lead, contact, name = converted
    assert found_in(harness, lead, contact, name)  # the search finds what must be erased
    before = money(harness)
    assert forget(harness, {"lead": lead, "lead in 15 characters": lead[:15], "contact": contact}[by]) > 0
    assert found_in(harness, lead, lead[:15], contact, contact[:15], name) == []
    assert money(harness) == before
    assert forget(harness, lead) == 0


def test_a_record_closed_for_its_contact_is_erased_with_it(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    made: list[str] = []
    world.clock.at(5, lambda: made.append(world.org.convert_lead(lead)))
    harness.sync()  # no mapping covers Contacts: the reason names the Contact
    assert found_in(harness, made[0])
    forget(harness, made[0])
    assert found_in(harness, lead, made[0], person.linkedin_name) == []


def test_a_purchase_in_progress_is_finished_without_a_record(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only("salesfinity"))
    world.salesfinity.lookup_seconds = 600
    harness.wait_s = 30
    harness.sync()
    forget(harness, lead)
    assert found_in(harness, lead) == []
    world.edit(lead, Enrichment_Requested__c=False)
    for _ in range(2):
        world.clock.advance(minutes=20)
        harness.other().sync()
    assert found_in(harness, lead, person.linkedin_name) == []
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["salesfinity"].charged == 1
        assert ledger.credits.imbalance() == ""


def test_a_forgotten_record_flagged_again_is_no_sign_of_a_copy(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness.sync()
    world.clock.advance(hours=1)
    latest = world.lead(world.person())
    harness.other().sync()
    forget(harness, latest)
    world.edit(latest, Enrichment_Requested__c=True)
    report = harness.other().sync()
    assert [entry.reason for entry in report.attention] == []
    with harness.ledger() as ledger:
        assert ledger.restored.state() is None


def test_a_shared_person_stays_for_the_other_record(world: World, harness: Harness) -> None:
    person = world.person()
    lead, other = world.lead(person), world.lead(person)
    harness.sync()
    posts = world.paid_posts()
    forget(harness, lead)
    assert found_in(harness, lead) == []
    later = world.lead(person)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(later)["Email"] == person.email
    assert world.paid_posts() == posts
    forget(harness, other)
    forget(harness, later)
    assert found_in(harness, lead, other, later, person.linkedin_name) == []


def test_a_forgotten_person_requested_again_is_not_paid_twice(world: World, harness: Harness) -> None:
    person = world.person(email=None)
    lead = world.lead(person)
    harness.sync()
    posts = world.paid_posts()
    forget(harness, lead)
    world.edit(lead, Email=None, MobilePhone=None, Enrichment_Requested__c=True)
    harness.other().sync()
    assert world.paid_posts() == posts
    assert world.get(lead)["Email"] == person.work_email


def test_a_queued_run_omits_the_forgotten_record(world: World, harness: Harness) -> None:
    person = world.person()
    lead, other = world.lead(person), world.lead(world.person())
    with harness.ledger() as ledger:
        chosen = {"ids": [lead, other], "where": None, "limit": None}
        job_id = ledger.jobs.delegate("backfill", {"lead": "x"}, chosen, world.clock.now())
        named = {"ids": None, "where": f"LinkedIn_URL__c LIKE '%{person.linkedin_name}'", "limit": None}
        ledger.jobs.delegate("backfill", {"lead": "x"}, named, world.clock.now())
    harness.sync()
    forget(harness, lead)
    assert found_in(harness, lead, person.linkedin_name) == []
    with harness.ledger() as ledger:
        found = ledger.jobs.find(job_id)
    assert found is not None
    assert found.chosen == chosen | {"ids": [other]}
