"""SOQL for selections, and the look at a condition before it is trusted inside parentheses."""

import re

from connector.core.errors import ConfigurationError
from connector.crm.interface import Selection
from connector.crm.salesforce.library import format_soql

PAGE = 2000
IDS_PER_QUERY = 300  # keeps the address below 16,384 bytes


def page_query(selection: Selection, after: str | None, size: int, ids: tuple[str, ...] | None = None) -> str:
    """One page by keyset on Id: it needs no locator, so it survives token refreshes and restarts.

    Args:
        selection: what to read.
        after: the last id of the page before.
        size: rows of this page.
        ids: a part of the selection's ids.
    """
    conditions = _conditions(selection, ids)
    if after is not None:
        sign = "<" if selection.newest_first else ">"
        conditions.append(f"Id {sign} '{after}'")
    where = _where(conditions)
    order = "DESC" if selection.newest_first else "ASC"
    fields = ", ".join(dict.fromkeys(("Id", "SystemModstamp", *selection.fields)))
    return f"SELECT {fields} FROM {selection.object}{where} ORDER BY Id {order} LIMIT {size}"  # noqa: S608 names are checked against describe, values by format_soql


def whole_query(selection: Selection, limit: int | None, ids: tuple[str, ...] | None = None) -> str:
    """The whole selection in one query, in the order of its pages."""
    soql = page_query(selection, None, limit or 0, ids)
    return soql if limit is not None else soql.removesuffix(" LIMIT 0")


def count_query(selection: Selection, ids: tuple[str, ...] | None = None) -> str:
    """How many records a selection has, whatever its limit."""
    return f"SELECT COUNT() FROM {selection.object}{_where(_conditions(selection, ids))}"  # noqa: S608 as above


def _conditions(selection: Selection, ids: tuple[str, ...] | None) -> list[str]:
    conditions: list[str] = []
    if selection.flag is not None:
        name, value = selection.flag
        conditions.append(f"{name} = {_literal(value)}")
    conditions += [f"({condition})" for condition in selection.where]
    if ids is not None:
        conditions.append(str(format_soql("Id IN {ids}", ids=list(ids))))
    return conditions


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _literal(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(format_soql("{value}", value=value))


def check_text(condition: str) -> None:
    """Refuse a condition that could reach beyond the parentheses it is put in.

    Raises:
        ConfigurationError: unbalanced quotes or parentheses, or more than a condition.
    """
    depth, quoted, escaped = 0, False, False
    for character in condition:
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == "'":
                quoted = False
        elif character == "'":
            quoted = True
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth < 0:
                break
    if depth != 0 or quoted:
        raise ConfigurationError("quotes or parentheses do not match in the condition")
    if not condition.strip():
        raise ConfigurationError("the condition is empty; leave it out instead")


_TOKEN = re.compile(r"'((?:[^'\\]|\\.)*)'?|(?<![\w.])([+-]?\d[\w.:+-]*)|([^\W\d][\w.]*(?::\d+)?)|([=<>(])", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_OPERATORS = frozenset({"=", "<", ">", "like", "in", "includes", "excludes"})
_FIELD_FOLLOWS = frozenset({"where", "and", "or", "not"})
_NAMES_FOLLOW = frozenset({"select", "from", "group", "having", "order", "limit"})
_CONSTANT = re.compile(r"null|true|false|today|yesterday|tomorrow|(?:last|this|next)_[a-z_]+(?::\d+)?", re.IGNORECASE)


def literals(soql: str) -> list[str]:
    """Every value of a query: texts without their quotes, both as written and as meant, numbers, dates, bare words.

    A bare word is a text whose quotes were forgotten: it stands where a condition has its value.
    """
    found: list[str] = []
    place = "field"
    before = ""
    for match in _TOKEN.finditer(soql):
        text, number, word, mark = match.groups()
        if word is None and mark is None:
            written = number if text is None else text
            found += dict.fromkeys((written, _ESCAPE.sub(r"\1", written)))
            continue
        now = (word or mark).lower()
        if word is not None and place == "value" and _is_bare_value(now):
            found += dict.fromkeys((word, *word.split(".")))
        place, before = _place_after(now, place, before), now
    return [value for value in found if value.strip()]


def _is_bare_value(word: str) -> bool:
    return word not in _OPERATORS | _FIELD_FOLLOWS | _NAMES_FOLLOW and _CONSTANT.fullmatch(word) is None


def _place_after(word: str, place: str, before: str) -> str:
    """What the next word is: a condition's field, its value, or a name of another clause."""
    if word in _FIELD_FOLLOWS:
        return "field"
    if word in _NAMES_FOLLOW:
        return "name"
    if word == "(":
        is_function = place == "value" and before not in _OPERATORS
        return "field" if is_function else place
    return "value" if word in _OPERATORS or place == "field" else place
