"""Writing over HTTP with plain simple-salesforce: stored forms, refusals, Collections, races."""

from collections.abc import Iterator

import pytest
from simple_salesforce.exceptions import (
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)
from test_salesforce_driver import START, Driver, Host, errors_of

from connector.simulator.salesforce import Update

OWNER = "005Sm0000000001IAA"


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture(name="driver")
def _driver(host: Host) -> Driver:
    return host.fresh()


@pytest.mark.parametrize(
    ("field", "sent", "stored"),
    [
        ("Email", "  Ngozi.Adeyemi@Example.COM ", "ngozi.adeyemi@example.com"),
        ("Email", "", None),
        ("Phone", "   ", None),
        ("Phone", None, None),
        ("Phone", " +49 30 901820 ", "+49 30 901820"),
        ("Title", "  Head of Trade  Shows\n", "Head of Trade  Shows"),
        ("DoNotCall", True, True),
        ("Enriched_At__c", "2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000+0000"),
        ("Enriched_At__c", "2026-11-20T10:00:00.987+02:00", "2026-11-20T08:00:00.000+0000"),
        ("Email_Unlock_Status__c", "A status nobody listed", "A status nobody listed"),
        ("OwnerId", OWNER[:15], OWNER),
        ("phone", "1", "1"),
    ],
)
def test_a_value_is_stored_as_salesforce_stores_it(driver: Driver, field: str, sent: object, stored: object) -> None:
    lead = driver.lead(Phone="0", Email="old@example.com")
    assert driver.update_many({"id": lead, field: sent}) == [{"id": lead, "success": True, "errors": []}]
    name = {"phone": "Phone"}.get(field, field)
    assert driver.org.get("Lead", lead)[name] == stored


LONG = "x" * 300


