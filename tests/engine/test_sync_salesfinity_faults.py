"""Any answer of Salesfinity: a lookup is started once, polled until it ends, and never repeated on suspicion."""

from collections.abc import Mapping

import pytest
from harness import FaultRow, Harness, World, email_only, personal_only

from connector.core.errors import ConfigurationError
from connector.core.model import Outcome

READ_FAULTS: tuple[FaultRow, ...] = (
    ("drop_before", {}),
    ("drop_after", {}),
    ("error_before", {"status": 500}),
    ("error_after", {"status": 502}),
    ("html", {}),
    ("truncated", {}),
    ("wrong_types", {}),
    ("unknown_word", {}),
    ("delay", {"seconds": 0.01}),
    ("status", {"status": 429}),
    ("status", {"status": 429, "retry_after": 7}),
    ("status", {"status": 503}),
    ("status", {"status": 409}),
    ("status", {"status": 400}),
    ("status", {"status": 401}),
    ("status", {"status": 402}),
)
BALANCE_FAULTS: tuple[FaultRow, ...] = (
    ("drop_before", {}),
    ("truncated", {}),
    ("wrong_types", {}),
    ("status", {"status": 400}),
    ("status", {"status": 429, "retry_after": 7}),
)
LOOKUP = "requestEmailEnrichment"


def test_every_fault_of_a_read_costs_only_time(world: World, harness: Harness) -> None:
    people = [world.person() for _ in READ_FAULTS]
    leads = [world.lead(person) for person in people]
    for person, (action, params) in zip(people, READ_FAULTS, strict=True):
        world.arm("salesfinity", "getEmailEnrichment", action, subject=person.linkedin_name, **params)
    harness = harness.other(email_only("salesfinity"))
    harness.syncs(most=8, minutes=5)
    assert [world.get(lead)["Email"] for lead in leads] == [person.work_email for person in people]
    assert world.salesfinity.requests.count(LOOKUP) == len(people)
    assert world.ours("salesfinity") == len(people)
    assert world.faults.armed() == []


@pytest.mark.parametrize(("action", "params"), BALANCE_FAULTS, ids=str)
def test_every_fault_of_the_balance_costs_time_or_defers(
    world: World, harness: Harness, action: str, params: Mapping[str, object]
) -> None:
    lead = world.lead(world.person())
    world.arm("salesfinity", "getEnrichmentCredits", action, **params)
    harness = harness.other(email_only("salesfinity"))
    first = harness.sync()
    assert (first.exit_code == 4) is (first.outcomes == {Outcome.DEFERRED: 1})
    harness.other().sync()
    assert world.get(lead)["Email"] is not None
    assert world.salesfinity.requests.count(LOOKUP) == 1


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_definite_refusal_leads_to_the_next_source(world: World, harness: Harness, status: int) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("salesfinity", LOOKUP, "status", status=status, times=5)
    report = harness.other(email_only("salesfinity", "lensmor")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.salesfinity.requests.count(LOOKUP) == 1
    assert report.credits["salesfinity"].held == 0
    assert world.ours("salesfinity") == 0


def test_409_is_sent_again_after_fifteen_minutes(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("salesfinity", LOOKUP, "status", status=409)
    assert harness.other(email_only("salesfinity")).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    sent = [entry.at for entry in world.salesfinity.requests.entries if entry.operation == LOOKUP]
    assert round(sent[1] - sent[0]) == 900


def test_a_refusal_without_a_next_source_ends_the_record_with_the_reason(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("salesfinity", LOOKUP, "status", status=400)
    report = harness.other(email_only("salesfinity")).sync()
    assert report.outcomes == {Outcome.FAILED: 1}
    assert "salesfinity refused the request (HTTP 400" in str(world.get(lead)["Enrichment_Error__c"])
    assert world.get(lead)["Email_Unlock_Status__c"] == "Failed"


@pytest.mark.parametrize(("params", "pause_s"), [({}, 60), ({"retry_after": 7}, 7)])
def test_429_is_waited_out(world: World, harness: Harness, params: dict[str, object], pause_s: int) -> None:
    lead = world.lead(world.person())
    world.arm("salesfinity", LOOKUP, "status", status=429, **params)
    report = harness.other(email_only("salesfinity")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    sent = [entry.at for entry in world.salesfinity.requests.entries if entry.operation == LOOKUP]
    assert round(sent[1] - sent[0]) == pause_s


def test_402_between_two_lookups_defers_the_rest(world: World, harness: Harness) -> None:
    contacts = [world.contact(world.person()) for _ in range(3)]
    world.arm("salesfinity", LOOKUP, "status", status=402, after=1)
    harness = harness.other(personal_only())
    report = harness.sync()
    assert "salesfinity reports that the credits are used up" in report.stopped[0]
    assert report.exit_code == 4
    assert world.salesfinity.requests.count(LOOKUP) == 2
    world.clock.advance(minutes=16)
    report = harness.other().sync()
    assert all(world.get(contact)["Personal_Email__c"] for contact in contacts)
    assert world.ours("salesfinity") == 3


def test_lookups_in_flight_never_exceed_the_balance(world: World, harness: Harness) -> None:
    for _ in range(4):
        world.contact(world.person())
    world.salesfinity.balance = 2
    report = harness.other(personal_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 2, Outcome.DEFERRED: 2}
    assert world.salesfinity.requests.count(LOOKUP) == 2
    assert world.salesfinity.balance == 0


@pytest.mark.parametrize(
    ("scripted", "outcome", "reason"),
    [
        ("not-found", Outcome.NOT_FOUND, "personal email: salesfinity did not find it"),
        ("failed", Outcome.FAILED, "personal email: salesfinity failed"),
    ],
)
def test_a_lookup_without_an_email_costs_nothing(
    world: World, harness: Harness, scripted: str, outcome: Outcome, reason: str
) -> None:
    person = world.person()
    contact = world.contact(person)
    assert person.linkedin_name is not None
    world.salesfinity.script(person.linkedin_name, "personal", scripted)
    report = harness.other(personal_only()).sync()
    assert report.outcomes == {outcome: 1}
    assert world.get(contact)["Enrichment_Error__c"] == reason
    assert report.credits["salesfinity"].charged == 0
    assert report.credits["salesfinity"].held == 0


def test_a_lost_lookup_is_unknown_and_not_started_again(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("salesfinity", "getEmailEnrichment", "not_found", times=100)
    harness = harness.other(email_only("salesfinity"))
    report = harness.sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    assert report.exit_code == 3
    assert "salesfinity no longer has a lookup that it accepted" in {found.reason for found in report.attention}
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unknown"
    world.clock.advance(days=1)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 1}
    assert world.salesfinity.requests.count(LOOKUP) == 1


def test_a_key_refused_at_the_start_is_a_configuration_error(world: World, harness: Harness) -> None:
    world.contact(world.person())
    world.salesfinity.keys.clear()
    with pytest.raises(ConfigurationError, match=r"salesfinity refuses the API key .*check SALESFINITY_API_KEY"):
        harness.other(personal_only()).sync()
    assert world.paid_posts() == 0


def test_one_request_at_a_time_with_its_own_external_id(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(5)]
    for person in people:
        world.contact(person)
    harness.other(personal_only()).sync()
    lookups = [world.salesfinity.lookup(charge.request_id) for charge in world.charges.entries]
    ids = [lookup.external_id for lookup in lookups if lookup is not None]
    assert len(set(ids)) == len(people)
    assert None not in ids
    assert {lookup.linkedin_url for lookup in lookups if lookup} == {
        f"https://www.linkedin.com/in/{person.linkedin_name}" for person in people
    }
