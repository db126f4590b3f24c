"""Salesforce fails as a service: lost or unreadable answers, expired tokens, an exhausted quota."""

from collections.abc import Mapping

import pytest
from harness import FaultRow, Harness, World, email_only

from connector.core.errors import ConfigurationError, StopError
from connector.core.model import Outcome
from connector.crm.salesforce.checks import check_fields
from connector.simulator.salesforce.schema import Field

READS = ("limits", "describe", "query", "retrieve_many")
SHORT_LIVED: tuple[FaultRow, ...] = (
    ("drop_before", {}),
    ("drop_after", {}),
    ("cut_body", {}),
    ("truncated", {}),
    ("html", {}),
    ("status", {"status": 503, "errorCode": "SERVER_UNAVAILABLE"}),
    ("status", {"status": 429, "retry_after": 3}),
    ("expire_token", {}),
    ("delay", {"seconds": 0.05}),
)


@pytest.mark.parametrize(("action", "params"), SHORT_LIVED, ids=[f"{a} {p.get('status', '')}" for a, p in SHORT_LIVED])
def test_every_call_survives_a_passing_fault(
    world: World, harness: Harness, action: str, params: Mapping[str, object]
) -> None:
    person = world.person()
    lead = world.lead(person)
    for operation in (*READS, "update_many"):
        world.arm("salesforce", operation, action, **params)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.exit_code == 0
    assert world.get(lead)["Email"] == person.email
    assert world.faults.armed() == [fault for fault in world.faults.armed() if fault.operation == "describe"]


