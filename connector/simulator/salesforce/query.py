"""Runs a query over the org and keeps what does not fit one page.

A locator belongs to the access token that opened it and lives two days at most (Help article 000004410); the rest of
its rows is as of the query. `totalSize` counts the whole result on every page; the last page has no `nextRecordsUrl`.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from connector.simulator.salesforce.errors import ApiError
from connector.simulator.salesforce.filters import compile_condition, resolve, sort_key
from connector.simulator.salesforce.ids import IdSequence
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.schema import Field, ObjectType, Record, Value
from connector.simulator.salesforce.soql import Ordering, Query, SoqlError, UnsupportedError, parse

LOCATOR_SECONDS = 2 * 86_400


@dataclass(frozen=True)
class Found:
    """A query's whole result.

    Attributes:
        kind: the object.
        names: the selected fields in their proper spelling.
        rows: the records, in order; empty for `COUNT()`.
        total: how many there are.
    """

    kind: ObjectType
    names: tuple[str, ...]
    rows: tuple[Record, ...]
    total: int


def run(org: Org, text: str, *, include_deleted: bool) -> Found:
    """Run a query.

    Raises:
        ApiError: 400 where Salesforce refuses the query, 501 where the simulator does not know the construct.
    """
    try:
        query = parse(text)
        return _run(org, query, include_deleted=include_deleted)
    except SoqlError as error:
        raise ApiError(400, error.code, _located(text, error)) from error
    except UnsupportedError as error:
        words = f"the simulator does not know {error}; Salesforce may"
        raise ApiError(501, "SIMULATOR_LIMITATION", words) from error


def rendered(kind: ObjectType, names: Iterable[str], row: Record, version: str) -> dict[str, object]:
    """A record as the API answers it."""
    url = f"/services/data/v{version}/sobjects/{kind.name}/{row['Id']}"
    answer: dict[str, object] = {"attributes": {"type": kind.name, "url": url}}
    for name in names:
        answer[name] = row[name]
    return answer


def _run(org: Org, query: Query, *, include_deleted: bool) -> Found:
    kind = org.find_kind(query.source.text)
    if kind is None:
        words = (
            f"sObject type '{query.source.text}' is not supported. If you are attempting to use a custom object, be "
            "sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the "
            "appropriate names."
        )
        raise SoqlError("INVALID_TYPE", words, query.source.at)
    names = _selected(kind, query)
    now = org.clock.now()
    rows: Iterable[Record] = org.rows(kind)
    if not include_deleted:
        rows = (row for row in rows if not row["IsDeleted"])
    if query.where is not None:
        rows = filter(compile_condition(query.where, kind, now), rows)
    found = _ordered(list(rows), [(resolve(kind, part.field), part) for part in query.order])
    end = None if query.limit is None else query.offset + query.limit
    found = found[query.offset : end]
    return Found(kind, names, tuple(found) if names else (), len(found))


def _selected(kind: ObjectType, query: Query) -> tuple[str, ...]:
    names: list[str] = []
    for token in query.fields:
        if "." in token.text:
            raise UnsupportedError(f"the relationship {token.text}")
        name = resolve(kind, token).name
        if name in names:
            raise SoqlError("MALFORMED_QUERY", f"duplicate field selected: {name}", token.at)
        names.append(name)
    return tuple(names)


def _ordered(rows: list[Record], order: list[tuple[Field, Ordering]]) -> list[Record]:
    """Sorted by the last field first, so that earlier fields win; nulls are put before or after the rest."""
    for field, part in reversed(order):
        nulls = [row for row in rows if row[field.name] is None]
        others = [row for row in rows if row[field.name] is not None]
        others.sort(key=_by(field), reverse=part.descending)
        rows = [*others, *nulls] if part.nulls_last else [*nulls, *others]
    return rows


def _by(field: Field) -> Callable[[Record], str | float]:
    key = sort_key(field)

    def by(row: Record) -> str | float:
        value: Value = key(row[field.name])
        return 0.0 if value is None else value

    return by


def _located(text: str, error: SoqlError) -> str:
    """Salesforce's text of a query error: the piece of the query, a caret below it, the place, the words."""
    if error.at is None:
        return error.message
    before = text[: error.at]
    line_start = before.rfind("\n") + 1
    row, column = before.count("\n") + 1, error.at - line_start + 1
    shown_from = max(line_start, error.at - 40)
    shown = text[shown_from : error.at + 20].partition("\n")[0]
    caret = " " * (error.at - shown_from)
    return f"\n{shown}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{error.message}"


@dataclass(frozen=True)
class _Cursor:
    token: str
    found: Found
    until: float


class Locators:
    """Results that are being paged through.

    Args:
        now: gives Unix seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ids = IdSequence("01g")
        self._cursors: dict[str, _Cursor] = {}

    def open(self, found: Found, token: str) -> str:
        """Keep a result; gives its locator."""
        locator = self._ids.take()
        self._cursors[locator] = _Cursor(token, found, self._now() + LOCATOR_SECONDS)
        return locator

    def find(self, locator: str, token: str) -> Found:
        """The result of a locator.

        Raises:
            ApiError: it is unknown, too old, or was opened with another access token.
        """
        cursor = self._cursors.get(locator)
        if cursor is None or cursor.token != token or cursor.until <= self._now():
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return cursor.found


def page(found: Found, start: int, size: int) -> tuple[Record, ...]:
    """The rows of one page."""
    return tuple(itertools.islice(found.rows, start, start + size))
