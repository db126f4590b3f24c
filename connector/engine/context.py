"""What every stage works with: the services, and what this run has learnt so far."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from connector.core.clock import Clock
from connector.core.errors import UnreachableError
from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.model import Attention, Channel
from connector.core.person import Source
from connector.core.plan import Planner
from connector.crm.interface import Crm, Usage
from connector.providers.interface import Provider
from connector.store.credits import CapRules
from connector.store.ledger import Ledger
from connector.store.rows import FinalResult

DOWN_AFTER_S = 30.0
RETRY_CONNECT_S = 5.0
ALONE_S = 60.0  # whoever holds up the others for so long stands still


class Progress(Protocol):
    """Tells a person what a run is doing; every method may do nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Something longer begins; `total` units of it are expected."""

    def step(self, count: int = 1) -> None:
        """So many more units are done."""

    def note(self, text: str) -> None:
        """Something worth a line."""


class Silent:
    """No progress."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Nothing."""

    def step(self, count: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class WaitPolicy(Enum):
    """How long a run may go on waiting for vendors."""

    FULL = "as long as the operator allows"
    SHORT = "others wait for this run to end"
    NONE = "the process is to stop: buy no more, write what is there"


def full_wait() -> WaitPolicy:
    """Of runs that nobody waits for."""
    return WaitPolicy.FULL


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """The operator's caps over all runs of one provider account, and the part of its balance never to be touched."""

    day: int | None = None
    month: int | None = None
    reserve: int = 0


@dataclass(frozen=True, slots=True)
class Services:
    """The services that a run uses.

    Attributes:
        owner: who sends requests: this process.
        wait_s: how long a run waits for its own vendor tasks and unknowns.
        workers: threads at most per provider; 1 runs everything in the caller's thread.
        shared: other runs may be at work beside this one, on the same ledger.
        wait_policy: called repeatedly during a run.
        usage_before: what the connection to the CRM was asked by earlier runs of this process.
    """

    ledger: Ledger
    crm: Crm
    providers: Mapping[str, Provider]
    limits: Mapping[str, AccountLimits]
    clock: Clock
    owner: str
    wait_s: float = 900.0
    undo_days: int = 30
    workers: int = 4
    shared: bool = False
    wait_policy: Callable[[], WaitPolicy] = full_wait
    usage_before: Usage = field(default_factory=Usage)
    progress: Progress = field(default_factory=Silent)

    @property
    def sources(self) -> dict[str, Source]:
        """What planning must know of the providers."""
        return {name: provider.source for name, provider in self.providers.items()}


@dataclass
class Run:
    """One run and what it has learnt; shared by the threads of the run, which only add to it.

    Attributes:
        pulled: records read so far.
        closed: providers that nothing more is bought from, and why.
        stopped: providers that nothing more is sent to, and why.
        full: provider, channel and mapping whose caps allow nothing more, and which cap.
        looked: older tasks that had their one look.
        halved: how many people a request may carry after a definite refusal of a larger one.
        relinked: purchases whose event was replaced once.
        asked: (mapping, CRM id) of the records that this run was asked for: flagged, or chosen.
        tried: records whose write was tried.
        finished: records that have their outcome in this run.
        updated: records of which the CRM took an update.
        refused: records of which it refused something in the end.
        stamps_due: records of which a value was written on its own, and whose stamps are still to be written.
        read_all: every record that the run was asked for was read.
        out_of_time: the run's time is over: it waits for nothing any more.
        waits: how often in a row a provider asked to wait with a purchase.
        writing_last: the vendors have been asked; what is written now is the run's last stage.
        settled: purchases that became final and whose records were not told yet.
        unknown_words: states that this version does not know, by provider and task or person that shows them now.
        still_at_work: providers with tasks or unknown purchases from earlier runs.
        smaller: by object, the size of collections that the org's automation can handle in this run.
        failed_alone: by object, rows that the org's automation failed one after the other, each alone in its call.
        accepted: (object, field in lower case) of fields that the CRM has taken from this run.
        reopened: a value turned out to be none after the vendors were asked: they are asked once more.
        override_guards: the operator lets the run go on where a guard would stop it.
        guarded: mappings that a guard has stopped.
        left_for_later: why records keep their flag, though nothing is wrong with them.
        reported: reasons that have their attention entry already.
        plan: the frozen plan that the run applies.
        live_plans: plans that were applied not long ago: their unfinished records are their own.
        budget_id: runs with the same one share what a run may spend.
        requests: HTTP requests that the run serves; each may spend what a run may spend.
        sent_since_look: paid requests by (provider, channel) since the balance was last read.
        price_seen: (provider, channel) whose balance was read after a first request.
        is_older_copy: the ledger was restored from an older copy.
        read_first: providers whose record of a person is read before the person is bought: the ledger is an older copy.
        last_write: when an earlier run last wrote to a CRM.
        began_s: the monotonic time at which this process began with it.
    """

    services: Services
    id: str
    mappings: Mapping[str, MappingFile]
    started_at: datetime
    first_entry: int = 0
    pulled: int = 0
    stopped: dict[str, str] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    crm_stopped: str = ""
    full: dict[tuple[str, str, str], str] = field(default_factory=dict)
    looked: set[int] = field(default_factory=set)
    halved: dict[tuple[str, Channel], int] = field(default_factory=dict)
    relinked: set[int] = field(default_factory=set)
    asked: set[tuple[str, str]] = field(default_factory=set)
    attempted_writes: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    updated: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    stamps_due: set[int] = field(default_factory=set)
    attention: list[Attention] = field(default_factory=list)
    read_all: bool = False
    writing_last: bool = False
    out_of_time: bool = False
    waits: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    unreachable_since: dict[str, float] = field(default_factory=dict)
    balances: dict[str, dict[str, int]] = field(default_factory=dict)
    settled: deque[int] = field(default_factory=deque)
    still_at_work: frozenset[str] = frozenset()
    smaller: dict[str, int] = field(default_factory=dict)
    failed_alone: Counter[str] = field(default_factory=Counter)
    accepted: set[tuple[str, str]] = field(default_factory=set)
    reopened: bool = False
    override_guards: bool = False
    guarded: set[str] = field(default_factory=set)
    left_for_later: list[str] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    unknown_words: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    plan: FrozenPlan | None = None
    live_plans: frozenset[str] = frozenset()
    budget_id: str | None = None
    requests: int = 1
    sent_since_look: Counter[tuple[str, Channel]] = field(default_factory=Counter)
    price_seen: set[tuple[str, Channel]] = field(default_factory=set)
    is_older_copy: bool = False
    read_first: frozenset[str] = frozenset()
    last_write: datetime | None = None
    began_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Note when the run began, on a clock that never jumps."""
        self.began_s = self.monotonic()

    def collection_size(self, object_name: str) -> int:
        """How many records of an object one update may carry in this run."""
        return self.smaller.get(object_name, self.services.crm.write_size)

    def now(self) -> datetime:
        """The run's time."""
        return self.services.clock.now()

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps, for deadlines and fences of this process."""
        return self.services.clock.monotonic()

    def later(self, seconds: float) -> datetime:
        """A time after a scaled wait."""
        return self.services.clock.later(seconds)

    def settle(self, settlements: Iterable[FinalResult]) -> list[int]:
        """Make results final, and remember to tell the records that need them."""
        ids = self.services.ledger.results.finalize(settlements, self.now())
        self.settled.extend(ids)
        return ids

    def improve(self, purchase_id: int, value: str, *, charged: bool) -> None:
        """Evidence that cost nothing shows a value where none was found before: the records that wait may have it."""
        if self.services.ledger.results.improve(purchase_id, value, self.now(), charged=charged):
            self.settled.append(purchase_id)

    @property
    def asked_providers(self) -> set[str]:
        """The providers that the run's mappings ask, and those that are still at work on what was bought earlier."""
        return self.mapped_providers | (self.still_at_work & self.services.providers.keys())

    @property
    def mapped_providers(self) -> set[str]:
        """The providers that the run's mappings ask."""
        return {name for mapping in self.mappings.values() for name in mapping.providers()}

    def alone(self, provider: Provider) -> AbstractContextManager[None]:
        """Ask a vendor that wants one request at a time, while no run beside this one does."""
        if provider.parallel > 1 or not self.services.shared:
            return nullcontext()
        source = provider.source
        return self.services.ledger.locks.exclusive(f"{source.name}/{source.account}", ALONE_S)

    def planner(self, mapping: MappingFile) -> Planner:
        """Decides for records of the mapping."""
        seal = self.services.ledger.seal
        return Planner(mapping, self.services.sources, self.now(), seal.matches, is_older_copy=self.is_older_copy)

    def caps(self, provider: str) -> CapRules:
        """Every limit that applies to purchases from this provider in this run."""
        limits = self.services.limits.get(provider, AccountLimits())
        return CapRules(
            run={
                n: m.limits.max_credits[provider] * self.requests
                for n, m in self.mappings.items()
                if provider in m.limits.max_credits
            },
            mapping_day={
                n: m.limits.max_credits_per_day[provider]
                for n, m in self.mappings.items()
                if provider in m.limits.max_credits_per_day
            },
            day=limits.day,
            month=limits.month,
            reserve=limits.reserve,
            plan_id=self.budget_id,
            ceiling=self.plan.ceiling.get(provider, 0) if self.plan else None,
        )

    def full_pairs(self, provider: str) -> list[tuple[str, str]]:
        """Channels and mappings that may buy nothing more from this provider."""
        return [(channel, mapping) for name, channel, mapping in self.full if name == provider]

    def stop_buying(self, provider: str, reason: str) -> None:
        """Buy nothing more from this provider in this run; what was bought is still collected."""
        self.closed.setdefault(provider, reason)

    def why_closed(self, provider: str) -> str:
        """Why nothing more is bought from this provider; empty when it is open."""
        return self.stopped.get(provider) or self.closed.get(provider, "")

    def stop(self, provider: str, reason: str) -> None:
        """Send nothing more to this provider in this run."""
        self.stopped.setdefault(provider, reason)

    def unreachable(self, provider: str, error: UnreachableError) -> None:
        """Count the time without a connection; after half a minute the provider is down for this run."""
        since = self.unreachable_since.setdefault(provider, self.monotonic())
        if self.monotonic() - since >= DOWN_AFTER_S * self.services.clock.scale:
            self.stop(provider, str(error))

    def reachable(self, provider: str) -> None:
        """A request got through."""
        self.unreachable_since.pop(provider, None)
