"""Runs a query over the org and keeps its result for further pages.

A locator belongs to the access token that opened it and is valid for at most two days (Help article 000004410); its
rows are as of the query. `totalSize` counts the whole result on every page; the last page has no `nextRecordsUrl`.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter

from connector.simulator.salesforce.columns import Column, follow, resolve
from connector.simulator.salesforce.errors import ApiError, refuse_unsimulated_object, simulator_limit
from connector.simulator.salesforce.filters import compile_condition, sort_key
from connector.simulator.salesforce.id_range import id_span, is_own_id
from connector.simulator.salesforce.ids import IdSequence
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.schema import Field, ObjectType, Record, Value
from connector.simulator.salesforce.soql import Ordering, Query, SoqlError, UnsupportedError, parse

LOCATOR_SECONDS = 2 * 86_400
ECHO_LENGTH = 40
_BORDER = re.compile(r"[\s,]+")


@dataclass(frozen=True)
class Found:
    """A query's whole result.

    Attributes:
        kind: the object.
        columns: the selected columns.
        rows: the records, in order; empty for `COUNT()`.
        total: the number of records.
    """

    kind: ObjectType
    columns: tuple[Column, ...]
    rows: tuple[Record, ...]
    total: int


def run(org: Org, text: str, *, include_deleted: bool) -> Found:
    """Run a query.

    Raises:
        ApiError: 400; Salesforce refuses the query, or the simulator does not support it (SIMULATOR_LIMIT).
    """
    try:
        query = parse(text)
        return _run(org, query, include_deleted=include_deleted)
    except SoqlError as error:
        raise ApiError(400, error.code, _located(text, error)) from error
    except UnsupportedError as error:
        raise simulator_limit(f"{error} in a query") from error


def rendered(org: Org, kind: ObjectType, columns: Iterable[Column], row: Record, version: str) -> dict[str, object]:
    """A record in the API's form; related records are nested, with their own attributes."""
    answer = _started(kind, row, version)
    for column in columns:
        part: dict[str, object] | None = answer
        for place, step in enumerate(column.steps):
            target = follow(org, row, column.steps[: place + 1])
            if part is not None:
                nested = None if target is None else _started(step.target, target, version)
                found = part.setdefault(step.name, nested)
                part = found if isinstance(found, dict) else None
        if part is not None:
            source = follow(org, row, column.steps)
            owner = column.steps[-1].target if column.steps else kind
            part[column.field.name] = shown(owner, column.field, source if source is not None else row)
    return answer


def columns_of(fields: Iterable[Field]) -> list[Column]:
    """The object's own fields as columns."""
    return [Column((), field, itemgetter(field.name)) for field in fields]


def shown(kind: ObjectType, field: Field, row: Record) -> object:
    """A field's value in an answer; an address is an object of its parts, or null if all of them are empty."""
    if field.type != "address":
        return row[field.name]
    parts = {part: row[one.name] for part, one in kind.parts_of(field.name).items()}
    return parts if any(value is not None for value in parts.values()) else None


def _started(kind: ObjectType, row: Record, version: str) -> dict[str, object]:
    url = f"/services/data/v{version}/sobjects/{kind.name}/{row['Id']}"
    return {"attributes": {"type": kind.name, "url": url}}


def _run(org: Org, query: Query, *, include_deleted: bool) -> Found:
    kind = org.find_kind(query.source.text)
    if kind is None:
        refuse_unsimulated_object(query.source.text)
        words = (
            f"sObject type '{query.source.text}' is not supported. If you are attempting to use a custom object, be "
            "sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the "
            "appropriate names."
        )
        raise SoqlError("INVALID_TYPE", words, query.source.at)
    columns = _selected(org, kind, query)
    now = org.clock.now()
    wanted = None if query.where is None else compile_condition(org, query.where, kind, now)
    order = [(_sortable(org, kind, part), part) for part in query.order]
    by_id = bool(order) and is_own_id(order[0][0])
    rows: Iterable[Record] = org.rows(kind)
    if by_id:
        rows = org.rows_between(kind, id_span(org, query.where, kind), descending=query.order[0].descending)
    if not include_deleted:
        rows = (row for row in rows if not row["IsDeleted"])
    if wanted is not None:
        rows = filter(wanted, rows)
    end = None if query.limit is None else query.offset + query.limit
    # Ids differ, so that an order by Id is complete; such rows come in order, and only as many as needed are read.
    found = list(itertools.islice(rows if by_id else _ordered(list(rows), order), query.offset, end))
    return Found(kind, columns, tuple(found) if columns else (), len(found))


