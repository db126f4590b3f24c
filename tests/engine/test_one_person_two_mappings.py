"""One purchase for records of two mappings: either budget may pay, and each record shows its own caps."""

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only, reasons_of

from connector.app.mappings import CATALOG
from connector.core.mapping import MappingFile
from connector.core.model import Outcome
from connector.store import tables as t

EMAIL = 15


def capped(name: str, credits_: int, limit: str = "max_credits_per_day") -> MappingFile:
    """An email mapping with a cap."""
    data = email_only(name=name).model_dump(by_alias=True, exclude_none=True)
    return CATALOG.model.model_validate({**data, "limits": {"max_credits": {}, limit: {"lensmor": credits_}}})


def payers(harness: Harness) -> list[str]:
    """The mapping of every hold, in order."""
    with harness.ledger() as ledger, ledger.database.read() as connection:
        query = sa.select(t.entry.c.mapping).where(t.entry.c.kind == "hold").order_by(t.entry.c.id)
        return list(connection.scalars(query))


@pytest.mark.parametrize("limit", ["max_credits", "max_credits_per_day"])
@pytest.mark.parametrize(("lead", "contact", "payer"), [(15, 0, "lead"), (0, 15, "contact")])
def test_the_mapping_with_budget_pays(
    world: World, harness: Harness, limit: str, lead: int, contact: int, payer: str
) -> None:
    person = world.person()
    records = [world.lead(person), world.contact(person)]
    report = harness.other(capped("lead", lead, limit), capped("contact", contact, limit)).sync()
    assert report.outcomes == {Outcome.DELIVERED: 2}
    assert [world.get(record)["Email"] for record in records] == [person.email] * 2
    assert payers(harness) == [payer]


@pytest.mark.parametrize("first", ["lead", "contact"])
def test_a_mapping_without_budget_blocks_no_later_run(world: World, harness: Harness, first: str) -> None:
    """The mapping without budget attaches last; it leaves the purchase to the other."""
    person = world.person()
    world.lead(person)
    world.contact(person)
    mappings = {"lead": capped("lead", 15), "contact": capped("contact", 0)}
    for name in (first, "contact", "lead"):
        harness.other(mappings[name]).sync()
        world.clock.advance(minutes=15)
    harness.other(*mappings.values()).sync()
    assert world.ours("lensmor") == EMAIL
    assert payers(harness) == ["lead"]


def test_without_budget_each_record_names_its_own_caps(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    world.contact(person)
    report = harness.other(capped("lead", 14), capped("contact", 5)).sync()
    assert report.outcomes == {Outcome.DEFERRED: 2}
    assert reasons_of(report, "deferred") == {
        "cap of mapping lead per day for lensmor: 14 of 14 credits left, one purchase costs 15": 1,
        "cap of mapping contact per day for lensmor: 5 of 5 credits left, one purchase costs 15": 1,
    }
    assert world.ours("lensmor") == 0


def test_shared_people_use_both_budgets_and_exceed_neither(world: World, harness: Harness) -> None:
    shared = [world.person() for _ in range(4)]
    for person in shared:
        world.lead(person)
        world.contact(person)
    only = [world.lead(world.person()) for _ in range(2)]
    report = harness.other(capped("lead", 3 * EMAIL), capped("contact", 3 * EMAIL)).sync()
    assert sorted(payers(harness)) == ["contact", "lead"]
    with harness.ledger() as ledger:
        spent = {mapping: totals.charged for _, _, mapping, totals in ledger.credits.by_month()}
    assert spent == {"lead": 3 * EMAIL, "contact": 3 * EMAIL}
    assert report.outcomes[Outcome.DELIVERED] == 8 + sum(bool(world.get(lead)["Email"]) for lead in only)
    assert world.ours("lensmor") == 6 * EMAIL


def test_a_mapping_without_a_flagged_record_does_not_pay(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness.other(capped("lead", 0)).sync()
    world.edit(lead, Enrichment_Requested__c=False)
    world.contact(person)
    world.clock.advance(days=1)
    report = harness.other(capped("lead", 15), capped("contact", 15)).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert payers(harness) == ["contact"]
