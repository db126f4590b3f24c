"""The context of every stage: the services, and the state of the run."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from connector.core.clock import Clock
from connector.core.crm_api import CrmApi
from connector.core.errors import UnreachableError
from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.model import Attention, Channel
from connector.core.person import Source
from connector.core.plan import Planner
from connector.core.price_watch import Suspicion
from connector.crm.bulk import BulkApi
from connector.crm.interface import Crm, Usage
from connector.engine.poll_times import PollTimes
from connector.providers.interface import Provider
from connector.store.bulk_jobs import BulkJobRow
from connector.store.credits import CapRules
from connector.store.ledger import Ledger
from connector.store.rows import FinalResult
from connector.store.run_progress import RunWatch
from connector.store.task_end import TaskEnd

DOWN_AFTER_S = 30.0
RETRY_CONNECT_S = 5.0
LEFT_SHOWN = 20  # reasons why records keep their flag
ATTENTION_SHOWN = 200  # entries in the report; the export has all
EXCLUSIVE_WAIT_S = 60.0  # a process that blocks the others for longer is frozen


class Progress(Protocol):
    """Shows a person the progress of a run; every method may do nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage; `total` is the expected number of units."""

    def step(self, count: int = 1) -> None:
        """Count finished units of the stage."""

    def watch(self, run: RunWatch | None) -> None:
        """Show the figures of a run that begins; None: read them no more, because the ledger is being closed."""

    def note(self, text: str) -> None:
        """Show one line of text."""


class Silent:
    """Shows no progress."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Do nothing."""

    def step(self, count: int = 1) -> None:
        """Do nothing."""

    def watch(self, run: RunWatch | None) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class WaitPolicy(Enum):
    """How long a run may wait for vendors."""

    FULL = "as long as the operator allows"
    SHORT = "others wait for this run to end"
    NONE = "the process must stop: buy no more, write the present values"


def full_wait() -> WaitPolicy:
    """The policy of a run that blocks no other work."""
    return WaitPolicy.FULL


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """The operator's caps over all runs of one provider account, and the part of its balance that is never spent."""

    day: int | None = None
    month: int | None = None
    reserve: int = 0


@dataclass(frozen=True, slots=True)
class Services:
    """The services that a run uses.

    Attributes:
        owner: the name of this process, which sends the requests.
        wait_s: how long a run waits for its own vendor tasks and unknowns.
        workers: the most threads per provider; 1 runs everything in the caller's thread.
        shared: other runs on the same ledger are possible at the same time.
        wait_policy: is called repeatedly during a run.
        usage_before: the CRM requests of earlier runs on the same connection.
    """

    ledger: Ledger
    crm: Crm
    providers: Mapping[str, Provider]
    limits: Mapping[str, AccountLimits]
    clock: Clock
    owner: str
    wait_s: float = 900.0
    undo_days: int = 30
    keep_days: int = 400
    workers: int = 4
    shared: bool = False
    wait_policy: Callable[[], WaitPolicy] = full_wait
    usage_before: Usage = field(default_factory=Usage)
    progress: Progress = field(default_factory=Silent)

    @property
    def sources(self) -> dict[str, Source]:
        """The providers as values for planning, by name."""
        return {name: provider.source for name, provider in self.providers.items()}


@dataclass
class BulkJobInProgress:
    """A job of updates that was sent.

    Attributes:
        row: the job in the ledger.
        crm_job_id: its id in the CRM.
        looks: how many times its state was read.
        next_look_s: the monotonic time of the next look.
    """

    row: BulkJobRow
    crm_job_id: str
    looks: int = 0
    next_look_s: float = 0.0


