"""A followed record must satisfy the mapping that takes it over: its condition, its opt-outs and its flag."""

import pytest
from harness import Harness, World, email_only, mapping, reasons_of

from connector.app.mappings import CATALOG
from connector.core.mapping import MappingFile
from connector.core.model import Outcome
from connector.crm.interface import Selection
from connector.engine.context import AccountLimits
from connector.engine.resolve import OperatorDecision, resolve

EXCLUDED = "Title != 'Do not enrich'"


def contacts(where: str = EXCLUDED, **changes: object) -> MappingFile:
    select = {"where": where, **changes.pop("select", {})}  # type: ignore[dict-item]
    return mapping("contact", select=select, **changes)


def convert(world: World, lead: str, *, carry: bool = False, **values: object) -> list[str]:
    """Convert a Lead while its purchase is open; the returned list receives the Contact's id."""
    made: list[str] = []

    def act() -> None:
        made.append(world.org.convert_lead(lead, carry_custom=carry))
        if values:
            world.edit(made[0], **values)

    world.clock.at(5, act)
    return made


def test_an_excluded_contact_gets_nothing_and_the_value_is_parked(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    made = convert(world, lead, Title="Do not enrich")
    harness = harness.other(mapping("lead"), contacts())
    for _ in range(2):  # nothing changes without an edit
        report = harness.other().sync()
        before = dict(world.get(made[0]))
        assert before["Email"] is None
        assert before["Enrichment_Error__c"] is None
        assert report.outcomes == {Outcome.PARKED: 1}
        assert report.exit_code == 3
        (entry,) = report.attention
        assert entry.record_id == lead
        assert entry.reason == (
            f"the record is now Contact {made[0]}, which the condition of mapping contact excludes; "
            "paid values are kept and not written"
        )
        assert "connector status" in entry.next
        world.clock.advance(minutes=15)
    world.edit(made[0], Title="Buyer")
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(made[0])["Email"] == person.email
    assert world.paid_posts() == 2


def test_the_parked_value_of_an_excluded_contact_can_be_given_up(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    made = convert(world, lead, Title="Do not enrich")
    harness = harness.other(email_only("lensmor", "salesfinity"), contacts())
    harness.sync()
    with harness.services() as services:
        (row,) = services.ledger.operator.needs_a_look()
        assert row.parked
        resolve(services.ledger, row.id, OperatorDecision.GIVE_UP, services.clock.now())
    report = harness.other().sync()
    assert sum(report.outcomes[outcome] for outcome in (Outcome.SKIPPED, Outcome.FAILED, Outcome.NOT_FOUND)) == 1
    assert world.get(made[0])["Email"] is None
    assert world.ours("salesfinity") == 0  # nothing more is bought for a record outside every mapping
    assert harness.other().sync().selected == 0


def test_purchases_in_progress_for_an_excluded_contact_are_parked(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.lensmor.task_seconds = 600
    harness = harness.other(email_only(), contacts())
    harness.wait_s = 30
    made = convert(world, lead, Title="Do not enrich")
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    world.clock.advance(minutes=15)
    assert harness.other().sync().outcomes == {Outcome.PARKED: 1}
    assert world.get(made[0])["Email"] is None


@pytest.mark.parametrize(("opt_out", "field"), [("HasOptedOutOfEmail", "Email"), ("DoNotCall", "MobilePhone")])
def test_the_opt_outs_of_the_new_mapping_apply(world: World, harness: Harness, opt_out: str, field: str) -> None:
    made = convert(world, world.lead(world.person()), **{opt_out: True})
    report = harness.other(mapping("lead"), contacts()).sync()
    assert world.get(made[0])[field] is None
    assert any(opt_out in reason for reason in reasons_of(report, "skipped"))


def test_a_flagged_contact_keeps_its_flag_until_it_is_served(world: World, harness: Harness) -> None:
    person = world.person()
    made = convert(world, world.lead(person), carry=True)
    harness = harness.other(email_only(), contacts())
    first = harness.sync()
    assert first.outcomes == {Outcome.DEFERRED: 1}
    assert world.get(made[0])["Enrichment_Requested__c"] is True
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    contact = world.get(made[0])
    assert (contact["Email"], contact["Personal_Email__c"]) == (person.email, person.personal_email)
    assert contact["Enrichment_Requested__c"] is False
    assert world.lensmor.requests.count("submitEmailUnlock") == 1


def test_nothing_more_is_bought_for_an_unchosen_contact(world: World, harness: Harness) -> None:
    """A condition chose the Lead; it does not choose the Contact, which has no flag."""
    person = world.person()
    lead = world.lead(person, Enrichment_Requested__c=False)
    made = convert(world, lead, carry=True)
    harness = harness.other(mapping("lead"), contacts())
    harness.limits = {"lensmor": AccountLimits(day=15)}
    fields = tuple(sorted(harness.mappings["lead"].read_fields()))
    none = Selection("Contact", fields, ids=())
    harness.sync({"lead": Selection("Lead", fields, where=("Company != null",)), "contact": none}, "backfill")
    assert world.get(made[0])["Email"] == person.email
    harness = harness.other()
    harness.limits = {}
    harness.sync()
    assert world.ours("lensmor") == 15
    assert world.get(made[0])["MobilePhone"] is None


def test_the_winner_of_a_merge_must_meet_the_condition(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    winner = world.org.insert("Lead", {"LastName": "Winner", "Company": "Example", "Title": "Do not enrich"})
    world.clock.at(5, lambda: world.org.merge("Lead", winner, lead))
    report = harness.other(mapping("lead", select={"where": EXCLUDED})).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert world.get(winner)["Email"] is None


def test_the_mapping_that_accepts_the_contact_takes_it_over(world: World, harness: Harness) -> None:
    person = world.person()
    made = convert(world, world.lead(person), Title="Do not enrich")
    data = contacts().model_dump(by_alias=True, exclude_none=True)
    select = {"flag": "HasOptedOutOfFax", "where": "Title = 'Do not enrich'"}
    other = CATALOG.model.model_validate({**data, "name": "others", "select": select})
    report = harness.other(mapping("lead"), contacts(), other).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(made[0])["Email"] == person.email
