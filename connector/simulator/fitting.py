"""Fits the simulated org to a mapping: adds the fields that it names, and fills them with seeded people.

A missing custom field is added with a type that suits its use. A missing standard field is not added: no admin could
add it, and the connector's checks must report it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from connector.simulator.people import SimPerson
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.schema import Field, ObjectType, Record
from connector.simulator.salesforce.standard import custom_object

if TYPE_CHECKING:
    from connector.simulator.server import Simulator

PREFIXES = tuple(f"a0{digit}" for digit in "0123456789")
"""The first characters of the ids of custom objects."""
SEEDED_OBJECTS = ("Lead", "Contact")
FLAG, PERSONNEL, EVENT, LINK = (
    *("Enrichment_Requested__c", "Lensmor_Personnel_Id__c"),
    *("Lensmor_Event_Id__c", "LinkedIn_URL__c"),
)


class UnfitError(ValueError):
    """The simulated org cannot have this mapping's object."""


@dataclass(frozen=True)
class MappedObject:
    """A mapping's object and its fields.

    Attributes:
        object_name: the object.
        flag: the field that requests enrichment.
        asks: the flag's value that requests it; True for a checkbox.
        done: the flag's value afterwards; False for a checkbox.
        fields: every field that the mapping names, with a type that suits its use.
        personnel_id: the field with the personnel id, if any.
        event_id: the field with an event, if any.
        linkedin_url: the field with the LinkedIn address, if any.
        opt_outs: opt-out field -> the demo's own field with that meaning.
    """

    object_name: str
    flag: str
    asks: str | bool = True
    done: str | bool = False
    fields: tuple[Field, ...] = ()
    personnel_id: str | None = None
    event_id: str | None = None
    linkedin_url: str | None = None
    opt_outs: Mapping[str, str] = field(default_factory=dict)


def fit(simulator: "Simulator", mapped: MappedObject) -> int:
    """Give the org the mapping's fields and people; returns the number of records that request enrichment.

    Raises:
        UnfitError: the simulated org has no such object, and no admin could add it.
    """
    org = simulator.salesforce.org
    kind = _object(org, mapped.object_name)
    flag = _flag(mapped)
    for one in (*mapped.fields, flag):
        present = kind.field(one.name)
        if present is None and one.custom:
            org.add_field(kind.name, one)
        elif one is flag and present is not None and present.custom and isinstance(mapped.asks, str):
            org.add_field(kind.name, replace(one, label=present.label))
    if kind.name in SEEDED_OBJECTS:
        people = [(row, _person(simulator, row)) for row in org.records(kind.name)]
        return sum(_fill(org, kind, mapped, row, person) for row, person in people)
    seeded = [(row, _person(simulator, row)) for name in SEEDED_OBJECTS for row in org.records(name)]
    return sum(_insert(org, kind, mapped, row, person) for row, person in seeded if person is not None)


def _object(org: Org, name: str) -> ObjectType:
    kind = org.find_kind(name)
    if kind is not None and kind.writable:
        return kind
    if kind is None and name.lower().endswith("__c"):
        taken = {one.prefix for one in org.kinds()}
        org.add_object(custom_object(name, next(prefix for prefix in PREFIXES if prefix not in taken)))
        return org.kind(name)
    raise UnfitError(
        f"the simulated org cannot have records of {name}: it has Lead, Contact, Account and custom objects (__c)"
    )


def _flag(mapped: MappedObject) -> Field:
    if isinstance(mapped.asks, str):
        choices = (mapped.asks, str(mapped.done))
        return Field(mapped.flag, "picklist", 255, choices=choices, restricted=True)
    return Field(mapped.flag, "boolean", nillable=False, default=False)


def _person(simulator: "Simulator", row: Record) -> SimPerson | None:
    """The seeded person that a record represents; None if the record's identifiers match no person."""
    people = simulator.lensmor.people
    found = people.get(str(row[PERSONNEL])) if row[PERSONNEL] is not None else None
    if found is not None or row[LINK] is None:
        return found
    address = str(row[LINK]).lower()
    names = {name: person for name, person in simulator.salesfinity.people.items() if name in address}
    return names[max(names, key=len)] if names else None


def _identifiers(mapped: MappedObject, row: Record, person: SimPerson | None) -> dict[str, object]:
    """The values of the mapping's identifier fields: the record's, or the person's if the mapping lacks a kind."""
    number, link = row[PERSONNEL], row[LINK]
    if person is not None and mapped.linkedin_url and not mapped.personnel_id and link is None:
        link = None if person.linkedin_name is None else f"https://www.linkedin.com/in/{person.linkedin_name}"
    if person is not None and mapped.personnel_id and not mapped.linkedin_url and number is None:
        number = person.personnel_id
    wanted = {mapped.personnel_id: number, mapped.linkedin_url: link, mapped.event_id: row[EVENT]}
    return {name: value for name, value in wanted.items() if name is not None and value is not None}


def _values(kind: ObjectType, mapped: MappedObject, row: Record, person: SimPerson | None) -> dict[str, object]:
    values = _identifiers(mapped, row, person)
    values[mapped.flag] = mapped.asks if row[FLAG] else (None if isinstance(mapped.asks, str) else False)
    values |= {name: bool(row[own]) for name, own in mapped.opt_outs.items()}
    return {name: _as_type(kind.field(name), value) for name, value in values.items() if kind.field(name) is not None}


def _as_type(target: Field | None, value: object) -> object:
    """Convert a value to a field's type: an id in a number field is a number."""
    if target is not None and target.type in ("double", "int") and isinstance(value, str):
        return int(value) if value.isdigit() else None
    return value


def _fill(org: Org, kind: ObjectType, mapped: MappedObject, row: Record, person: SimPerson | None) -> bool:
    values = _values(kind, mapped, row, person)
    changed = {name: value for name, value in values.items() if row.get(name) != value}
    if changed:
        org.edit(kind.name, str(row["Id"]), changed)
    return bool(row[FLAG])


def _insert(org: Org, kind: ObjectType, mapped: MappedObject, row: Record, person: SimPerson | None) -> bool:
    values = _values(kind, mapped, row, person)
    org.insert(kind.name, {"Name": row["Name"], **values})
    return bool(row[FLAG])


def fields_of(uses: Iterable[tuple[str | None, Field]]) -> tuple[Field, ...]:
    """Build fields from uses; a use is (name or None, a field of suitable type without a name)."""
    return tuple(replace(one, name=name) for name, one in uses if name is not None)
