"""Converts values to the form that Salesforce stores, or refuses them.

Emails are stored in lower case (Help article 000384328). Text is trimmed, and empty text becomes null. Times are stored
with whole seconds and returned in UTC as `2026-11-20T10:00:00.000+0000`. A JSON value of the wrong kind fails the whole
request (`JSON_PARSER_ERROR`); a value that breaks a rule of its field fails only its record.
"""

import json
import re
from datetime import UTC, date, datetime

from connector.simulator.salesforce.errors import Problem, RecordError, unreadable_json
from connector.simulator.salesforce.ids import parse_id
from connector.simulator.salesforce.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES, Field, ObjectType, Record, Value

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)")
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,18})?")
_KINDS: dict[type, str] = {
    **{str: "VALUE_STRING", bool: "VALUE_TRUE", int: "VALUE_NUMBER_INT"},
    **{float: "VALUE_NUMBER_FLOAT", type(None): "VALUE_NULL"},
}


def stamp(unix_seconds: float) -> str:
    """A time in the API's form; fractions of a second are dropped, as in Salesforce."""
    return datetime.fromtimestamp(int(unix_seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def parse_time(text: str) -> str | None:
    """The stored form of an ISO 8601 time with a time zone; None for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match[1] + match[2])
        return stamp(moment.timestamp())
    except (ValueError, OverflowError):
        return None


def parse_date(text: str) -> str | None:
    """The stored form of a date; None for anything else."""
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else None
    except ValueError:
        return None


def store(field: Field, value: object) -> Value:
    """The stored form of a value sent for a field.

    Raises:
        ApiError: the value has the wrong JSON kind for the field.
        RecordError: the value breaks a rule of the field.
    """
    if field.type == "boolean":
        if not isinstance(value, bool):
            raise _wrong_kind(field, value)
        return value
    if value is None:
        return None
    if field.type in NUMBER_TYPES:
        return _number(field, value)
    if not isinstance(value, str):
        raise _wrong_kind(field, value)
    text = value.strip()
    if not text:
        return None
    return _text(field, text)


def refuse_missing(kind: ObjectType, record: Record) -> None:
    """Refuse a record that lacks a required value.

    Raises:
        RecordError: a value is missing; the error names all missing fields.
    """
    missing = [field.name for field in kind.fields() if field.required and record.get(field.name) is None]
    if missing:
        words = f"Required fields are missing: [{', '.join(missing)}]"
        raise RecordError(Problem("REQUIRED_FIELD_MISSING", words, tuple(missing)))


def _text(field: Field, text: str) -> Value:
    if field.type in ID_TYPES:
        return _reference(field, text)
    if field.type == "datetime":
        return _or_wrong_kind(field, text, parse_time(text))
    if field.type == "date":
        return _or_wrong_kind(field, text, parse_date(text))
    if field.type not in TEXT_TYPES:
        raise ValueError(f"{field.name}: no field type {field.type!r}")
    if len(text) > field.length:
        words = f"{field.shown_label}: data value too large: {text} (max length={field.length})"
        raise RecordError(Problem("STRING_TOO_LONG", words, (field.name,)))
    if field.type == "email":
        return _email(field, text)
    if field.type == "picklist" and field.restricted and text not in field.choices:
        words = f"{field.shown_label}: bad value for restricted picklist field: {text}"
        raise RecordError(Problem("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", words, (field.name,)))
    return text


def _email(field: Field, text: str) -> str:
    address = text.lower()
    local = address.partition("@")[0]
    if not _EMAIL.fullmatch(address) or len(local) > 64 or local.startswith(".") or ".." in address or local[-1] == ".":
        words = f"{field.shown_label}: invalid email address: {text}"
        raise RecordError(Problem("INVALID_EMAIL_ADDRESS", words, (field.name,)))
    return address


def _reference(field: Field, text: str) -> str:
    record_id = parse_id(text)
    if record_id is None:
        words = f"{field.shown_label}: id value of incorrect type: {text}"
        raise RecordError(Problem("MALFORMED_ID", words, (field.name,)))
    return record_id


def _number(field: Field, value: object) -> Value:
    """Parse a number or the text of one, as Salesforce does; all types but `int` are returned with a decimal point."""
    number: object = value
    if isinstance(value, str):
        if not value.strip():
            return None
        number = _parsed_number(value.strip())
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise _wrong_kind(field, value)
    if field.type == "int":
        if not isinstance(number, int):
            raise _wrong_kind(field, value)
        return number
    return float(number)


def _parsed_number(text: str) -> int | float | None:
    for read in (int, float):
        try:
            return read(text) if _NUMBER.fullmatch(text) else None
        except ValueError:
            continue
    return None


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "[" if isinstance(value, list) else "{"
    return str(value) if isinstance(value, str) else json.dumps(value)


def _or_wrong_kind(field: Field, text: str, parsed: str | None) -> str:
    if parsed is None:
        raise _wrong_kind(field, text)
    return parsed


def _wrong_kind(field: Field, value: object) -> Exception:
    kind = _KINDS.get(type(value)) or ("START_ARRAY" if isinstance(value, list) else "START_OBJECT")
    words = f"Cannot deserialize instance of {field.type} from {kind} value {_shown(value)}"
    return unreadable_json(f"{words} or request may be missing a required field")
