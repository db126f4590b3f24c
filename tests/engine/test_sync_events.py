"""Lensmor's events: people without one, with a wrong one, or with one unknown to the vendor; full batches."""

from harness import Harness, World, email_only, mapping

from connector.core.model import Outcome

NO_EVENT: dict[str, object] = {"Lensmor_Event_Id__c": None, "LinkedIn_URL__c": None}


def test_people_without_an_event_are_bought_without_one(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), **NO_EVENT)
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.lensmor.requests.count("listPersonnelEvents") == 0
    assert world.get(lead)["Email"] is not None


def test_required_events_are_looked_up(world: World, harness: Harness) -> None:
    people = [world.person(event_ids=(event,)) for event in ("52001", "52002", "52002")]
    leads = [world.lead(person, **NO_EVENT) for person in people]
    world.lensmor.require_event = True
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 3}
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    assert world.lensmor.requests.count("listPersonnelEvents") == 3
    assert world.lensmor.requests.count("submitEmailUnlock", 201) == 2


def test_a_person_without_a_required_event_ends_with_a_reason(world: World, harness: Harness) -> None:
    lost, found = world.person(event_ids=()), world.person()
    leads = [world.lead(lost, **NO_EVENT), world.lead(found, **NO_EVENT)]
    world.lensmor.require_event = True
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.FAILED: 1, Outcome.DELIVERED: 1}
    assert world.get(leads[0])["Enrichment_Error__c"] == (
        "work email: lensmor sells only by event and lists none for this person"
    )
    assert world.get(leads[1])["Email"] == found.email


def test_an_unknown_person_does_not_stop_others_with_required_events(world: World, harness: Harness) -> None:
    lost, found = world.person(), world.person()
    del world.lensmor.people[lost.personnel_id]
    leads = [world.lead(lost, **NO_EVENT), world.lead(found, **NO_EVENT)]
    world.lensmor.require_event = True
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.FAILED: 1, Outcome.DELIVERED: 1}
    assert world.get(leads[0])["Enrichment_Error__c"] == "work email: lensmor has no person with this personnel id"
    assert report.exit_code == 0


def test_an_unknown_event_is_replaced_by_one_of_the_person(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person, Lensmor_Event_Id__c="99999") for person in people]
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 3}
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    assert world.lensmor.requests.count("submitEmailUnlock") == 2


def test_one_event_for_all_records_in_the_mapping(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), **NO_EVENT)
    world.lensmor.require_event = True
    found = email_only().model_copy(update={"person": mapping("lead", person={"event_id": {"value": "52001"}}).person})
    assert harness.other(found).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert world.lensmor.requests.count("listPersonnelEvents") == 0


def test_people_outside_the_named_event_are_bought_by_their_own(world: World, harness: Harness) -> None:
    insiders = [world.person() for _ in range(3)]
    outsider = world.person(event_ids=("52002",))
    leads = [world.lead(person) for person in [*insiders, outsider]]
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 4}
    assert world.get(leads[3])["Email"] == outsider.email
    assert world.lensmor.requests.count("submitEmailUnlock") == 2
    assert world.lensmor.requests.count("listPersonnelEvents") == 1
    assert world.ours("lensmor") == 60


def test_batches_are_full_across_leads_and_contacts_and_cut_at_100(world: World, harness: Harness) -> None:
    for number in range(130):
        world.lead(world.person(event_ids=("52001",)))
        if number < 80:
            world.contact(world.person(event_ids=("52001",)))
    for _ in range(5):
        world.lead(world.person(event_ids=("52002",)), Lensmor_Event_Id__c="52002")
    report = harness.other(email_only(), email_only(name="contact")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 215}
    sizes = [e.people for e in world.lensmor.requests.entries if e.operation == "submitEmailUnlock"]
    assert sorted(sizes) == [5, 10, 100, 100]
    assert report.crm["salesforce"].write_calls <= 6
    assert world.ours("lensmor") == 215 * 15


def test_people_found_by_linkedin_fill_the_batch_of_the_others(world: World, harness: Harness) -> None:
    for _ in range(10):
        world.lead(world.person())
        world.lead(world.person(), Lensmor_Personnel_Id__c=None, Lensmor_Event_Id__c=None)
    harness.other(email_only()).sync()
    assert world.lensmor.requests.count("submitEmailUnlock") == 1
    assert world.lensmor.requests.people("submitEmailUnlock") == 20


def test_a_vendor_with_a_smaller_limit_gets_smaller_batches(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(20)]
    world.arm("lensmor", "submitEmailUnlock", "status", status=422)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 20}
    sizes = [e.people for e in world.lensmor.requests.entries if e.operation == "submitEmailUnlock"]
    assert sizes == [20, 10, 10]
    assert all(world.get(lead)["Email"] for lead in leads)
