"""Misbehaviour on request: the site, the operation, the action, and how often.

A fault is armed by a test or over the control route. A site calls `take` for each request and applies the fault that it
returns. Faults are taken in the order in which they were armed; each is used up after `times` requests.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

FOREVER = 1_000_000_000
STANDING_ACTIONS = frozenset({"governor_limit", "row_rule"})
"""Actions that apply to each row of a write, in addition to the one fault that a request takes."""
JOB_ACTIONS = frozenset({"job_failed", "job_aborted", "job_stuck"})
"""Actions that decide how a bulk job ends; a request takes none of them."""


@dataclass
class Fault:
    """One armed misbehaviour.

    Attributes:
        site: `lensmor`, `salesfinity` or `salesforce`.
        operation: the contract's `operationId` (for Salesforce: the names listed in its module, or `data` for every
            request that needs an access token), or `*` for any.
        action: the misbehaviour; each site lists its actions and refuses others when a fault is armed.
        times: the number of matching requests that it spoils.
        after: the number of matching requests that pass first.
        subject: only requests about this person, record or id; None for all.
        params: parameters of the action, such as `status` or `retry_after`.
    """

    site: str
    operation: str
    action: str
    times: int = 1
    after: int = 0
    subject: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)


class Faults:
    """All armed faults; safe to share between threads."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._lock = threading.Lock()

    def arm(self, fault: Fault) -> None:
        """Add one fault after those already armed."""
        with self._lock:
            self._armed.append(fault)

    def clear(self) -> None:
        """Disarm all faults."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[Fault]:
        """The armed faults, in order."""
        with self._lock:
            return list(self._armed)

    def take(self, site: str, operation: str, subjects: frozenset[str] = frozenset(), group: str = "") -> Fault | None:
        """The fault that spoils this request, or None; counts the request against `after` and `times`.

        Args:
            site: the site of the request.
            operation: the operation.
            subjects: persons, records or ids that the request names.
            group: a second name of the operation, for faults that apply to several.
        """
        with self._lock:
            for fault in self._armed:
                if fault.action in STANDING_ACTIONS | JOB_ACTIONS:
                    continue
                if fault.site != site or fault.operation not in {operation, group, "*"}:
                    continue
                if fault.subject is not None and fault.subject not in subjects:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                self._count(fault)
                return fault
            return None

    def take_of(
        self, actions: frozenset[str], site: str, operation: str, subjects: frozenset[str] = frozenset()
    ) -> Fault | None:
        """As `take`, but only a fault with one of these actions: for work that happens after its request."""
        with self._lock:
            for fault in self._armed:
                if fault.action not in actions or fault.site != site or fault.operation not in {operation, "*"}:
                    continue
                if fault.subject is not None and fault.subject not in subjects:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                self._count(fault)
                return fault
            return None

    def standing(self, site: str, operation: str, action: str) -> list[Fault]:
        """The armed faults of one standing action for this operation, without counting a use."""
        with self._lock:
            return [
                fault
                for fault in self._armed
                if fault.action == action and fault.site == site and fault.operation in {operation, "data", "*"}
            ]

    def use(self, fault: Fault) -> bool:
        """Count one use of a standing fault; False if it does not apply yet, or is used up."""
        with self._lock:
            if not any(one is fault for one in self._armed):
                return False
            if fault.after > 0:
                fault.after -= 1
                return False
            self._count(fault)
            return True

    def _count(self, fault: Fault) -> None:
        fault.times -= 1
        if fault.times <= 0:
            self._armed.remove(fault)
