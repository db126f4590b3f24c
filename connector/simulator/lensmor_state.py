"""Lensmor's state without HTTP: people, events, accounts, unlock tasks and credits.

Where the vendor's documentation is silent, the rule is the one that costs its client most: an unlock belongs to the
account; credits are charged at submission and not refunded unless `refund_failed` is set; a submission without enough
credits for everybody starts nothing; a failed item may be bought again and costs again; the profile may lag behind.
"""

import heapq
import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from connector.simulator.charges import Charge, ChargeLedger
from connector.simulator.clock import SimClock
from connector.simulator.people import SimEvent, SimPerson, is_digits

PRICES = {"email": 15, "phone": 150, "event": 2000}
OUTCOMES = frozenset({"delivered", "failed", "no_value", "missing", "stuck", "task_failed", "unfinished"})
LONG_AGO = float("-inf")
NEVER = float("inf")
PENDING_SHARE = 0.05
"""The share of a task's time before its work begins."""


@dataclass(frozen=True)
class Unlock:
    """One bought item: a channel of a person, for one account.

    Attributes:
        person: personnel id.
        kind: `email` or `phone`.
        outcome: how it ends; one of OUTCOMES.
        value: the value that it delivers; None for none.
        accepted_at: Unix seconds of the submission.
        ends_at: Unix seconds at which the item is final; infinite if never.
        was_failed: whether an earlier attempt had failed; a lagging profile still shows that.
    """

    person: str
    kind: str
    outcome: str
    value: str | None
    accepted_at: float
    ends_at: float
    was_failed: bool = False

    def state(self, now: float, lag: float = 0.0) -> str:
        """`locked`, `unlocking`, `unlocked` or `failed`, as seen `lag` seconds late."""
        if now < self.accepted_at + lag:
            return "failed" if self.was_failed else "locked"
        if now < self.ends_at + lag:
            return "unlocking"
        return "failed" if self.fails else "unlocked"

    @property
    def fails(self) -> bool:
        """Whether it ends as failed: by its outcome, or because there is nothing to find."""
        nothing_found = self.value is None and self.outcome in {"delivered", "missing", "unfinished"}
        return nothing_found or self.outcome in {"failed", "task_failed"}


@dataclass(frozen=True)
class Task:
    """One accepted submission.

    Attributes:
        task_id: the vendor's id.
        kind: `email` or `phone`.
        account: the account that submitted it; no other account can read it.
        started_at: Unix seconds at which its work begins; until then its state is `pending`.
        ends_at: Unix seconds at which the whole task is final; infinite if an item never ends.
        unlocks: its items, in the order in which they finish.
    """

    task_id: str
    kind: str
    account: str
    started_at: float
    ends_at: float
    unlocks: tuple[Unlock, ...]


@dataclass
class Submission:
    """A request to unlock, divided into chargeable and skipped ids, each id once.

    Attributes:
        chargeable: ids to buy.
        skipped: ids by the contract's name of the reason; an empty name for ids without a stated reason.
    """

    chargeable: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)


class NoCreditsError(Exception):
    """The account cannot pay; nothing was started."""


