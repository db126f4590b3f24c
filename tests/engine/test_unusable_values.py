"""Answers that claim a value without a usable one: not written, not delivered, and the next source is queried."""

import pytest
from harness import Harness, World, email_only, mapping, phone_only
from test_same_person import reason_of

from connector.core.model import Outcome

NOT_EMAILS = ["a***@example.com", "email_not_unlocked@example.com", "noemail@example.com", "none@example.com"]
NOT_PHONES = ["+1 415 555 XXXX", "N/A", "null", "-", "0000000000", "+1 415 *** **12", "555"]


@pytest.mark.parametrize("text", NOT_EMAILS)
def test_a_placeholder_email_leads_to_the_next_source(world: World, harness: Harness, text: str) -> None:
    person = world.person(email=text)
    lead = world.lead(person)
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
    assert (report.credits["lensmor"].charged, report.credits["salesfinity"].charged) == (15, 1)
    world.flag(lead)
    world.edit(lead, Email=None)
    world.clock.advance(days=1)
    harness.other(email_only("lensmor")).sync()
    assert world.get(lead)["Email"] is None
    assert world.ours("lensmor") == 15


@pytest.mark.parametrize("text", ["N/A", "null", "not found", "-"])
def test_a_text_instead_of_an_address(world: World, harness: Harness, text: str) -> None:
    person = world.person()
    lead = world.lead(person)
    for operation in ("getEmailUnlockTask", "getPersonnelProfile"):
        world.arm("lensmor", operation, "unknown_word", times=50, fields=["email"], word=text)
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email


@pytest.mark.parametrize("text", NOT_PHONES)
def test_an_unusable_phone_is_not_found(world: World, harness: Harness, text: str) -> None:
    lead = world.lead(world.person(phone=text))
    report = harness.other(phone_only()).sync()
    assert report.outcomes == {Outcome.NOT_FOUND: 1}
    assert world.get(lead)["MobilePhone"] is None
    assert world.get(lead)["Phone_Unlock_Status__c"] == "Not found"
    assert world.get(lead)["Enrichment_Requested__c"] is False
    assert report.credits["lensmor"].charged == 150


def test_a_local_number_is_written_as_given(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(phone="555-0132"))
    harness.other(phone_only(format="e164", default_region="US")).sync()
    assert world.get(lead)["MobilePhone"] == "555-0132"


def test_an_extension_is_written_with_its_number(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(phone="+1 415 555 0100 x12"))
    harness.other(phone_only(format="e164")).sync()
    assert world.get(lead)["MobilePhone"] == "+14155550100 ext. 12"


@pytest.mark.parametrize("text", ["mailto:{}", "Ada <{}>", "\u200b{}\ufeff", "{}."])
def test_a_wrapped_address_is_unwrapped(world: World, harness: Harness, text: str) -> None:
    person = world.person()
    lead = world.lead(person)
    wrapped = text.format(person.email)
    world.arm("lensmor", "getEmailUnlockTask", "unknown_word", times=50, fields=["email"], word=wrapped)
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email


def test_a_placeholder_shown_by_the_account_is_not_used(world: World, harness: Harness) -> None:
    """A colleague bought it: the lookup and the skip list lead to the profile, which has no usable value."""
    person = world.person(email="a***@example.com")
    world.colleague_buys(person, "email")
    world.clock.advance(minutes=10)
    by_id = world.lead(person)
    by_link = world.lead(person, Lensmor_Personnel_Id__c=None)
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 2}
    assert {world.get(lead)["Email"] for lead in (by_id, by_link)} == {person.work_email}
    assert world.ours("lensmor") == 0


def test_late_evidence_of_a_placeholder_improves_nothing(world: World, harness: Harness) -> None:
    person = world.person(phone="+1 415 555 XXXX")
    lead = world.lead(person, Lensmor_Personnel_Id__c=None)
    harness = harness.other(phone_only())
    assert harness.sync().outcomes == {Outcome.NOT_FOUND: 1}
    for _ in range(2):
        world.clock.advance(hours=8)
        world.flag(lead)
        harness.other().sync()
    other = world.lead(person, Lensmor_Personnel_Id__c=None)
    harness.other().sync()
    assert [world.get(one)["MobilePhone"] for one in (lead, other)] == [None, None]
    assert world.ours("lensmor") == 150


