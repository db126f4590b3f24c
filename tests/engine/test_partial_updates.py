"""Refused rows that are written in part: values left out, retried or parked, and their report."""

import pytest
from harness import Harness, World, email_only, mapping
from test_refusals_by_cause import WRITES, row_error, row_rule, unlocked_leads

from connector.core.model import Outcome
from connector.simulator.faults import FOREVER, Fault
from connector.simulator.salesforce.errors import Problem
from connector.simulator.salesforce.rules import Changes
from connector.simulator.salesforce.schema import Record

MAINTENANCE = "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"
BAD_STATUS = row_error("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Email_Unlock_Status__c")


def crm_figures(report_json: dict[str, object]) -> tuple[int, int]:
    crm = report_json["crm"]
    assert isinstance(crm, dict)
    found = crm["salesforce"]
    return found["records_written"], found["records_failed"]


# -- only a value that causes a refusal is unusable -----------------------------------------------------------------


def test_an_invalid_email_in_another_field_keeps_the_phone_usable(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), Email="typed.by.hand@example.com")
    world.simulator.arm(row_rule(lead, "MobilePhone", row_error("INVALID_EMAIL_ADDRESS", "Email")))
    dispatcher = harness.other(mapping("lead"))
    report = dispatcher.sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert world.get(lead)["Enrichment_Requested__c"]
    world.faults.clear()
    world.clock.advance(days=1)
    assert dispatcher.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["MobilePhone"]
    assert world.ours("lensmor") == 150


def test_a_refusal_by_another_field_buys_no_second_value(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email_Unlock_Status__c", row_error("INVALID_EMAIL_ADDRESS", "Assistant__c")))
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert world.ours("salesfinity") == 0


def test_no_second_source_while_another_reason_remains(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    errors = [
        row_error("INVALID_EMAIL_ADDRESS", "Email"),
        row_error("FIELD_CUSTOM_VALIDATION_EXCEPTION", message="not like that"),
    ]
    world.simulator.arm(Fault("salesforce", WRITES, "row_rule", times=FOREVER, subject=lead, params={"errors": errors}))
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert (world.ours("lensmor"), world.ours("salesfinity")) == (15, 0)


# -- causes outside the row, after the row's first refusal ----------------------------------------------------------


def test_maintenance_during_a_write_stops_the_run_and_parks_nothing(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(row_rule(lead, "Email", BAD_STATUS, times=1))
    world.arm("salesforce", WRITES, "row_error", times=FOREVER, after=1, code=MAINTENANCE)
    report = harness.other(email_only()).sync()
    assert report.exit_code == 4
    assert report.outcomes == {Outcome.DEFERRED: 1}
    world.faults.clear()
    world.clock.advance(hours=1)
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}


def test_a_limit_during_a_write_leads_to_fewer_rows(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 120)
    params = {"when_fields": ["Email"], "errors": [BAD_STATUS]}
    world.simulator.arm(Fault("salesforce", WRITES, "row_rule", times=120, params=params))
    world.arm("salesforce", WRITES, "governor_limit", times=FOREVER, after=1, rows=100, reason="cpu")
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 120}
    assert all(world.get(lead)["Email"] for lead in leads)


@pytest.mark.parametrize("trouble", ["lock", "lost"])
def test_a_passing_refusal_is_retried_in_the_same_run(world: World, harness: Harness, trouble: str) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(row_rule(lead, "Email", BAD_STATUS, times=1))
    if trouble == "lock":
        world.arm("salesforce", WRITES, "row_error", times=1, after=1, code="UNABLE_TO_LOCK_ROW")
    else:
        world.arm("salesforce", WRITES, "drop_before", times=1, after=1)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.exit_code == 0
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"


def test_separately_written_values_get_their_stamps_later(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email", row_error("DUPLICATES_DETECTED"), times=1))
    world.arm("salesforce", WRITES, "row_error", times=FOREVER, after=3, code="UNABLE_TO_LOCK_ROW")
    dispatcher = harness.other(mapping("lead"))
    report = dispatcher.sync()
    assert world.get(lead)["Email"]
    assert world.get(lead)["MobilePhone"]
    assert report.channels["work_email"] == {Outcome.DELIVERED: 1}
    assert report.channels["phone"] == {Outcome.DELIVERED: 1}
    assert report.outcomes == {Outcome.PARKED: 1}
    assert not world.get(lead)["Enriched_At__c"]
    world.faults.clear()
    world.clock.advance(minutes=15)
    assert dispatcher.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Enriched_At__c"]
    assert world.get(lead)["Enrichment_Source__c"] == "lensmor"
    assert not world.get(lead)["Enrichment_Requested__c"]


def test_a_flow_that_always_fails_does_not_use_up_the_quota(world: World, harness: Harness) -> None:
    unlocked_leads(world, 100)

    def broken(_record: Record, _changes: Changes) -> list[Problem]:
        return [Problem("CANNOT_EXECUTE_FLOW_TRIGGER", "flow failed", ())]

    world.org.add_update_rule("Lead", broken)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.PARKED: 100}
    assert world.simulator.salesforce.requests[WRITES] < 80


# -- the report -----------------------------------------------------------------------------------------------------


def test_a_permanent_omission_is_not_promised(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(row_rule(lead, "Email_Unlock_Status__c", BAD_STATUS))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    (entry,) = report.attention
    assert "picklist" in entry.next
    assert "and once a day" not in entry.next
    assert crm_figures(report.to_json()) == (1, 1)


def test_a_finally_written_row_needs_no_attention(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email", row_error("DUPLICATES_DETECTED"), times=1))
    report = harness.other(mapping("lead")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.attention == ()
    assert report.exit_code == 0
    assert crm_figures(report.to_json()) == (1, 0)


def test_a_repeatedly_refused_record_is_counted_once(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email", row_error("INVALID_EMAIL_ADDRESS", "Email")))
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.NOT_FOUND: 1}
    assert crm_figures(report.to_json()) == (1, 0)  # the record was written in the end, without a value
