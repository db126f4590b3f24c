"""Refused rows of a collection, sorted by whose fault they are; every error of a row counts."""

from itertools import product

import pytest

from connector.core.masking import mask_text
from connector.crm.interface import ErrorClass, Rejection, RowError
from connector.crm.salesforce import rejections
from connector.crm.salesforce.bodies import CollectionRow

WORDS = "ada@example.com (+1 415 555 0100) is refused"
ROWS: dict[ErrorClass, tuple[str, ...]] = {
    ErrorClass.LOCKED: (
        *("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG", "QUERY_TIMEOUT"),
        *("UNKNOWN_EXCEPTION", "TOO_MANY_APEX_REQUESTS"),
    ),
    ErrorClass.MAPPING: ("INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE", "MALFORMED_QUERY"),
    ErrorClass.ROW: (
        *("INVALID_EMAIL_ADDRESS", "STRING_TOO_LONG", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "REQUIRED_FIELD_MISSING"),
        *("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "DUPLICATES_DETECTED", "DUPLICATE_VALUE", "MALFORMED_ID"),
        *("INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "MISSING_ARGUMENT"),
        "A_CODE_OF_TOMORROW",
    ),
    ErrorClass.MOVED: ("ENTITY_IS_DELETED", "NOT_FOUND", "CANNOT_UPDATE_CONVERTED_LEAD"),
    ErrorClass.ORG: (
        *("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "REQUEST_LIMIT_EXCEEDED", "API_DISABLED_FOR_ORG"),
        *("ORG_LOCKED", "STORAGE_LIMIT_EXCEEDED", "API_CURRENTLY_DISABLED"),
    ),
    ErrorClass.LIMIT: ("LIMIT_EXCEEDED",),
    ErrorClass.AUTOMATION: ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER"),
}
AUTOMATION = "LeadTrigger: execution of BeforeUpdate\n\ncaused by: System."


def rejection(errors: object) -> Rejection:
    return rejections.rejection(CollectionRow.read({"errors": errors}).errors)


def row(code: str, message: str = WORDS, *fields: str) -> dict[str, object]:
    return {"statusCode": code, "message": message, "fields": list(fields)}


def test_each_code_has_its_class(subtests: pytest.Subtests) -> None:
    for found, code in ((found, code) for found, codes in ROWS.items() for code in codes):
        with subtests.test(found=found, code=code):
            answer = rejection([row(code, WORDS, "Email", "Phone")])
            assert (answer.error_class, answer.code, answer.fields) == (found, code, ("Email", "Phone"))
            assert "ada@example.com" not in repr(answer)
            assert "555" not in repr(answer)


AUTOMATIONS: list[str] = [
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    "CANNOT_EXECUTE_FLOW_TRIGGER",
    "UNKNOWN_EXCEPTION",
    "APEX_ERROR",
]
LIMITS: list[str] = [
    "LimitException: Apex CPU time limit exceeded",
    "LimitException: Too many SOQL queries: 101",
    "LimitException: Too many DML statements: 151",
    "LimitException: Too many DML rows: 10001",
    "LimitException: Too many query rows: 50001",
    "LimitException: Apex heap size too large: 6291588",
    "LimitException: Too many callouts: 101",
    "LimitException: Too many future calls: 51",
    "LimitException: Too many queueable jobs added to the queue: 51",
    "FlowException: The number of executed elements exceeded the limit",
]


def test_a_governor_limit_anywhere_in_the_text_is_the_other_rows_fault() -> None:
    wrong = [
        (code, text, got)
        for code, text in product(AUTOMATIONS, LIMITS)
        if (got := rejection([row(code, AUTOMATION + text)]).error_class) is not ErrorClass.LIMIT
    ]
    assert wrong == []


def test_a_trigger_that_fails_for_another_reason_may_fail_for_another_row() -> None:
    text = AUTOMATION + "NullPointerException: Attempt to de-reference a null object"
    assert rejection([row("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text)]).error_class is ErrorClass.AUTOMATION


def test_a_lock_hidden_in_the_text_of_another_code() -> None:
    text = AUTOMATION + "DmlException: Update failed: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
    found = rejection([row("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text)])
    assert (found.error_class, found.code) == (ErrorClass.LOCKED, "UNABLE_TO_LOCK_ROW")


@pytest.mark.parametrize("fields", [("RecordTypeId",), ("recordtypeid", "Email")])
def test_a_record_type_that_is_not_available_is_no_move(fields: tuple[str, ...]) -> None:
    found = rejection([row("INVALID_CROSS_REFERENCE_KEY", "Record Type ID: this ID value isn't valid", *fields)])
    assert found.error_class is ErrorClass.ROW
    assert found.errors[0].text == "the record type is not available to the connector's user"


@pytest.mark.parametrize("fields", [(), ("Id",), ("id",)])
def test_a_key_without_a_field_is_the_records_own(fields: tuple[str, ...]) -> None:
    found = rejection([row("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", *fields)])
    assert (found.error_class, found.errors[0].text) == (ErrorClass.MOVED, "")


@pytest.mark.parametrize("fields", [("OwnerId",), ("Id", "Campaign__c"), ("Email", "Phone")])
def test_a_key_that_a_field_holds_is_no_move(fields: tuple[str, ...]) -> None:
    found = rejection([row("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", *fields)])
    assert found.error_class is ErrorClass.ROW
    assert found.errors[0].text.startswith("the field refers to a record that was deleted")
    assert found.errors[0].advice.startswith("correct the field")


ADMINS_TEXTS: list[tuple[str, ErrorClass]] = [
    ("Credit limit exceeded, ask finance", ErrorClass.ROW),
    ("Too many callouts to this customer", ErrorClass.ROW),
    ("Number of executed elements of the order is missing", ErrorClass.ROW),
    ("If you see UNABLE_TO_LOCK_ROW, call Sales Ops", ErrorClass.ROW),
    ("System.LimitException: Too many SOQL queries: 101", ErrorClass.LIMIT),
    ("Update failed. First exception on row 0; first error: UNABLE_TO_LOCK_ROW, unable to", ErrorClass.LOCKED),
    ("UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record", ErrorClass.LOCKED),
]


def test_an_admins_text_is_no_limit_and_no_lock(subtests: pytest.Subtests) -> None:
    for (text, error_class), code in product(
        ADMINS_TEXTS, ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "DUPLICATES_DETECTED")
    ):
        with subtests.test(text=text, error_class=error_class, code=code):
            found = rejection([row(code, text)])
            assert found.error_class is error_class
            assert found.code == ("UNABLE_TO_LOCK_ROW" if error_class is ErrorClass.LOCKED else code)


def test_too_much_apex_at_once_is_not_the_size_of_the_collection() -> None:
    text = "ConcurrentPerOrgLongTxn Limit exceeded."
    assert rejection([row("TOO_MANY_APEX_REQUESTS", text)]).error_class is ErrorClass.LOCKED


def test_the_text_of_a_validation_rule_is_kept_whole_until_the_records_values_are_known() -> None:
    text = "y " * 143 + "Jane Rosenberg may not\nbe called on +1 415 555 0123."
    (error,) = rejection([row("FIELD_CUSTOM_VALIDATION_EXCEPTION", text)]).errors
    assert error.text == text
    shown = mask_text(error.text, ("Jane Rosenberg",))
    assert shown.endswith("y … may not be…")
    assert "Rosenberg" not in repr(error)


OTHERS: list[str] = ["STRING_TOO_LONG", "INVALID_EMAIL_ADDRESS", "DUPLICATE_VALUE", "UNHEARD_OF"]


def test_no_other_text_is_shown() -> None:
    wrong = [(code, got) for code in OTHERS if (got := rejection([row(code)]).errors[0].text) != ""]
    assert wrong == []


def test_every_error_of_a_row_counts_and_the_widest_cause_decides() -> None:
    both = [row("INVALID_EMAIL_ADDRESS", WORDS, "Email"), row("STRING_TOO_LONG", WORDS, "MobilePhone")]
    assert rejection(both).fields == ("Email", "MobilePhone")
    assert rejection(both).error_class is ErrorClass.ROW
    assert rejection([*both, row("UNABLE_TO_LOCK_ROW")]).error_class is ErrorClass.LOCKED
    assert rejection([*both, row("UNABLE_TO_LOCK_ROW"), row("ORG_LOCKED")]).error_class is ErrorClass.ORG


def test_only_an_address_that_is_none_can_never_be_accepted() -> None:
    codes = [code for codes in ROWS.values() for code in codes]
    assert [code for code in codes if rejection([row(code)]).errors[0].unusable] == ["INVALID_EMAIL_ADDRESS"]


UNREADABLE: list[object] = [
    None,
    [],
    {},
    "no",
    [None],
    [[]],
    [{"statusCode": f"see {WORDS}", "fields": "Email"}],
    [{"fields": None}],
]


def test_a_failure_without_a_readable_error_is_final_for_the_record() -> None:
    wrong = [
        (errors, got)
        for errors in UNREADABLE
        if (got := rejection(errors)) != Rejection(ErrorClass.ROW, (RowError(""),))
    ]
    assert wrong == []
