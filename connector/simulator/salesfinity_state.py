"""Salesfinity's state without HTTP: lookups, the team's credits, and the callbacks that are due.

The rules: every POST is a new lookup (undocumented, so the costly case); 1 credit is charged when a lookup completes
with an email, whether or not it is read; a POST is refused only if no credit is left; a lookup without a credit left at
completion ends as `failed` (undocumented).
"""

import heapq
import itertools
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from connector.simulator.charges import Charge, ChargeLedger
from connector.simulator.clock import SimClock
from connector.simulator.people import SimPerson

OUTCOMES = frozenset({"completed", "not-found", "failed", "stuck"})
FINAL = frozenset({"completed", "not-found", "failed"})
PENDING_SHARE = 0.2
"""The share of a lookup's time in which its state is `pending`."""


@dataclass
class Lookup:
    """One request for one email.

    Attributes:
        lookup_id: the vendor's `_id`, 24 hexadecimal digits.
        linkedin_url: the address that was sent.
        linkedin_name: the name in it, decoded and in lower case.
        kind: `work` or `personal`.
        callback_url: the address for the callback, if any.
        external_id: the client's own id, echoed.
        started_at: Unix seconds from which its state is `processing` instead of `pending`.
        ends_at: Unix seconds at which it resolves; infinite if never.
        outcome: how it will end; one of OUTCOMES.
        email: the email that it will find; None for none.
        status: `open`, or the final state of the contract.
    """

    lookup_id: str
    linkedin_url: str
    linkedin_name: str
    kind: str
    callback_url: str | None
    external_id: str | None
    started_at: float
    ends_at: float
    outcome: str
    email: str | None
    status: str = "open"

    def body(self, now: float) -> dict[str, object]:
        """The contract's `EmailEnrichment`, which is also the body of a callback."""
        running = "pending" if now < self.started_at else "processing"
        shown: dict[str, object] = {
            "_id": self.lookup_id,
            "status": self.status if self.status in FINAL else running,
            "linkedin_url": self.linkedin_url,
        }
        if self.status in {"completed", "not-found"}:
            shown["enrichment_type"] = f"{self.kind}_email"
            found = {"email": self.email, "type": self.kind}
            shown["email"] = found if self.status == "completed" else None
        if self.external_id is not None:
            shown["external_id"] = self.external_id
        return shown


class NoCreditsError(Exception):
    """The team has no credit left; nothing was started."""


