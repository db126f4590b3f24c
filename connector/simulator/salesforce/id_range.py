"""The range of ids that a WHERE tree allows, so that a keyset page costs its own rows and not the whole object."""

from connector.simulator.salesforce.columns import Column, Tables, resolve
from connector.simulator.salesforce.ids import to_18
from connector.simulator.salesforce.schema import ObjectType
from connector.simulator.salesforce.soql import Comparison, Condition, Joined
from connector.simulator.salesforce.table import IdSpan


def is_own_id(column: Column) -> bool:
    """Whether a column is the id of the query's own object."""
    return not column.steps and column.field.name == "Id"


def id_span(tables: Tables, where: Condition | None, kind: ObjectType) -> IdSpan:
    """A range that contains every id that a valid WHERE tree allows; it may contain others."""
    over, under, only = "", "", None
    for one in _required(where):
        if not is_own_id(resolve(tables, kind, one.field)) or any(value.kind != "string" for value in one.values):
            continue
        ids = [value.text[:15] for value in one.values]
        if one.operator == ">":
            over = max(over, ids[0])
        elif one.operator == "<":
            under = min(under or ids[0], ids[0])
        elif one.operator in ("=", "IN"):
            these = frozenset(to_18(found) for found in ids)
            only = these if only is None else only & these
    return IdSpan(over, under, only)


def _required(condition: Condition | None) -> list[Comparison]:
    """The comparisons that every record must meet."""
    if isinstance(condition, Comparison):
        return [condition]
    if isinstance(condition, Joined) and condition.word == "AND":
        return [one for part in condition.parts for one in _required(part)]
    return []