def _selected(org: Org, kind: ObjectType, query: Query) -> tuple[Column, ...]:
    columns: dict[str, Column] = {}
    for token in query.fields:
        column = resolve(org, kind, token)
        if column.path in columns:
            raise SoqlError("MALFORMED_QUERY", f"duplicate field selected: {column.path}", token.at)
        columns[column.path] = column
    return tuple(columns.values())


def _sortable(org: Org, kind: ObjectType, part: Ordering) -> Column:
    column = resolve(org, kind, part.field)
    if not column.field.filterable or column.field.type == "address":
        words = f"field '{column.field.name}' can not be sorted in a query call"
        raise SoqlError("MALFORMED_QUERY", words, part.field.at)
    return column


def _ordered(rows: list[Record], order: list[tuple[Column, Ordering]]) -> list[Record]:
    """Sort by the last field first, so that earlier fields take precedence; nulls come before or after the rest."""
    for column, part in reversed(order):
        nulls = [row for row in rows if column.get(row) is None]
        others = [row for row in rows if column.get(row) is not None]
        others.sort(key=_by(column), reverse=part.descending)
        rows = [*others, *nulls] if part.nulls_last else [*nulls, *others]
    return rows


def _by(column: Column) -> Callable[[Record], str | float]:
    key = sort_key(column.field)

    def by(row: Record) -> str | float:
        value: Value = key(column.get(row))
        return 0.0 if value is None else value

    return by


def _located(text: str, error: SoqlError) -> str:
    """Salesforce's text of a query error: an excerpt of the query, a caret below it, the position, the message.

    As in recorded messages, the excerpt is cut between words, some forty characters before and after the position. It
    repeats the values of the condition there, and may end inside quotes.
    """
    if error.at is None:
        return error.message
    line_start = text.rfind("\n", 0, error.at) + 1
    row, column = text.count("\n", 0, error.at) + 1, error.at - line_start + 1
    first = max(line_start, error.at - ECHO_LENGTH)
    if first > line_start:
        border = _BORDER.search(text, first, error.at)
        first = error.at if border is None else border.end()
    line = text[: error.at + ECHO_LENGTH]
    if len(line) < len(text):
        line = line[: max((match.start() for match in _BORDER.finditer(line, error.at)), default=len(line))]
    echo = text[first : len(line)].partition("\n")[0]
    caret = " " * (error.at - first)
    return f"\n{echo}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{error.message}"


@dataclass(frozen=True)
class _Cursor:
    token: str
    found: Found
    until: float


class Locators:
    """The results of queries with further pages.

    Args:
        now: gives Unix seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ids = IdSequence("01g")
        self._cursors: dict[str, _Cursor] = {}

    def open(self, found: Found, token: str) -> str:
        """Store a result; returns its locator."""
        locator = self._ids.take()
        self._cursors[locator] = _Cursor(token, found, self._now() + LOCATOR_SECONDS)
        return locator

    def find(self, locator: str, token: str) -> Found:
        """The result of a locator.

        Raises:
            ApiError: the locator is unknown, too old, or was opened with another access token.
        """
        cursor = self._cursors.get(locator)
        if cursor is None or cursor.token != token or cursor.until <= self._now():
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return cursor.found


def page(found: Found, start: int, size: int) -> tuple[Record, ...]:
    """The rows of one page."""
    return tuple(itertools.islice(found.rows, start, start + size))
