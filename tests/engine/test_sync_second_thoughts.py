"""Edits and mappings that change between two runs: paid values arrive, and nothing else is bought."""

import pytest
from harness import Harness, World, email_only, personal_only

from connector.core.model import Outcome
from connector.simulator.faults import FOREVER
from connector.store.answers import Answers

THEIRS = "typed.by.hand@example.com"


class DeathError(BaseException):
    """The process died."""


def die(*_args: object, **_more: object) -> None:
    raise DeathError


def test_a_lost_answer_is_found_after_a_run_of_another_vendor(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = world.person()
    harness = harness.other(email_only())
    lead = world.lead(person)
    with monkeypatch.context() as patch:
        patch.setattr(Answers, "accept", die)
        with pytest.raises(DeathError):
            harness.sync()
    harness.other(personal_only()).sync()
    harness.syncs(6)
    assert world.get(lead)["Email"] == person.email


def test_a_removed_waiting_channel_ends_the_record(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    world.lensmor.script(person.personnel_id, "phone", "failed")
    world.lensmor.task_seconds = 600
    harness.wait_s = 20
    harness.sync()
    world.clock.advance(minutes=30)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}


@pytest.mark.parametrize(("action", "status"), [("status", 400), ("error_before", 500)])
def test_one_unreadable_task_does_not_block_others(world: World, harness: Harness, action: str, status: int) -> None:
    first = world.person()
    world.lead(first)
    harness = harness.other(email_only())
    harness.wait_s = 5
    world.lensmor.task_seconds = 60
    harness.sync()
    world.arm("lensmor", "getEmailUnlockTask", action, times=FOREVER, subject=first.personnel_id, status=status)
    person = world.person()
    lead = world.lead(person)
    world.clock.advance(minutes=15)
    again = harness.other()
    again.wait_s = 600
    again.sync()
    assert world.get(lead)["Email"] == person.email


def test_a_corrected_identity_gets_nothing_of_the_wrong_person(world: World, harness: Harness) -> None:
    wrong, right = world.person(), world.person()
    lead = world.lead(wrong, Lensmor_Personnel_Id__c=None, Lensmor_Event_Id__c=None)
    address = f"https://linkedin.com/in/{right.linkedin_name}"
    world.clock.at(5, lambda: world.edit(lead, LinkedIn_URL__c=address))
    harness = harness.other(email_only())
    report = harness.sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert world.get(lead)["Email"] is None
    assert world.get(lead)["Lensmor_Personnel_Id__c"] is None
    harness.other().sync()
    assert world.get(lead)["Email"] == right.email
    assert world.get(lead)["Lensmor_Personnel_Id__c"] == right.personnel_id


def test_a_linkedin_name_of_digits_is_not_a_personnel_id(world: World, harness: Harness) -> None:
    stranger = world.person()
    person = world.person(linkedin_name=stranger.personnel_id)
    lead = world.lead(person, Lensmor_Personnel_Id__c=None, Lensmor_Event_Id__c=None)
    harness.other(email_only("salesfinity")).sync()
    assert world.get(lead)["Email"] == person.work_email
    assert world.get(lead)["Lensmor_Personnel_Id__c"] is None


@pytest.mark.parametrize("edit", [{"Enrichment_Requested__c": False}, {"HasOptedOutOfEmail": True}, {"Email": THEIRS}])
def test_the_next_source_is_not_queried_without_need(world: World, harness: Harness, edit: dict[str, object]) -> None:
    person = world.person(email=None)
    lead = world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "failed")
    world.lensmor.task_seconds = 600
    harness = harness.other(email_only("lensmor", "salesfinity"))
    harness.wait_s = 20
    harness.sync()
    world.edit(lead, **edit)
    world.clock.advance(minutes=30)
    again = harness.other()
    again.wait_s = 600
    again.sync()
    assert world.ours("salesfinity") == 0


def test_a_persons_address_over_a_bounced_one_stays(world: World, harness: Harness) -> None:
    bounced = {"Email": "old@example.com", "EmailBouncedDate": "2026-11-01T00:00:00.000+0000"}
    person = world.person()
    lead, other = world.lead(person, **bounced), world.lead(person, **bounced)
    world.clock.at(5, lambda: world.edit(lead, Email=THEIRS))
    harness.other(email_only()).sync()
    assert world.get(lead)["Email"] == THEIRS
    assert world.get(other)["Email"] == person.email


def test_an_endless_retry_after_of_zero_does_not_hang_a_run(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness = harness.other(email_only("lensmor"))
    harness.wait_s = 60
    world.arm("lensmor", "submitEmailUnlock", "status", times=FOREVER, status=429, retry_after=0)
    report = harness.sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert world.lensmor.requests.count("submitEmailUnlock") <= 15


def test_a_parked_value_is_retried_the_next_day(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    strict = [True]
    world.org.add_validation(
        "Lead",
        lambda record: strict[0] and record.get("Email") is not None,
        code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
        message="not now",
        fields=("Email",),
    )
    harness = harness.other(email_only())
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    strict[0] = False
    world.clock.advance(days=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.ours("lensmor") == 15