def test_a_lost_write_answer_is_compared_and_not_sent_again(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("salesforce", "update_many", "drop_after")
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.crm["salesforce"].write_calls == 1
    (only,) = world.org.history("Lead", lead)
    assert "Email" in only.changes


@pytest.mark.parametrize("action", ["drop_before", "html", "status"])
def test_an_edit_before_a_repeated_write_is_not_overwritten(world: World, harness: Harness, action: str) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.set_unlocked(person.personnel_id, "email")  # the only wait is the one before the retry
    world.arm("salesforce", "update_many", action)
    reads: list[str] = []

    def type_a_little_later(_name: str, record_id: str) -> None:
        reads.append(record_id)
        if len(reads) == 2:  # the comparison before the failing write
            world.clock.at(0.5, lambda: world.edit(lead, Email="typed.by.hand@example.com"))

    world.org.after_read(type_a_little_later)
    report = harness.other(email_only()).sync()
    assert world.get(lead)["Email"] == "typed.by.hand@example.com"
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert world.simulator.salesforce.requests["update_many"] == 2  # the second sets the status and clears the flag


def test_a_write_without_any_answer_stops_the_run(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("salesforce", "update_many", "html", times=50)
    report = harness.sync()
    assert report.state == "stopped"
    assert report.exit_code == 4
    assert report.outcomes == {Outcome.DEFERRED: 1}  # not written yet; the record itself is fine
    assert "Salesforce" in report.stopped[0]
    assert world.get(lead)["Email"] is None
    world.faults.clear()
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2


def test_an_unanswered_write_is_recognised_in_the_record(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("salesforce", "update_many", "drop_after", times=50)
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert harness.other().sync().selected == 0


@pytest.mark.parametrize("operation", ["query", "retrieve_many"])
def test_a_lasting_read_failure_stops_the_run(world: World, harness: Harness, operation: str) -> None:
    lead = world.lead(world.person())
    world.arm("salesforce", operation, "drop_before", times=50)
    report = harness.sync()
    assert report.exit_code == 4
    assert "ended the connection before its answer was complete" in report.stopped[0]
    assert world.get(lead)["Enrichment_Requested__c"] is True
    world.faults.clear()
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.paid_posts() == 2


def test_an_expired_token_is_replaced(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.clock.at(5, world.simulator.salesforce.expire_tokens)
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.simulator.salesforce.requests["token"] == 2


def test_a_login_refused_during_a_run_stops_it(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    site = world.simulator.salesforce
    clients = dict(site.clients)

    def lock_out() -> None:
        site.clients.clear()
        site.expire_tokens()

    world.clock.at(5, lock_out)
    report = harness.sync()
    assert report.exit_code == 4
    assert "SALESFORCE_CLIENT_ID" in report.stopped[0]
    site.clients.update(clients)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2


def test_a_login_refused_at_the_start_is_a_configuration_error(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.simulator.salesforce.clients.clear()
    with pytest.raises(ConfigurationError, match=r"refuses the login .*check SALESFORCE_CLIENT_ID"):
        harness.sync()
    assert world.paid_posts() == 0


def test_the_quotas_reserve_stops_a_run_without_loss(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in people]

    def others_are_busy() -> None:
        world.org.daily_used = int(world.org.daily_limit * 0.8) - 1

    world.clock.at(5, others_are_busy)
    report = harness.sync()
    assert report.state == "stopped"
    assert report.exit_code == 4
    assert "SALESFORCE_API_RESERVE_PERCENT" in report.stopped[0]
    assert sum(report.outcomes.values()) == 3
    assert world.org.daily_used <= world.org.daily_limit * 0.8
    assert all(world.get(lead)["Enrichment_Requested__c"] for lead in leads)
    world.clock.advance(days=1, seconds=1)
    again = harness.other().sync()
    assert again.outcomes == {Outcome.DELIVERED: 3}
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    assert world.paid_posts() == 2


def test_the_quota_between_two_writes_keeps_the_first(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(201)]
    world.lensmor.task_seconds = 1

    def use_up(_name: str, _id: str) -> None:
        world.org.daily_used = world.org.daily_limit

    world.org.after_update(use_up)
    harness = harness.other(email_only())
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 200, Outcome.DEFERRED: 1}
    world.clock.advance(days=1, seconds=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert all(world.get(lead)["Email"] for lead in leads)
    assert [world.org.updates_count("Lead", lead) for lead in leads] == [1] * 201


def test_a_used_up_quota_stops_before_any_purchase(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.org.daily_used = int(world.org.daily_limit * 0.9)
    with pytest.raises(StopError, match=r"daily requests are at 1350[01] of 15000"):
        harness.sync()
    assert world.paid_posts() == 0


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ("hide", "HasOptedOutOfEmail", "channels.work_email.opt_out|has no field HasOptedOutOfEmail|read access"),
        ("hide", "Enrichment_Requested__c", "select.flag|has no field Enrichment_Requested__c|read access"),
        ("hide", "EmailBouncedDate", "channels.work_email.empty_when|has no field EmailBouncedDate|read access"),
        ("hide", "LinkedIn_URL__c", "person.linkedin_url|has no field LinkedIn_URL__c|read access"),
        ("read only", "Email", "channels.work_email.field|Email cannot be edited|edit access"),
        ("read only", "Email_Unlock_Status__c", "channels.work_email.status|cannot be edited|edit access"),
        ("read only", "Enrichment_Requested__c", "select.flag|cannot be edited|edit access"),
        ("read only", "Enrichment_Error__c", "stamp.error|cannot be edited|edit access"),
        ("restrict", "Email_Unlock_Status__c", "channels.work_email.status|restricted picklist|add these values"),
        ("retype", "Email", "channels.work_email.field|Email is a number field|map one of type email"),
        ("retype", "Enrichment_Requested__c", "select.flag|is a number field, not a checkbox|for a picklist"),
    ],
)
def test_an_unusable_field_is_found_before_any_purchase(
    world: World, harness: Harness, change: str, field: str, words: str
) -> None:
    match change:
        case "hide":
            world.org.hide_field("Lead", field)
        case "read only":
            world.org.make_read_only("Lead", field)
        case "restrict":
            world.org.restrict_picklist("Lead", field, ("Unlocked", "Failed"))
        case _:
            world.org.add_field("Lead", Field(field, "double"))
    harness = harness.other(email_only())
    with harness.services() as services:
        problems = check_fields(services.crm, harness.mappings["lead"])
    found = [f"{'.'.join(map(str, problem.path))} {problem.message}" for problem in problems]
    assert any(all(word in line for word in words.split("|")) for line in found), found


def test_a_field_name_in_another_case_is_refused(harness: Harness) -> None:
    harness = harness.other(email_only(field="email", opt_out="hasOptedOutOfEmail"))
    with harness.services() as services:
        problems = check_fields(services.crm, harness.mappings["lead"])
    assert [problem.message for problem in problems] == [
        "write Email, as Salesforce does, not email",
        "write HasOptedOutOfEmail, as Salesforce does, not hasOptedOutOfEmail",
    ]
