"""The org's own automation on request: triggers that reach a limit, rules that refuse a row."""

from collections.abc import Iterator, Mapping, Sequence

import httpx
import pytest
import requests
from test_salesforce_driver import Driver, Host

from connector.simulator.clock import SimClock
from connector.simulator.salesforce import GovernorLimit, recipes, refuses
from connector.simulator.salesforce.errors import Problem
from connector.simulator.salesforce.rules import GOVERNOR_LIMITS
from connector.simulator.salesforce.schema import Record, Value
from connector.simulator.server import Simulator

REFUSED = "FIELD_CUSTOM_VALIDATION_EXCEPTION"


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture
def driver(host: Host) -> Driver:
    return host.fresh()


def codes(results: Sequence[Mapping[str, object]]) -> list[list[tuple[str, tuple[str, ...]]]]:
    found = []
    for result in results:
        errors = result["errors"]
        assert isinstance(errors, list)
        found.append([(error["statusCode"], tuple(error["fields"])) for error in errors])
    return found


@pytest.mark.parametrize("by_fault", [False, True])
@pytest.mark.parametrize("reason", [*sorted(GOVERNOR_LIMITS), "Too many Email Invocations: 11"])
def test_a_trigger_that_handles_two_rows_per_call(driver: Driver, reason: str, by_fault: bool) -> None:
    if by_fault:
        driver.faults.arm(recipes.governor_limit(2, reason))
    else:
        driver.org.limit_trigger("Lead", GovernorLimit(2, reason))
    leads = [driver.lead() for _ in range(3)]
    rows = [{"id": lead, "Phone": "1"} for lead in leads]

    results = driver.update_many(*rows)
    assert codes(results) == [[("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", ())]] * 3
    text = results[0]["errors"][0]["message"]
    assert "LeadTrigger: execution of BeforeUpdate" in text
    assert f"System.LimitException: {GOVERNOR_LIMITS.get(reason, reason)}" in text
    assert all(driver.org.get("Lead", lead)["Phone"] is None for lead in leads)

    assert [result["success"] for result in driver.update_many(*rows[:2])] == [True, True]
    assert driver.handle("Lead").update(leads[2], {"Phone": "1"}) == 204


def test_a_limit_of_another_object_or_code(driver: Driver) -> None:
    driver.faults.arm(recipes.governor_limit(1, "flow", code="CANNOT_EXECUTE_FLOW_TRIGGER", object_name="Contact"))
    rows = [{"id": driver.lead(), "Phone": "1"} for _ in range(2)]
    assert codes(driver.update_many(*rows)) == [[], []]
    contacts = [{"id": driver.contact(), "Phone": "1"} for _ in range(2)]
    refused = driver.update_many(*contacts, kind="Contact")
    assert codes(refused) == [[("CANNOT_EXECUTE_FLOW_TRIGGER", ())]] * 2
    assert "flow elements" in refused[0]["errors"][0]["message"]


def test_a_rule_sees_the_record_and_the_sent_row(driver: Driver) -> None:
    seen: list[tuple[Value, dict[str, Value]]] = []

    def rule(record: Record, changes: Mapping[str, Value]) -> list[Problem]:
        seen.append((record["Phone"], dict(changes)))
        if changes.get("Email"):
            return [Problem(REFUSED, "no email here", ("Email",))]
        if changes.get("MobilePhone"):
            return [Problem(REFUSED, "no mobile here", ("MobilePhone",))]
        return []

    driver.org.add_update_rule("Lead", rule)
    lead = driver.lead(Phone="9")
    whole = {"id": lead, "Email": "Ada@example.com", "MobilePhone": "1", "Phone": "2"}
    first = driver.update_many(whole)
    second = driver.update_many({name: value for name, value in whole.items() if name != "Email"})
    third = driver.update_many({"id": lead, "Phone": "2"})

    assert codes([*first, *second, *third]) == [[(REFUSED, ("Email",))], [(REFUSED, ("MobilePhone",))], []]
    assert seen[0] == ("9", {"Email": "ada@example.com", "MobilePhone": "1", "Phone": "2"})


def test_two_errors_of_one_row_at_once(driver: Driver) -> None:
    errors = [
        {"code": "INVALID_EMAIL_ADDRESS", "message": "Email: invalid email address", "fields": ["Email"]},
        {"code": "STRING_TOO_LONG", "message": "Mobile: data value too large", "fields": ["MobilePhone"]},
    ]
    refused, other = driver.lead(), driver.lead()
    driver.arm("update_many", "row_error", subject=refused, errors=errors)
    results = driver.update_many({"id": refused, "Phone": "1"}, {"id": other, "Phone": "1"})
    assert codes(results) == [[("INVALID_EMAIL_ADDRESS", ("Email",)), ("STRING_TOO_LONG", ("MobilePhone",))], []]


