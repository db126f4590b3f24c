"""What the pages for managers and operators show: figures, ids and reasons, without personal data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MoneyLine:
    """The purchases of one provider and channel.

    Attributes:
        bought: the people whose purchase ended: the sum of delivered, without_value and failed.
        credits_without_value: the part of `credits` for purchases without a value.
    """

    provider: str
    channel: str
    bought: int
    delivered: int
    without_value: int
    failed: int
    credits: int
    credits_without_value: int

    @property
    def per_value(self) -> float | None:
        """The credits for each delivered value; None without any."""
        return self.credits / self.delivered if self.delivered else None

    @property
    def hit_rate(self) -> float | None:
        """The share of the purchases with a value; None without any."""
        return self.delivered / self.bought if self.bought else None


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """One provider's credits in a run; None for a balance that was not read."""

    provider: str
    charged: int
    held: int
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """Records of one channel with one outcome for one reason."""

    channel: str
    outcome: str
    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class AttentionLine:
    """Something that a person should look at; `url` leads to the record in the CRM, and may be empty."""

    record_id: str
    url: str
    reason: str
    next: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A part of a run's time: requests and answers of vendors, and records written, in `seconds` from the start."""

    seconds: float
    requests: int
    answers: int
    writes: int


@dataclass(frozen=True, slots=True)
class SlowTask:
    """A vendor's task: the people in it, and the seconds from its submission to its last result."""

    provider: str
    channel: str
    people: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field of the CRM: the records in which a run wrote it, and those that an undo can still restore."""

    object: str
    field: str
    written: int
    restorable: int


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run.

    Attributes:
        meaning: the exit code in words.
        funnel: (step, number of records), from selected to written.
        channels: the number of records by channel and outcome.
        attention_total: the number of all entries; `attention` has the first ones.
        stopped: why the run ended early.
        undone_by: the run that undid it; empty if there is none.
        condensed: the note that only sums are left; empty while the details are there.
    """

    run_id: str
    command: str
    mappings: tuple[str, ...]
    state: str
    exit_code: int
    meaning: str
    started_at: datetime
    finished_at: datetime
    selected: int
    funnel: tuple[tuple[str, int], ...]
    outcomes: Mapping[str, int]
    channels: Mapping[str, Mapping[str, int]]
    money: tuple[MoneyLine, ...]
    balances: tuple[BalanceLine, ...]
    reasons: tuple[ReasonLine, ...]
    attention: tuple[AttentionLine, ...]
    attention_total: int
    timeline: tuple[Moment, ...] = ()
    slowest: tuple[SlowTask, ...] = ()
    fields: tuple[FieldLine, ...] = ()
    stopped: tuple[str, ...] = ()
    undone_by: str = ""
    condensed: str = ""

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class PeriodLine:
    """The runs of one mapping, or of one week."""

    name: str
    runs: int
    selected: int
    delivered: int
    credits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeriodPage:
    """All runs of a period.

    Attributes:
        weeks: by the Monday on which each begins, oldest first.
        without_report: runs that are running, or were interrupted before they wrote a report.
    """

    since: datetime
    until: datetime
    runs: int
    without_report: int
    selected: int
    outcomes: Mapping[str, int]
    channels: Mapping[str, Mapping[str, int]]
    money: tuple[MoneyLine, ...]
    mappings: tuple[PeriodLine, ...]
    weeks: tuple[PeriodLine, ...]
    reasons: tuple[ReasonLine, ...]
