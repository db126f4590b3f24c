"""Refused rows of a Collections answer, sorted by whose fault they are (docs/salesforce.md, Errors).

Every error of a row counts, not only the first. Governor limits and locks hide in the texts of other codes, so the
text is searched too; in a text that an admin wrote, only for what is plainly Salesforce's. A text is shown only where
it is the admin's own (a validation rule) or ours.
"""

import re
from collections.abc import Sequence

from connector.core.printable import one_line
from connector.crm.interface import ErrorClass, Rejection, RowError
from connector.crm.salesforce.bodies import ErrorRow

_LOCKED = {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"}
_LONGEST_NAME = 80  # of a field
_BUSY = "TOO_MANY_APEX_REQUESTS"  # of the whole org, at this moment: a smaller collection would not help
_REFERENCE = "INVALID_CROSS_REFERENCE_KEY"  # of the record itself, or of a record that a field names
_MOVED = {"ENTITY_IS_DELETED", _REFERENCE, "NOT_FOUND", "CANNOT_UPDATE_CONVERTED_LEAD"}
_MAPPING = {
    *("INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE"),
    *("MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR"),
}
_ORG = {
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": "Salesforce is in read-only maintenance",
    "REQUEST_LIMIT_EXCEEDED": "Salesforce's daily request quota is used up",
    "API_CURRENTLY_DISABLED": "Salesforce's API is switched off at the moment",
    "API_DISABLED_FOR_ORG": "Salesforce's API is disabled for this org or user",
    "LOGIN_DURING_RESTRICTED_TIME": "Salesforce does not let this user log in at this time of day",
    "ORG_LOCKED": "this Salesforce org is locked",
    "STORAGE_LIMIT_EXCEEDED": "this Salesforce org has no data storage left",
}
_VALIDATION = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
_ADMINS_TEXT = {_VALIDATION, "DUPLICATES_DETECTED"}
_RECORD_TYPE = "recordtypeid"
_UNUSABLE = {"INVALID_EMAIL_ADDRESS"}  # no change of the record or the mapping makes such a value acceptable
_ADVICE = {
    "DUPLICATES_DETECTED": "merge the duplicates, or let the duplicate rule report instead of block",
    "DUPLICATE_VALUE": "another record has this value in a unique field; merge the two, or map another field",
    "STRING_TOO_LONG": "make the field longer, or map another one",
    _VALIDATION: "correct the record or the validation rule",
    "REQUIRED_FIELD_MISSING": "fill in the required field",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "add the word to the picklist, or make the picklist unrestricted",
    "INSUFFICIENT_ACCESS_OR_READONLY": "share the record with the connector's user, with edit access",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "give the connector's user access to the related record",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "correct the trigger or flow that fails for this record",
    "CANNOT_EXECUTE_FLOW_TRIGGER": "correct the flow that fails for this record",
    "CANNOT_UPDATE_CONVERTED_LEAD": "give the connector's user 'View and Edit Converted Leads'",
}
# Text and advice where a field refers to a record that cannot be used; True: to a record type.
_REFERENCE_WORDS = {
    True: (
        "the record type is not available to the connector's user",
        "assign the record type to the user's profile or permission set",
    ),
    False: (
        "the field refers to a record that was deleted, or that the connector's user may not see",
        "correct the field, or the trigger or flow that sets it, or share that record with the connector's user",
    ),
}
# Words of governor limits (Apex Developer Guide, "Execution Governors and Limits", and flow limits; November 2026).
_LIMIT_TEXT = re.compile(
    r"LimitException|Apex CPU time limit|CPU time limit exceeded|Too many (SOQL|SOSL|DML|query|callouts|future calls|"
    r"queueable|email invocations|batch retries)|Apex heap size|heap size too large|"
    r"number of executed elements|executed elements|number of iterations exceeded|Too many retries of batch save|"
    r"Limit Exceeded",
    re.IGNORECASE,
)
# Salesforce's own even in an admin's text: a trigger may pass on the error that it met.
_PLAIN_LIMIT = re.compile(r"LimitException")
_PLAIN_LOCK = re.compile(r"first error: UNABLE_TO_LOCK_ROW|UNABLE_TO_LOCK_ROW\W+unable to obtain")
# The text of a row of a bulk job may hold several errors; a code begins each of them.
_BETWEEN_ERRORS = re.compile(r"(?<=--)\s*(?=[A-Z][A-Z0-9_]{5,}:)")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_LIMIT_CODES = {"LIMIT_EXCEEDED", "APEX_LIMIT_EXCEEDED"}
_AUTOMATION_CODES = {"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER", "APEX_ERROR"}


def rejection(errors: Sequence[ErrorRow]) -> Rejection:
    """Sort the errors of one row; a row without a readable error is refused for a reason of its own."""
    if not errors:
        return Rejection(ErrorClass.ROW, (RowError(""),))
    classes = {class_of(row) for row in errors}
    return Rejection(next(one for one in ErrorClass if one in classes), tuple(map(_row_error, errors)))


def rejection_of_text(text: str) -> Rejection:
    """Sort the errors of one row of a bulk job: `CODE:message:fields --`, one after the other."""
    return rejection([_error_of(part) for part in _BETWEEN_ERRORS.split(text.strip()) if part.strip()])


def _error_of(text: str) -> ErrorRow:
    code, _, rest = text.strip().removesuffix("--").rstrip().partition(":")
    message, colon, names = rest.rpartition(":")
    fields = [name for name in re.split(r"\s*[,;]\s*", names.strip()) if name]
    if not colon or not all(map(_FIELD.fullmatch, fields)):
        message, fields = rest, []
    return ErrorRow.read({"statusCode": code.strip(), "message": message, "fields": fields})


def class_of(row: ErrorRow) -> ErrorClass:
    """Whose fault one error is."""
    code = row.code
    if code in _ORG:
        found = ErrorClass.ORG
    elif code != _BUSY and _is_limit(row):
        found = ErrorClass.LIMIT
    elif code in _LOCKED or code == _BUSY or _tells_of_lock(row):
        found = ErrorClass.LOCKED
    elif code in _AUTOMATION_CODES:
        found = ErrorClass.AUTOMATION
    elif code in _MOVED and not _names_another_record(row):
        found = ErrorClass.MOVED
    elif code in _MAPPING:
        found = ErrorClass.MAPPING
    else:
        found = ErrorClass.ROW
    return found


def _is_limit(row: ErrorRow) -> bool:
    pattern = _PLAIN_LIMIT if row.code in _ADMINS_TEXT else _LIMIT_TEXT
    return row.code in _LIMIT_CODES or pattern.search(row.message) is not None


def _tells_of_lock(row: ErrorRow) -> bool:
    if row.code in _ADMINS_TEXT:
        return _PLAIN_LOCK.search(row.message) is not None
    return "UNABLE_TO_LOCK_ROW" in row.message


def _names_another_record(row: ErrorRow) -> bool:
    """Whether the error is about a record that a field refers to, not about the row's own."""
    names = {name.lower() for name in _fields(row)} - {"id"}
    return _RECORD_TYPE in names or (bool(names) and row.code == _REFERENCE)


def _fields(row: ErrorRow) -> tuple[str, ...]:
    return tuple(one_line(name, _LONGEST_NAME) for name in row.fields)


def _row_error(row: ErrorRow) -> RowError:
    code, fields = row.code, _fields(row)
    if _tells_of_lock(row):
        code = "UNABLE_TO_LOCK_ROW"
    text, advice = "", _ADVICE.get(code, "")
    if code == _VALIDATION:
        text = row.message
    elif code in _ORG:
        text = _ORG[code]
    elif code == _REFERENCE and class_of(row) is ErrorClass.ROW:
        text, advice = _REFERENCE_WORDS[_RECORD_TYPE in {name.lower() for name in fields}]
    elif class_of(row) is ErrorClass.LIMIT:
        text = "the org's own automation needs more than Salesforce allows"
        advice = "look at the triggers and flows that run when this record is saved"
    return RowError(code, fields, text, advice, unusable=code in _UNUSABLE)
