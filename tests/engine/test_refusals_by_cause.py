"""Refused updates by cause: the row, the other rows in the call, the org's state, or the mapping."""

import pytest
from harness import Harness, World, email_only, mapping

from connector.core.errors import ConfigurationError
from connector.core.model import Outcome
from connector.engine.resolve import OperatorDecision, resolve
from connector.engine.undo import undo
from connector.simulator.faults import FOREVER, Fault
from connector.simulator.salesforce import recipes
from connector.simulator.salesforce.errors import Problem
from connector.simulator.salesforce.rules import Changes
from connector.simulator.salesforce.schema import Record

WRITES = "update_many"


def unlocked_leads(world: World, count: int) -> list[str]:
    """Add Leads whose email the account already owns, so that nothing waits."""
    leads: list[str] = []
    for _ in range(count):
        person = world.person()
        world.lensmor.set_unlocked(person.personnel_id, "email")
        leads.append(world.lead(person))
    return leads


def row_error(code: str, *fields: str, message: str = "") -> dict[str, object]:
    return {"code": code, "message": message, "fields": list(fields)}


def row_rule(lead: str | None, when: str, *errors: dict[str, object], times: int = FOREVER) -> Fault:
    """A fault that refuses the rows that send a field."""
    params: dict[str, object] = {"when_fields": [when], "errors": list(errors)}
    return Fault("salesforce", WRITES, "row_rule", times=times, subject=lead, params=params)


# -- the other rows in the call -------------------------------------------------------------------------------------


def test_a_trigger_limited_to_a_hundred_records_gets_a_hundred(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 400)
    world.simulator.arm(recipes.governor_limit(100))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 400}
    assert report.exit_code == 0
    assert all(world.get(lead)["Email"] for lead in leads)
    assert world.simulator.salesforce.requests[WRITES] == 1 + 4  # the run keeps the size that works


@pytest.mark.parametrize("reason", ["soql", "query_rows", "dml", "dml_rows", "heap", "callouts", "future", "flow"])
def test_every_governor_limit_leads_to_fewer_rows(world: World, harness: Harness, reason: str) -> None:
    unlocked_leads(world, 5)
    world.simulator.arm(recipes.governor_limit(1, reason))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 5}


def test_a_limit_that_a_single_row_exceeds_parks_it(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 3)
    world.simulator.arm(recipes.governor_limit(0))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.PARKED: 3}
    assert report.exit_code == 3
    assert "needs more than Salesforce allows" in report.attention[0].reason
    assert all(world.get(lead)["Enrichment_Requested__c"] for lead in leads)
    world.faults.clear()
    world.clock.advance(days=1)
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 3}


def test_one_row_that_fails_a_trigger_does_not_block_others(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 9)
    bad = leads[4]

    def trigger_fails(record: Record, _changes: Changes) -> list[Problem]:
        del record
        text = "LeadTrigger: execution of BeforeUpdate caused by: System.NullPointerException"
        return [Problem("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text, ())]

    def whole_call(record: Record, changes: Changes) -> list[Problem]:
        return trigger_fails(record, changes) if record["Id"] == bad else []

    world.org.add_update_rule("Lead", whole_call)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 8, Outcome.PARKED: 1}
    assert [found.record_id for found in report.attention] == [bad]
    assert "correct the trigger or flow" in report.attention[0].next


def test_a_refused_call_is_bisected_to_the_rejected_row(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 6)
    world.simulator.arm(
        Fault(
            "salesforce", WRITES, "status", times=FOREVER, subject=leads[3],
            params={"status": 400, "errorCode": "JSON_PARSER_ERROR", "message": "Unexpected character"},
        )
    )  # fmt: skip
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 5, Outcome.PARKED: 1}
    assert [(found.record_id, found.reason) for found in report.attention] == [(leads[3], "JSON_PARSER_ERROR")]
    assert not any("run again later" in text for text in report.stopped)


def test_an_undo_uses_fewer_rows_at_a_limit(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 40)
    harness = harness.other(email_only())
    report = harness.sync()
    world.simulator.arm(recipes.governor_limit(10))
    with harness.services() as services, services.ledger.hold_run_lock():
        undone = undo(services, report.run_id)
    assert undone.outcomes == {Outcome.DELIVERED: 40}
    assert undone.restored["Lead.Email"] == 40
    assert undone.to_json()["undoes"] == report.run_id
    assert all(world.get(lead)["Email"] is None for lead in leads)
    with harness.ledger() as ledger:
        found = ledger.runs.find(report.run_id)
        assert found is not None
        assert found.undone_by == undone.run_id


