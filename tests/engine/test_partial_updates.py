"""Refused rows of which a part is written all the same: what is withheld, retried, parked, and told."""

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


# -- a value is unusable only where it is to blame ------------------------------------------------------------------


def test_the_bad_email_of_another_field_makes_no_phone_unusable(world: World, harness: Harness) -> None:
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


def test_an_address_refused_because_of_a_field_of_others_buys_no_second_one(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email_Unlock_Status__c", row_error("INVALID_EMAIL_ADDRESS", "Assistant__c")))
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert world.ours("salesfinity") == 0


def test_no_second_source_is_queried_while_the_row_is_refused_for_another_reason_too(
    world: World, harness: Harness
) -> None:
    lead = world.lead(world.person())
    errors = [
        row_error("INVALID_EMAIL_ADDRESS", "Email"),
        row_error("FIELD_CUSTOM_VALIDATION_EXCEPTION", message="not like that"),
    ]
    world.simulator.arm(Fault("salesforce", WRITES, "row_rule", times=FOREVER, subject=lead, params={"errors": errors}))
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert (world.ours("lensmor"), world.ours("salesfinity")) == (15, 0)


# -- causes that are not the row's own, after its first refusal -----------------------------------------------------


def test_maintenance_in_the_middle_stops_the_run_and_parks_nothing(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(row_rule(lead, "Email", BAD_STATUS, times=1))
    world.arm("salesforce", WRITES, "row_error", times=FOREVER, after=1, code=MAINTENANCE)
    report = harness.other(email_only()).sync()
    assert report.exit_code == 4
    assert report.outcomes == {Outcome.DEFERRED: 1}
    world.faults.clear()
    world.clock.advance(hours=1)
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}


def test_a_limit_in_the_middle_is_met_with_fewer_rows(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 120)
    params = {"when_fields": ["Email"], "errors": [BAD_STATUS]}
    world.simulator.arm(Fault("salesforce", WRITES, "row_rule", times=120, params=params))
    world.arm("salesforce", WRITES, "governor_limit", times=FOREVER, after=1, rows=100, reason="cpu")
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 120}
    assert all(world.get(lead)["Email"] for lead in leads)


@pytest.mark.parametrize("trouble", ["lock", "lost"])
def test_what_passes_in_the_middle_is_tried_again_in_the_same_run(world: World, harness: Harness, trouble: str) -> None:
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


def test_values_that_were_written_one_by_one_get_their_stamps_on_a_later_run(world: World, harness: Harness) -> None:
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


def test_a_flow_that_fails_for_every_record_does_not_use_up_the_quota(world: World, harness: Harness) -> None:
    unlocked_leads(world, 100)

    def broken(_record: Record, _changes: Changes) -> list[Problem]:
        return [Problem("CANNOT_EXECUTE_FLOW_TRIGGER", "flow failed", ())]

    world.org.add_update_rule("Lead", broken)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.PARKED: 100}
    assert world.simulator.salesforce.requests[WRITES] < 80


# -- what is told ---------------------------------------------------------------------------------------------------


def test_what_is_left_out_for_good_is_not_promised(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(row_rule(lead, "Email_Unlock_Status__c", BAD_STATUS))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    (entry,) = report.attention
    assert "picklist" in entry.next
    assert "and once a day" not in entry.next
    assert crm_figures(report.to_json()) == (1, 1)


def test_a_row_that_was_written_after_all_needs_no_attention(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email", row_error("DUPLICATES_DETECTED"), times=1))
    report = harness.other(mapping("lead")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.attention == ()
    assert report.exit_code == 0
    assert crm_figures(report.to_json()) == (1, 0)


def test_a_record_is_counted_once_however_often_it_is_refused(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email", row_error("INVALID_EMAIL_ADDRESS", "Email")))
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.NOT_FOUND: 1}
    assert crm_figures(report.to_json()) == (1, 0)  # the record was written in the end, without a value
