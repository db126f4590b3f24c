"""What the operations pages show; ids, counts, credits and reasons only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.core.pages import AttentionLine


@dataclass(frozen=True, slots=True)
class CapLine:
    """A cap, and how much of it is used: credits spent and held.

    Attributes:
        name: for a person, such as "cap of mapping lead per day".
        limit: None if there is no cap of this kind.
        left: what is left; None without a cap.
    """

    provider: str
    name: str
    limit: int | None
    used: int
    left: int | None


@dataclass(frozen=True, slots=True)
class BalanceSeen:
    """A vendor's balance, as the last run read it, and the credits that open purchases hold."""

    provider: str
    balance: int | None
    held: int
    charged: int


@dataclass(frozen=True, slots=True)
class OpenLine:
    """The number of open purchases in one state, and their next step."""

    provider: str
    state: str
    count: int
    next: str


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a list."""

    run_id: str
    command: str
    mappings: tuple[str, ...]
    state: str
    started_at: datetime
    selected: int | None
    delivered: int
    attention: int
    credits: int


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """A mapping's schedule: the cron expression in UTC, and the next time; empty and None without one."""

    mapping: str
    cron: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a deployment.

    Attributes:
        ledger: its location, without a password.
        records: records with open work.
        parked: of these, the records with a value that the CRM did not accept.
        decisions: purchases that an operator may have to resolve.
        accounting: the discrepancies in the ledger; empty if the accounting adds up.
        workers: the running processes, with their mappings.
        notes: what an operator should know first, such as an older copy of the ledger.
    """

    now: datetime
    ledger: str
    records: int
    parked: int
    tasks: int
    decisions: int
    requests: Mapping[str, int]
    open: tuple[OpenLine, ...]
    caps: tuple[CapLine, ...]
    balances: tuple[BalanceSeen, ...]
    runs: tuple[RunLine, ...]
    schedules: tuple[ScheduleLine, ...]
    workers: tuple[tuple[str, str], ...]
    accounting: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunList:
    """A part of the list of runs, newest first; `older` begins the next part, empty at the end."""

    runs: tuple[RunLine, ...]
    older: str


@dataclass(frozen=True, slots=True)
class OverdueLine:
    """Work of one kind that has waited too long."""

    what: str
    subject: str
    count: int
    since: str
    reason: str
    next: str


@dataclass(frozen=True, slots=True)
class AttentionOfRun:
    """What a run left for a person; `total` counts also the entries that are not listed."""

    run_id: str
    mappings: tuple[str, ...]
    finished_at: datetime
    rows: tuple[AttentionLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AttentionList:
    """Overdue work, and what the last run of each mapping left for a person."""

    overdue: tuple[OverdueLine, ...]
    runs: tuple[AttentionOfRun, ...]


@dataclass(frozen=True, slots=True)
class RecordLink:
    """A record, and its page in the CRM; the address is empty if it is unknown."""

    record_id: str
    url: str


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """A purchase that an operator may have to resolve.

    Attributes:
        options: the decisions that its state allows, as `connector resolve` names them.
    """

    purchase_id: int
    provider: str
    channel: str
    state: str
    reason: str
    since: datetime
    next: str
    options: tuple[str, ...]
    records: tuple[RecordLink, ...]


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A request: its records by outcome; `open` ones have no final outcome yet."""

    request_id: str
    mapping: str
    accepted_at: datetime
    records: int
    open: int
    outcomes: Mapping[str, int]