@pytest.mark.parametrize(
    ("sent", "code", "fields"),
    [
        ({"Email": "no at sign"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
        ({"Email": "two@@example.com"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
        ({"Email": "nodot@example"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
        ({"Email": f"{'x' * 70}@example.com"}, "STRING_TOO_LONG", ["Email"]),
        ({"Personal_Email__c": "x"}, "INVALID_EMAIL_ADDRESS", ["Personal_Email__c"]),
        ({"Phone": "1" * 41}, "STRING_TOO_LONG", ["Phone"]),
        ({"LinkedIn_URL__c": LONG}, "STRING_TOO_LONG", ["LinkedIn_URL__c"]),
        ({"Enrichment_Error__c": LONG}, "STRING_TOO_LONG", ["Enrichment_Error__c"]),
        ({"LastName": ""}, "REQUIRED_FIELD_MISSING", ["LastName"]),
        ({"OwnerId": "somebody"}, "MALFORMED_ID", ["OwnerId"]),
        ({"Nope__c": 1}, "INVALID_FIELD", []),
        ({"IsConverted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["IsConverted"]),
        ({"Name": "New Name", "SystemModstamp": None}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["Name", "SystemModstamp"]),
    ],
)
def test_a_value_is_refused(driver: Driver, sent: dict[str, object], code: str, fields: list[str]) -> None:
    lead = driver.lead()
    before = driver.org.get("Lead", lead)

    failed = driver.update_many({"id": lead, "Title": "CEO", **sent})[0]
    with pytest.raises(SalesforceMalformedRequest) as caught:
        driver.handle("Lead").update(lead, {"Title": "CEO", **sent})

    assert set(failed) == {"success", "errors"}
    assert failed["success"] is False
    assert (failed["errors"][0]["statusCode"], failed["errors"][0]["fields"]) == (code, fields)
    assert errors_of(caught.value)[0]["errorCode"] == code
    assert driver.org.get("Lead", lead) == before


@pytest.mark.parametrize(
    "sent", [{"DoNotCall": "true"}, {"DoNotCall": None}, {"Phone": 5}, {"Enriched_At__c": "2026-11-20"}, {"Title": []}]
)
def test_a_wrong_json_kind_spoils_the_whole_request(driver: Driver, sent: dict[str, object]) -> None:
    good, bad = driver.lead(), driver.lead()
    with pytest.raises(SalesforceMalformedRequest, match="JSON_PARSER_ERROR"):
        driver.update_many({"id": good, "Phone": "1"}, {"id": bad, **sent})
    assert driver.org.get("Lead", good)["Phone"] is None


def test_results_are_in_order_and_failures_have_no_id(driver: Driver) -> None:
    first, deleted, converted, last = (driver.lead() for _ in range(4))
    contact = driver.contact()
    driver.org.delete("Lead", deleted)
    driver.org.convert_lead(converted)
    ids = [first, deleted, converted, "00QSm00000zzzzz", contact, "junk", None, last]

    results = driver.update_many(*({"id": record_id, "Phone": "1"} for record_id in ids))

    assert [result.get("id") for result in results] == [first, *[None] * 6, last]
    assert [error["statusCode"] for result in results for error in result["errors"]] == [
        "ENTITY_IS_DELETED",
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "INVALID_CROSS_REFERENCE_KEY",
        *("MALFORMED_ID", "MALFORMED_ID"),
        "MISSING_ARGUMENT",
    ]


def test_all_or_none_rolls_back_valid_records(driver: Driver) -> None:
    good, bad = driver.lead(), driver.lead()
    results = driver.update_many({"Id": good, "Phone": "1"}, {"Id": bad, "Email": "bad"}, all_or_none=True)

    assert [result["errors"][0]["statusCode"] for result in results] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "INVALID_EMAIL_ADDRESS",
    ]
    assert driver.org.get("Lead", good)["Phone"] is None
    assert driver.org.updates_count("Lead", good) == 0
    assert driver.update_many({"Id": good, "Phone": "1"}, all_or_none=True)[0]["success"]


def test_a_repeated_id_in_one_call_fails_each_time(driver: Driver) -> None:
    twice, once = driver.lead(), driver.lead()
    results = driver.update_many(
        {"id": twice, "Phone": "1"}, {"id": once, "Phone": "1"}, {"id": twice[:15], "Phone": "2"}
    )
    assert [result["success"] for result in results] == [False, True, False]
    assert results[0]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    assert driver.org.get("Lead", twice)["Phone"] is None


def test_calls_refused_as_a_whole(driver: Driver) -> None:
    lead, contact = driver.lead(), driver.contact()
    mixed = [{"attributes": {"type": kind}, "id": None} for _ in range(6) for kind in ("Lead", "Contact")]
    bodies: list[tuple[object, str]] = [
        ({"records": []}, "REQUIRED_FIELD_MISSING"),
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"records": [{"attributes": {"type": "Lead"}, "id": lead}] * 201}, "EXCEEDED_ID_LIMIT"),
        ({"records": [{"attributes": {}, "id": lead}]}, "INVALID_TYPE"),
        ({"records": [{"attributes": {"type": "Leed"}, "id": lead}]}, "INVALID_TYPE"),
        ({"records": mixed}, "LIMIT_EXCEEDED"),
        ({"allOrNone": "yes", "records": [{"attributes": {"type": "Lead"}, "id": lead}]}, "JSON_PARSER_ERROR"),
        (["no object"], "JSON_PARSER_ERROR"),
    ]
    for body, code in bodies:
        with pytest.raises(SalesforceMalformedRequest) as caught:
            driver.sf.restful("composite/sobjects", method="PATCH", json=body)
        assert errors_of(caught.value)[0]["errorCode"] == code
    few = [{"attributes": {"type": "Lead"}, "id": lead}, {"attributes": {"type": "Contact"}, "id": contact}]
    answer = driver.sf.restful("composite/sobjects", method="PATCH", json={"records": few})
    assert [result["success"] for result in answer or []] == [True, True]


def test_assignment_rules_run_unless_the_header_is_false(driver: Driver) -> None:
    driver.org.assignment_rule_owner = OWNER
    protected, plain, single = driver.lead(), driver.lead(), driver.lead()
    contact = driver.contact()
    body = {"records": [{"attributes": {"type": "Lead"}, "id": protected, "Phone": "1"}]}

    driver.sf.restful("composite/sobjects", method="PATCH", json=body, headers={"Sforce-Auto-Assign": "false"})
    driver.update_many({"id": plain, "Phone": "1"})
    driver.handle("Lead").update(single, {"Phone": "1"})
    driver.update_many({"id": contact, "Phone": "1"}, kind="Contact")

    owners = [driver.org.get("Lead", lead)["OwnerId"] for lead in (protected, plain, single)]
    assert owners == [driver.org.owner_id, OWNER, OWNER]
    assert driver.org.get("Contact", contact)["OwnerId"] == driver.org.owner_id


def test_a_locked_row_fails_a_set_number_of_times(driver: Driver) -> None:
    lead = driver.lead()
    driver.org.lock(lead, 2)
    codes = [
        [error["statusCode"] for error in driver.update_many({"id": lead, "Phone": "1"})[0]["errors"]] for _ in range(3)
    ]
    assert codes == [["UNABLE_TO_LOCK_ROW"], ["UNABLE_TO_LOCK_ROW"], []]


def test_validation_rules_see_the_record_as_it_would_be(driver: Driver) -> None:
    driver.org.add_validation(
        "Lead",
        lambda record: record["Phone"] is not None and record["Company"] == "Example Ltd",
        message="No phones for Example Ltd",
        fields=("Phone",),
    )
    driver.org.add_validation("Lead", lambda record: record["Phone"] == "0", code="MY_CODE", message="No zero")
    lead = driver.lead()

    failed = driver.update_many({"id": lead, "Phone": "0"})[0]

    assert [(error["statusCode"], error["fields"]) for error in failed["errors"]] == [
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", ["Phone"]),
        ("MY_CODE", []),
    ]
    assert driver.update_many({"id": lead, "Phone": "1", "Company": "Other Ltd"})[0]["success"]


def test_field_security_and_picklists_on_write(driver: Driver) -> None:
    lead = driver.lead()
    driver.org.make_read_only("Lead", "Phone")
    driver.org.restrict_picklist("Lead", "Enrichment__c", ("RequestedRecord", "Done"))

    read_only, unlisted, listed = (
        driver.update_many({"id": lead, name: value})[0]
        for name, value in (("Phone", "1"), ("Enrichment__c", "Maybe"), ("Enrichment__c", "Done"))
    )
    assert read_only["errors"][0]["statusCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert read_only["errors"][0]["fields"] == ["Phone"]
    assert unlisted["errors"][0]["statusCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert listed["success"]
    driver.org.edit("Lead", lead, {"Phone": "a person may"})
    assert driver.org.get("Lead", lead)["Phone"] == "a person may"


def test_a_write_without_changes_updates_the_times(driver: Driver) -> None:
    lead = driver.lead(Phone="1")
    driver.clock.advance(90.7)
    driver.update_many({"id": lead, "Phone": "1"})
    record = driver.org.get("Lead", lead)

    assert record["CreatedDate"] == "2026-11-20T10:00:00.000+0000"
    assert record["SystemModstamp"] == record["LastModifiedDate"] == "2026-11-20T10:01:30.000+0000"
    assert driver.org.history("Lead", lead) == [Update(START + 90.7, "api", {})]
    assert driver.org.updates_count("Lead", lead) == 1


def test_history_shows_whose_edit_was_lost(driver: Driver) -> None:
    lead = driver.lead()
    driver.org.after_read(lambda _kind, record_id: driver.org.edit("Lead", record_id, {"Phone": "from a person"}))

    seen = driver.handle("Lead").get(lead)["Phone"]
    driver.update_many({"id": lead, "Phone": "from the API"})

    assert seen is None
    assert [(update.who, update.changes["Phone"]) for update in driver.org.history("Lead", lead)] == [
        ("person", (None, "from a person")),
        ("api", ("from a person", "from the API")),
    ]


def test_after_update_is_called_before_the_answer(driver: Driver) -> None:
    lead, other = driver.lead(), driver.lead()
    updated: list[tuple[str, str]] = []
    driver.org.after_update(lambda kind, record_id: updated.append((kind, record_id)))
    driver.update_many({"id": lead, "Phone": "1"}, {"id": other, "Email": "bad"})
    driver.handle("Lead").update(other, {"Phone": "1"})
    assert updated == [("Lead", lead), ("Lead", other)]


def test_an_update_with_if_unmodified_since(driver: Driver) -> None:
    lead = driver.lead()
    handle = driver.handle("Lead")
    seen = {"If-Unmodified-Since": "Fri, 20 Nov 2026 10:00:00 GMT"}
    driver.clock.advance(0.5)
    handle.update(lead, {"Phone": "1"}, headers=seen)  # within the same second, the header cannot show it
    driver.clock.advance(1)

    handle.update(lead, {"Phone": "2"}, headers=seen)
    with pytest.raises(SalesforceGeneralError) as caught:
        handle.update(lead, {"Phone": "3"}, headers=seen)

    assert caught.value.status == 412
    assert driver.org.get("Lead", lead)["Phone"] == "2"
    with pytest.raises(SalesforceMalformedRequest):
        handle.update(lead, {"Phone": "3"}, headers={"If-Unmodified-Since": "yesterday"})


def test_one_record_refusals(driver: Driver) -> None:
    lead = driver.lead()
    handle = driver.handle("Lead")
    with pytest.raises(SalesforceMalformedRequest, match="The Id field should not be specified"):
        handle.update(lead, {"Id": lead, "Phone": "1"})
    driver.org.delete("Lead", lead)
    with pytest.raises(SalesforceResourceNotFound, match="ENTITY_IS_DELETED"):
        handle.update(lead, {"Phone": "1"})


def test_creating_a_record(driver: Driver) -> None:
    driver.org.assignment_rule_owner = OWNER
    handle = driver.handle("Lead")
    made = handle.create({"LastName": " Haddad ", "Company": "Example Ltd", "Email": "H@Example.com"})
    assert made["success"]
    record = driver.org.get("Lead", made["id"])
    assert (record["Name"], record["Email"], record["OwnerId"]) == ("Haddad", "h@example.com", OWNER)
    with pytest.raises(SalesforceMalformedRequest) as caught:
        handle.create({"LastName": "Haddad"})
    assert errors_of(caught.value) == [
        {
            "message": "Required fields are missing: [Company]",
            "errorCode": "REQUIRED_FIELD_MISSING",
            "fields": ["Company"],
        }
    ]
