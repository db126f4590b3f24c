"""Misbehaviour on request: which site, which operation, what goes wrong, how often.

A fault is armed by a test, by `connector simulate` or over the control route; a site asks `take` at each request and
obeys what it gets. Faults are taken in the order in which they were armed; each is used up after `times` requests.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

FOREVER = 1_000_000_000


@dataclass
class Fault:
    """One armed misbehaviour.

    Attributes:
        site: `lensmor`, `salesfinity` or `salesforce`.
        operation: the contract's `operationId` (for Salesforce: the names listed in its module), or `*` for any.
        action: what to do; each site lists the actions it knows and refuses others when the fault is armed.
        times: how many matching requests it spoils.
        after: how many matching requests it lets pass first.
        subject: only requests about this person, record or id; None for all.
        params: numbers and words of the action, such as `status` or `retry_after`.
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
        """Add one fault behind those already armed."""
        with self._lock:
            self._armed.append(fault)

    def clear(self) -> None:
        """Drop every fault that is still armed."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[Fault]:
        """What is still armed, in order."""
        with self._lock:
            return list(self._armed)

    def take(self, site: str, operation: str, subjects: frozenset[str] = frozenset()) -> Fault | None:
        """The fault that spoils this request, or None; counts the request against `after` and `times`."""
        with self._lock:
            for fault in self._armed:
                if fault.site != site or fault.operation not in {operation, "*"}:
                    continue
                if fault.subject is not None and fault.subject not in subjects:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._armed.remove(fault)
                return fault
            return None
