"""An org's own automation on updates: triggers that reach a limit, and rules that refuse a row.

A rule is a function `(current record, changes) -> problems`. The org evaluates it for each row of an update as sent: a
rule about MobilePhone that passes while Email is sent shows its error only after Email was withheld.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from connector.simulator.faults import Fault, Faults
from connector.simulator.salesforce.errors import Problem
from connector.simulator.salesforce.ids import parse_id
from connector.simulator.salesforce.schema import Record, Value

Changes = Mapping[str, Value]
RowRule = Callable[[Record, Changes], Sequence[Problem]]

ACTIVATE = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
GOVERNOR_LIMITS = {
    "cpu": "Apex CPU time limit exceeded",
    "soql": "Too many SOQL queries: 101",
    "query_rows": "Too many query rows: 50001",
    "dml": "Too many DML statements: 151",
    "dml_rows": "Too many DML rows: 10001",
    "heap": "Apex heap size too large: 6034567",
    "callouts": "Too many callouts: 101",
    "future": "Too many future calls: 51",
    "queueable": "Too many queueable jobs added to the queue: 2",
    "flow": "Maximum number of executed flow elements or iterations exceeded: 2001",
}
"""Reason by short name: Apex Developer Guide, "Execution Governors and Limits". The flow's own text is unrecorded."""


@dataclass(frozen=True)
class GovernorLimit:
    """A trigger that can handle only a number of rows per call.

    Attributes:
        rows: the largest call that succeeds; in a larger call, every row fails.
        reason: a short name of GOVERNOR_LIMITS, or Salesforce's text itself.
        code: the status code of every row.
    """

    rows: int
    reason: str = "cpu"
    code: str = ACTIVATE

    def problem(self, object_name: str) -> Problem:
        """The error of each row, in several lines like the API's answer for an exception in a trigger."""
        reason = GOVERNOR_LIMITS.get(self.reason, self.reason)
        if self.code == "CANNOT_EXECUTE_FLOW_TRIGGER":
            words = (
                "We can't save this record because the Enrichment follow-up process failed. Give your Salesforce admin "
                f"these details. {reason} You can look up ExceptionCode values in the SOAP API Developer Guide."
            )
            return Problem(self.code, words, ())
        trigger = f"{object_name}Trigger"
        words = (
            f"{trigger}: execution of BeforeUpdate\n\ncaused by: System.LimitException: {reason}\n\n"
            f"Trigger.{trigger}: line 12, column 1"
        )
        return Problem(self.code, words, ())


def refuses(*fields: str, code: str, message: str, named: Sequence[str] | None = None) -> RowRule:
    """A rule that refuses every row with a value for one of these fields.

    Args:
        fields: the fields of the rule.
        code: the status code.
        message: Salesforce's text.
        named: the fields that the error names; None for those that were sent.
    """

    def rule(_record: Record, changes: Changes) -> Sequence[Problem]:
        sent = tuple(name for name in fields if changes.get(name) is not None)
        return (Problem(code, message, sent if named is None else tuple(named)),) if sent else ()

    return rule


def duplicate_rule(rows: Callable[[], Iterable[Record]], field_name: str) -> RowRule:
    """A rule that refuses a new value of this field that another live record has; its error names no field."""

    def rule(record: Record, changes: Changes) -> Sequence[Problem]:
        value = changes.get(field_name)
        others = (row for row in rows() if row["Id"] != record["Id"] and not row["IsDeleted"])
        found = value is not None and any(row[field_name] == value for row in others)
        return (Problem("DUPLICATES_DETECTED", "Use one of these records?", ()),) if found else ()

    return rule


class StandingFaults:
    """The armed faults that apply to the rows of one update.

    Args:
        faults: all armed faults.
        site: the site's name in them.
        operation: the operation of the request.
    """

    def __init__(self, faults: Faults | None = None, site: str = "", operation: str = "") -> None:
        self._faults = faults
        self._rules = faults.standing(site, operation, "row_rule") if faults else []
        self._limits = faults.standing(site, operation, "governor_limit") if faults else []

    def rules_for(self, record_id: str) -> list[RowRule]:
        """The armed rules about this record."""
        return [self._rule(fault) for fault in self._rules if parse_id(fault.subject) in (None, record_id)]

    def governor_problem(self, object_name: str, rows: int) -> Problem | None:
        """The error of every row if the call is too large for a trigger; None if it is not."""
        for fault in self._limits:
            if str(fault.params.get("object", object_name)).lower() != object_name.lower():
                continue
            limit = GovernorLimit(
                int(str(fault.params.get("rows", 100))),
                str(fault.params.get("reason", "cpu")),
                str(fault.params.get("code", ACTIVATE)),
            )
            if rows > limit.rows and self._faults is not None and self._faults.use(fault):
                return limit.problem(object_name)
        return None

    def _rule(self, fault: Fault) -> RowRule:
        def rule(_record: Record, changes: Changes) -> Sequence[Problem]:
            when, unless = _names(fault, "when_fields"), _names(fault, "unless_fields")
            sent = {name for name, value in changes.items() if value is not None}
            applies = (not when or bool(sent & when)) and not sent & unless
            if not applies or self._faults is None or not self._faults.use(fault):
                return ()
            return problems_of(fault)

        return rule


def problems_of(fault: Fault) -> tuple[Problem, ...]:
    """The errors of a row: `params.errors`, a list of `code`, `message` and `fields`, or these three parameters."""
    errors = fault.params.get("errors")
    given = errors if isinstance(errors, list | tuple) else [fault.params]
    return tuple(_problem(one) for one in given if isinstance(one, Mapping))


def _problem(given: Mapping[str, object]) -> Problem:
    fields = given.get("fields", ())
    names = tuple(str(name) for name in fields) if isinstance(fields, list | tuple) else ()
    message = str(given.get("message", "An unexpected error occurred"))
    return Problem(str(given.get("code", "UNKNOWN_EXCEPTION")), message, names)


def _names(fault: Fault, key: str) -> set[str]:
    given = fault.params.get(key, ())
    return {str(name) for name in given} if isinstance(given, list | tuple) else set()