class LensmorState:
    """The state of the vendor. Attributes that are settings may be changed at any time.

    Attributes:
        charges: the ledger that receives every charge.
        task_seconds: simulated seconds from submission to the task's end; items finish one by one in between.
        profile_lag_seconds: simulated seconds until the free reads show a change of state.
        skip_lag_seconds: simulated seconds until the skip rules consider a submission; a second submission within that
            time is charged again.
        refund_failed: refund the credits of an item that ends as failed.
        task_ids_prefixed: give task ids the older form, with a prefix, instead of digits.
        starting_balance: credits of an account at its first use.
    """

    def __init__(self, clock: SimClock, charges: ChargeLedger | None = None) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.charges = charges if charges is not None else ChargeLedger()
        self.charges.before_read(self.settle)
        self.task_seconds = 30.0
        self.profile_lag_seconds = 0.0
        self.skip_lag_seconds = 0.0
        self.refund_failed = False
        self.task_ids_prefixed = False
        self.starting_balance = 100_000
        self.people: dict[str, SimPerson] = {}
        self.events: dict[str, SimEvent] = {}
        self.people_of_event: dict[str, list[str]] = {}
        self.people_of_company: dict[str, list[str]] = {}
        self.person_of_linkedin: dict[str, str] = {}
        self._events_by_catalogue_id: dict[str, SimEvent] = {}
        self._balances: dict[str, int] = {}
        self._unlocks: dict[tuple[str, str, str], Unlock] = {}
        self._unlocked_events: set[tuple[str, str]] = set()
        self._tasks: dict[str, Task] = {}
        self._scripts: dict[tuple[str, str], str] = {}
        self._raw_values: dict[tuple[str, str], str] = {}
        self._refunds: list[tuple[float, int, str, Charge]] = []
        self._numbers = itertools.count(88_120)
        self._refund_numbers = itertools.count()

    # -- the world and its settings, for tests and seeds

    def add_event(self, event: SimEvent) -> None:
        """Put an event into the catalogue."""
        with self.lock:
            self.events[event.event_id] = event
            self._events_by_catalogue_id[event.id] = event

    def add_person(self, person: SimPerson) -> None:
        """Put a person into the directory; replaces an earlier one of the same id without moving their indexes."""
        with self.lock:
            is_new = person.personnel_id not in self.people
            self.people[person.personnel_id] = person
            if person.linkedin_name is not None:
                self.person_of_linkedin[person.linkedin_name] = person.personnel_id
            if not is_new:
                return
            for event_id in person.event_ids:
                self.people_of_event.setdefault(event_id, []).append(person.personnel_id)
            if person.company is not None:
                self.people_of_company.setdefault(person.company.casefold(), []).append(person.personnel_id)

    def script(self, personnel_id: str, kind: str, outcome: str) -> None:
        """Decide how the next unlocks of this person and kind end.

        Args:
            personnel_id: the person.
            kind: `email` or `phone`.
            outcome: `delivered` (the person's value, or `failed` if there is none), `failed`, `no_value` (unlocked
                without a value), `missing` (no item of the task, though the profile shows the result), `stuck` (never
                ends), `task_failed` (failed, and the task with it), `unfinished` (the task ends while the item still
                says processing; the profile shows the result).

        Raises:
            ValueError: an unknown outcome or kind.
        """
        if outcome not in OUTCOMES or kind not in {"email", "phone"}:
            raise ValueError(f"cannot script {kind!r} as {outcome!r}; outcomes: {sorted(OUTCOMES)}")
        with self.lock:
            self._scripts[personnel_id, kind] = outcome

    def set_value(self, personnel_id: str, kind: str, raw: str) -> None:
        """Let the next unlocks of this person and kind deliver any text, such as `N/A` or `a***@example.com`."""
        with self.lock:
            self._raw_values[personnel_id, kind] = raw

    def set_unlocked(self, personnel_id: str, kind: str, account: str = "default") -> None:
        """Mark a value as bought long ago by the account; no charge is written."""
        with self.lock:
            value = self._value(personnel_id, kind)
            outcome = "no_value" if value is None else "delivered"
            self._unlocks[account, personnel_id, kind] = Unlock(personnel_id, kind, outcome, value, LONG_AGO, LONG_AGO)

    @property
    def balance(self) -> int:
        """Credits of the account `default`; may be set."""
        return self.balance_of("default")

    @balance.setter
    def balance(self, credits_left: int) -> None:
        self.set_balance("default", credits_left)

    def balance_of(self, account: str) -> int:
        """The credits of an account, after everything that is due."""
        with self.lock:
            self.settle()
            return self._balances.setdefault(account, self.starting_balance)

    def set_balance(self, account: str, credits_left: int) -> None:
        """Set an account's credits, as if credits were bought, or spent by a colleague."""
        with self.lock:
            self.settle()
            self._balances[account] = credits_left

    # -- for the routes

    def settle(self) -> None:
        """Write down the refunds that fell due."""
        with self.lock:
            now = self.clock.now()
            while self._refunds and self._refunds[0][0] <= now:
                _, _, account, refund = heapq.heappop(self._refunds)
                self._balances[account] -= refund.credits
                self.charges.add(refund)

    def event(self, reference: str) -> SimEvent | None:
        """An event by its `eventId` or, if none has it, by its `id`."""
        return self.events.get(reference) or self._events_by_catalogue_id.get(reference)

    def is_event_unlocked(self, account: str, event: SimEvent) -> bool:
        """Whether the account bought this event."""
        return (account, event.event_id) in self._unlocked_events

    def buy_event(self, account: str, event: SimEvent, request_id: str) -> int:
        """Unlock an event; returns the credits used, 0 if the account has it already.

        Raises:
            NoCreditsError: the balance is lower than the price.
        """
        with self.lock:
            if self.is_event_unlocked(account, event):
                return 0
            self._pay(account, PRICES["event"])
            self._unlocked_events.add((account, event.event_id))
            price = PRICES["event"]
            self.charges.add(Charge("lensmor", event.event_id, "event", price, self.clock.now(), request_id))
            return price

    def shown_state(self, account: str, personnel_id: str, kind: str) -> tuple[str | None, str | None]:
        """The state (None if never bought) and value in free reads, both delayed by `profile_lag_seconds`."""
        unlock = self._unlocks.get((account, personnel_id, kind))
        if unlock is None:
            return None, None
        state = unlock.state(self.clock.now(), self.profile_lag_seconds)
        return (None if state == "locked" else state), (unlock.value if state == "unlocked" else None)

    def sort_out(self, account: str, kind: str, ids: Iterable[str], event: SimEvent | None) -> Submission:
        """Divide ids into those that a submission would buy and those it would skip; duplicates count once."""
        sorted_out = Submission()
        for personnel_id in dict.fromkeys(ids):
            reason = self._skip_reason(account, kind, personnel_id, event)
            if reason is None:
                sorted_out.chargeable.append(personnel_id)
            else:
                sorted_out.skipped.setdefault(reason, []).append(personnel_id)
        return sorted_out

    def submit(self, account: str, kind: str, ids: list[str], request_id: str) -> Task:
        """Charge and start one task for ids that `sort_out` found chargeable, all or nothing.

        Raises:
            NoCreditsError: the balance is lower than the price of all of them.
        """
        with self.lock:
            self._pay(account, PRICES[kind] * len(ids))
            now = self.clock.now()
            step = self.task_seconds / len(ids)
            unlocks = [self._start(account, kind, one, now, now + step * n) for n, one in enumerate(ids, 1)]
            for unlock in unlocks:
                self._charge(account, unlock, request_id)
            number = next(self._numbers)
            task_id = f"task_{number}" if self.task_ids_prefixed else str(number)
            started_at = now + PENDING_SHARE * self.task_seconds
            task = Task(task_id, kind, account, started_at, max(unlock.ends_at for unlock in unlocks), tuple(unlocks))
            self._tasks[task_id] = task
            return task

    def task(self, account: str, kind: str, task_id: str) -> Task | None:
        """A task by its id, if it is of this kind and of this account."""
        task = self._tasks.get(task_id)
        return task if task is not None and (task.kind, task.account) == (kind, account) else None

    def people_of_task(self, task_id: str) -> frozenset[str]:
        """The personnel ids in a task; empty for an unknown task."""
        task = self._tasks.get(task_id)
        return frozenset() if task is None else frozenset(unlock.person for unlock in task.unlocks)

    # -- internal

    def _value(self, personnel_id: str, kind: str) -> str | None:
        person = self.people[personnel_id]
        usual = person.email if kind == "email" else person.phone
        return self._raw_values.get((personnel_id, kind), usual)

    def _skip_reason(self, account: str, kind: str, personnel_id: str, event: SimEvent | None) -> str | None:
        if not is_digits(personnel_id):
            return "invalid_personnel_ids"
        person = self.people.get(personnel_id)
        if person is None:
            return "missing_personnel_ids"
        if event is not None and event.event_id not in person.event_ids:
            return "unlinked_personnel_ids"
        unlock = self._unlocks.get((account, personnel_id, kind))
        state = "locked" if unlock is None else unlock.state(self.clock.now(), self._skip_lag(unlock))
        by_state = {"unlocked": "already_unlocked_personnel_ids", "unlocking": "unlocking_personnel_ids"}
        return by_state.get(state)

    def _skip_lag(self, unlock: Unlock) -> float:
        """The lag of the skip rules; it hides the beginning of an unlock, never its end."""
        return self.skip_lag_seconds if self.clock.now() < unlock.accepted_at + self.skip_lag_seconds else 0.0

    def _pay(self, account: str, price: int) -> None:
        if self.balance_of(account) < price:
            raise NoCreditsError
        self._balances[account] -= price

    def _start(self, account: str, kind: str, personnel_id: str, now: float, ends_at: float) -> Unlock:
        outcome = self._scripts.get((personnel_id, kind), "delivered")
        value = None if outcome in {"failed", "task_failed", "no_value"} else self._value(personnel_id, kind)
        before = self._unlocks.get((account, personnel_id, kind))
        was_failed = before is not None and before.state(now) == "failed"
        end = NEVER if outcome == "stuck" else ends_at
        unlock = Unlock(personnel_id, kind, outcome, value, now, end, was_failed)
        self._unlocks[account, personnel_id, kind] = unlock
        return unlock

    def _charge(self, account: str, unlock: Unlock, request_id: str) -> None:
        price = PRICES[unlock.kind]
        self.charges.add(Charge("lensmor", unlock.person, unlock.kind, price, unlock.accepted_at, request_id))
        if self.refund_failed and unlock.fails and unlock.ends_at != NEVER:
            refund = Charge("lensmor", unlock.person, unlock.kind, -price, unlock.ends_at, request_id)
            heapq.heappush(self._refunds, (unlock.ends_at, next(self._refund_numbers), account, refund))
