"""The checks of each row of an update, the same for a Collections call and for a chunk of a bulk job."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from connector.simulator.salesforce.errors import Problem, RecordError
from connector.simulator.salesforce.exchange import Call
from connector.simulator.salesforce.ids import parse_id
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.rules import RowRule
from connector.simulator.salesforce.saving import Pending, check_update
from connector.simulator.salesforce.schema import ObjectType

Outcome = Pending | RecordError


class RowChecks:
    """Checks rows against the org's rules and the armed faults.

    Args:
        org: the org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def overload(self, call: Call, kind: ObjectType, rows: int) -> tuple[Problem, ...]:
        """The error of each row if there are too many for a trigger on this object; empty if there are not."""
        limit = self._org.trigger_limit(kind)
        if limit is not None and rows > limit.rows:
            return (limit.problem(kind.name),)
        problem = call.standing.governor_problem(kind.name, rows)
        return () if problem is None else (problem,)

    def check(
        self,
        call: Call,
        kind: ObjectType,
        raw_id: object,
        sent: Mapping[str, object],
        *,
        assign: bool,
        repeated: frozenset[str] = frozenset(),
        overload: tuple[Problem, ...] = (),
    ) -> Outcome:
        """Check one row: that its id occurs once, the armed faults, the rules of `saving.py`."""
        record_id = parse_id(raw_id)
        if record_id is not None and record_id in repeated:
            return RecordError(Problem("DUPLICATE_VALUE", f"Duplicate id specified: {record_id}", ("Id",)))
        problems = () if record_id is None else call.row_error(record_id) or overload
        if problems:
            return RecordError(*problems)
        rules: Sequence[RowRule] = () if record_id is None else call.standing.rules_for(record_id)
        try:
            return check_update(self._org, kind, raw_id, sent, assign=assign, rules=rules)
        except RecordError as error:
            return error


def repeated_ids(raw_ids: Iterable[object]) -> frozenset[str]:
    """The ids that occur more than once, in either form."""
    counted = Counter(parse_id(raw_id) for raw_id in raw_ids)
    return frozenset(record_id for record_id, count in counted.items() if record_id is not None and count > 1)
