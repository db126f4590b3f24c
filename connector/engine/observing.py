"""Observes runs: each is a span with its stages, and one log line at its end, whatever starts and ends it."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from connector.core.errors import ConnectorError
from connector.core.report import Report
from connector.core.states import RunState
from connector.core.telemetry import (
    CHANNEL,
    COMMAND,
    EXIT_CODE,
    MAPPINGS,
    OUTCOME,
    PROVIDER,
    RUN_ID,
    STAGE,
    STATE,
    Figure,
    Span,
    Value,
    observer,
)
from connector.store.failures import outage

LOG = logging.getLogger("connector.runs")
INTERRUPTED = 130
FAULT = 1


@dataclass
class RunObserver:
    """Knows how a run ends.

    Attributes:
        report: the report, once there is one.
        exit_code: of the command; the report's, unless an error ends the run.
    """

    report: Report | None = None
    exit_code: int | None = None

    @property
    def code(self) -> int:
        """The exit code; without a report, the run ended by a fault."""
        if self.exit_code is not None:
            return self.exit_code
        return FAULT if self.report is None else self.report.exit_code

    @property
    def state(self) -> str:
        """The state of the run; without a report, what the next process will find."""
        return RunState.DIED.value if self.report is None else self.report.state


@contextmanager
def observe_run(
    run_id: str, command: str, mappings: Collection[str], monotonic: Callable[[], float]
) -> Iterator[RunObserver]:
    """Observe a run while the block runs; the block sets the report."""
    found, began_s = RunObserver(), monotonic()
    attributes: dict[str, Value] = {RUN_ID: run_id, COMMAND: command, MAPPINGS: tuple(mappings)}
    with observer().span("run", attributes) as span:
        try:
            yield found
        except BaseException as error:
            found.exit_code = _code_of(error)
            span.fail(type(error).__name__)
            raise
        finally:
            seconds = monotonic() - began_s
            span.set({STATE: found.state, EXIT_CODE: found.code})
            _measure(found, command, seconds)
            named = {"run_id": run_id, "command": command, "mappings": list(mappings)}
            ended = {"state": found.state, "exit_code": found.code, "seconds": round(seconds, 3)}
            LOG.info("run ended", extra=named | ended | _figures(found.report))


def _code_of(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    known = error if isinstance(error, ConnectorError) else outage(error) if isinstance(error, Exception) else None
    return FAULT if known is None else known.exit_code


def _figures(report: Report | None) -> dict[str, object]:
    if report is None:
        return {}
    return {
        "selected": report.selected,
        "outcomes": {outcome.value: count for outcome, count in report.outcomes.items() if count},
        "charged": {name: one.charged for name, one in report.credits.items()},
        "held": {name: one.held for name, one in report.credits.items()},
    }


def _measure(found: RunObserver, command: str, seconds: float) -> None:
    telemetry = observer()
    telemetry.measure(Figure.RUN_SECONDS, seconds, {COMMAND: command, STATE: found.state, EXIT_CODE: found.code})
    if found.report is None:
        return
    for channel, counts in found.report.channels.items():
        for outcome, count in counts.items():
            if count:
                telemetry.measure(Figure.CHANNEL_OUTCOMES, count, {CHANNEL: channel, OUTCOME: outcome.value})
    for name, one in found.report.credits.items():
        if one.charged > 0:
            telemetry.measure(Figure.CREDITS_CHARGED, one.charged, {PROVIDER: name})


@contextmanager
def stage(name: str, monotonic: Callable[[], float]) -> Iterator[Span]:
    """Observe one stage of a run while the block runs."""
    began_s = monotonic()
    with observer().span(f"stage {name}", {STAGE: name}) as span:
        try:
            yield span
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            LOG.debug("stage ended", extra={"stage": name, "seconds": round(monotonic() - began_s, 3)})
