"""One object's stored rows, their ids in order, and its rules."""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from connector.simulator.salesforce.ids import IdSequence
from connector.simulator.salesforce.rules import GovernorLimit, RowRule
from connector.simulator.salesforce.schema import ObjectType, Record

_AFTER_EVERY_SUFFIX = "~"  # sorts after every character of an id


@dataclass(frozen=True)
class IdSpan:
    """A range of ids.

    Attributes:
        over: ids must be greater than these 15 characters; empty for no limit.
        under: ids must be less than these 15 characters; empty for no limit.
        only: ids must be among these, in their 18-character form; None for no limit.
    """

    over: str = ""
    under: str = ""
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class Rule:
    """One validation rule: `broken_by` receives the record as it would be saved, and returns True to refuse it."""

    broken_by: Callable[[Record], bool]
    code: str
    message: str
    fields: tuple[str, ...]


@dataclass
class Table:
    """One object's rows by 18-character id, in the order of creation; add rows by `add`."""

    kind: ObjectType
    ids: IdSequence
    rows: dict[str, Record] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    update_rules: list[RowRule] = field(default_factory=list)
    trigger_limit: GovernorLimit | None = None
    _sorted: list[str] = field(default_factory=list)

    def add(self, record_id: str, record: Record) -> None:
        """Store a new row, or replace the row of this id."""
        if record_id not in self.rows:
            bisect.insort(self._sorted, record_id)
        self.rows[record_id] = record

    def between(self, span: IdSpan, *, descending: bool) -> Iterator[Record]:
        """The rows of a range of ids, in the order of their ids; finds the range without a search of all rows."""
        if span.only is not None:
            wanted: list[str] = sorted((one for one in span.only if one in self.rows), reverse=descending)
            yield from (self.rows[one] for one in wanted if _within(one, span))
            return
        first = bisect.bisect_right(self._sorted, span.over + _AFTER_EVERY_SUFFIX) if span.over else 0
        end = bisect.bisect_left(self._sorted, span.under) if span.under else len(self._sorted)
        places = range(first, end)
        for place in reversed(places) if descending else places:
            yield self.rows[self._sorted[place]]


def _within(record_id: str, span: IdSpan) -> bool:
    return record_id[:15] > span.over and (not span.under or record_id[:15] < span.under)
