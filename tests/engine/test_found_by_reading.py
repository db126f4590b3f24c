"""Short sequences that once failed, found by reading the code."""

from concurrent.futures import Executor

import pytest
from harness import Harness, World, email_only, mapping

from connector.core.model import Outcome
from connector.engine import lookups
from connector.engine.context import AccountLimits, Run
from connector.engine.lookups import LookupAnswers, Waiting
from connector.engine.undo import undo
from connector.providers.interface import Provider

THEIRS = "typed.by.hand@example.com"
FIRST_DAY = AccountLimits(day=20)  # enough for an email, not for a phone


def _channels(name: str, **rules: dict[str, object]) -> dict[str, object]:
    usual = mapping(name).channels.model_dump(by_alias=True, exclude_none=True)
    return {channel: {**usual[channel], **rules.get(channel, {})} for channel in usual}


def _undo(harness: Harness, run_id: str) -> None:
    with harness.services() as services, services.ledger.hold_run_lock():
        undo(services, run_id)


def test_a_flag_cleared_between_two_applications_buys_nothing_more(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    plan = harness.plan()
    harness.limits["lensmor"] = FIRST_DAY
    harness.apply(plan)
    assert world.ours("lensmor") == 15
    world.clock.advance(hours=1)
    world.edit(lead, Enrichment_Requested__c=False)
    harness.limits.clear()
    harness.other().apply(plan)
    assert world.ours("lensmor") == 15


def test_a_plan_buys_nothing_for_an_unplanned_person(world: World, harness: Harness) -> None:
    other, lead = world.person(), world.lead(world.person())
    plan = harness.plan()
    harness.limits["lensmor"] = FIRST_DAY
    harness.apply(plan)
    assert world.ours("lensmor") == 15
    world.clock.advance(hours=1)
    world.edit(lead, Lensmor_Personnel_Id__c=other.personnel_id)
    harness.limits.clear()
    harness.other().apply(plan)
    assert world.ours("lensmor") == 15


def test_a_partial_update_writes_nothing_of_a_former_person(world: World, harness: Harness) -> None:
    other, lead = world.person(), world.lead(world.person())
    reads: list[str] = []

    def correct(_name: str, record_id: str) -> None:
        reads.append(record_id)
        if len(reads) == 2:
            world.edit(lead, Lensmor_Personnel_Id__c=other.personnel_id)

    world.org.after_read(correct)
    world.org.add_validation("Lead", lambda row: bool(row["Email"]), fields=("Email",))
    harness.sync()
    assert world.get(lead)["MobilePhone"] is None


def test_a_partial_update_omits_parked_values(world: World, harness: Harness) -> None:
    contact = world.contact(world.person())
    world.org.add_validation("Contact", lambda row: bool(row["MobilePhone"]), fields=("MobilePhone",))
    world.org.add_validation("Contact", lambda row: bool(row["Email"]), fields=("Email",))
    world.salesfinity.lookup_seconds = 1200
    found = mapping("contact", channels=_channels("contact", work_email={"from": ["salesfinity"]}))
    harness = harness.other(found)
    harness.wait_s = 120
    harness.sync()
    harness.other().sync()
    harness.other().sync()
    world.clock.advance(hours=1)
    harness.other().sync()
    assert world.get(contact)["Personal_Email__c"] is not None


def test_a_lost_partial_update_can_be_undone(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.org.add_validation("Lead", lambda row: bool(row["MobilePhone"]))
    world.arm("salesforce", "update_many", "drop_after", after=1)
    run = harness.sync()
    assert world.get(lead)["Email"] is not None
    _undo(harness, run.run_id)
    assert world.get(lead)["Email"] is None


def test_a_record_corrected_during_a_write_starts_again(world: World, harness: Harness) -> None:
    other, lead = world.person(), world.lead(world.person())
    world.lensmor.task_seconds = 600
    harness = harness.other(email_only())
    harness.wait_s = 60
    harness.sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.clock.advance(hours=1)
    corrections = [other.personnel_id]

    def correct(_name: str, _record_id: str) -> None:
        if corrections:
            world.edit(lead, Lensmor_Personnel_Id__c=corrections.pop())

    world.org.after_read(correct)
    assert harness.other().sync().outcomes == {Outcome.DEFERRED: 1}
    world.lensmor.task_seconds = 5
    harness.other().sync()
    assert world.get(lead)["Email"] == other.email


def test_a_record_corrected_while_a_value_is_parked_starts_again(world: World, harness: Harness) -> None:
    other, lead = world.person(), world.lead(world.person())
    world.org.add_validation("Lead", lambda row: bool(row["Email"]), fields=("Email",))
    world.lensmor.task_seconds = 7200
    harness = harness.other(mapping("lead", channels=_channels("lead", work_email={"from": ["salesfinity"]})))
    harness.wait_s = 120
    for _ in range(3):
        harness.other().sync()
    assert world.get(lead)["Phone_Unlock_Status__c"] == "In progress"
    world.lensmor.task_seconds = 5
    world.clock.advance(hours=1)
    world.edit(lead, Lensmor_Personnel_Id__c=other.personnel_id)
    harness.other().sync()
    assert world.get(lead)["MobilePhone"] is not None


@pytest.mark.parametrize("change", [{"Enrichment_Requested__c": False}, {"HasOptedOutOfEmail": True}], ids=str)
def test_an_unneeded_repeat_is_not_bought(world: World, harness: Harness, change: dict[str, object]) -> None:
    lead = world.lead(world.person())
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    world.clock.at(600, lambda: world.edit(lead, **change))
    harness.other(email_only()).sync()
    assert world.ours("lensmor") == 0


def test_an_unknown_name_is_resolved_once_per_run(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.lead(LinkedIn_URL__c="https://linkedin.com/in/nobody-at-all")
    asked: list[str] = []
    resolve_identities = lookups.resolve_identities

    def counted(run: Run, provider: Provider, waiting: Waiting, threads: Executor | None) -> LookupAnswers:
        asked.extend(identifier.value for identifier in waiting)
        assert len(asked) < 4
        return resolve_identities(run, provider, waiting, threads)

    monkeypatch.setattr(lookups, "resolve_identities", counted)
    at_once = mapping("lead", limits={"retry_not_found_after": "0m"}).limits
    harness.other(email_only().model_copy(update={"limits": at_once})).sync()
    assert len(asked) == 1


def test_a_refused_repeat_keeps_the_lost_requests_hold(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.lensmor.profile_lag_seconds = 1500
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    world.arm("lensmor", "submitEmailUnlock", "status", status=422)
    harness.other(email_only()).sync()
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].used == world.ours("lensmor") == 15


def test_a_person_gone_before_the_repeat_presumes_the_charge(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.lensmor.profile_lag_seconds = 1500
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    world.arm("lensmor", "submitEmailUnlock", "status", status=409)
    world.arm("lensmor", "getPersonnelProfile", "not_found", after=3)
    harness.other(email_only()).sync()
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["lensmor"].used == world.ours("lensmor") == 15


def test_a_fresh_value_of_a_later_source_is_reused_first(world: World, harness: Harness) -> None:
    person = world.person()
    world.lensmor.script(person.personnel_id, "email", "no_value")
    world.lead(person)
    harness = harness.other(email_only("lensmor", "salesfinity"))
    harness.sync()
    world.clock.advance(days=31)
    second = world.lead(person)
    harness.other().sync()
    assert world.get(second)["Email"] == person.work_email
    assert world.paid_posts() == 2


def test_an_unsent_write_does_not_break_the_undo(world: World, harness: Harness) -> None:
    contact = world.contact(world.person())
    world.arm("salesforce", "update_many", "row_error", subject=contact, code="CUSTOM_VALIDATION", fields=[])
    world.arm("salesforce", "update_many", "drop_before", after=1)
    run = harness.other(mapping("contact")).sync()
    assert world.get(contact)["MobilePhone"] is not None
    _undo(harness, run.run_id)
    assert world.get(contact)["Enrichment_Error__c"] is None
    assert world.get(contact)["Enriched_At__c"] is None


def test_an_added_id_does_not_allow_an_overwrite(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person, Lensmor_Personnel_Id__c=None, Email="old@example.com")
    world.salesfinity.lookup_seconds = 1200
    harness = harness.other(email_only("salesfinity", write="overwrite", empty_when=None))
    harness.wait_s = 60
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    world.clock.advance(hours=1)
    world.edit(lead, Email=THEIRS, Lensmor_Personnel_Id__c=person.personnel_id)
    harness.other().sync()
    assert world.get(lead)["Email"] == THEIRS
