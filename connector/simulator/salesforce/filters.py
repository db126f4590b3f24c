"""Compiles a WHERE tree to one function over records: names and values are resolved once, not per record.

Strings compare without case; ids compare by their first 15 characters, with case. Null is an ordinary value for `=` and
`!=` (so `!=` and NOT IN also find empty fields; observed in practice, no page found), equals FALSE for a checkbox (SOQL
Reference, "Use null in WHERE"), and is neither less nor greater than any value. An empty string means null.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from connector.simulator.salesforce.columns import Column, Tables, resolve
from connector.simulator.salesforce.ids import has_id_shape
from connector.simulator.salesforce.periods import period
from connector.simulator.salesforce.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES, Field, ObjectType, Record, Value
from connector.simulator.salesforce.soql import (
    Comparison,
    Condition,
    Joined,
    Literal,
    Negated,
    SoqlError,
)
from connector.simulator.salesforce.values import parse_date, parse_time

Predicate = Callable[[Record], bool]
Key = Callable[[Value], Value]
Getter = Callable[[Record], Value]

_WORD_OF_TYPE = {"datetime": "dateTime"}
_LIKE_PART = re.compile(r"\\u[0-9A-Fa-f]{4}|\\.|[%_]|[^\\%_]+", re.DOTALL)


@dataclass(frozen=True)
class _Bounds:
    """The range of a value as stored text, from `first` to before `after`; a single value has no `after`."""

    first: Value
    after: Value = None


def compile_condition(tables: Tables, condition: Condition, kind: ObjectType, now: float) -> Predicate:
    """The condition as a function of a record.

    Args:
        tables: resolves relationships.
        condition: the tree of WHERE.
        kind: the object of the query.
        now: Unix seconds, for date literals.

    Raises:
        SoqlError: a field or a value is not valid.
    """
    if isinstance(condition, Comparison):
        return _comparison(tables, condition, kind, now)
    if isinstance(condition, Negated):
        inner = compile_condition(tables, condition.part, kind, now)
        return lambda record: not inner(record)
    parts = [compile_condition(tables, part, kind, now) for part in condition.parts]
    return _joined(condition, parts)


def _joined(condition: Joined, parts: list[Predicate]) -> Predicate:
    if condition.word == "OR":
        return lambda record: any(part(record) for part in parts)
    return lambda record: all(part(record) for part in parts)


def _comparison(tables: Tables, comparison: Comparison, kind: ObjectType, now: float) -> Predicate:
    column = resolve(tables, kind, comparison.field)
    field = column.field
    if not field.filterable or field.type == "address":
        words = f"field '{field.name}' can not be filtered in a query call"
        raise SoqlError("INVALID_FIELD", words, comparison.field.at)
    if comparison.operator == "LIKE":
        return _like(column, comparison)
    bounds = [_bounds(field, literal, now) for literal in comparison.values]
    key = sort_key(field)
    get = column.get
    if comparison.operator in ("=", "IN"):
        return _equal(get, key, bounds)
    if comparison.operator in ("!=", "NOT IN"):
        equal = _equal(get, key, bounds)
        return lambda record: not equal(record)
    if field.type == "boolean":
        raise SoqlError("INVALID_FIELD", "invalid operator on boolean field", comparison.field.at)
    return _ordered(get, key, comparison.operator, bounds[0])


def sort_key(field: Field) -> Key:
    """The sort key of stored values of a field."""
    if field.type in ID_TYPES:
        return lambda value: value[:15] if isinstance(value, str) else value
    if field.type in TEXT_TYPES:
        return lambda value: value.lower() if isinstance(value, str) else value
    return lambda value: value


def _equal(get: Getter, key: Key, bounds: list[_Bounds]) -> Predicate:
    singles = frozenset(bound.first for bound in bounds if bound.after is None)
    stretches = [bound for bound in bounds if bound.after is not None]
    if not stretches:
        return lambda record: key(get(record)) in singles

    def equal(record: Record) -> bool:
        value = get(record)
        return value in singles or any(_within(value, bound) for bound in stretches)

    return equal


def _within(value: Value, bound: _Bounds) -> bool:
    return value is not None and str(bound.first) <= str(value) < str(bound.after)


def _ordered(get: Getter, key: Key, operator: str, bound: _Bounds) -> Predicate:
    """A less-than or greater-than comparison; a range is compared by its start or its end."""
    if bound.first is None:
        return lambda _record: False
    if bound.after is not None:
        edge = bound.first if operator in ("<", ">=") else bound.after
        operator = {"<=": "<", ">": ">="}.get(operator, operator)
    else:
        edge = bound.first
    if isinstance(edge, str):
        return _ordered_text(get, key, operator, edge)
    return _ordered_number(get, operator, float(edge))


def _ordered_text(get: Getter, key: Key, operator: str, edge: str) -> Predicate:
    compare: dict[str, Callable[[str], bool]] = {
        "<": lambda value: value < edge,
        "<=": lambda value: value <= edge,
        ">": lambda value: value > edge,
        ">=": lambda value: value >= edge,
    }
    holds = compare[operator]

    def ordered(record: Record) -> bool:
        value = key(get(record))
        return isinstance(value, str) and holds(value)

    return ordered


def _ordered_number(get: Getter, operator: str, edge: float) -> Predicate:
    compare: dict[str, Callable[[float], bool]] = {
        "<": lambda value: value < edge,
        "<=": lambda value: value <= edge,
        ">": lambda value: value > edge,
        ">=": lambda value: value >= edge,
    }
    holds = compare[operator]

    def ordered(record: Record) -> bool:
        value = get(record)
        return isinstance(value, int | float) and holds(value)

    return ordered


def _like(column: Column, comparison: Comparison) -> Predicate:
    field, get = column.field, column.get
    literal = comparison.values[0]
    if field.type in ID_TYPES:
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field", comparison.field.at)
    if field.type not in TEXT_TYPES:
        raise SoqlError("INVALID_FIELD", f"invalid operator on {field.type} field", comparison.field.at)
    if literal.kind == "null" or (literal.kind == "string" and not literal.raw):
        return lambda record: get(record) is None
    if literal.kind != "string":
        raise _mismatch(field, literal)
    pattern = re.compile(
        "".join(_like_part(part) for part in _LIKE_PART.findall(literal.raw)), re.IGNORECASE | re.DOTALL
    )

    def matches(record: Record) -> bool:
        value = get(record)
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    return matches


def _like_part(part: str) -> str:
    if part in ("%", "_"):
        return ".*" if part == "%" else "."
    if part.startswith("\\u"):
        return re.escape(chr(int(part[2:], 16)))
    if part.startswith("\\"):
        plain = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
        return re.escape(plain.get(part[1].lower(), part[1]))
    return re.escape(part)


def _bounds(field: Field, literal: Literal, now: float) -> _Bounds:
    if literal.kind == "null":
        return _Bounds(False if field.type == "boolean" else None)
    if field.type in ID_TYPES and literal.kind == "string":
        if not has_id_shape(literal.text):
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {literal.text}", literal.at)
        return _Bounds(literal.text[:15])
    if field.type in TEXT_TYPES and literal.kind == "string":
        return _Bounds(literal.text.lower() or None)
    if field.type == "boolean" and literal.kind == "boolean":
        return _Bounds(literal.text == "TRUE")
    if field.type in NUMBER_TYPES and literal.kind == "number":
        return _Bounds(float(literal.text))
    if field.type in ("date", "datetime"):
        return _time_bounds(field, literal, now)
    raise _mismatch(field, literal)


def _time_bounds(field: Field, literal: Literal, now: float) -> _Bounds:
    if literal.kind == "range":
        days = period(literal.text, now)
        if days is None:
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{literal.raw}'", literal.at)
        first, after = (day.isoformat() for day in days)
        midnight = "T00:00:00.000+0000" if field.type == "datetime" else ""
        return _Bounds(first + midnight, after + midnight)
    if literal.kind != field.type:
        raise _mismatch(field, literal)
    parsed = parse_time(literal.text) if field.type == "datetime" else parse_date(literal.text)
    if parsed is None:
        raise SoqlError("MALFORMED_QUERY", f"invalid {field.type}: {literal.text}", literal.at)
    return _Bounds(parsed)


def _mismatch(field: Field, literal: Literal) -> SoqlError:
    if literal.kind == "range":
        return SoqlError("MALFORMED_QUERY", f"unexpected token: '{literal.raw}'", literal.at)
    if field.type in TEXT_TYPES | ID_TYPES:
        wanted = "string and should be enclosed in quotes"
    else:
        wanted = f"{_WORD_OF_TYPE.get(field.type, field.type)} and should not be enclosed in quotes"
    words = f"value of filter criterion for field '{field.name}' must be of type {wanted}"
    return SoqlError("INVALID_FIELD", words, literal.at)