@dataclass
class Run:
    """The state of one run; its threads share it, and only add to it.

    Attributes:
        selected: the number of records read so far.
        closed: the providers from which nothing more is bought, with the reason.
        stopped: the providers to which nothing more is sent, with the reason.
        capped: (provider, channel, mapping) whose caps allow nothing more, with the reason.
        halved: the most people in a request after a definite refusal of a larger one, by (provider, channel).
        stamps_due: the records with a value that was written on its own, and stamps that are not written yet; only
            those of the present collection.
        attention: what a person should look at, except records.
        record_attention: the same about records: the first `ATTENTION_SHOWN`; the ledger has all.
        unlisted: how many entries, about records that are not in the run, were left out.
        read_all: every selected record was read.
        out_of_time: the time of the run is over, so it waits for nothing any more.
        waits: by provider, how many times in a row it demanded to wait with a purchase.
        writing_last: the last stage, writing, has begun.
        finalized: the purchases that became final and whose channels are not advanced yet.
        without_value: those of them that ended without a value; the next sources are planned for many at once.
        unknown_states: states that this version does not know, by provider and the task or person that shows them now.
        open_providers: the providers with tasks or unknown purchases from earlier runs.
        smaller: by object, the size of collections that the org's automation can handle in this run.
        failed_alone: by object, how many rows in a row the org's automation refused, each alone in its call.
        accepted: (object, field in lower case) of the fields that the CRM has accepted from this run.
        reopened: a value turned out to be unusable while writing, so the next sources are due.
        override_guards: the operator overrides all guards.
        guarded: the mappings that a guard has stopped.
        left_for_later: the reasons why records keep their flag, although nothing is wrong with them.
        reported: the reasons that have an attention entry already.
        plan: the frozen plan that the run applies.
        live_plans: the plans that were applied recently; their unfinished records stay open.
        budget_id: runs with the same id share the budget of one run.
        requests: the number of HTTP requests that the run serves; each has the budget of a run.
        sent_since_balance: paid requests by (provider, channel) since the balance was last read.
        sent_since_retry: the providers to which a request was sent since the purchases that their balance refused were
            last tried again.
        refused_by_balance: the providers whose balance has refused purchases since then.
        reuses: how many decisions to write a value that was bought before this process has stored.
        api: the CRM's API for many records.
        bulk_job: the job of updates that the CRM processes now.
        suspicions: by (provider, channel), the suspicion that its price differs from the settings, as last read.
        results: how many results this process has stored.
        checked_at: by (provider, channel), the number of results before which its answers need no further check.
        price_seen: (provider, channel) whose balance was read after the first request.
        is_older_copy: the ledger is an older copy.
        read_first: the providers whose record of a person is read before the person is bought, in an older copy.
        last_write: when an earlier run last wrote to a CRM.
        permit_wait_s: by provider, how long the last paid request waited for the rate limiter.
        began_s: the monotonic time at which this process began the run.
        poll_times: chooses the times of the next polls.
    """

    services: Services
    id: str
    mappings: Mapping[str, MappingFile]
    started_at: datetime
    first_entry: int = 0
    selected: int = 0
    stopped: dict[str, str] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    crm_stopped: str = ""
    capped: dict[tuple[str, str, str], str] = field(default_factory=dict)
    halved: dict[tuple[str, Channel], int] = field(default_factory=dict)
    stamps_due: set[int] = field(default_factory=set)
    attention: list[Attention] = field(default_factory=list)
    record_attention: dict[tuple[str, str], Attention] = field(default_factory=dict)
    unlisted: int = 0
    read_all: bool = False
    writing_last: bool = False
    out_of_time: bool = False
    waits: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    unreachable_since: dict[str, float] = field(default_factory=dict)
    balances: dict[str, dict[str, int]] = field(default_factory=dict)
    finalized: deque[int] = field(default_factory=deque)
    without_value: list[int] = field(default_factory=list)
    open_providers: frozenset[str] = frozenset()
    smaller: dict[str, int] = field(default_factory=dict)
    failed_alone: Counter[str] = field(default_factory=Counter)
    accepted: set[tuple[str, str]] = field(default_factory=set)
    reopened: bool = False
    override_guards: bool = False
    guarded: set[str] = field(default_factory=set)
    left_for_later: list[str] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    unknown_states: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    plan: FrozenPlan | None = None
    live_plans: frozenset[str] = frozenset()
    budget_id: str | None = None
    requests: int = 1
    sent_since_balance: Counter[tuple[str, Channel]] = field(default_factory=Counter)
    sent_since_retry: set[str] = field(default_factory=set)
    refused_by_balance: set[str] = field(default_factory=set)
    reuses: int = 0
    api: CrmApi = CrmApi.REST
    bulk_job: BulkJobInProgress | None = None
    suspicions: dict[tuple[str, Channel], Suspicion | None] = field(default_factory=dict)
    results: int = 0
    checked_at: dict[tuple[str, Channel], int] = field(default_factory=dict)
    price_seen: set[tuple[str, Channel]] = field(default_factory=set)
    is_older_copy: bool = False
    read_first: frozenset[str] = frozenset()
    last_write: datetime | None = None
    permit_wait_s: dict[str, float] = field(default_factory=dict)
    began_s: float = field(init=False)
    poll_times: PollTimes = field(init=False)

    def __post_init__(self) -> None:
        """Store the monotonic time of the start."""
        self.began_s = self.monotonic()
        self.poll_times = PollTimes(self.services.ledger.task_times, self.services.clock)

    def call_attention(self, entry: Attention, *, is_stored: bool = True) -> None:
        """Add an entry about a record.

        Args:
            entry: the entry.
            is_stored: the ledger has an outcome for the record in this run, so that it is counted there.
        """
        key = entry.record_id, entry.reason
        if key in self.record_attention:
            return
        if len(self.record_attention) < ATTENTION_SHOWN:
            self.record_attention[key] = entry
        elif not is_stored:
            self.unlisted += 1

    def use_single_calls(self, reason: str) -> None:
        """Use no jobs for the rest of this run, because the CRM refuses them."""
        self.api = CrmApi.REST
        self.services.progress.note(f"{reason}; records are read and written by single calls")

    def leave_for_later(self, reason: str) -> None:
        """Add a reason why records keep their flag; only the first are kept."""
        if reason not in self.left_for_later and len(self.left_for_later) < LEFT_SHOWN:
            self.left_for_later.append(reason)

    @property
    def bulk(self) -> BulkApi | None:
        """The CRM's jobs for many records, if this run may use them."""
        return None if self.api is CrmApi.REST else self.services.crm.bulk

    def collection_size(self, object_name: str) -> int:
        """The most records of an object in one update of this run."""
        return self.smaller.get(object_name, self.services.crm.write_size)

    def now(self) -> datetime:
        """The present time on the ledger's clock."""
        return self.services.clock.now()

    def monotonic(self) -> float:
        """Seconds of the monotonic clock, for deadlines of this process."""
        return self.services.clock.monotonic()

    def later(self, seconds: float) -> datetime:
        """The time after a scaled wait."""
        return self.services.clock.later(seconds)

    def finalize(self, results: Iterable[FinalResult], end: TaskEnd | None = None) -> list[int]:
        """Make purchases final, and remember them so that their channels advance; returns the ids that became final."""
        ids = self.services.ledger.results.finalize(results, self.now(), end=end)
        self.finalized.extend(ids)
        self.results += len(ids)
        return ids

    def improve(self, purchase_id: int, value: str, *, charged: bool) -> None:
        """Store a value for a purchase that ended without one; `charged` if its own request delivered the value."""
        if self.services.ledger.results.improve(purchase_id, value, self.now(), charged=charged):
            self.finalized.append(purchase_id)

    @property
    def used_providers(self) -> set[str]:
        """The providers of the run's mappings, and those with open work from earlier runs."""
        return self.mapped_providers | (self.open_providers & self.services.providers.keys())

    @property
    def mapped_providers(self) -> set[str]:
        """The providers of the run's mappings."""
        return {name for mapping in self.mappings.values() for name in mapping.providers()}

    def exclusive(self, provider: Provider) -> AbstractContextManager[None]:
        """Keep other runs from sending requests to a provider that accepts one at a time, while the block runs."""
        if provider.parallel > 1 or not self.services.shared:
            return nullcontext()
        source = provider.source
        return self.services.ledger.locks.exclusive(f"{source.name}/{source.account}", EXCLUSIVE_WAIT_S)

    def planner(self, mapping: MappingFile) -> Planner:
        """Build the planner for records of a mapping."""
        seal = self.services.ledger.seal
        return Planner(mapping, self.services.sources, self.now(), seal.matches, is_older_copy=self.is_older_copy)

    def caps(self, provider: str) -> CapRules:
        """Build every limit on purchases from a provider in this run."""
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
            ceiling=self.plan.terms.ceiling.get(provider, 0) if self.plan else None,
        )

    def capped_pairs(self, provider: str) -> list[tuple[str, str]]:
        """(channel, mapping) whose caps allow nothing more from this provider."""
        return [(channel, mapping) for name, channel, mapping in self.capped if name == provider]

    def stop_buying(self, provider: str, reason: str) -> None:
        """Buy nothing more from this provider in this run; open purchases are still collected."""
        self.closed.setdefault(provider, reason)

    def why_closed(self, provider: str) -> str:
        """The reason why nothing more is bought from this provider; empty if it is not closed."""
        return self.stopped.get(provider) or self.closed.get(provider, "")

    def stop(self, provider: str, reason: str) -> None:
        """Send nothing more to this provider in this run."""
        self.stopped.setdefault(provider, reason)

    def unreachable(self, provider: str, error: UnreachableError) -> None:
        """Stop the provider for this run after half a minute without a connection."""
        since = self.unreachable_since.setdefault(provider, self.monotonic())
        if self.monotonic() - since >= DOWN_AFTER_S * self.services.clock.scale:
            self.stop(provider, str(error))

    def reachable(self, provider: str) -> None:
        """Reset the time without a connection, because a request succeeded."""
        self.unreachable_since.pop(provider, None)