def test_a_salesfinity_placeholder_leads_to_the_next_source(world: World, harness: Harness) -> None:
    person = world.person(work_email="noemail@example.com")
    lead = world.lead(person)
    report = harness.other(email_only("salesfinity", "lensmor")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert (report.credits["salesfinity"].charged, report.credits["lensmor"].charged) == (1, 15)


def test_a_personal_email_does_not_answer_a_work_lookup(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("salesfinity", "getEmailEnrichment", "unknown_word", times=50, fields=["type"], word="personal")
    report = harness.other(email_only("salesfinity")).sync()
    assert report.outcomes == {Outcome.NOT_FOUND: 1}
    assert world.get(lead)["Email"] is None
    assert report.credits["salesfinity"].charged == 1
    assert "without a usable value" in reason_of(report)


# -- a result is never lowered -----------------------------------------------------------------------------------


def test_an_item_that_fails_after_it_was_unlocked_stays_delivered(world: World, harness: Harness) -> None:
    people = [world.person(), world.person()]
    leads = [world.lead(person) for person in people]
    world.lensmor.task_seconds = 200

    def spoil() -> None:
        world.arm("lensmor", "getEmailUnlockTask", "unknown_word", times=50, fields=["status"], word="failed")

    world.clock.at(180, spoil)  # one of the two is unlocked and read by then
    report = harness.other(email_only()).sync()
    emails = [(person.email, world.get(lead)["Email"]) for person, lead in zip(people, leads, strict=True)]
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.FAILED: 1}
    assert [own == written for own, written in emails if written] == [True]
    assert world.ours("lensmor") == 30


# -- states ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["done", "Success", "COMPLETED"])
def test_other_names_for_the_end_of_a_task(world: World, harness: Harness, word: str) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.task_seconds = 1
    world.arm("lensmor", "getEmailUnlockTask", "unknown_word", times=50, fields=["taskStatus"], word=word)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert report.attention == ()


UNKNOWN = [
    ("lensmor", "getEmailUnlockTask", ["taskStatus", "status"]),
    ("salesfinity", "getEmailEnrichment", ["status"]),
]


@pytest.mark.parametrize(("vendor", "operation", "fields"), UNKNOWN)
def test_an_unknown_state_is_reported_after_the_wait(
    world: World, harness: Harness, vendor: str, operation: str, fields: list[str]
) -> None:
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in people]
    world.arm(vendor, operation, "unknown_word", times=1000, fields=fields, word="on hold!")
    harness = harness.other(email_only(vendor))
    harness.wait_s = 600
    for _ in range(2):  # the second run polls the older task once
        report = harness.other().sync()
        assert report.outcomes == {Outcome.WAITING: 3}
        reasons = [one.reason for one in report.attention]
        assert reasons == [f"{vendor} answers with the unknown status 'on hold'; the purchase counts as not finished"]
        assert report.exit_code == 3
        world.clock.advance(minutes=15)
    world.faults.clear()
    last = harness.other().sync()
    assert last.outcomes == {Outcome.DELIVERED: 3}
    assert last.attention == ()
    assert all(world.get(lead)["Email"] for lead in leads)
    assert world.paid_posts() == (1 if vendor == "lensmor" else 3)


def test_a_passing_unknown_state_is_not_reported(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("lensmor", "getEmailUnlockTask", "unknown_word", times=3, fields=["taskStatus", "status"], word="on hold")
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.attention == ()
    assert world.get(lead)["Email"] is not None


def test_an_unknown_state_in_a_profile_is_reported(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    world.arm(
        "lensmor", "getPersonnelProfile", "unknown_word", times=200, fields=["contactUnlockStatus"], word="frozen"
    )
    harness = harness.other(email_only())
    harness.wait_s = 900
    report = harness.sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    assert any("the unknown status 'frozen'" in one.reason for one in report.attention)


def test_one_channel_delivered_and_the_other_empty(world: World, harness: Harness) -> None:
    person = world.person(phone="+1-800-EXAMPLE")
    lead = world.lead(person)
    harness.other(mapping("lead")).sync()
    record = world.get(lead)
    assert (record["Email"], record["MobilePhone"]) == (person.email, None)
    assert record["Phone_Unlock_Status__c"] == "Not found"
