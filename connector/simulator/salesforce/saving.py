"""Saves records of the API with checks in Salesforce's order: access, lock, values, rules.

Checking and saving are separate, so that an all-or-none call can check all records before it saves any. A failure names
only the first bad value, but all broken validation rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.simulator.salesforce.errors import Problem, RecordError
from connector.simulator.salesforce.ids import parse_id
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.rules import RowRule
from connector.simulator.salesforce.schema import Field, ObjectType, Record
from connector.simulator.salesforce.values import refuse_missing, store

ENTITY_IS_DELETED = Problem("ENTITY_IS_DELETED", "entity is deleted", ())


@dataclass(frozen=True)
class Pending:
    """An update that passed every check.

    Attributes:
        kind: the object.
        record_id: the record.
        stored: the values to set, in their stored form.
    """

    kind: ObjectType
    record_id: str
    stored: Record


def check_update(
    org: Org,
    kind: ObjectType,
    raw_id: object,
    sent: Mapping[str, object],
    *,
    assign: bool,
    rules: Sequence[RowRule] = (),
) -> Pending:
    """Check one update.

    Args:
        org: the org.
        kind: the object that the caller named.
        raw_id: the id that the caller sent, in either form; None if it sent none.
        sent: field name -> JSON value.
        assign: whether assignment rules run (header `Sforce-Auto-Assign`, on unless it is FALSE).
        rules: row rules of armed faults, in addition to those of the org.

    Raises:
        RecordError: the record cannot be saved.
        ApiError: a value has the wrong JSON kind.
    """
    fields = _known_fields(kind, sent)
    record = _updatable_row(org, kind, raw_id)
    record_id = str(record["Id"])
    _refuse_unwritable([field.name for field in fields.values() if not kind.can_update(field)])
    if org.take_lock(record_id):
        words = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
        raise RecordError(Problem("UNABLE_TO_LOCK_ROW", words, ()))
    if record.get("IsConverted") and not org.can_edit_converted:
        raise RecordError(Problem("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ()))
    stored = _stored(org, fields, sent)
    problems = [one for rule in (*org.update_rules(kind), *rules) for one in rule(dict(record), stored)]
    if problems:
        raise RecordError(*problems)
    if assign and kind.name == "Lead" and org.assignment_rule_owner is not None:
        stored["OwnerId"] = org.assignment_rule_owner
    refuse_missing(kind, record | stored)
    _refuse_broken_rules(org, kind, record | stored)
    return Pending(kind, record_id, stored)


def save(org: Org, update: Pending) -> None:
    """Save a checked update."""
    org.commit(update.kind, update.record_id, update.stored, "api")


def create(org: Org, kind: ObjectType, sent: Mapping[str, object], *, assign: bool) -> str:
    """Check and save a new record; returns its id.

    Raises:
        RecordError: the record cannot be saved.
        ApiError: a value has the wrong JSON kind.
    """
    fields = _known_fields(kind, sent)
    _refuse_unwritable([field.name for field in fields.values() if not kind.can_create(field)])
    stored = _stored(org, fields, sent)
    if assign and kind.name == "Lead" and org.assignment_rule_owner is not None:
        stored["OwnerId"] = org.assignment_rule_owner
    blank: Record = {field.name: field.default for field in kind.fields()} | {"OwnerId": org.owner_id}
    refuse_missing(kind, blank | stored)
    _refuse_broken_rules(org, kind, blank | stored)
    return org.create(kind, stored)


def _known_fields(kind: ObjectType, sent: Mapping[str, object]) -> dict[str, Field]:
    """The field of each sent name; an unknown or hidden name is refused before anything else is checked."""
    fields: dict[str, Field] = {}
    for name in sent:
        field = kind.readable(name)
        if field is None:
            raise RecordError(Problem("INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}"))
        fields[name] = field
    return fields


def _updatable_row(org: Org, kind: ObjectType, raw_id: object) -> Record:
    if raw_id is None or raw_id == "":
        raise RecordError(Problem("MISSING_ARGUMENT", "Id not specified in an update call", ()))
    record_id = parse_id(raw_id)
    if record_id is None:
        raise RecordError(Problem("MALFORMED_ID", f"malformed id {raw_id}", ()))
    if not record_id.startswith(kind.prefix):
        raise RecordError(Problem("MALFORMED_ID", f"{kind.name} ID: id value of incorrect type: {raw_id}", ("Id",)))
    record = org.row(kind, record_id)
    if record is None:
        raise RecordError(Problem("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ()), status=404)
    if record["IsDeleted"]:
        raise RecordError(ENTITY_IS_DELETED, status=404)
    return record


def _refuse_unwritable(names: list[str]) -> None:
    if names:
        words = (
            f"Unable to create/update fields: {', '.join(names)}. Please check the security settings of this field and "
            "verify that it is read/write for your profile or permission set."
        )
        raise RecordError(Problem("INVALID_FIELD_FOR_INSERT_UPDATE", words, tuple(names)))


def _stored(org: Org, fields: Mapping[str, Field], sent: Mapping[str, object]) -> Record:
    stored = {field.name: store(field, sent[name]) for name, field in fields.items()}
    for field in fields.values():
        target = stored[field.name]
        if target is not None and field.refers_to and not _exists(org, field, str(target)):
            words = "invalid cross reference id"
            if field.name == "RecordTypeId":
                words = f"Record Type ID: this ID value isn't valid for the user: {target}"
            raise RecordError(Problem("INVALID_CROSS_REFERENCE_KEY", words, (field.name,)))
    return stored


def _exists(org: Org, field: Field, record_id: str) -> bool:
    """Whether a referenced record exists; assumed for objects that the simulated org does not have."""
    kinds = [org.find_kind(name) for name in field.refers_to]
    known = [kind for kind in kinds if kind is not None]
    if len(known) < len(kinds) and not any(record_id.startswith(kind.prefix) for kind in known):
        return True
    return any(org.row(kind, record_id) is not None for kind in known)


def _refuse_broken_rules(org: Org, kind: ObjectType, record: Record) -> None:
    broken = [rule for rule in org.rules(kind) if rule.broken_by(dict(record))]
    if broken:
        raise RecordError(*(Problem(rule.code, rule.message, rule.fields) for rule in broken))