class SalesfinityState:
    """The state of the vendor. Attributes that are settings may be changed at any time.

    Attributes:
        charges: the ledger that receives every charge.
        lookup_seconds: simulated seconds from a POST to its resolution.
        numeric_ids: give new lookups an `_id` of decimal digits only, for the fault `numbers`.
    """

    def __init__(self, clock: SimClock, charges: ChargeLedger | None = None) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.charges = charges if charges is not None else ChargeLedger()
        self.charges.before_read(self.settle)
        self.lookup_seconds = 20.0
        self.numeric_ids = False
        self.people: dict[str, SimPerson] = {}
        self._balance = 5_000
        self._lookups: dict[str, Lookup] = {}
        self._scripts: dict[tuple[str, str], str] = {}
        self._raw_values: dict[tuple[str, str], str] = {}
        self._due: list[tuple[float, int, Lookup]] = []
        self._order = itertools.count()
        self._on_resolved: list[Callable[[Lookup], None]] = []

    def add_person(self, person: SimPerson) -> None:
        """Add a person whose emails the vendor would find.

        Raises:
            ValueError: the person has no LinkedIn name, which every lookup needs.
        """
        if person.linkedin_name is None:
            raise ValueError(f"person {person.personnel_id} has no linkedin_name")
        with self.lock:
            self.people[person.linkedin_name] = person

    def set_value(self, linkedin_name: str, kind: str, raw: str) -> None:
        """Let the next lookups of this person and type find any text, such as `N/A` or `mailto:...`."""
        with self.lock:
            self._raw_values[linkedin_name, kind] = raw

    def script(self, linkedin_name: str, kind: str, outcome: str) -> None:
        """Decide how the next lookups of this person and type end.

        Args:
            linkedin_name: the person, decoded and in lower case.
            kind: `work` or `personal`.
            outcome: `completed` (only for a person who has such an email), `not-found`, `failed` or `stuck` (never
                ends).

        Raises:
            ValueError: an unknown outcome or type, or `completed` without an email to find.
        """
        if outcome not in OUTCOMES or kind not in {"work", "personal"}:
            raise ValueError(f"cannot script {kind!r} as {outcome!r}; outcomes: {sorted(OUTCOMES)}")
        if outcome == "completed" and self._email(linkedin_name, kind) is None:
            raise ValueError(f"{linkedin_name} has no {kind} email that a lookup could find")
        with self.lock:
            self._scripts[linkedin_name, kind] = outcome

    @property
    def balance(self) -> int:
        """The credits of the team, after everything that is due; may be set."""
        with self.lock:
            self.settle()
            return self._balance

    @balance.setter
    def balance(self, credits_left: int) -> None:
        with self.lock:
            self.settle()
            self._balance = credits_left

    def on_resolved(self, tell: Callable[[Lookup], None]) -> None:
        """Register a function to be called, under the lock, for each lookup that resolves."""
        self._on_resolved.append(tell)

    def settle(self) -> None:
        """Resolve, charge and announce all lookups that are due, in the order of their ends."""
        with self.lock:
            now = self.clock.now()
            while self._due and self._due[0][0] <= now:
                _, _, lookup = heapq.heappop(self._due)
                self._resolve(lookup)

    def start_lookup(
        self, linkedin_url: str, linkedin_name: str, kind: str, callback_url: str | None, external_id: str | None
    ) -> Lookup:
        """Open a new lookup, even if an equal one exists.

        Raises:
            NoCreditsError: no credit is left.
        """
        with self.lock:
            if self.balance <= 0:
                raise NoCreditsError
            now = self.clock.now()
            email = self._email(linkedin_name, kind)
            outcome = self._scripts.get((linkedin_name, kind), "not-found" if email is None else "completed")
            lookup = Lookup(
                str(uuid.uuid4().int)[:15] if self.numeric_ids else uuid.uuid4().hex[:24],
                linkedin_url,
                linkedin_name,
                kind,
                callback_url,
                external_id,
                now + PENDING_SHARE * self.lookup_seconds,
                float("inf") if outcome == "stuck" else now + self.lookup_seconds,
                outcome,
                email,
            )
            self._lookups[lookup.lookup_id] = lookup
            heapq.heappush(self._due, (lookup.ends_at, next(self._order), lookup))
            return lookup

    def resolve_now(self, lookup: Lookup) -> None:
        """End a lookup now instead of at its scheduled time."""
        with self.lock:
            if lookup.status == "open" and lookup.outcome != "stuck":
                lookup.ends_at = self.clock.now()
                self._resolve(lookup)

    def lookups(self) -> list[Lookup]:
        """All lookups, oldest first."""
        with self.lock:
            return list(self._lookups.values())

    def lookup(self, lookup_id: str) -> Lookup | None:
        """A lookup by its `_id`."""
        return self._lookups.get(lookup_id)

    def _email(self, linkedin_name: str, kind: str) -> str | None:
        person = self.people.get(linkedin_name)
        if person is None:
            return None
        usual = person.work_email if kind == "work" else person.personal_email
        return self._raw_values.get((linkedin_name, kind), usual)

    def _resolve(self, lookup: Lookup) -> None:
        if lookup.status != "open":
            return
        broke = lookup.outcome == "completed" and self._balance <= 0
        lookup.status = "failed" if broke else lookup.outcome
        if lookup.status == "completed":
            self._balance -= 1
            charge = Charge("salesfinity", lookup.linkedin_name, lookup.kind, 1, lookup.ends_at, lookup.lookup_id)
            self.charges.add(charge)
        for tell in self._on_resolved:
            tell(lookup)