def test_a_person_account_among_contacts(driver: Driver) -> None:
    person, other = driver.contact(), driver.contact()
    driver.faults.arm(recipes.person_account(person))
    rows = [{"id": contact, "Email": "a@example.com", "Phone": "1"} for contact in (person, other)]
    assert codes(driver.update_many(*rows, kind="Contact")) == [[("INVALID_FIELD_FOR_INSERT_UPDATE", ("Email",))], []]
    assert codes(driver.update_many({"id": person, "Phone": "1"}, kind="Contact")) == [[]]


def test_a_duplicate_rule_for_email_names_no_field(driver: Driver) -> None:
    driver.org.add_duplicate_rule("Lead")
    driver.lead(Email="taken@example.com")
    lead = driver.lead()
    refused = driver.update_many({"id": lead, "Email": "TAKEN@example.com", "Personal_Email__c": "p@example.com"})
    assert codes(refused) == [[("DUPLICATES_DETECTED", ())]]
    fine = {"id": lead, "Personal_Email__c": "taken@example.com", "MobilePhone": "1"}
    assert codes(driver.update_many(fine)) == [[]]

    driver.faults.arm(recipes.duplicate_by_email(lead, times=1))
    assert codes(driver.update_many({"id": lead, "Email": "free@example.com"})) == [[("DUPLICATES_DETECTED", ())]]
    assert codes(driver.update_many({"id": lead, "Email": "free@example.com"})) == [[]]


def test_a_helper_for_rules_about_fields(driver: Driver) -> None:
    driver.org.add_update_rule("Lead", refuses("Phone", "Fax", code=REFUSED, message="no numbers"))
    driver.org.add_update_rule("Lead", refuses("Title", code=REFUSED, message="no titles", named=()))
    lead = driver.lead(Title="Buyer")
    assert codes(driver.update_many({"id": lead, "Fax": "1", "Title": "Head"})) == [
        [(REFUSED, ("Fax",)), (REFUSED, ())]
    ]
    assert codes(driver.update_many({"id": lead, "Title": None})) == [[]]


def test_maintenance_refuses_every_row(driver: Driver) -> None:
    driver.faults.arm(recipes.maintenance())
    rows = [{"id": driver.lead(), "Phone": "1"} for _ in range(3)]
    for _ in range(2):
        assert codes(driver.update_many(*rows)) == [[("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", ())]] * 3


def test_rules_apply_in_addition_to_a_fault(driver: Driver) -> None:
    lead = driver.lead()
    driver.arm("update_many", "row_rule", times=2, when_fields=["Phone"], unless_fields=["Fax"], code=REFUSED)
    driver.arm("update_many", "truncated")
    with pytest.raises(requests.JSONDecodeError):
        driver.update_many({"id": lead, "Phone": "1"})
    assert codes(driver.update_many({"id": lead, "Phone": "1", "Fax": "2"})) == [[]]
    assert codes(driver.update_many({"id": lead, "Phone": "2"})) == [[(REFUSED, ())]]
    assert codes(driver.update_many({"id": lead, "Phone": "2"})) == [[]]


def test_rules_over_the_control_route() -> None:
    with Simulator(SimClock(speed=0)) as simulator:
        urls = simulator.start()
        simulator.salesforce.accept_token("token")
        leads = [simulator.salesforce.org.insert("Lead", {"LastName": "Roe", "Company": "Example"}) for _ in range(2)]
        faults = [
            {
                "site": "salesforce",
                "operation": "update_many",
                "action": "governor_limit",
                "times": 1,
                "params": {"rows": 1, "reason": "soql"},
            },
            {
                "site": "salesforce",
                "operation": "update_many",
                "action": "row_rule",
                "subject": leads[0],
                "params": {"when_fields": ["Email"], "errors": [{"code": "DUPLICATES_DETECTED", "fields": []}]},
            },
        ]
        assert httpx.post(f"{urls.control}/faults", json=faults).json() == {"armed": 2}
        rows = [{"attributes": {"type": "Lead"}, "id": lead, "Email": "a@example.com"} for lead in leads]
        answers = [
            httpx.patch(
                f"{urls.salesforce}/services/data/v67.0/composite/sobjects",
                json={"records": rows},
                headers={"Authorization": "Bearer token"},
            ).json()
            for _ in range(3)
        ]
        assert [codes(answer) for answer in answers] == [
            [[("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", ())]] * 2,
            [[("DUPLICATES_DETECTED", ())], []],
            [[], []],
        ]
        assert httpx.get(f"{urls.control}/faults").json() == {"faults": []}