# -- the org's state ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "ORG_LOCKED"])
def test_maintenance_stops_the_run_and_parks_nothing(world: World, harness: Harness, code: str) -> None:
    leads = unlocked_leads(world, 3)
    world.arm("salesforce", WRITES, "row_error", times=50, code=code)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DEFERRED: 3}
    assert report.exit_code == 4
    assert "run again later" in report.stopped[0]
    assert all(world.get(lead)["Email"] is None for lead in leads)
    world.faults.clear()
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 3}


# -- the row, or the mapping ----------------------------------------------------------------------------------------


def test_one_record_that_refuses_the_field_is_parked(world: World, harness: Harness) -> None:
    leads = unlocked_leads(world, 12)
    world.simulator.arm(recipes.person_account(leads[7]))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 11, Outcome.PARKED: 1}
    assert report.exit_code == 3
    assert [(found.record_id, found.field) for found in report.attention] == [(leads[7], "Email")]


def test_a_single_such_record_is_not_the_mappings_fault(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(recipes.person_account(lead))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert report.exit_code == 3


def test_a_field_refused_in_every_row_is_the_mappings_fault(world: World, harness: Harness) -> None:
    unlocked_leads(world, 25)
    world.simulator.arm(row_rule(None, "Email", row_error("INVALID_FIELD_FOR_INSERT_UPDATE", "Email")))
    with pytest.raises(ConfigurationError, match="Salesforce refuses to write Email"):
        harness.other(email_only()).sync()


def test_a_missing_record_type_is_named(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(row_rule(lead, "Email", row_error("INVALID_CROSS_REFERENCE_KEY", "RecordTypeId")))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert "the record type is not available to the connector's user" in report.attention[0].reason


# -- partial updates ------------------------------------------------------------------------------------------------


def test_two_fields_refused_at_once_are_both_withheld(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    errors = [row_error("STRING_TOO_LONG", "Email"), row_error("STRING_TOO_LONG", "MobilePhone")]
    world.simulator.arm(row_rule(lead, "Email", *errors))
    report = harness.sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert report.attention[0].field == "Email, MobilePhone"
    assert {c: dict(found) for c, found in report.channels.items()} == {
        "work_email": {Outcome.PARKED: 1},
        "phone": {Outcome.PARKED: 1},
    }
    assert (world.get(lead)["Email"], world.get(lead)["MobilePhone"]) == (None, None)


def test_a_field_refused_after_another_is_withheld_too(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.contact(person)
    harness = harness.other(mapping("contact"))
    params = {
        "when_fields": ["MobilePhone"],
        "unless_fields": ["Email"],
        "errors": [row_error("DUPLICATE_VALUE", "MobilePhone")],
    }
    world.simulator.arm(row_rule(lead, "Email", row_error("STRING_TOO_LONG", "Email")))
    world.simulator.arm(Fault("salesforce", WRITES, "row_rule", times=FOREVER, subject=lead, params=params))
    report = harness.sync()
    record = world.get(lead)
    assert report.outcomes == {Outcome.PARKED: 1}
    assert (record["Email"], record["MobilePhone"]) == (None, None)
    assert record["Personal_Email__c"] == person.personal_email
    parked = {channel: next(iter(found["parked"])) for channel, found in report.reasons.items() if "parked" in found}
    assert "STRING_TOO_LONG" in parked["work_email"]
    assert "DUPLICATE_VALUE" in parked["phone"]


def test_a_refused_status_does_not_block_the_value(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    code = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    world.simulator.arm(row_rule(lead, "Email_Unlock_Status__c", row_error(code, "Email_Unlock_Status__c")))
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.exit_code == 3
    assert report.attention[0].field == "Email_Unlock_Status__c"
    assert world.get(lead)["Email"] is not None
    assert world.get(lead)["Enrichment_Requested__c"] is False


def test_a_flag_that_cannot_be_cleared_is_reported(world: World, harness: Harness) -> None:
    (lead,) = unlocked_leads(world, 1)
    world.simulator.arm(
        row_rule(
            lead, "Enrichment_Requested__c", row_error("INSUFFICIENT_ACCESS_OR_READONLY", "Enrichment_Requested__c")
        )
    )
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    assert world.get(lead)["Email"] is not None
    world.faults.clear()
    world.clock.advance(days=1)
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Enrichment_Requested__c"] is False


def test_a_duplicate_rule_withholds_only_its_value(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.contact(person)
    world.simulator.arm(recipes.duplicate_by_email(lead))
    report = harness.other(mapping("contact")).sync()
    record = world.get(lead)
    assert report.outcomes == {Outcome.PARKED: 1}
    assert record["Email"] is None
    assert record["Personal_Email__c"] == person.personal_email
    assert record["MobilePhone"] is not None
    assert record["Phone_Unlock_Status__c"] == "Unlocked"
    assert str(record["Enrichment_Error__c"]) == "work email: Salesforce refuses it (DUPLICATES_DETECTED)"
    assert record["Enriched_At__c"] is not None
    assert set(str(record["Enrichment_Source__c"]).split(", ")) == {"lensmor", "salesfinity"}


def test_the_text_of_a_validation_rule_is_masked(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(), Title="Chief Sampling Officer")
    text = "A Chief Sampling Officer needs approval; ask sales.ops@example.com or +1 415 555 0199"
    world.simulator.arm(row_rule(lead, "Email", row_error("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Email", message=text)))
    report = harness.other(email_only(status="Title")).sync()
    reason = report.attention[0].reason
    assert reason.startswith("FIELD_CUSTOM_VALIDATION_EXCEPTION: A … needs approval; ask …")
    assert "Sampling" not in str(world.get(lead)["Enrichment_Error__c"])


# -- values that the CRM never accepts ------------------------------------------------------------------------------


def test_an_address_invalid_for_the_crm_leads_to_the_next_source(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.simulator.arm(row_rule(lead, "Email", row_error("INVALID_EMAIL_ADDRESS", "Email"), times=1))
    harness = harness.other(email_only("lensmor", "salesfinity"))
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.exit_code == 0
    assert world.get(lead)["Email"] == person.work_email
    assert world.get(lead)["Enrichment_Source__c"] == "salesfinity"
    assert world.paid_posts() == 2
    world.clock.advance(hours=1)
    world.edit(lead, Email=None, Enrichment_Requested__c=True)
    again = harness.other().sync()  # Lensmor's value counts as unusable for this record; Salesfinity's is reused
    assert again.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
    assert world.paid_posts() == 2


def test_an_invalid_address_from_all_sources_is_not_found(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.simulator.arm(row_rule(lead, "Email", row_error("INVALID_EMAIL_ADDRESS")))
    harness = harness.other(email_only())
    report = harness.sync()
    assert report.outcomes == {Outcome.NOT_FOUND: 1}
    assert report.exit_code == 0
    assert "INVALID_EMAIL_ADDRESS" in str(world.get(lead)["Enrichment_Error__c"])
    assert world.get(lead)["Enrichment_Requested__c"] is False
    assert harness.other().sync().selected == 0


def test_an_address_too_long_for_any_email_field(world: World, harness: Harness) -> None:
    long_one = f"{'a' * 60}@{'b' * 20}.example.com"
    person = world.person()
    world.lensmor.set_value(person.personnel_id, "email", long_one)
    lead = world.lead(person)
    report = harness.other(email_only("lensmor", "salesfinity")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email


def test_a_parked_value_can_be_given_up_for_the_next_source(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.simulator.arm(row_rule(lead, "Email", row_error("STRING_TOO_LONG", "Email"), times=1))
    harness = harness.other(email_only("lensmor", "salesfinity"))
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    with harness.ledger() as ledger:
        (row,) = ledger.operator.needs_a_look()
        assert "given up for 1 record" in resolve(ledger, row.id, OperatorDecision.GIVE_UP, world.clock.now())
        with pytest.raises(ConfigurationError, match="is parked"):
            resolve(ledger, row.id, OperatorDecision.GIVE_UP, world.clock.now())
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email


def test_a_crash_after_an_invalid_value_is_recovered(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.simulator.arm(row_rule(lead, "Email", row_error("INVALID_EMAIL_ADDRESS", "Email")))
    harness = harness.other(email_only("lensmor", "salesfinity"))
    harness.wait_s = 0  # the wait is over before the next source is queried
    world.lensmor.set_unlocked(person.personnel_id, "email")
    first = harness.sync()
    assert first.outcomes in ({Outcome.DEFERRED: 1}, {Outcome.WAITING: 1})
    world.faults.clear()
    harness = harness.other()
    harness.wait_s = 3600
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
