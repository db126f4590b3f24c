"""People known only by LinkedIn: one free lookup each, stored; the next source if one has no value."""

from harness import Harness, World, email_only, mapping, phone_only

from connector.core.model import Outcome
from connector.simulator.people import SimPerson

LINK_ONLY: dict[str, object] = {"Lensmor_Personnel_Id__c": None, "Lensmor_Event_Id__c": None}


def _forget(world: World, person: SimPerson) -> None:
    """Remove the person from Lensmor."""
    del world.lensmor.people[person.personnel_id]
    world.lensmor.person_of_linkedin.pop(person.linkedin_name or "")


def test_a_404_is_stored_and_not_queried_again(world: World, harness: Harness) -> None:
    person = world.person()
    _forget(world, person)
    lead = world.lead(person, **LINK_ONLY)
    harness = harness.other(phone_only())
    assert harness.sync().outcomes == {Outcome.NOT_FOUND: 1}
    assert world.get(lead)["Phone_Unlock_Status__c"] == "Not found"
    assert world.lensmor.requests.count("findPersonByLinkedin") == 1
    world.flag(lead)
    world.clock.advance(hours=1)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.NOT_FOUND: 1}
    assert world.lensmor.requests.count("findPersonByLinkedin") == 1
    assert world.get(lead)["Enrichment_Requested__c"] is False


def test_the_id_is_stamped_back_and_used_by_the_next_record(world: World, harness: Harness) -> None:
    person = world.person()
    first = world.lead(person, **LINK_ONLY)
    harness.sync()
    assert world.get(first)["Lensmor_Personnel_Id__c"] == person.personnel_id
    spelt_otherwise = f"http://NL.linkedin.com/in/{(person.linkedin_name or '').upper()}/details/skills?x=1#top"
    second = world.lead(person, **{**LINK_ONLY, "LinkedIn_URL__c": spelt_otherwise})
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["lensmor"].charged == 0
    assert world.lensmor.requests.count("findPersonByLinkedin") == 1
    assert world.get(second)["Email"] == person.email


def test_a_persons_id_is_never_replaced(world: World, harness: Harness) -> None:
    person, other = world.person(), world.person()
    lead = world.lead(person, Lensmor_Personnel_Id__c=other.personnel_id)
    harness.sync()
    record = world.get(lead)
    assert record["Lensmor_Personnel_Id__c"] == other.personnel_id
    assert record["Email"] == other.email  # the id decides; the LinkedIn address is not queried
    assert world.lensmor.requests.count("findPersonByLinkedin") == 0


def test_one_lookup_serves_email_and_phone_and_every_record_of_the_person(world: World, harness: Harness) -> None:
    person = world.person()
    leads = [world.lead(person, **LINK_ONLY) for _ in range(3)]
    harness.sync()
    assert world.lensmor.requests.count("findPersonByLinkedin") == 1
    assert world.paid_posts() == 2
    assert [world.get(lead)["Email"] for lead in leads] == [person.email] * 3


def test_unaffordable_people_are_not_looked_up(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person(), **LINK_ONLY) for _ in range(5)]
    harness = harness.other(email_only())
    world.lensmor.balance = 40  # enough for two emails
    report = harness.sync()
    assert world.lensmor.requests.count("findPersonByLinkedin") == 2
    assert report.outcomes == {Outcome.DELIVERED: 2, Outcome.DEFERRED: 3}
    assert report.exit_code == 4
    world.lensmor.balance = 1000
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 3}
    assert all(world.get(lead)["Email"] for lead in leads)


def test_an_unreadable_lookup_is_reported_not_a_404(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person, **LINK_ONLY)
    harness = harness.other(email_only())
    world.arm("lensmor", "findPersonByLinkedin", "wrong_types")
    assert harness.sync().outcomes == {Outcome.FAILED: 1}
    reason = str(world.get(lead)["Enrichment_Error__c"])
    assert "lensmor's answer to a LinkedIn lookup names no personnel id" in reason
    world.flag(lead)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email


def test_the_second_source_gets_only_undelivered_people(world: World, harness: Harness) -> None:
    found, lost = world.person(), world.person()
    world.lensmor.script(lost.personnel_id, "email", "failed")
    leads = [world.lead(found), world.lead(lost)]
    harness = harness.other(email_only("lensmor", "salesfinity"))
    report = harness.sync()
    assert [world.get(lead)["Email"] for lead in leads] == [found.email, lost.work_email]
    assert [world.get(lead)["Enrichment_Source__c"] for lead in leads] == ["lensmor", "salesfinity"]
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1
    assert report.channels["work_email"] == {Outcome.DELIVERED: 2}
    assert report.purchases["lensmor"]["work_email"].failed == 1


def test_the_second_source_waits_for_the_first(world: World, harness: Harness) -> None:
    slow, lost = world.person(), world.person()
    world.lensmor.script(slow.personnel_id, "email", "stuck")
    leads = [world.lead(slow), world.lead(lost, Lensmor_Event_Id__c="52002")]
    world.lensmor.add_person(_with_event(lost, "52002"))
    world.lensmor.profile_lag_seconds = 1e9
    harness = harness.other(email_only("lensmor", "salesfinity"))
    harness.wait_s = 200
    world.arm("lensmor", "submitEmailUnlock", "drop_after", subject=lost.personnel_id)
    report = harness.sync()
    assert report.outcomes == {Outcome.WAITING: 1, Outcome.UNKNOWN: 1}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 0
    assert [world.get(lead)["Email_Unlock_Status__c"] for lead in leads] == ["In progress", "Unknown"]


def _with_event(person: SimPerson, event_id: str) -> SimPerson:
    return SimPerson(
        personnel_id=person.personnel_id,
        full_name=person.full_name,
        linkedin_name=person.linkedin_name,
        event_ids=(event_id,),
        email=person.email,
    )


def test_a_record_without_linkedin_has_the_first_sources_reason(world: World, harness: Harness) -> None:
    person = world.person()
    world.lensmor.script(person.personnel_id, "email", "no_value")
    lead = world.lead(person, LinkedIn_URL__c=None)
    harness = harness.other(mapping("lead"))
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "Not found"
    assert "the vendor unlocked the person and shows no value" in next(iter(report.reasons["work_email"]["not_found"]))
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 0
