"""Alerts: their causes, and the messages about them. Messages contain ids, counts and reasons only."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.core.durations import write_duration
from connector.core.errors import ConnectorError
from connector.core.report import Report

MOST_LINES = 5  # of reasons in one message
STOPPED = 4  # the exit code of a run that left records for later: an alert only on its second day
LOCKED = 5  # another run holds the lock: nothing happened
ALERTING_CODES = (1, 2, 3, STOPPED)
_MEANINGS = {
    1: "a fault of the connector",
    2: "wrong usage, mapping or configuration; nothing was bought",
    3: "finished, but records need attention",
    STOPPED: "stopped early, or left records unbought, for the second day in a row",
}


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run.

    Attributes:
        command: sync, backfill, apply, undo, trigger or finish.
        exit_code: the documented exit code.
        run_id: empty if the run could not begin.
        reasons: why it ended so, each with the next step.
        total: the number of all reasons.
        balances: the balance of each provider after the run, where it was read.
    """

    command: str
    mappings: tuple[str, ...]
    exit_code: int
    run_id: str = ""
    reasons: tuple[str, ...] = ()
    total: int = 0
    balances: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, report: Report) -> "RunEnd":
        """The end that a report describes."""
        reasons = [*report.stopped, *(_entry(one.record_id, one.reason, one.next) for one in report.attention)]
        return cls(
            report.command,
            report.mappings,
            report.exit_code,
            report.run_id,
            tuple(reasons[:MOST_LINES]),
            len(report.stopped) + max(report.attention_total, len(report.attention)),
            {name: one.balance_after for name, one in report.credits.items() if one.balance_after is not None},
        )

    @classmethod
    def failed(cls, command: str, mappings: Iterable[str], error: BaseException) -> "RunEnd":
        """The end of a run with an error; a fault of the connector is named by its type only."""
        code, reason = 1, type(error).__name__
        if isinstance(error, ConnectorError):
            code, reason = error.exit_code, str(error).partition("\n")[0]
        return cls(command, tuple(mappings), code, reasons=(reason,), total=1)

    @property
    def is_success(self) -> bool:
        """Whether the run did its work, records that need attention included."""
        return self.exit_code in {0, 3}


def _entry(record_id: str, reason: str, what_next: str) -> str:
    return ": ".join(filter(None, (record_id, reason))) + (f"; next: {what_next}" if what_next else "")


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that a person should know.

    Attributes:
        key: identifies the cause; one message is sent for it in a day.
        title: one line.
        lines: details, and the next step.
        patience: only sent when it has lasted into another day.
    """

    key: str
    title: str
    lines: tuple[str, ...] = ()
    patience: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A cause, and whether it holds now."""

    cause: Cause
    holds: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The limits of one provider whose crossing is a cause; None for no limit."""

    balance: int | None = None
    credits_per_day: int | None = None


def checks_of_run(end: RunEnd) -> Iterator[Check]:
    """The causes that the exit code of a run begins, and those that it ends."""
    if end.exit_code == LOCKED:
        return
    names = ", ".join(end.mappings) or "no mapping"
    for code in ALERTING_CODES:
        title = f"{end.command} of {names} ended with exit code {code}: {_MEANINGS[code]}"
        more = end.total - len(end.reasons)
        lines = [*end.reasons, *([f"and {more:,} more"] if more > 0 else [])]
        if end.run_id:
            lines.append(f"Run {end.run_id}: connector show {end.run_id}")
        key = f"run {end.command} {'+'.join(end.mappings)} {code}"
        yield Check(Cause(key, title, tuple(lines), patience=code == STOPPED), end.exit_code == code)


def balance_check(provider: str, balance: int, limit: int) -> Check:
    """Whether a balance is below its limit."""
    title = f"{provider}: the balance is below {limit:,} credits"
    return Check(Cause(f"balance {provider}", title, (f"Balance: {balance:,} credits",)), balance < limit)


def spend_check(provider: str, spent: int, limit: int, day: str) -> Check:
    """Whether a day's credits are above their limit."""
    title = f"{provider}: more than {limit:,} credits were used on one day"
    lines = (f"{day} (UTC): {spent:,} credits, holds included", "See: connector credits")
    return Check(Cause(f"spend {provider}", title, lines), spent > limit)


def silence_check(last_success: datetime, now: datetime, most: timedelta) -> Check:
    """Whether the last successful run was too long ago."""
    title = f"no run was successful for {write_duration(most)}"
    lines = (f"Last success: {last_success:%Y-%m-%d %H:%M} UTC", "See: connector runs, and the log of the scheduler")
    return Check(Cause("silence", title, lines), now - last_success > most)


def no_value_check(provider: str, channel: str, answers: int, with_value: int, of: int) -> Check:
    """Whether a provider's latest answers for a channel had no value at all."""
    words = channel.replace("_", " ")
    title = f"{provider}: the last {of} answers for {words} contained no value"
    lines = ("No more is bought until it delivers again: ask the vendor, or check the identifiers",)
    return Check(Cause(f"no value {provider} {channel}", title, lines), answers >= of and not with_value)


@dataclass(frozen=True, slots=True)
class Message:
    """A message about a cause."""

    title: str
    lines: Sequence[str] = ()

    def text(self) -> str:
        """The message as plain text."""
        return "\n".join([self.title, *self.lines])


def begun(cause: Cause) -> Message:
    """The message that a cause holds."""
    return Message(f"Connector: {cause.title}", cause.lines)


def ended(key: str, title: str) -> Message:
    """The message that a cause is over."""
    return Message(f"Connector: over: {title or key}")
