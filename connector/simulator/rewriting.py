"""Faults that change a readable answer: other states, other types, unusable values, a person listed twice.

The request takes effect; the answer keeps its status. Both vendor sites support them. `params.person` (a personnel id)
limits `value`, `words` and `twice` to the objects that name this person.

    add_fields    `params.fields`, a JSON object, is merged into the answer, such as {"errorKey": null}
    numbers       texts of digits under `params.fields` become JSON numbers, phones their digits
    plain_email   `email` is the address itself, not an object with it (Salesfinity)
    twice         every item of a task is followed (`params.first` true: preceded) by a `failed` item of the same person
    value         every text under `params.fields` (email, phone) becomes `params.value`: "N/A", "a***@example.com"
    words         texts under `params.fields` (the state fields) are replaced by `params.words`, {"completed": "done"}
"""

import re
from collections.abc import Callable, Mapping

from connector.simulator.faults import Fault

REWRITING_ACTIONS = frozenset({"add_fields", "numbers", "plain_email", "twice", "value", "words"})
_NUMBER_FIELDS = ("id", "_id", "personnelId", "personnel_id", "taskId", "task_id", "job_id", "eventId", "phone")
_VALUE_FIELDS = ("email", "phone")
_PERSON_FIELDS = ("personnelId", "id")
_NOT_DIGITS = re.compile(r"\D")

JsonObject = Mapping[str, object]
Change = Callable[[object], object]


def rewritten(fault: Fault, body: object, state_words: tuple[str, ...]) -> object:
    """Change an answer by a fault of this module; any other fault leaves it unchanged.

    Args:
        fault: the misbehaviour.
        body: the correct answer.
        state_words: the fields that hold a state.
    """
    if fault.action in {"add_fields", "plain_email", "twice"}:
        return _reshaped(fault, body) if isinstance(body, dict) else body
    usual = {"numbers": _NUMBER_FIELDS, "value": _VALUE_FIELDS, "words": state_words}.get(fault.action)
    if usual is None:
        return body
    person = None if fault.action == "numbers" else fault.params.get("person")
    return _changed(body, _names(fault, usual), _change(fault), person)


def _reshaped(fault: Fault, body: dict[str, object]) -> dict[str, object]:
    params, items = fault.params, body.get("items")
    if fault.action == "add_fields":
        return {**body, **_object(params.get("fields"))}
    if fault.action == "plain_email":
        return {**body, "email": _plain(body.get("email"))}
    if not isinstance(items, list):
        return body
    return {**body, "items": _doubled(items, params.get("person"), first=bool(params.get("first")))}


def _change(fault: Fault) -> Change:
    if fault.action == "numbers":
        return _as_number
    words, value = _object(fault.params.get("words")), fault.params.get("value")
    return (lambda _old: value) if fault.action == "value" else (lambda old: words.get(str(old), old))


def _changed(value: object, names: frozenset[str], change: Change, person: object) -> object:
    """A copy in which each text under one of these names is changed; only in objects about `person`, if given."""
    if isinstance(value, list):
        return [_changed(item, names, change, person) for item in value]
    if not isinstance(value, dict):
        return value
    named = {value[name] for name in _PERSON_FIELDS if isinstance(value.get(name), str)}
    spared = person is not None and bool(named) and person not in named
    return {
        key: change(item)
        if key in names and isinstance(item, str) and not spared
        else _changed(item, names, change, person)
        for key, item in value.items()
    }


def _as_number(text: object) -> object:
    raw = str(text)
    digits = _NOT_DIGITS.sub("", raw)
    is_phone = raw.startswith("+") or " " in raw
    return int(digits) if digits and (raw == digits or is_phone) else text


def _doubled(items: list[object], person: object, *, first: bool) -> list[object]:
    doubled: list[object] = []
    for item in items:
        named = item.get("personnelId") if isinstance(item, dict) else None
        if named is None or person not in (None, named):
            doubled.append(item)
            continue
        failed = {"personnelId": named, "status": "failed", "errorCode": "TASK_FAILED"}
        doubled += [failed, item] if first else [item, failed]
    return doubled


def _plain(email: object) -> object:
    return email.get("email") if isinstance(email, dict) else email


def _names(fault: Fault, usual: tuple[str, ...]) -> frozenset[str]:
    given = fault.params.get("fields", usual)
    return frozenset(str(name) for name in given) if isinstance(given, list | tuple) else frozenset()


def _object(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}
