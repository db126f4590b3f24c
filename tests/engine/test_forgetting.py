"""Forgetting a record leaves neither its ids nor its person's name in any table, whatever happened to it before."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from ledger_search import texts_with
from office import Office
from stage import Stage, World, email_only, mapping

from connector.core.model import Outcome
from connector.crm.salesforce.ids import spellings
from connector.store import tables as t


def forget(stage: Stage, record_id: str) -> int:
    with stage.ledger() as ledger:
        return ledger.operator.forget([record_id], spellings)


PURCHASE = "unlock.person"  # a purchase keeps whom it was for, so that nobody is bought twice


def found_in(stage: Stage, *words: str | None) -> list[str]:
    """Where any of the words still stands."""
    with stage.ledger() as ledger, ledger.database.read() as connection:
        return [place for place in texts_with(connection, [word for word in words if word]) if place != PURCHASE]


def money(stage: Stage) -> list[tuple[object, ...]]:
    with stage.ledger() as ledger, ledger.database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(t.entry).order_by(t.entry.c.id))]


@pytest.fixture
def converted(world: World, stage: Stage) -> Iterator[tuple[Stage, str, str, str]]:
    """A Lead that was requested, bought for, written to, converted, and whose Contact was refused a value."""
    person = world.person(email=None)
    assert person.linkedin_name is not None
    lead = world.lead(person)
    stage = stage.other(mapping("lead"), mapping("contact"))
    office = Office(stage)
    office.ask(lead, request_id=f"flow-{lead}")
    world.salesfinity.lookup_seconds = 600
    stage.wait_s = 60
    stage.sync()
    contact = world.org.convert_lead(lead, carry_custom=False)
    world.org.add_validation(
        "Contact",
        lambda record: record.get("Email") is not None,
        code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
        message=f"duplicate of {lead}",
        fields=("Email",),
    )
    world.clock.advance(minutes=20)
    stage.other().sync()
    yield stage, lead, contact, person.linkedin_name
    with stage.ledger() as ledger:
        assert ledger.credits.imbalance() == ""


@pytest.mark.parametrize("by", ["lead", "lead in 15 characters", "contact"])
def test_no_table_keeps_an_id_or_the_name(converted: tuple[Stage, str, str, str], by: str) -> None:
    stage, lead, contact, name = converted
    assert found_in(stage, lead, contact, name)  # there is something to erase
    before = money(stage)
    assert forget(stage, {"lead": lead, "lead in 15 characters": lead[:15], "contact": contact}[by]) > 0
    assert found_in(stage, lead, lead[:15], contact, contact[:15], name) == []
    assert money(stage) == before
    assert forget(stage, lead) == 0


def test_a_record_that_was_closed_for_its_contact_goes_with_it(world: World, stage: Stage) -> None:
    person = world.person()
    lead = world.lead(person)
    made: list[str] = []
    world.clock.at(5, lambda: made.append(world.org.convert_lead(lead)))
    stage.sync()  # no mapping covers Contacts: the reason names the Contact
    assert found_in(stage, made[0])
    forget(stage, made[0])
    assert found_in(stage, lead, made[0], person.linkedin_name) == []


def test_a_purchase_under_way_is_finished_for_nobody(world: World, stage: Stage) -> None:
    person = world.person()
    lead = world.lead(person)
    stage = stage.other(email_only("salesfinity"))
    world.salesfinity.lookup_seconds = 600
    stage.wait_s = 30
    stage.sync()
    forget(stage, lead)
    assert found_in(stage, lead) == []
    world.edit(lead, Enrichment_Requested__c=False)
    for _ in range(2):
        world.clock.advance(minutes=20)
        stage.other().sync()
    assert found_in(stage, lead, person.linkedin_name) == []
    with stage.ledger() as ledger:
        assert ledger.credits.totals()["salesfinity"].charged == 1
        assert ledger.credits.imbalance() == ""


def test_a_forgotten_record_that_is_flagged_again_is_no_sign_of_an_older_ledger(world: World, stage: Stage) -> None:
    world.lead(world.person())
    stage.sync()
    world.clock.advance(hours=1)
    latest = world.lead(world.person())
    stage.other().sync()
    forget(stage, latest)
    world.edit(latest, Enrichment_Requested__c=True)
    report = stage.other().sync()
    assert [entry.reason for entry in report.attention] == []
    with stage.ledger() as ledger:
        assert ledger.restored.state() is None


def test_a_shared_person_stays_for_the_other_record(world: World, stage: Stage) -> None:
    person = world.person()
    lead, other = world.lead(person), world.lead(person)
    stage.sync()
    posts = world.paid_posts()
    forget(stage, lead)
    assert found_in(stage, lead) == []
    later = world.lead(person)
    assert stage.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(later)["Email"] == person.email
    assert world.paid_posts() == posts
    forget(stage, other)
    forget(stage, later)
    assert found_in(stage, lead, other, later, person.linkedin_name) == []


def test_a_forgotten_person_who_is_requested_again_is_not_paid_twice(world: World, stage: Stage) -> None:
    person = world.person(email=None)
    lead = world.lead(person)
    stage.sync()
    posts = world.paid_posts()
    forget(stage, lead)
    world.edit(lead, Email=None, MobilePhone=None, Enrichment_Requested__c=True)
    stage.other().sync()
    assert world.paid_posts() == posts
    assert world.get(lead)["Email"] == person.work_email


def test_a_queued_run_leaves_the_forgotten_record_out(world: World, stage: Stage) -> None:
    person = world.person()
    lead, other = world.lead(person), world.lead(world.person())
    with stage.ledger() as ledger:
        chosen = {"ids": [lead, other], "where": None, "limit": None}
        errand_id = ledger.errands.ask("backfill", {"lead": "x"}, chosen, world.clock.now())
        named = {"ids": None, "where": f"LinkedIn_URL__c LIKE '%{person.linkedin_name}'", "limit": None}
        ledger.errands.ask("backfill", {"lead": "x"}, named, world.clock.now())
    stage.sync()
    forget(stage, lead)
    assert found_in(stage, lead, person.linkedin_name) == []
    with stage.ledger() as ledger:
        found = ledger.errands.find(errand_id)
    assert found is not None
    assert found.chosen == chosen | {"ids": [other]}
