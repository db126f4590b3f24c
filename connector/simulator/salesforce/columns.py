"""Columns: a field of the object itself, or one that a relationship leads to (`Owner.Name`, `Account.Owner.Email`).

A name may begin with the object itself (`Lead.Name`). Relationships lead from child to parent, at most five steps (SOQL
Reference, "Relationship Query Limitations"). If a reference is empty, everything after it is null.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from connector.simulator.salesforce.schema import Field, ObjectType, Record, Value
from connector.simulator.salesforce.soql import SoqlError, Token, UnsupportedError

MAX_STEPS = 5
HINT = "Please reference your WSDL or the describe call for the appropriate names."


class Tables(Protocol):
    """The part of the org that relationships need."""

    def find_kind(self, name: str) -> ObjectType | None:
        """The object type of this name, or None."""

    def row(self, kind: ObjectType, record_id: str) -> Record | None:
        """A stored record, or None."""


@dataclass(frozen=True)
class Step:
    """One relationship of a path: its name in the answer, the reference field, the object that it leads to."""

    name: str
    reference: Field
    target: ObjectType


@dataclass(frozen=True)
class Column:
    """A column of a query.

    Attributes:
        steps: the relationships that lead to the field; empty for a field of the object itself.
        field: the field.
        get: its value for a record of the query's object.
    """

    steps: tuple[Step, ...]
    field: Field
    get: Callable[[Record], Value]

    @property
    def path(self) -> str:
        """The name with its relationships, in their proper spelling."""
        return ".".join([*(step.name for step in self.steps), self.field.name])


def resolve(tables: Tables, kind: ObjectType, name: Token) -> Column:
    """The column that the API user sees under this name.

    Raises:
        SoqlError: there is no such column.
        UnsupportedError: the name leads to an object that the simulated org does not have.
    """
    *relationships, last = name.text.split(".")
    if relationships and relationships[0].lower() == kind.name.lower():
        relationships = relationships[1:]
    if len(relationships) > MAX_STEPS:
        words = f"SELECT and WHERE may follow at most {MAX_STEPS} relationships"
        raise SoqlError("MALFORMED_QUERY", words, name.at)
    steps: list[Step] = []
    at = kind
    for one in relationships:
        steps.append(_step(tables, at, one, name))
        at = steps[-1].target
    field = at.readable(last)
    if field is None:
        words = (
            f"No such column '{last}' on entity '{at.name}'. If you are attempting to use a custom field, be "
            f"sure to append the '__c' after the custom field name. {HINT}"
        )
        raise SoqlError("INVALID_FIELD", words, name.at)
    return Column(tuple(steps), field, _getter(tables, tuple(steps), field.name))


def follow(tables: Tables, record: Record, steps: tuple[Step, ...]) -> Record | None:
    """The record at the end of some relationships; None if one of them is empty."""
    row: Record | None = record
    for step in steps:
        record_id = None if row is None else row[step.reference.name]
        row = None if record_id is None else tables.row(step.target, str(record_id))
    return row


def _getter(tables: Tables, steps: tuple[Step, ...], name: str) -> Callable[[Record], Value]:
    if not steps:
        return lambda record: record[name]

    def get(record: Record) -> Value:
        row = follow(tables, record, steps)
        return None if row is None else row[name]

    return get


def _step(tables: Tables, kind: ObjectType, name: str, token: Token) -> Step:
    reference = kind.relationship(name)
    if reference is None:
        words = (
            f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom "
            f"relationship, be sure to append the '__r' after the custom relationship name. {HINT}"
        )
        raise SoqlError("INVALID_FIELD", words, token.at)
    for target in reversed(reference.refers_to):
        found = tables.find_kind(target)
        if found is not None:
            return Step(str(reference.relationship_name), reference, found)
    raise UnsupportedError(f"the object behind the relationship {name}")
